from pathlib import Path

import pytest

from jobs.submit import main


def test_without_a_head_nothing_is_submitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["space=search_spaces/tsa.yaml", "manifest=m.csv", "name=a", f"output={tmp_path}"]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told == f"error: no head runs in {tmp_path / 'head'}; start it with make head\n"
