from pathlib import Path

import pytest

from jobs.stop_head import main


def test_where_no_head_runs_nothing_is_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"output={tmp_path}"]) == 0
    told = f"no head runs; its token, logs and MLflow runs stay in {tmp_path / 'head'}\n"
    assert capsys.readouterr().out == told
