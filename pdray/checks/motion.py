"""PDR006: the model of a study is worse than a linear model on the rhythm of movement.

The rule is about methods, so it allows for training: the interval of the paired difference is
sqrt(2) times as wide as that of fixed models (see :func:`~.intervals.widening`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pdray.checks.case import Case, Split
from pdray.checks.finding import Finding
from pdray.data.cohort.rated import FoldSides
from pdray.data.modalities import PICTURES, Modality
from pdray.evaluation.comparison_tests import difference_functions
from pdray.evaluation.metrics import metric_named, score
from pdray.evaluation.predictions import Origin, probabilities, targets
from pdray.evaluation.score_intervals import interval_of
from pdray.evaluation.statistics.intervals import (
    Interval,
    too_few,
    widening,
    without_interval,
)
from pdray.models.estimators.motion_linear import MotionLinearConfig
from pdray.training.settings import FitConfig, OptimConfig

NAME = MotionLinearConfig().name


class Scored(NamedTuple):
    """Both models on the same rows.

    Attributes:
        model: Score of the study's model.
        baseline: Score of the linear model.
        difference: Model minus baseline, with the widened interval or the reason for none.
    """

    model: float
    baseline: float
    difference: Interval


def run(case: Case) -> Finding:
    """Fit the linear model on the same training sides, and compare it on the scored rows."""
    looked_at = f"{case.metric} of the model and of {NAME} on the same splits and scored recordings"
    reason = _cannot(case)
    if reason:
        return Finding(state="unknown", looked_at=looked_at, found=reason)
    found = compare(case.metric, *_rows(case))
    better = metric_named(case.metric).greater_is_better
    difference = found.difference
    told = (
        f"{case.metric} {found.model:.3f}, {NAME} {found.baseline:.3f}, difference "
        f"{difference.value:.3f}"
    )
    numbers = {
        "score": found.model, "baseline": found.baseline, "difference": difference.value,
        "low": difference.low, "high": difference.high,
    }  # fmt: skip
    if not difference.exists:
        found_text = f"{told}; it has no interval: {difference.reason}"
        return Finding(state="unknown", looked_at=looked_at, found=found_text, numbers=numbers)
    below, above = difference.high < 0, difference.low > 0
    is_worse, is_better = (below, above) if better else (above, below)
    told += f", 95% interval {difference.low:.3f} to {difference.high:.3f}: the model is "
    told += "worse" if is_worse else "better" if is_better else "not shown to be better"
    return Finding(
        state="warning" if is_worse else "passed",
        looked_at=looked_at,
        found=f"{told} than the rhythm of movement alone",
        sure=f"of two methods that are equally good it warns in fewer than 5% "
        f"({difference.num_subjects} subjects, interval widened for the training of both)",
        advice=f"use {NAME}, which takes seconds (model.name={NAME}), or find out why the model "
        "learns less: too few epochs, frames that are too small, a snippet that is too short",
        numbers=numbers,
    )


def compare(
    metric: str,
    model: NDArray[np.float64],
    baseline: NDArray[np.float64],
    rows: pd.DataFrame,
) -> Scored:
    """Score two models on the same rows, with the interval of their difference.

    Args:
        metric: Name of the score.
        model: (N, K) probabilities.
        baseline: (N, K) probabilities.
        rows: N rows with ``subject_id``, ``target`` and ``split``, the number of the split.
    """
    y_true, both = targets(rows), (model, baseline)
    weighted, _ = difference_functions(metric, y_true, both, rows["split"].to_numpy(np.int64))
    value = float(weighted(np.ones((1, len(rows))))[0])
    counts = rows.groupby("target")["subject_id"].nunique()
    of_class = {k: int(counts.get(k, 0)) for k in range(model.shape[1])}
    num = int(rows["subject_id"].nunique())
    reason = too_few(of_class, num, metric_named(metric).classes)
    found = interval_of(rows["subject_id"], value, weighted, factor=widening(1))
    if reason:
        found = without_interval(value, num, found.level, reason)
    scores = [score(metric, y_true, one) for one in both]
    return Scored(scores[0], scores[1], found)


def _cannot(case: Case) -> str:
    """Return why the models cannot be compared; empty if they can."""
    if case.config["model"]["name"] == NAME:
        return f"the model of this study is {NAME} itself"
    if case.table is None:
        return "there are no predictions of held-out subjects"
    if _modality(case) is None:
        return (
            "not all recordings have pictures in the frame store, and the rhythm of movement is "
            "read from these"
        )
    return ""


def _modality(case: Case) -> Modality | None:
    """Return the pictures that all recordings have, colours first."""
    stored = [one.stored or {} for one in case.recordings]
    return next((name for name in PICTURES if all(name in one for one in stored)), None)


def _rows(case: Case) -> tuple[NDArray[np.float64], NDArray[np.float64], pd.DataFrame]:
    """Return the predictions of both models on the same rows, and the rows."""
    from pdray.training.estimators.fit import fit_estimator  # scikit-learn takes a second
    from pdray.training.task import FitTask

    modality, table = _modality(case), case.table
    assert modality is not None
    assert table is not None, "checked before"
    if "repeat" in table:
        table = table[table["repeat"] == table["repeat"].min()]
    config = FitConfig(modality=modality, model=MotionLinearConfig(), optim=OptimConfig(epochs=1))
    task = FitTask(
        origin=Origin(study=NAME, trial=0, fold=0, epoch=0, seed=0),
        config=config,
        recordings=case.recordings,
        sides=tuple(FoldSides(one.training, one.held) for one in _once(case.splits)),
        num_classes=case.cohort.num_classes,
        epochs=1,
    )
    parts = [
        result.predictions.assign(split=number)
        for number, result in enumerate(fit_estimator(task))
        if result.predictions is not None
    ]
    mine = pd.concat(parts, ignore_index=True).set_index("recording_id")
    theirs = table.set_index("recording_id")
    shared = mine.index.intersection(theirs.index)
    mine, theirs = mine.loc[shared], theirs.loc[shared]
    return probabilities(theirs), probabilities(mine), mine.reset_index()


def _once(splits: Sequence[Split]) -> list[Split]:
    """Return the first splits, up to the first one that scores a recording again."""
    seen: set[int] = set()
    kept = []
    for split in splits:
        if seen & set(split.held):
            break
        seen |= set(split.held)
        kept.append(split)
    return kept
