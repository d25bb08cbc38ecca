"""Additions as somebody makes them: a patch each, applied to a copy of the project and tried.

The patches are also the examples of how to extend pdray. A patch that no longer applies, or an
addition that touches more files than before, fails here.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.places import ROOT

PATCHES = Path(__file__).parent / "patches"
COPIED = ("pdray", "jobs", "tests", "search_spaces", "pyproject.toml")


class Addition(NamedTuple):
    """What an addition may cost, and what must work once it is made.

    Attributes:
        files: Most files that were there before and are changed.
        lines: Most lines added to these files; None does not count them.
        contracts: Contract tests to run.
        settings: Of a fit that uses the addition; None where there is none to fit.
        words: Command line of a job that uses it.
        printed: What the fit or the job must print.
    """

    files: int
    lines: int | None
    contracts: tuple[str, ...]
    settings: dict[str, Any] | None
    words: tuple[str, ...]
    printed: str


PICTURES = {"snippet": {"num_frames": 6}, "optim": {"epochs": 2, "batch_size": 2}}
SMALL = {
    **PICTURES,
    "model": {
        "depth": 10,
        "width_factor": 0.0625,
        "temporal_stride": "111111",
        "stem_time_kernel": 3,
        "num_heads": 2,
    },
}
ADDITIONS = {
    "backbone": Addition(
        files=1,
        lines=1,
        contracts=("tests/contracts/test_models.py", "-k", "two_convolutions"),
        settings={**PICTURES, "model": {"name": "two_convolutions"}},
        words=(),
        printed='"epoch": 1',
    ),
    "estimator": Addition(
        files=1,
        lines=1,
        contracts=("tests/contracts/test_models.py", "-k", "there_are or builders"),
        settings={
            "modality": "mfcc",
            "model": {"name": "nearest_mean"},
            "optim": {"epochs": 1},
        },
        words=(),
        printed='"fold": 1',
    ),
    "modality": Addition(
        files=2,
        lines=None,
        contracts=("tests/data/store/test_extract.py",),
        settings={**SMALL, "modality": "depth"},
        words=(),
        printed='"epoch": 1',
    ),
    "metric": Addition(
        files=2,
        lines=None,
        contracts=("tests/contracts/test_metrics.py",),
        settings=SMALL,
        words=(),
        printed='"val/linear_kappa"',
    ),
    "loss": Addition(
        files=1,
        lines=None,
        contracts=("tests/contracts/test_losses.py",),
        settings={**SMALL, "loss": {"kind": "poly"}},
        words=(),
        printed='"epoch": 1',
    ),
    "job": Addition(
        files=0,
        lines=0,
        contracts=(),
        settings=None,
        words=("jobs/count_subjects.py", "data.manifest=MANIFEST"),
        printed="3 subjects",
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the project's sources that may be changed."""
    folder = tmp_path / "pdray"
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_file():
            shutil.copyfile(source, folder / name)
        else:
            ignored = shutil.ignore_patterns("__pycache__", "earlier")
            shutil.copytree(source, folder / name, ignore=ignored)
    return folder


def run(folder: Path, *words: str) -> str:
    """Run Python in the copy, so that the copy's package is the one imported; return its output."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def changes(patch: str) -> dict[str, tuple[bool, int, int]]:
    """Return for each file of a patch whether it is new, and its lines added and removed."""
    found = {}
    for part in re.split(r"^diff --git ", patch, flags=re.MULTILINE)[1:]:
        name = re.match(r"a/(\S+) b/", part)
        assert name is not None
        body = part.split("\n@@", 1)[-1].splitlines()
        added = sum(line.startswith("+") for line in body)
        removed = sum(line.startswith("-") for line in body)
        found[name[1]] = ("new file mode" in part.split("\n@@", 1)[0], added, removed)
    return found


def test_every_patch_is_tried() -> None:
    assert {path.stem for path in PATCHES.glob("*.patch")} == set(ADDITIONS)


@pytest.mark.parametrize("kind", ADDITIONS)
def test_a_patch_applies(kind: str) -> None:
    patch = str(PATCHES / f"{kind}.patch")
    subprocess.run(["git", "apply", "--check", patch], cwd=ROOT, check=True)


@pytest.mark.integration
@pytest.mark.parametrize("kind", ADDITIONS)
def test_an_addition_touches_few_files_and_works(kind: str, copy: Path, tmp_path: Path) -> None:
    addition, patch = ADDITIONS[kind], PATCHES / f"{kind}.patch"
    touched = {
        name: (added, removed)
        for name, (is_new, added, removed) in changes(patch.read_text(encoding="utf-8")).items()
        if not is_new
    }
    assert len(touched) <= addition.files, touched
    if addition.lines is not None:
        assert sum(added for added, _ in touched.values()) <= addition.lines, touched
        assert sum(removed for _, removed in touched.values()) == 0, touched
    subprocess.run(["git", "apply", str(patch)], cwd=copy, check=True)

    if addition.contracts:
        run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *addition.contracts)
    if addition.settings is not None:
        words = ["-m", "tests.journey.fit", str(tmp_path), json.dumps(addition.settings)]
        assert addition.printed in run(copy, *words)
    if addition.words:
        manifest = tmp_path / "manifest.csv"
        rows = "".join(f"r{at},s{at},gait,{at},\n" for at in range(3))
        manifest.write_text(f"recording_id,subject_id,item,grade,video\n{rows}", encoding="utf-8")
        words = [word.replace("MANIFEST", str(manifest)) for word in addition.words]
        assert addition.printed in run(copy, *words)
        text = (copy / words[0]).read_text(encoding="utf-8")
        assert sum(bool(line.strip()) for line in text.splitlines()) <= 25
