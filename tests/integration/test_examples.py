"""The scripts in examples/ run from a fresh clone, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

pytestmark = pytest.mark.integration

# What each script says last, and the picture that it leaves.
ENDS = {
    "look_at_a_cohort": ("frames, the last at", "frames.png"),
    "map_a_recording": ("probability of class 1", "map.png"),
    "run_a_study": ("accuracy", "curves.png"),
}


def test_every_script_is_here() -> None:
    assert sorted(ENDS) == sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize(
    "name",
    ["look_at_a_cohort", "map_a_recording", pytest.param("run_a_study", marks=pytest.mark.slow)],
)
def test_a_script_runs_to_its_end(name: str, tmp_path: Path) -> None:
    said, picture = ENDS[name]
    ran = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py"],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert said in ran.stdout
    assert (tmp_path / "pdray_output" / "examples" / picture).stat().st_size > 1000
