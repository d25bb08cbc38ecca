from pathlib import Path

import pytest

from jobs.submit import main
from tests.places import ROOT


def test_nothing_is_submitted_without_a_head_or_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "m.csv"
    manifest.touch()
    words = [f"space={ROOT / 'search_spaces/tsa.yaml'}", f"manifest={manifest}"]
    assert main([*words, "name=a", f"output={tmp_path}"]) == 2
    told = capsys.readouterr().err
    assert told == f"error: no head runs in {tmp_path / 'head'}; start it with make head\n"
    assert main([words[0], f"manifest={tmp_path}/no.csv", "name=a", f"output={tmp_path}"]) == 2
    told = capsys.readouterr().err
    assert told == f"error: manifest: got '{tmp_path}/no.csv'; there is no such file\n"
    assert main([*words, "name=a/b", f"output={tmp_path}"]) == 2
    assert "name: " in capsys.readouterr().err
