"""Report of patient-level scores in the layout of Tables VII to IX and Fig. 7 of TSA.

A score is computed in each fold and averaged over folds, for each repeat. Folds with an undefined
score are left out and counted. The tables show the mean over repeats with its standard deviation,
as in the paper, and two more: the standard error over folds, and an interval of the MCC over
subjects. A repeat is another training of the visit classifier, so the standard deviation
over repeats says nothing about other patients; the other two do.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pdray.data.cohort.settings import SYNTHETIC
from pdray.evaluation.plots import save_picture
from pdray.evaluation.predictions import probabilities, targets
from pdray.evaluation.report import aligned, headline
from pdray.evaluation.score_intervals import score_interval
from pdray.evaluation.settings import Method
from pdray.evaluation.statistics.intervals import TRUTHS, Interval
from pdray.evaluation.uncertainty import mean_se, weighted_scores

_METRICS = ("accuracy", "precision", "recall", "mcc")
_HEADER = ("Accuracy [%]", "Precision", "Recall", "MCC", "SE", "MCC 95%", "Visits")


@dataclass(frozen=True)
class Row:
    """Line of a table.

    Attributes:
        label: Item or method.
        kind: Features that it reads: avgpool or layer4.
        table: Its predictions of every fold and repeat.
        method: How its interval is made: ``evaluation.interval``.
    """

    label: str
    kind: str
    table: pd.DataFrame
    method: Method = "transformed"

    @cached_property
    def interval(self) -> Interval:
        """The MCC with its interval, all folds and repeats pooled."""
        return score_interval(self.table, "mcc", method=self.method)


@dataclass(frozen=True)
class RepeatedScore:
    """Score over folds and repeats; a value is nan if it is undefined.

    Attributes:
        mean: Mean over repeats of the mean over folds.
        spread: Sample standard deviation over repeats.
        se: Standard error over folds of the mean over repeats.
        num_undefined: (Fold, repeat) pairs with an undefined score.
        num_scores: All (fold, repeat) pairs.
    """

    mean: float
    spread: float
    se: float
    num_undefined: int
    num_scores: int


def repeated_score(table: pd.DataFrame, metric: str) -> RepeatedScore:
    """Score each fold of each repeat and average.

    Args:
        table: One row per (fold, repeat, visit).
        metric: Name in ``METRICS``.
    """
    folds, fold_of_row = np.unique(table["outer_fold"].to_numpy(), return_inverse=True)
    repeats, repeat_of_row = np.unique(table["repeat"].to_numpy(), return_inverse=True)
    shape = (len(repeats), len(folds))
    group_of_row = np.ravel_multi_index((repeat_of_row, fold_of_row), shape)
    # Each (repeat, fold) is a resample with its own rows once and no others.
    members = (group_of_row == np.arange(math.prod(shape))[:, None]).astype(np.float64)
    values = weighted_scores(metric, targets(table), probabilities(table), members).reshape(shape)
    by_repeat, by_fold = _means(values, axis=1), _means(values, axis=0)
    return RepeatedScore(
        mean=float(np.mean(by_repeat)) if len(by_repeat) else math.nan,
        spread=float(np.std(by_repeat, ddof=1)) if len(by_repeat) > 1 else math.nan,
        se=mean_se(by_fold)[1] if len(by_fold) > 1 else math.nan,
        num_undefined=int(np.isnan(values).sum()),
        num_scores=values.size,
    )


def baseline_table(rows: Sequence[Row], *, synthetic: bool) -> str:
    """Return Table VII as text: single items, each with both inputs, ranked.

    Args:
        rows: The baselines of every item; ``label`` is the item.
        synthetic: Whether the cohort is synthetic; the headline then says so.

    Returns:
        Lines of text.
    """
    ranks = baseline_ranks(rows)
    body = [
        [row.label, row.kind, *_cells(row), str(ranks[row.label])]
        for row in sorted(rows, key=lambda row: (row.label, row.kind))
    ]
    title = "Single items, three classes (Table VII of TSA); rank by the mean MCC of both inputs"
    return _laid_out(title, ["Item", "Input", *_HEADER, "Rank"], body, rows, synthetic=synthetic)


def methods_table(
    title: str, baselines: Sequence[Row], methods: Sequence[Row], *, synthetic: bool
) -> str:
    """Return Table VIII or IX as text: the best single item on avgpool, then the methods.

    The best single item is chosen by the printed scores, as in the paper, which makes this baseline
    look better than it is.

    Args:
        title: Title of the table.
        baselines: The baselines of every item.
        methods: Rows of the methods, in the order to print.
        synthetic: Whether the cohort is synthetic; the headline then says so.

    Returns:
        Lines of text.
    """
    ranks = baseline_ranks(baselines)
    best = min(ranks, key=lambda label: ranks[label])
    shown = [
        *(
            replace(row, label=f"best single item ({best})")
            for row in baselines
            if (row.label, row.kind) == (best, "avgpool")
        ),
        *methods,
    ]
    body = [[row.label, row.kind, *_cells(row)] for row in shown]
    return _laid_out(title, ["Method", "Input", *_HEADER], body, shown, synthetic=synthetic)


def baseline_ranks(rows: Sequence[Row]) -> dict[str, int]:
    """Rank items from 1 by the mean MCC of their inputs; items without a score come last."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        scores.setdefault(row.label, []).append(repeated_score(row.table, "mcc").mean)
    means = {label: float(np.mean(values)) for label, values in scores.items()}
    order = sorted(means, key=lambda label: (math.isnan(means[label]), -means[label], label))
    return {label: rank for rank, label in enumerate(order, start=1)}


def weights_picture(weights: pd.DataFrame, path: Path, *, synthetic: bool) -> None:
    """Draw the learnt weights of vector weighting, as in Fig. 7 of TSA.

    Bars are means over folds and repeats, lines their standard deviations; the dashed line is the
    weight of each item if all were equal.

    Args:
        weights: Rows of ``outer_fold``, ``repeat``, ``item`` and ``weight``.
        path: The PNG to write.
        synthetic: Whether the cohort is synthetic; the title then says so.
    """
    groups = weights.groupby("item", sort=False)["weight"]
    means, spreads = groups.mean(), groups.std(ddof=1).fillna(0.0)
    num_runs = len(weights.drop_duplicates(["outer_fold", "repeat"]))
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(list(means.index), means.to_numpy(), yerr=spreads.to_numpy(), color="0.6", capsize=3)
    axes.axhline(1 / len(means), color="black", linestyle="--", linewidth=1)
    axes.set_xticks(range(len(means)), labels=list(means.index), rotation=30, ha="right")
    axes.set_ylabel("weight")
    mark = f"{SYNTHETIC}, " if synthetic else ""
    axes.set_title(
        f"{mark}learnt weights of vector weighting\nmean and SD of {num_runs} trainings",
        fontsize=9,
    )
    save_picture(figure, path)


def _means(values: NDArray[np.float64], *, axis: int) -> list[float]:
    """Return the means of the defined values along an axis; lines without any are left out."""
    lines = values if axis == 1 else values.T
    return [float(np.nanmean(line)) for line in lines if not np.isnan(line).all()]


def _cells(row: Row) -> list[str]:
    found = {name: repeated_score(row.table, name) for name in _METRICS}
    accuracy, mcc = found["accuracy"], found["mcc"]
    return [
        _spread(100 * accuracy.mean, 100 * accuracy.spread, digits=1),
        *(_spread(found[name].mean, found[name].spread, digits=2) for name in _METRICS[1:]),
        "-" if math.isnan(mcc.se) else f"{mcc.se:.2f}",
        _ends(row),
        str(row.table["recording_id"].nunique()),
    ]


def _spread(mean: float, spread: float, *, digits: int) -> str:
    if math.isnan(mean):
        return "undefined"
    return f"{mean:z.{digits}f}" + ("" if math.isnan(spread) else f"+-{spread:.{digits}f}")


def _ends(row: Row) -> str:
    found = row.interval
    return f"{found.low:z.2f} to {found.high:z.2f}" if found.exists else "-"


def _interval_notes(rows: Sequence[Row]) -> list[str]:
    """Return what the intervals cover, and why some rows have none."""
    now = [row for row in rows if row.method == "transformed"]
    covered = [
        f"MCC 95% {words}: {', '.join(labels)}"
        for truth, words in TRUTHS.items()
        if (labels := [f"{row.label}, {row.kind}" for row in now
                       if row.interval.exists and row.interval.truth == truth])
    ]  # fmt: skip
    absent = [
        f"{row.label}, {row.kind}: {row.interval.reason}" for row in now if row.interval.reason
    ]
    return [*covered, *absent]


def _laid_out(
    title: str,
    header: Sequence[str],
    body: Sequence[Sequence[str]],
    rows: Sequence[Row],
    *,
    synthetic: bool,
) -> str:
    undefined = {
        f"{row.label}, {row.kind}: {name}": repeated_score(row.table, name)
        for row in rows
        for name in _METRICS
    }
    notes = [
        f"{what} is undefined in {one.num_undefined} of {one.num_scores} (fold, repeat) pairs, "
        "which are left out"
        for what, one in undefined.items()
        if one.num_undefined
    ]
    table = aligned([header, *body])
    return "\n".join([headline(title, synthetic), *table, *notes, *_interval_notes(rows)])
