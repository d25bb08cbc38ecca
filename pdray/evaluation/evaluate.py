"""Every number of an evaluation, from one predictions table.

All numbers of a report, of a study's tables and of MLflow come from the same functions: metrics of
``metrics.py``, intervals of ``uncertainty.py``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from pdray.data.cohort.settings import LABELS, Target
from pdray.evaluation.change_numbers import change_numbers
from pdray.evaluation.decision_numbers import decided_units
from pdray.evaluation.joined import join_rare
from pdray.evaluation.levels import WIDER, at_level, level_words
from pdray.evaluation.metrics import METRICS, metrics_for
from pdray.evaluation.metrics import score as value_of
from pdray.evaluation.numbers import Number, numbers_frame, scored
from pdray.evaluation.predictions import num_classes, targets
from pdray.evaluation.probability_numbers import calibration_numbers, predictive_numbers
from pdray.evaluation.rater_numbers import rater_numbers
from pdray.evaluation.score_intervals import Rows, rows_interval, score_interval
from pdray.evaluation.settings import EvaluationSettings, Level, Over, ReportConfig
from pdray.evaluation.withheld_numbers import withheld_numbers

GROUPS = (
    "item", "side", "visit_id", "medication_state", "stimulation_state", "site", "sex",
)  # fmt: skip
"""Columns whose values are scored one by one, where a table has them."""
MOST_VALUES = 12
"""Values of a column of which each is scored alone; with more, none is."""
HEADLINES = {
    "two": ("mcc", "auroc", "balanced_accuracy", "sensitivity", "specificity"),
    "more": ("mcc", "kappa", "mae", "accuracy", "within_one"),
}
"""Metrics that are printed for each group and level, for two classes and for more."""
METHODS = {
    "transformed": "intervals: 95%, by leaving out one subject at a time (jackknife), t quantile "
    "on the scale of the score; none where there are too few subjects",
    "percentile": "intervals: 95%, percentiles of 2000 resamples of the subjects, as earlier "
    "versions did; change, raters and calibration: by leaving out one subject at a time",
}
"""How intervals are made, for the report."""
Place = tuple[str, str, str]  # table, group, level
Score = Callable[[pd.DataFrame, Place, tuple[str, ...]], Iterator[Number]]
CONSTANT = ("accuracy", "within_one", "mae", "mse")
"""Metrics beside which the best constant prediction stands: always the same class."""


@dataclass(frozen=True)
class Evaluation:
    """Numbers of a predictions table, and what a reader should know.

    Attributes:
        head: Sentences on the rows, what was rated and what is resampled.
        numbers: In the order in which they are printed.
        notes: What is left out, and why.
    """

    head: tuple[str, ...]
    numbers: tuple[Number, ...]
    notes: tuple[str, ...]

    @property
    def frame(self) -> pd.DataFrame:
        """The numbers as a data frame, one row each."""
        return numbers_frame(self.numbers)


def evaluate(
    table: pd.DataFrame,
    how: EvaluationSettings,
    inner: pd.DataFrame | None = None,
    *,
    mean_of_runs: bool = False,
    target: Target = "grade",
) -> Evaluation:
    """Compute every number of the predictions of one model, or of one cross-validation.

    Args:
        table: A predictions table: one row per scored snippet.
        how: How intervals and decisions are made, and what is printed beside the scores.
        inner: Predictions of the same models for subjects of the training side, on which decisions
            are chosen; None: the other folds of the table are used, if there are any.
        mean_of_runs: Whether scores are means over seeds, each of which scored every subject.
        target: ``data.target``, which names the classes.

    Returns:
        The numbers.
    """
    units = at_level(table, "recording")
    classes = num_classes(units)
    notes: list[str] = []
    num_recordings = units["recording_id"].nunique()
    if num_recordings < len(units):
        notes.append(
            f"{num_recordings} recordings were scored by several networks (seeds or repeats); each "
            f"scoring counts as a recording, so that there are {len(units)}"
            + "; scores are means over the repeats"
            * mean_of_runs
        )
    score = partial(_scores, method=how.evaluation.interval, mean_of_runs=mean_of_runs)
    numbers = list(score(units, ("scores", "", "recording"), metrics_for(classes)))
    scores = {one.metric: one for one in numbers if one.table == "scores"}
    numbers += _joined_scores(units, scores, score)
    numbers += _level_scores((table, units), how.report, notes, score)
    for name in GROUPS:
        numbers += _group_scores(units, name, notes, score)
    for group, decided, words in decided_units(table, inner, how.decision):
        notes += [f"{group}: {one}" for one in words]
        if len(decided):
            names = ("sensitivity", "specificity") if classes == 2 else headlines(classes)
            numbers += score(decided, ("decision", group, "recording"), names)
    truth = next((one.truth for one in scores.values() if one.truth), "")
    if truth == "procedure":
        truth = "predictions"  # only intervals of scores are widened for training
    if (units["subject_id"] == units["recording_id"]).all():
        notes.append(
            "each subject_id is the recording_id: recordings stand for subjects, a person may be "
            "in training and test, and intervals are over recordings"
        )
    numbers += withheld_numbers(units)
    numbers += calibration_numbers(units, truth)
    if classes == 2:
        numbers += predictive_numbers(scores, how.report.prevalence)
    numbers += rater_numbers(units, notes, how.report.reference_raters)
    numbers += change_numbers(table, notes, truth)
    head = (*_head(units, target), METHODS[how.evaluation.interval])
    return Evaluation(head, tuple(numbers), tuple(notes))


def _joined_scores(
    units: pd.DataFrame, scores: Mapping[str, Number], score: Score
) -> Iterator[Number]:
    """Yield the scores that a rare grade leaves without an interval, with rare grades joined."""
    joined, words = join_rare(units)
    if words:
        lacking = tuple(name for name, one in scores.items() if one.reason)
        names = [name for name in metrics_for(num_classes(joined)) if name in lacking]
        yield from score(joined, ("joined", words, "recording"), tuple(names))


def _level_scores(
    tables: tuple[pd.DataFrame, pd.DataFrame],
    report: ReportConfig,
    notes: list[str],
    score: Score,
) -> Iterator[Number]:
    """Yield the scores of other units, where they differ from recordings."""
    table, units = tables
    asked: list[tuple[Level, tuple[Over, ...]]] = [(level, ()) for level in report.levels]
    asked += [("visit", report.over)] if report.over else []
    for level, over in asked:
        found = at_level(table, level, over=over)
        if level == "recording" or (len(found) == len(units) and not over):
            continue
        notes.append(level_words(found, level, over=over))
        group = f"averaged over {', '.join(WIDER[name] for name in over)}" if over else ""
        yield from score(found, ("levels", group, level), headlines(num_classes(units)))


def _head(units: pd.DataFrame, target: Target) -> Iterator[str]:
    """Yield sentences on what is scored."""
    yield level_words(units, "recording")
    yield f"items: {', '.join(sorted(units['item'].unique()))}"
    for k in range(num_classes(units)):
        some = units[units["target"] == k]
        grades = ", ".join(f"{grade:g}" for grade in sorted(some["grade"].unique())) or "none"
        name = LABELS[k] if target == "diagnosis" else f"grades {grades}"
        people = some["subject_id"].nunique()
        yield f"class {k}: {len(some)} recordings of {people} subjects, {name}"


def headlines(classes: int) -> tuple[str, ...]:
    """Return the metrics that are printed for each group and level, for K classes."""
    return HEADLINES["two" if classes == 2 else "more"]


def _scores(
    units: pd.DataFrame,
    place: Place,
    metrics: tuple[str, ...],
    *,
    method: Literal["transformed", "percentile"],
    mean_of_runs: bool = False,
) -> Iterator[Number]:
    """Yield each metric, and the best constant prediction where one stands beside it."""
    table, group, level = place
    if units["subject_id"].nunique() < 2:
        method = "transformed"  # which says that there are too few subjects
    for name in metrics:
        if mean_of_runs:
            found = rows_interval(name, Rows.of(units, mean_of_runs=True))
        else:
            found = score_interval(units, name, method=method)
        number = scored(found, units, name, table=table, group=group, level=level)
        yield number
        if name in CONSTANT:
            yield Number(
                table="constant",
                group=group,
                level=level,
                metric=name,
                value=best_constant(units, name),
                num_subjects=number.num_subjects,
                num_rows=number.num_rows,
            )


def best_constant(units: pd.DataFrame, metric: str) -> float:
    """Return the score of the class that is best for all rows alike; it knows these rows."""
    y_true, classes = targets(units), num_classes(units)
    always = np.eye(classes)
    values = [
        value_of(metric, y_true, np.broadcast_to(always[k], (len(y_true), classes)))
        for k in range(classes)
    ]
    return max(values) if METRICS[metric].greater_is_better else min(values)


def _group_scores(units: pd.DataFrame, name: str, notes: list[str], score: Score) -> list[Number]:
    """Return the scores of each value of a column; empty where it tells nothing apart."""
    if name not in units or units[name].nunique() == 0:
        return []
    values = sorted(units[name].dropna().unique())
    unknown = int(units[name].isna().sum())
    if len(values) + bool(unknown) < 2:
        return []
    if len(values) > MOST_VALUES:
        notes.append(f"{name} has {len(values)} values, more than {MOST_VALUES}; none of them is "
                     "scored alone")  # fmt: skip
        return []
    if unknown:
        notes.append(f"{unknown} recordings have no {name}; they are in none of its groups")
    return [
        number
        for value in values
        for number in score(
            units[units[name] == value],
            ("groups", f"{name}={value}", "recording"),
            headlines(num_classes(units)),
        )
    ]
