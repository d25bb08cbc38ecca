import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.places import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.slow]

QUICK = (
    "decode.height=32", "decode.width=32", "snippet.num_frames=8", "snippet.num_views=2",
    "snippet.view_frames=8", "optim.epochs=1", "optim.warmup_epochs=0.0", "folds.num_outer=2",
)  # fmt: skip


def reproduce(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "jobs/reproduce.py", *words]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False
    )


def test_a_table_is_printed_kept_and_not_run_twice(small_cohort: Path, tmp_path: Path) -> None:
    words = (
        "--table",
        "motion_boundary.table2",
        f"data.manifest={small_cohort}",
        f"output={tmp_path}",
        *QUICK,
    )
    # The small cohort has no gait: the table's item without recordings is a user's mistake.
    refused = reproduce(*words)
    assert refused.returncode == 2
    assert "gait" in refused.stderr

    table = ROOT / "search_spaces" / "tables" / "tsa.table3.yaml"
    words = ("--table", table.stem, *words[2:4], *QUICK[:3], *QUICK[5:])
    done = reproduce(*words)
    assert done.returncode == 0, done.stderr
    assert "SYNTHETIC" in done.stdout
    assert "I3D (scratch)" in done.stdout
    assert "kinetics is left out; to run it, set weights.kinetics=FILE" in done.stdout
    study = tmp_path / "studies" / "tsa.table3-finger_tapping"
    trial = json.loads((study / "trials/0000/trial.json").read_text(encoding="utf-8"))
    assert (trial["label"], trial["role"], trial["state"]) == ("scratch", "fixed", "complete")
    rows = pd.read_parquet(study / "trials/0000/predictions.parquet")
    manifest = pd.read_csv(small_cohort)
    tapping = manifest[manifest["item"] == "finger_tapping"]
    # Every subject was held out once, in one fold.
    assert sorted(rows["recording_id"]) == sorted(tapping["recording_id"])
    assert rows.groupby("subject_id")["fold"].nunique().eq(1).all()
    assert set(rows["split"]) == {"test"}

    again = reproduce(*words)
    assert again.returncode == 0, again.stderr
    assert "trials," not in again.stdout  # no progress: nothing ran
    assert again.stdout.split("table  ")[0].endswith(
        done.stdout.split("\n\nTSA (Yin")[1].split("table  ")[0]
    )
