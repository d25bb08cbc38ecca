"""Times the classifiers on expression intensities: Table 3 of Huang et al. 2025, and a search.

The visits are SYNTHETIC noise of 173 people, 97 of them ill, as many as in the paper. Only times
mean something. Times are of the clock, so that other processes change them.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml

from benchmarks.compare import Row
from pdray.config import build
from pdray.data.cohort.csv_table import table_text
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.data.face.intensities import Intensities, write_intensities
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.evaluation.predictions import Origin
from pdray.training.estimators.fit import fit_estimator
from pdray.training.settings import FitConfig
from pdray.training.task import FitTask

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "search_spaces" / "tables" / "expressions.table3.yaml"
CLASSES = ("neutral", "happiness", "surprise", "anger")
PEOPLE, ILL, FOLDS = 173, 97, 5
TABLE_SECONDS, SEARCH_SECONDS = 180.0, 600.0


def write_visits(folder: Path) -> Path:
    """Write files of noise, some without a video, and their manifest; return its path."""
    draw, items = np.random.default_rng(0), tuple(f"expression_{one}" for one in CLASSES)
    order = draw.permutation(PEOPLE)  # so that names tell nothing
    rows = []
    for number in range(PEOPLE):
        cosines = draw.uniform(-0.5, 0.5, (4, 4))
        cosines[number % 4] = np.nan if number % 20 == 0 else cosines[number % 4]
        visit = Intensities(
            cosines=cosines, features=cosines, items=items, classes=CLASSES, phrases=CLASSES,
            seconds=np.full(4, 5.0), recording_ids=("", "", "", ""), contents=(), tau=0.01,
            num_frames=16, weights="", learnt_subjects=(), learnt_contents=(), other_people=True,
        )  # fmt: skip
        write_intensities(folder / f"{number}.npz", visit)
        told = "ill" if order[number] < ILL else "healthy"
        row = [f"V{number}", f"S{number}", "1", "expressions", told, f"{number}.npz", "synthetic"]
        rows.append(row)
    names = ["recording_id", "subject_id", "visit_id", "item", "diagnosis", "intensities", "site"]
    path = folder / "manifest.csv"
    path.write_text(table_text(names, [dict(zip(names, row, strict=True)) for row in rows]))
    return path


def fit_table(folder: Path, *, num_epochs: int = 40) -> int:
    """Fit and score every row of the table in five folds; return how many fits that were."""
    store = FrameStore(folder / "store", Recipe())
    visits = []
    for number in range(PEOPLE):
        name, path = f"V{number}", folder / f"{number}.npz"
        row = Recording(name, f"S{number}", "expressions", intensities=path)
        stored = store.add(row, ("intensities",)).paths
        grade = int(number % 16 < 9)
        visits.append(
            RatedRecording(name, row.subject_id, row.item, grade, grade, None, stored=stored)
        )
    folds = [tuple(range(fold, PEOPLE, FOLDS)) for fold in range(FOLDS)]
    sides = tuple(FoldSides(tuple({*range(PEOPLE)} - {*held}), held) for held in folds)
    num_fits = 0
    for run in yaml.safe_load(TABLE.read_text(encoding="utf-8"))["runs"].values():
        model = {key.removeprefix("model."): value for key, value in run.items()}
        tree = {
            "modality": "intensities",
            "model": {"name": "intensity_head", "num_epochs": num_epochs, **model},
            "optim": {"epochs": 1},
        }
        task = FitTask(
            origin=Origin(study="table", trial=0, fold=0, epoch=0, seed=0),
            config=build(FitConfig, tree),
            recordings=tuple(visits),
            sides=sides,
            num_classes=2,
            epochs=1,
        )
        num_fits += len(list(fit_estimator(task)))
    return num_fits


def intensity_rows(is_quick: bool) -> Iterator[Row]:
    """Compare the time of the table's fits, and of a whole search, with what they may take."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = write_visits(folder)
        started = time.perf_counter()
        num_fits = fit_table(folder, num_epochs=1 if is_quick else 40)
        took = time.perf_counter() - started
        yield Row(
            f"table of intensities, {num_fits} fits", took, TABLE_SECONDS, "its limit", 1, "s"
        )
        if is_quick:
            return
        words = [f"data.manifest={manifest}", f"output={folder / 'output'}", "search.name=one"]
        started = time.perf_counter()
        job = [sys.executable, str(ROOT / "jobs" / "tune_expressions.py"), *words]
        subprocess.run(job, check=True, capture_output=True)
        took = time.perf_counter() - started
        yield Row("search of 200 trials on intensities", took, SEARCH_SECONDS, "its limit", 1, "s")
