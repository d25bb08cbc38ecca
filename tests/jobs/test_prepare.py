import pytest

from jobs.prepare import main


@pytest.fixture
def words(tiny_manifest, tmp_path):
    manifest = tiny_manifest(2)
    return [
        f"data.manifest={manifest}",
        f"output={tmp_path / 'out'}",
        "decode.height=24",
        "decode.width=24",
        "store.codec=lz4",
    ]


def test_a_mistake_is_told_without_a_traceback(capsys, words):
    assert main([*words, "store.codec=zip"]) == 2
    told = capsys.readouterr()
    assert "error: " in told.err
    assert "store.codec: got 'zip'" in told.err
    assert "Traceback" not in told.err


def test_verifying_before_preparing_names_what_is_lacking(capsys, words):
    assert main(["--verify", *words]) == 2
    told = capsys.readouterr().err
    assert "recording S00_left: " in told
    assert "is not prepared with these settings" in told


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")  # Ray warns about itself
def test_prepared_then_verified(capsys, words):
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "4 recordings, about 0.00 GB (lz4)" in told
    assert "4/4 recordings" in told
    assert told.splitlines()[-1].startswith("in store   4 recordings, 0.00 hours, 0.000 GB")
    assert main(["--verify", *words]) == 0
    assert "verified   4 recordings" in capsys.readouterr().out


def test_an_output_that_cannot_be_made_is_refused_before_a_cluster_is_joined(
    capsys, words, tmp_path
):
    (tmp_path / "out").write_text("kept")
    assert main(words) == 2
    told = capsys.readouterr().err
    assert f"output: nothing can be written into {tmp_path / 'out' / 'store'}: " in told
