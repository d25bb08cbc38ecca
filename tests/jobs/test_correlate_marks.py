from pathlib import Path

import pytest

from jobs.correlate_marks import main


def test_what_is_missing_is_told_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"data.manifest={tmp_path / 'no.csv'}"]) == 2
    assert "error: 'data.marks' is missing" in capsys.readouterr().err
