from pathlib import Path

import pytest

from jobs.start_head import main


def test_an_output_that_cannot_be_written_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main([f"output={tmp_path / 'file' / 'output'}"]) == 2
    assert "output" in capsys.readouterr().err
