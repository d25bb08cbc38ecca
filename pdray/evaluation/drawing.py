"""Draws a confusion matrix, a ROC curve and a reliability diagram on axes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from sklearn.metrics import confusion_matrix

from pdray.data.cohort.settings import LABELS, Target
from pdray.evaluation.metrics import predicted
from pdray.evaluation.predictions import num_classes, probabilities, targets
from pdray.evaluation.roc_curves import RocBand, RocCurve
from pdray.evaluation.statistics.calibration import Bin, Event


def draw_confusion(axes: Axes, units: pd.DataFrame) -> None:
    """Draw the confusion matrix: rows of each true class by predicted class, and row percentages.

    The shade is the share of the true class. A class without a row has no percentages.

    Args:
        axes: Empty axes; the caller labels the ticks 0..K-1.
        units: One row per unit that is scored.
    """
    classes = num_classes(units)
    found = predicted(probabilities(units))
    counts = confusion_matrix(targets(units), found, labels=list(range(classes)))
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    edges = np.arange(classes + 1) - 0.5
    axes.pcolormesh(edges, edges, shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlim=(-0.5, classes - 0.5), ylim=(classes - 0.5, -0.5), aspect="equal")
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.5 else "black"
        percent = f"\n{100 * shares[row, column]:.0f}%" if totals[row, 0] else ""
        axes.text(column, row, f"{count}{percent}", ha="center", va="center", color=color)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")


def frame_roc(axes: Axes) -> None:
    """Draw the diagonal of chance and label the axes of ROC curves."""
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, zorder=1)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))  # a curve along the edge stays visible
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")


def draw_roc(axes: Axes, curve: RocCurve, band: RocBand | None = None, **style: Any) -> None:
    """Draw a ROC curve and its band.

    Args:
        axes: Axes of :func:`frame_roc`.
        curve: The curve.
        band: Its band; None: it has none.
        style: Color, width and label of the line.
    """
    (line,) = axes.plot(*curve.points, **style)
    if band is not None:
        axes.fill_between(
            band.rates, band.low, band.high, color=line.get_color(), alpha=0.2, linewidth=0
        )


def draw_reliability(
    axes: Axes, event: Event, bins: Sequence[Bin], least_shown: int = 0, color: str = "C0"
) -> None:
    """Draw a reliability diagram: how often an event happens where a model says how probable.

    A number above counts the subjects of a bin; a bar shows where 95% of the points of a model
    whose probabilities are right would lie.

    Args:
        axes: Empty axes.
        event: The event.
        bins: Its bins.
        least_shown: Fewer subjects are written as "<" this number.
        color: Color of the points.
    """
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for one in bins:
        axes.plot([one.mean_share] * 2, one.chance, color="0.8", linewidth=5, zorder=1)
        axes.plot(one.mean_share, one.observed, "o", color=color, zorder=2)
        few = one.num_subjects < least_shown
        axes.text(
            (one.low + one.high) / 2,
            1.05,
            f"<{least_shown}" if few else str(one.num_subjects),
            ha="center",
            va="bottom",
            rotation=90,
            fontsize=7,
        )
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.set_xlabel(f"probability of {event.name}")


def grades_of(units: pd.DataFrame, target: Target = "grade") -> list[str]:
    """Return the grades of each class, such as "grade 0, 1"; "absent" of a class without a row.

    Args:
        units: One row per recording.
        target: ``data.target``; of ``diagnosis`` the classes are "healthy" and "ill".
    """
    if target == "diagnosis":
        return list(LABELS)
    grades = {k: sorted(rows.unique()) for k, rows in units.groupby("target")["grade"]}
    return [
        f"grade {', '.join(map(str, grades[k]))}" if k in grades else "absent"
        for k in range(num_classes(units))
    ]


def class_names(units: pd.DataFrame, target: Target = "grade") -> list[str]:
    """Return the number of each class with its grades, such as "1: grade 2, 3" or "1: ill"."""
    return [f"{k}: {grade}" for k, grade in enumerate(grades_of(units, target))]
