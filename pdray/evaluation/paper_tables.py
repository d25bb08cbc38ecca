"""The layouts in which the papers print cross-validated scores.

A score is taken in each fold, from one row a recording; what is printed is the mean over folds and
its standard error, as 002 (Table V) and 004 (section 4.2) do.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pdray.evaluation.metrics import score, undefined_reason
from pdray.evaluation.predictions import probabilities, targets
from pdray.evaluation.report import SYNTHETIC_MARK
from pdray.evaluation.uncertainty import altman_bland_p, mean_se, normal_interval

Cells = Mapping[str, Mapping[str, pd.DataFrame]]
"""Row label, then column label, to one row a (fold, recording); a cell may be absent."""

_DETAILS = ("accuracy", "precision", "recall")
_NO_CELL = "-"
_LEAST_P = 1e-99  # what is less is told as less, not as the zero that it underflows to


@dataclass(frozen=True)
class FoldScore:
    """A score over folds.

    Attributes:
        mean: Over the folds in which it is defined; nan when there is none.
        se: Standard error of it; nan for fewer than two such folds.
        num_undefined: Folds in which it is not defined, which are left out.
    """

    mean: float
    se: float
    num_undefined: int


def fold_score(table: pd.DataFrame, metric: str) -> FoldScore:
    """Score each fold of a table and average.

    Args:
        table: One row a (fold, recording), from ``by_recording`` or ``fuse``.
        metric: Name in ``METRICS``.
    """
    values, num_undefined = [], 0
    for _, rows in table.groupby("fold", sort=True):
        if undefined_reason(metric, targets(rows), probabilities(rows)) is not None:
            num_undefined += 1
        else:
            values.append(score(metric, targets(rows), probabilities(rows)))
    if not values:
        return FoldScore(math.nan, math.nan, num_undefined)
    return FoldScore(*mean_se(values), num_undefined)


def matrix_table(title: str, cells: Cells, metrics: Sequence[str], *, synthetic: bool) -> str:
    """Lay out one block a metric: rows by columns, and the rows' mean where columns are several.

    Args:
        title: What the table shows.
        cells: Tables by row and column.
        metrics: Names in ``METRICS``.
        synthetic: Whether the cohort is rendered; says so in the headline.

    Returns:
        Lines of text; scores in percent.
    """
    lines = [_headline(title, synthetic)]
    for metric in metrics:
        lines += ["", f"{metric} [%], mean over folds +- standard error", *_matrix(cells, metric)]
    return "\n".join(lines)


def detail_table(title: str, cells: Cells, *, synthetic: bool) -> str:
    """Lay out Tables III and V of 002: a line for each column and row, with MCC and its interval.

    The mean MCC of a row over its columns has the sample SD over them, as the paper's last line.

    Args:
        title: What the table shows.
        cells: Tables by row and column.
        synthetic: Whether the cohort is rendered; says so in the headline.

    Returns:
        Lines of text; accuracy in percent.
    """
    body = [["", "", "acc", "precision", "recall", "MCC", "95% CI", "p"]]
    for column in _columns(cells):
        for row, found in cells.items():
            if column in found:
                body.append([column, row, *_details(found[column])])
    for row, found in cells.items():
        values = [fold_score(table, "mcc").mean for table in found.values()]
        defined = [value for value in values if not math.isnan(value)]
        if len(defined) > 1:
            spread = float(np.std(defined, ddof=1))
            told = f"{np.mean(defined):.2f}+-{spread:.2f} (SD over {len(defined)})"
            body.append(["average", row, "", "", "", told, "", ""])
    return "\n".join([_headline(title, synthetic), "", *_aligned(body), *_undefined(cells, "mcc")])


def _matrix(cells: Cells, metric: str) -> list[str]:
    columns = _columns(cells)
    header = ["", *columns, *(["average"] if len(columns) > 1 else [])]
    body = [header]
    for row, found in cells.items():
        scores = [fold_score(found[c], metric) if c in found else None for c in columns]
        told = [_NO_CELL if one is None else _percent(one) for one in scores]
        if len(columns) > 1:
            means = [one.mean for one in scores if one is not None]
            whole = len(means) == len(columns) and not any(map(math.isnan, means))
            told.append(f"{100 * np.mean(means):.1f}" if whole else _NO_CELL)
        body.append([row, *told])
    return [*_aligned(body), *_undefined(cells, metric)]


def _details(table: pd.DataFrame) -> list[str]:
    accuracy, precision, recall = (fold_score(table, name).mean for name in _DETAILS)
    mcc = fold_score(table, "mcc")
    low, high = normal_interval(mcc.mean, mcc.se)
    p = altman_bland_p(mcc.mean, mcc.se)
    return [
        f"{100 * accuracy:.1f}",
        f"{precision:.2f}",
        f"{recall:.2f}",
        f"{mcc.mean:.2f}+-{mcc.se:.2f}",
        f"[{low:.2f}, {high:.2f}]",
        f"{p:.1e}" if not p < _LEAST_P else f"<{_LEAST_P:.0e}",
    ]


def _undefined(cells: Cells, metric: str) -> list[str]:
    """Name the cells that are a mean over fewer folds than there are."""
    return [
        f"{row}, {column}: {metric} is not defined in {one.num_undefined} folds, left out"
        for row, found in cells.items()
        for column, table in found.items()
        if (one := fold_score(table, metric)).num_undefined
    ]


def _columns(cells: Cells) -> list[str]:
    return list(dict.fromkeys(column for found in cells.values() for column in found))


def _percent(one: FoldScore) -> str:
    spread = "" if math.isnan(one.se) else f"+-{100 * one.se:.1f}"
    return "undefined" if math.isnan(one.mean) else f"{100 * one.mean:.1f}{spread}"


def _headline(title: str, synthetic: bool) -> str:
    return f"{title} ({SYNTHETIC_MARK})" if synthetic else title


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
