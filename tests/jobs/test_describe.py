from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.describe import main


def test_videos_are_described_by_their_headers(
    tiny_manifest: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("model: {name: r3d}\nfolds: {num_folds: 2}\ndecode: {height: 24}\n")
    words = [f"data.manifest={tiny_manifest(2)}", f"output={tmp_path / 'out'}"]
    assert main(["--config", str(study), *words]) == 0
    assert "finger_tapping  0         0-1     <5" in capsys.readouterr().out
    assert main(["--config", str(study), *words, "report.small_cells=1"]) == 0
    told = capsys.readouterr().out
    # Grades: subject 0 has 4 on the left and 0 on the right, subject 1 has 3 and 1.
    assert "finger_tapping  0         0-1    2/2           12/12        0.48/0.48\n" in told
    assert "finger_tapping  1         2-4    2/2           12/12        0.48/0.48\n" in told
    assert (tmp_path / "out" / "describe" / "manifest" / "lengths.png").exists()
    assert not (tmp_path / "out" / "store").exists()


def test_a_mistake_is_told_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"data.manifest={tmp_path / 'no.csv'}", f"output={tmp_path}"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert "no.csv: cannot be read" in told
