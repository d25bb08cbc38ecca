from jobs.import_features import main

# SYNTHETIC rows in UCI's layout.
VOWELS = """subject#\tage\tsex\ttest_time\tmotor_UPDRS\ttotal_UPDRS\tPPE
1\t70\t0\t5.5\t28.5\t34.4\t0.1
1\t70\t0\t6.5\t28.49\t34.5\t0.2
2\t61\t1\t5.5\t12.1\t14.4\t0.3
"""


def test_it_says_what_it_wrote(tmp_path, capsys):
    (tmp_path / "parkinsons_updrs.data").write_text(VOWELS)
    words = ["layout=telemonitoring", f"folder={tmp_path}", f"output={tmp_path / 'm.csv'}"]
    assert main(words) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:4] == [
        f"manifest   {tmp_path / 'm.csv'}",
        "           3 recordings of 2 subjects",
        f"table      {tmp_path / 'm.features.csv'}, features: 1 features, 3 rows",
        f"settings   --config {tmp_path / 'm.data.yaml'}",
    ]
    assert told[4].startswith("note       motor_UPDRS was interpolated")
    assert main(words) == 0  # the same content again


def test_a_folder_without_the_table_ends_with_status_two(tmp_path, capsys):
    words = ["layout=telemonitoring", f"folder={tmp_path}", f"output={tmp_path / 'm.csv'}"]
    assert main(words) == 2
    assert "has none of parkinsons_updrs.data; give another folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
