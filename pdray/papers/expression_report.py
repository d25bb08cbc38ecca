"""Prints the expressions of the ill and of the healthy as text."""

import math
import textwrap
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from pdray.data.cohort.settings import LABELS, DataConfig
from pdray.evaluation.predictions import num_classes, probabilities, targets
from pdray.evaluation.report import aligned, headline
from pdray.evaluation.score_intervals import score_interval
from pdray.evaluation.uncertainty import confusions
from pdray.papers.diagnosis_table import WIDTH
from pdray.papers.expression_groups import (
    Expressions,
    accuracy_difference,
    contrasts,
    silhouettes,
)
from pdray.papers.severity_table import Printed
from pdray.papers.table import GROUPS_COLUMNS

_NOTHING = "-"


def groups_text(printed: Printed, found: Expressions, data: DataConfig) -> str:
    """Return the tables of a cohort's expressions.

    Args:
        printed: Title, figures of the paper, and whether the cohort is synthetic.
        found: The videos.
        data: What a group is.

    Returns:
        Lines of text.
    """
    lines = [*_extent(found, data), ""]
    lines += ["Is the likeliest phrase that of the expression that was asked for?"]
    lines += aligned([*_accuracies(found, printed.paper)])
    lines += [
        "intervals: 95%; of a group by leaving out one subject at a time; of the difference "
        "percentiles of 2000 resamples of the subjects; training not included",
    ]
    for group, name in enumerate(LABELS):
        lines += ["", f"{name}: asked expression (rows) by likeliest phrase (columns) [%]"]
        lines += aligned([*_confusion(found, found.of_group(group))], numbers_right=True)
    lines += ["", "Log intensity (cosine / tau), mean of each subject; medians over subjects"]
    lines += aligned([*_contrasts(found)])
    lines += [
        "delta: Cliff's, share of pairs of a healthy and an ill subject where the ill one has the "
        "lower value less the share where the healthy one has; interval: percentiles of 2000 "
        "resamples of the subjects",
        f"p: Mann-Whitney between subjects; adjusted by Holm over {len(found.classes) ** 2} tests",
        "",
        "Silhouettes of the features (1 separate, 0 mixed, -1 in the wrong group)",
        *aligned([[name, _shown(value, 2)] for name, value in silhouettes(found)]),
    ]
    wrapped = [part for line in lines for part in textwrap.wrap(line, WIDTH) or [""]]
    return "\n".join([headline(printed.title, printed.synthetic), "", *wrapped])


def _extent(found: Expressions, data: DataConfig) -> Iterator[str]:
    counts = [found.of_group(k)["subject_id"].nunique() for k in (0, 1)]
    yield (
        f"{len(found.units)} videos of {found.num_visits} visits, {found.num_absent} absent; "
        f"subjects: {counts[0]} {LABELS[0]}, {counts[1]} {LABELS[1]}"
    )
    if data.target == "grade":
        yield f"{LABELS[1]}: grade {data.grade_cuts[0]} and above; {LABELS[0]}: below"


def _accuracies(found: Expressions, paper: Mapping[str, Mapping[str, str]]) -> Iterator[list[str]]:
    (heading,) = GROUPS_COLUMNS
    yield ["", "subjects", "videos", heading, "interval", "paper"]
    for group, name in enumerate(LABELS):
        units = found.of_group(group)
        figure = paper.get(name, {}).get(heading, _NOTHING)
        if units.empty:
            yield [name, "0", "0", _NOTHING, _NOTHING, figure]
            continue
        one = score_interval(units, "accuracy")
        ends = _ends(one.low, one.high, 100)
        people = str(units["subject_id"].nunique())
        yield [name, people, str(len(units)), _shown(100 * one.value, 1), ends, figure]
    value, low, high = accuracy_difference(found)
    yield ["difference", "", "", _shown(100 * value, 1), _ends(low, high, 100), ""]


def _confusion(found: Expressions, units: pd.DataFrame) -> Iterator[list[str]]:
    yield ["", *found.classes, "videos"]
    counts = confusions(targets(units), probabilities(units), np.ones((1, len(units))))[0]
    for name, row in zip(found.classes, counts[: num_classes(units)], strict=True):
        total = row.sum()
        shares = [_shown(100 * one / total, 0) if total else _NOTHING for one in row]
        yield [name, *shares, f"{total:.0f}"]


def _contrasts(found: Expressions) -> Iterator[list[str]]:
    yield ["video", "phrase", *LABELS, "delta", "interval", "p", "adjusted p"]
    for one in contrasts(found):
        yield [
            one.video, one.phrase, *(_shown(value, 2) for value in one.medians),
            _shown(one.delta, 2), _ends(one.low, one.high), _p(one.p), _p(one.p_holm),
        ]  # fmt: skip


def _ends(low: float, high: float, factor: int = 1) -> str:
    if math.isnan(low):
        return _NOTHING
    digits = 1 if factor > 1 else 2
    return f"{factor * low:z.{digits}f} to {factor * high:z.{digits}f}"


def _shown(value: float, digits: int) -> str:
    return _NOTHING if math.isnan(value) else f"{value:z.{digits}f}"


def _p(value: float) -> str:
    if math.isnan(value):
        return _NOTHING
    return "<0.001" if value < 0.001 else f"{value:.3f}"
