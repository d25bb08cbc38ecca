"""Layouts of tables with cross-validated scores: matrix and detail.

A score is computed in each fold, from one row per recording. The tables show the mean over folds
and its standard error, as TSA (Table V) and the motion boundary paper (section 4.2) do. The lines
below a table give the numbers of recordings, subjects and folds, and what a mean leaves out.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pdray.evaluation.metrics import METRICS, score, undefined_reason
from pdray.evaluation.predictions import probabilities, targets
from pdray.evaluation.report import aligned, headline
from pdray.evaluation.uncertainty import mean_se, normal_interval

Place = tuple[str, str]
"""Item ('': all items together) and column of a cell ('': the item has only one)."""

Cells = Mapping[str, Mapping[Place, pd.DataFrame]]
"""By row label and place: a table with one row per (fold, recording); a cell may be absent."""

_DETAILS = ("accuracy", "precision", "recall", "mcc")
_NOTHING = "-"
_UNDEFINED = "undefined"
_LEAST_SE = 1e-12  # equal scores of folds may differ by rounding


@dataclass(frozen=True)
class FoldScore:
    """Score over folds.

    Attributes:
        mean: Mean over the folds with a defined score; nan if there is none.
        se: Standard error of the mean; nan for fewer than two such folds.
        num_undefined: Folds with an undefined score, which are left out.
        num_folds: All folds.
    """

    mean: float
    se: float
    num_undefined: int
    num_folds: int


def fold_score(table: pd.DataFrame, metric: str) -> FoldScore:
    """Score each fold of a table and average.

    Args:
        table: One row per (fold, recording), from ``by_recording`` or ``fuse``.
        metric: Name in ``METRICS``.
    """
    values, num_undefined = [], 0
    for _, rows in table.groupby("fold", sort=True):
        if undefined_reason(metric, targets(rows), probabilities(rows)) is not None:
            num_undefined += 1
        else:
            values.append(score(metric, targets(rows), probabilities(rows)))
    mean, se = mean_se(values) if values else (math.nan, math.nan)
    return FoldScore(mean, se, num_undefined, num_undefined + len(values))


def matrix_table(title: str, cells: Cells, metrics: Sequence[str], *, synthetic: bool) -> str:
    """Return one block per metric as text: rows by places, and column means over several items.

    Args:
        title: Title of the table.
        cells: Tables by row and place.
        metrics: Names in ``METRICS``.
        synthetic: Whether the cohort is synthetic; the headline then says so.

    Returns:
        Lines of text; scores in percent.
    """
    spread = "mean over folds +- standard error" if _is_crossed(cells) else "one split"
    lines = [headline(title, synthetic)]
    for metric in metrics:
        unit = " [%]" if METRICS[metric].is_share else ""
        lines += ["", f"{metric}{unit}, {spread}", *_matrix(cells, metric)]
    return "\n".join([*lines, "", _extent(cells)])


def detail_table(title: str, cells: Cells, *, synthetic: bool) -> str:
    """Return Table III or V of TSA as text: a line per place and row, with MCC and its interval.

    The mean MCC of a row over several items has the sample SD over them, as in the paper's last
    line. The paper's p, for "MCC is 0" from the spread of the folds, is left out: it is too small,
    since folds share training subjects.

    Args:
        title: Title of the table.
        cells: Tables by row and place.
        synthetic: Whether the cohort is synthetic; the headline then says so.

    Returns:
        Lines of text; accuracy in percent.
    """
    body = [["", "", "acc", "precision", "recall", "MCC", "95% CI"]]
    for place in _places(cells):
        for row, found in cells.items():
            if place in found:
                body.append([place_label(place), row, *_details(found[place])])
    for column in _averaged(cells):
        for row, found in cells.items():
            values = [
                fold_score(one, "mcc").mean for (_, name), one in found.items() if name == column
            ]
            defined = [value for value in values if not math.isnan(value)]
            if len(defined) > 1:
                spread = float(np.std(defined, ddof=1))
                shown = f"{np.mean(defined):.2f}+-{spread:.2f} (SD over {len(defined)})"
                body.append([_average(column), row, "", "", "", shown, ""])
    formulas = "one split: there is no SE and no 95% CI"
    if _is_crossed(cells):
        formulas = (
            "MCC: mean +- SE over the folds; 95% CI: mean +- 1.96 SE, as in TSA; its p is left "
            "out: predictions of folds depend on each other"
        )
    notes = [line for metric in _DETAILS for line in _undefined(cells, metric)]
    lines = [headline(title, synthetic), "", *aligned(body), formulas, _extent(cells)]
    return "\n".join([*lines, *notes])


def place_label(place: Place) -> str:
    """Return the heading of a place."""
    return " ".join(filter(None, place)) or "all items"


def _matrix(cells: Cells, metric: str) -> list[str]:
    places, averaged = _places(cells), _averaged(cells)
    body = [["", *map(place_label, places), *map(_average, averaged)]]
    for row, found in cells.items():
        scores = {place: fold_score(table, metric) for place, table in found.items()}
        factor = 100 if METRICS[metric].is_share else 1
        line = [_scaled(scores[place], factor) if place in scores else _NOTHING for place in places]
        for column in averaged:
            of_column = [place for place in places if place[1] == column]
            means = [scores[place].mean for place in of_column if place in scores]
            whole = len(means) == len(of_column) and not any(map(math.isnan, means))
            line.append(f"{factor * np.mean(means):.1f}" if whole else _NOTHING)
        body.append([row, *line])
    return [*aligned(body), *_undefined(cells, metric)]


def _details(table: pd.DataFrame) -> list[str]:
    accuracy, precision, recall, mcc = (fold_score(table, name) for name in _DETAILS)
    low, high = normal_interval(mcc.mean, mcc.se)
    spreads = mcc.se > _LEAST_SE
    return [
        _shown(accuracy.mean, percent=True),
        _shown(precision.mean),
        _shown(recall.mean),
        _shown(mcc.mean) + ("" if math.isnan(mcc.se) else f"+-{mcc.se:.2f}"),
        f"[{low:.2f}, {high:.2f}]" if spreads else _NOTHING,
    ]


def _undefined(cells: Cells, metric: str) -> list[str]:
    """Return notes on cells whose mean leaves out folds."""
    return [
        f"{row}, {place_label(place)}: {metric} is undefined in {one.num_undefined} of "
        f"{one.num_folds} folds, which are left out"
        for row, found in cells.items()
        for place, table in found.items()
        if (one := fold_score(table, metric)).num_undefined
    ]


def _extent(cells: Cells) -> str:
    """Return the numbers of recordings, subjects and folds of each item."""
    items: dict[str, dict[str, None]] = {}
    for item, table in _tables(cells):
        items.setdefault(_counted(table), {})[item or "all items"] = None
    if len(items) == 1:
        return next(iter(items))
    return "; ".join(f"{', '.join(names)}: {counted}" for counted, names in items.items())


def _counted(table: pd.DataFrame) -> str:
    recordings, subjects = table["recording_id"], table["subject_id"]
    num_folds = table["fold"].nunique()
    people = f"{recordings.nunique()} recordings of {subjects.nunique()} subjects"
    if (recordings == subjects).all():  # the manifest names no subjects
        people = f"{recordings.nunique()} recordings without subjects, each counted as a subject,"
    return f"{people} in {f'{num_folds} folds' if num_folds > 1 else 'one split'}"


def _is_crossed(cells: Cells) -> bool:
    return any(table["fold"].nunique() > 1 for _, table in _tables(cells))


def _tables(cells: Cells) -> Iterable[tuple[str, pd.DataFrame]]:
    return ((item, table) for found in cells.values() for (item, _), table in found.items())


def _places(cells: Cells) -> list[Place]:
    """Return the places, sorted by the first appearance of their items."""
    places = dict.fromkeys(place for found in cells.values() for place in found)
    items = list(dict.fromkeys(item for item, _ in places))
    return sorted(places, key=lambda place: items.index(place[0]))


def _averaged(cells: Cells) -> list[str]:
    """Return the columns of more than one item."""
    columns = [column for _, column in _places(cells)]
    return [column for column in dict.fromkeys(columns) if columns.count(column) > 1]


def _average(column: str) -> str:
    return f"average {column}".rstrip()


def _scaled(one: FoldScore, factor: int) -> str:
    if math.isnan(one.mean):
        return _UNDEFINED
    spread = "" if math.isnan(one.se) else f"+-{factor * one.se:.1f}"
    return f"{factor * one.mean:.1f}{spread}"


def _shown(value: float, *, percent: bool = False) -> str:
    if math.isnan(value):
        return _UNDEFINED
    return f"{100 * value:.1f}" if percent else f"{value:.2f}"
