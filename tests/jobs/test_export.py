from pathlib import Path

import pytest

from jobs.export import main


def test_a_folder_without_a_study_ends_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"study={tmp_path / 'none'}", f"output={tmp_path / 'model'}"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: study: got")
    assert "which has no study.json" in told
    assert not (tmp_path / "model").exists()
