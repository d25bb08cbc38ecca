"""Table 3 of YouTubePD from the command line: five kinds of models compared, SYNTHETIC faces."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from pdray.config import build
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from tests.places import ROOT

COHORT = {
    "num_subjects": 24, "num_visits": 1, "items": ["face_interview"], "missing": 0.0, "size": 48,
    "min_seconds": 2.0, "max_seconds": 2.4, "seed": 4,
}  # fmt: skip
WORDS = [
    "data.grade_cuts=[2]", "decode.height=48", "decode.width=48", "folds.num_outer=2",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.integration
def test_models_on_faces_landmarks_and_sound_share_their_folds(tmp_path: Path) -> None:
    manifest = make_cohort(tmp_path / "faces", build(DemoConfig, COHORT), num_processes=2)
    # Two seeds and a small grid are enough here.
    tables = ROOT / "search_spaces" / "tables"
    text = (tables / "youtubepd.table3.yaml").read_text(encoding="utf-8")
    assert "seeds: 5\n" in text
    out = tmp_path / "out"
    command = [sys.executable, "-c", RUN, str(tmp_path / "youtubepd.table3.yaml")]
    grid = "model.name: landmark_choice, model.num_repeats: 1, model.num_folds: 2"
    text = text.replace("seeds: 5\n", "seeds: 2\n").replace("model.name: landmark_choice", grid)
    (tmp_path / "youtubepd.table3.yaml").write_text(text, encoding="utf-8")
    words = [*WORDS, f"data.manifest={manifest}", f"output={out}"]
    done = subprocess.run(
        [*command, *words], cwd=ROOT, capture_output=True, text=True, timeout=550, check=False
    )
    assert done.returncode == 0, done.stderr
    table = done.stdout[done.stdout.index("YouTubePD (Zhou et al. 2023), Table 3") :]
    lines = table.splitlines()
    assert "SYNTHETIC" in lines[0]
    scored = {line[:38].strip(): line[38:].split() for line in lines[2:]}
    for row in (
        "VGGFace, linear probe", "Landmarks, MLP on 8 frames (FC)", "Landmarks, MLP a frame (FV)",
        "Landmarks, motion, chosen in training", "Audio, MFCC statistics",
        "Fusion, L1-normalised logits (MFCC)", "Fusion, stacking (MFCC)", "baseline: frequencies",
    ):  # fmt: skip
        assert all("+-" in cell for cell in scored[row]), row
    assert scored["Audio, masked autoencoder"] == ["-"] * 9
    assert "mae is left out; to run it, set weights.mae=FILE" in table
    assert "vggface, fusion, stacking: " in table  # small settings, not the paper's
    assert "site" not in scored
    with (out / "tables" / "scorings.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["study"] for row in rows] == ["youtubepd.table3-seed0", "youtubepd.table3-seed1"]


RUN = """
import sys
from pathlib import Path
from pdray.papers.plan import plan_reproduction
from pdray.papers.reproduction import run_reproduction
print(run_reproduction(plan_reproduction(Path(sys.argv[1]), sys.argv[2:]), say=print)[0])
"""
