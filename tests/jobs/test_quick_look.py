from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.quick_look import main


def test_resume_takes_the_recordings_of_the_quick_look_in_the_output_folder(
    tmp_path: Path, tiny_manifest: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--resume", f"output={tmp_path}"]) == 2
    assert capsys.readouterr().err == (
        f"error: no quick look named quick-look in {tmp_path} to resume; name the output folder "
        "with output=..., another name with name=..., or the manifest with data.manifest=...\n"
    )
    assert main([]) == 2
    assert "'data.manifest' is missing" in capsys.readouterr().err


def test_subjects_that_cannot_be_split_are_refused_before_anything_is_written(
    tmp_path: Path, tiny_manifest: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"data.manifest={tiny_manifest(2)}", f"output={tmp_path / 'out'}"]
    assert main(given) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: ")
    assert not (tmp_path / "out").exists()
