from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.tune_tsa import main
from tests.places import ROOT


def test_an_empty_manifest_is_refused(
    tmp_path: Path, write_manifest: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_manifest([])
    assert main([f"data.manifest={manifest}", f"output={tmp_path / 'out'}"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert str(manifest) in told
    assert not (tmp_path / "out").exists()


def test_a_missing_manifest_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"data.manifest={tmp_path / 'no.csv'}", f"output={tmp_path / 'out'}"]) == 2
    assert "no.csv" in capsys.readouterr().err


def test_the_shipped_search_spaces_are_valid() -> None:
    from pdray.search.plan import load_study

    shipped = sorted((ROOT / "search_spaces").glob("*.yaml"))
    files = [file for file in shipped if "\nspace:" in file.read_text(encoding="utf-8")]
    assert len(files) >= 3
    for file in files:
        plan = load_study(["--config", str(file), "data.manifest=/x.csv"])
        assert plan.space, file


def test_resume_without_a_study_says_where_it_looked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--resume", f"output={tmp_path}"]) == 2
    assert f"no study to resume in {tmp_path / 'studies'}" in capsys.readouterr().err


@pytest.mark.parametrize("below", ["file", "file/k"])
def test_an_output_that_cannot_be_made_is_refused_before_anything_starts(
    below: str,
    tmp_path: Path,
    tiny_manifest: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("kept")
    asked = [f"data.manifest={tiny_manifest(12)}", f"output={tmp_path / below}", "search.name=a"]
    assert main(asked) == 2
    told = capsys.readouterr()
    assert told.err == (
        f"error: settings: output: nothing can be written into {tmp_path / below}/studies/a: no "
        f"file can be made in {tmp_path / 'file'}: Not a directory; choose a folder that "
        "you may write into\n"
    )
    assert told.out == ""
    assert (tmp_path / "file").read_text() == "kept"
