from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pdray.checks.case import Case
from pdray.checks.motion import run
from pdray.data.cohort.rated import StoredRecording
from tests.checks.cases import cohort_of, make_case

FOLDS = [[f"S{s:03d}" for s in range(40) if s // 2 % 4 == fold] for fold in range(4)]


@pytest.fixture
def made(tmp_path: Path, write_entry) -> Callable[..., Case]:
    """Return a function that makes a search whose pictures flicker faster in class 1.

    SYNTHETIC; ``right`` is the share of recordings that its model predicts right.
    """
    recordings = cohort_of(40)
    stored, rng = {}, np.random.default_rng(0)
    for number, one in enumerate(recordings):
        phase = 2 * np.pi * (1 + (one.grade or 0) / 4) * np.arange(60) / 25 + rng.uniform(0, 6)
        frames = 100 + 40 * np.sin(phase)[:, None, None, None] + rng.normal(0, 3, (60, 4, 4, 3))
        path = tmp_path / "store" / "ab" / f"{number}.arrow"
        path.parent.mkdir(parents=True, exist_ok=True)
        entry = write_entry(path, frames.astype(np.uint8))
        stored[one.recording_id] = StoredRecording(one.recording_id, {"rgb": entry})

    def make(right: float, *, name: str = "tsa", has_store: bool = True, folds=FOLDS) -> Case:
        names = {name for side in folds for name in side}
        rows = [one for one in recordings if one.subject_id in names]
        target = np.array([int(one.grade == 4) for one in rows])
        is_right = np.random.default_rng(1).random(len(rows)) < right
        ill = np.where(is_right == (target == 1), 0.8, 0.2)
        table = pd.DataFrame(
            {
                "recording_id": [one.recording_id for one in rows],
                "subject_id": [one.subject_id for one in rows],
                "target": target,
                "probability_0": 1 - ill,
                "probability_1": ill,
            }
        ).sample(frac=1, random_state=2)  # in another order than the recordings
        settings = {"model": {"name": name}}
        if name == "motion_linear":
            settings["optim"] = {"epochs": 1}
        return make_case(
            tmp_path, recordings, table=table, held=folds, settings=settings,
            stored=stored if has_store else None,
        )  # fmt: skip

    return make


def test_a_model_that_is_worse_than_the_rhythm_is_named(made) -> None:
    found = run(made(0.7))
    assert found.state == "warning"
    assert found.numbers["baseline"] == 1.0
    assert found.numbers["high"] < 0
    assert "the model is worse than the rhythm of movement alone" in found.found


def test_an_equal_model_passes_and_is_not_called_better(made) -> None:
    found = run(made(0.97))
    assert found.state == "passed"
    assert found.numbers["low"] < 0 < found.numbers["high"]
    assert "not shown to be better than the rhythm" in found.found


def test_of_one_test_set_only_its_subjects_are_compared(made) -> None:
    found = run(made(0.5, folds=FOLDS[:1]))
    assert found.state == "unknown"  # 10 subjects are too few
    assert "it has no interval: too few subjects" in found.found


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "motion_linear"}, "the model of this study is motion_linear itself"),
        ({"has_store": False}, "not all recordings have pictures in the frame store"),
    ],
)
def test_without_a_comparison_it_is_unknown(made, settings, words: str) -> None:
    found = run(made(0.5, **settings))
    assert found.state == "unknown"
    assert words in found.found
