from pathlib import Path

import pytest

from jobs.predict import main


def test_a_folder_without_a_study_ends_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"study={tmp_path / 'none'}", f"videos={tmp_path}", f"output={tmp_path / 'new.csv'}"]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: study: got")
    assert "which has no study.json" in told
    assert not (tmp_path / "new.csv").exists()
