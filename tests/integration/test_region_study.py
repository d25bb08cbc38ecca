"""A search over regions from the command line to its winner, on SYNTHETIC interviews."""

import subprocess
import sys
from pathlib import Path

import pytest

from pdray.config import build
from pdray.data.cohort.manifest import load_manifest
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from tests.places import ROOT

COHORT = {
    "num_subjects": 12, "num_visits": 1, "items": ["face_interview"], "missing": 0.0, "size": 48,
    "min_seconds": 1.0, "max_seconds": 1.2, "seed": 2,
}  # fmt: skip
WORDS = [
    "data.grade_cuts=[2]", "decode.height=48", "decode.width=48", "model.depth=18",
    "model.layout=torchvision", "model.width_factor=0.0625", "model.token_dim=12",
    "optim.epochs=2", "folds.num_folds=2", "folds.num_outer=3", "search.trials=2",
    "search.name=regions", "search.protocol=holdout", "search.keep_folds=false",
]  # fmt: skip


JOB = ROOT / "jobs" / "tune_region_attention.py"


def run(*words: str) -> str:
    command = [sys.executable, str(JOB), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.integration
def test_maps_are_made_once_and_trials_learn_from_them(tmp_path: Path) -> None:
    manifest = make_cohort(tmp_path / "faces", build(DemoConfig, COHORT), num_processes=1)
    ill = [one for one in load_manifest(manifest).recordings if one.grade]
    marks = tmp_path / "marks.csv"
    rows = "".join(f"{one.recording_id},1,5\n" for one in ill)
    marks.write_text(f"recording_id,region_index,mark_0_10\n{rows}")
    out = tmp_path / "out"
    told = run(*WORDS, f"data.manifest={manifest}", f"output={out}", f"data.marks={marks}")
    assert "once for 24 views of recordings" in told
    assert f"marks      {len(ill)} of 12 recordings have marked regions" in told
    assert "the frozen network keeps its random initialisation" in told
    assert (out / "studies" / "regions" / "winner" / "model.pt").is_file()
    again = run("--resume", f"output={out}", "search.name=regions")
    assert "features: " not in again
    assert "2 trials by val/auroc" in again
