"""Times whole searches of classifiers on a table of features.

    python -m benchmarks.features             # about half an hour on two cores
    python -m benchmarks.features size=quick  # only a test run of a minute; ignore its numbers

Each search is 200 trials of five folds with protocol ``holdout`` on a SYNTHETIC table of 489
recordings of 240 subjects with 116 features and grades 0 to 4, the size of a public table of finger
tapping; the fusion has two tables of 42 and 39 of these features, and tells ill from healthy. Its
refit, its checks and its report are included. Wall time counts, so nothing else may run.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from pdray.config import Settings, load, written

ROOT = Path(__file__).parents[1]
FUSION = "fusion"
_TABLES = {"features.smile": slice(0, 42), "features.speech": slice(42, 81)}
GOALS = {"linear,ordinal,svm": 3.0, "boosting": 6.0, "forest": 25.0, FUSION: 3.0}
"""Classifiers of each search, or the fusion of two tables, and the longest accepted time [min]."""


class FeatureTimesConfig(Settings):
    """Settings of the benchmark."""

    size: Literal["full", "quick"] = Field("full", description="quick: a test run")


def write_cohort(folder: Path, *, num_rows: int = 489, num_features: int = 116) -> Path:
    """Write a SYNTHETIC manifest and its table of features; return the manifest."""
    rng = np.random.default_rng(0)
    grade = rng.choice(5, num_rows, p=[0.22, 0.37, 0.29, 0.1, 0.02])
    x = rng.normal(size=(num_rows, num_features))
    x[:, :30] += 0.3 * grade[:, None]
    x[rng.random(x.shape) < 0.002] = np.nan
    ids = [f"r{number}" for number in range(num_rows)]
    table = pd.DataFrame(np.exp(x / 2), columns=[f"f{n}" for n in range(num_features)])
    table.insert(0, "recording_id", ids)
    table.to_csv(folder / "features.csv", index=False)
    people = [f"S{number // 2}" for number in range(num_rows)]
    rows = {"recording_id": ids, "subject_id": people, "item": "finger_tapping", "grade": grade}
    of_person = grade[np.arange(num_rows) // 2 * 2]
    rows["diagnosis"] = np.where(of_person > 1, "pd", "healthy")
    for name, columns in _TABLES.items():
        few = table.iloc[:, [0, *range(1, num_features + 1)[columns]]]
        few.to_csv(folder / f"{name}.csv", index=False)
        rows[name] = f"{name}.csv"
    manifest = folder / "manifest.csv"
    pd.DataFrame(rows | {"features": "features.csv"}).to_csv(manifest, index=False)
    return manifest


def search_seconds(manifest: Path, classifiers: str, trials: int) -> float:
    """Run a search; return its wall seconds."""
    words = {
        "data.manifest": manifest,
        "search.trials": trials,
        "search.name": classifiers.replace(",", "_"),
        "output": manifest.parent / "output",
    }
    if classifiers != FUSION:
        words |= {
            "data.grade_cuts": (1, 2, 3, 4),
            "space.model.classifier": f"{{choices: [{classifiers}]}}",
            "search.metric": "kappa",
        }
    started = time.monotonic()
    job = [sys.executable, str(ROOT / "jobs/tune_tsa.py"), "--config"]
    name = "fusion_features" if classifiers == FUSION else "features"
    space = str(ROOT / f"search_spaces/{name}.yaml")
    given = [f"{key}={written(value)}" for key, value in words.items()]
    subprocess.run([*job, space, *given], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def main(argv: list[str]) -> None:
    """Print the time of each search beside its goal."""
    is_quick = load(FeatureTimesConfig, argv).size == "quick"
    goals = dict(list(GOALS.items())[:1]) if is_quick else GOALS
    trials, rows = (3, 200) if is_quick else (200, 489)
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_cohort(Path(folder), num_rows=rows, num_features=rows // 4)
        for classifiers, goal in goals.items():
            minutes = search_seconds(manifest, classifiers, trials) / 60
            verdict = "<=" if minutes <= goal else "ABOVE"
            print(
                f"{classifiers:<20} {trials} trials {minutes:6.1f} min  {verdict} {goal:g} min",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
