import pytest

from jobs.import_actions import main


@pytest.fixture
def words(tmp_path):
    for name in ("train/wave/a.mp4", "train/clap/b.mp4", "val/clap/c.mp4"):
        (tmp_path / "k400" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "k400" / name).write_bytes(b"")
    return ["layout=kinetics", f"folder={tmp_path / 'k400'}", f"output={tmp_path / 'm.csv'}"]


def test_it_says_what_it_wrote(words, tmp_path, capsys):
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"manifest   {tmp_path / 'm.csv'}",
        "           3 recordings (train 2, val 1) of 2 classes",
        "           0 are listed but have no file; 0 files are not listed",
        f"classes    {tmp_path / 'm.classes.json'}",
        f"settings   --config {tmp_path / 'm.data.yaml'}",
    ]
    assert (tmp_path / "m.classes.json").exists()


def test_a_mistake_ends_with_status_two_and_writes_nothing(words, tmp_path, capsys):
    (tmp_path / "k400" / "train" / "wave" / "a.mp4").unlink()
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: ")
    assert "class wave has no video" in told.err
    assert "Traceback" not in told.err
    assert [path.name for path in tmp_path.iterdir()] == ["k400"]


def test_an_output_that_cannot_be_made_is_refused(words, tmp_path, capsys):
    (tmp_path / "file").write_text("kept")
    assert main([*words, f"output={tmp_path / 'file' / 'm.csv'}"]) == 2
    assert f"output: nothing can be written into {tmp_path / 'file'}: " in capsys.readouterr().err
