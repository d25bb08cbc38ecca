"""Strip plot of subjects: the predicted class of each recording against the true one."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pdray.evaluation.metrics import predicted
from pdray.evaluation.predictions import num_classes, probabilities
from pdray.report.case import Reported
from pdray.report.figures.print_style import (
    BLUE,
    LINE,
    POINTS,
    RED,
    SMALL,
    WIDE,
    Page,
    nothing_scored,
    sample,
    width_of,
)

MOST_CLASSES = 9
_A_ROW, _MOST_ROWS = 40, 6  # subjects, rows of subjects
_LEFT, _HIGH = 17.0, 26.0  # [mm]


def draw(case: Reported) -> Figure | str:
    """Draw all subjects in rows, ordered by their rated and then by their predicted class."""
    if reason := nothing_scored(case):
        return reason
    classes = num_classes(case.units)
    if classes > MOST_CLASSES:
        return f"{classes} classes are not the steps of one scale"
    points = _points(case.units)
    people = points["subject_id"].nunique()
    rows = min(_MOST_ROWS, math.ceil(people / _A_ROW))
    each = math.ceil(people / rows)
    below = width_of(max(points["subject_id"], key=len), SMALL - 1) + 2
    page = Page(case, WIDE, 2 * LINE + rows * (_HIGH + below + 2) + LINE)
    for row in range(rows):
        top = 2 * LINE + row * (_HIGH + below + 2)
        axes = page.panel(_LEFT, top, WIDE - _LEFT - 3, _HIGH)
        some = points[points["slot"].between(row * each, (row + 1) * each - 1)]
        _row(axes, some, classes, (row * each, each))
        axes.set_ylabel(f"probability\nof {case.event}" if classes == 2 else "class")
        axes.set_xlabel("subject" if row == rows - 1 else "", labelpad=POINTS * below)
    page.figure.axes[0].legend(
        handles=_legend(), loc="lower left", bbox_to_anchor=(0, 1.02), ncols=4, borderaxespad=0
    )
    return page.figure


def caption(case: Reported) -> str:
    """Return what points, dashes and lines are."""
    mean = f"probability of {case.event}"
    if num_classes(case.units) > 2:
        mean = "mean of the classes, weighted by their probabilities"
    return (
        f"Each recording of each subject (running numbers): its {mean} (point or cross) and its "
        "true class (dash); an upright line between them is the error, a thin line joins "
        "the recordings of a subject. Cross: the most probable class is not the true one. "
        f"{sample(case)}"
    )


def _points(units: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each recording: its subject, place, rated and predicted class."""
    shares = probabilities(units)
    columns = [f"probability_{k}" for k in range(shares.shape[1])]
    points = units.groupby("recording_id", as_index=False).agg(
        {"subject_id": "first", "target": "first", **dict.fromkeys(columns, "mean")}
    )
    shares = probabilities(points)
    points["mean"] = shares @ np.arange(shares.shape[1])
    points["wrong"] = predicted(shares) != points["target"]
    order = points.groupby("subject_id")[["target", "mean"]].mean()
    order = order.sort_values(["target", "mean"], kind="stable")
    points["slot"] = points["subject_id"].map({one: k for k, one in enumerate(order.index)})
    points = points.sort_values(["slot", "target", "mean"], kind="stable")
    of_subject = points.groupby("slot")["target"]
    # The recordings of a subject stand side by side in the middle three quarters of its place.
    aside = (of_subject.cumcount() + 0.5) / of_subject.transform("size") - 0.5
    return points.assign(x=points["slot"] + 0.75 * aside)


def _row(axes: Axes, points: pd.DataFrame, classes: int, place: tuple[int, int]) -> None:
    """Draw a row of subjects: ``place`` is the first one, and the number that fits."""
    first, room = place
    x, target, mean, wrong = (points[name].to_numpy() for name in ("x", "target", "mean", "wrong"))
    slots = points.groupby("slot")["x"]
    half = min(0.3, 0.75 / max(1, slots.size().max()) / 2)
    size = float(np.clip(40 / max(1, len(points)) ** 0.5, 2.2, 4))
    between = np.arange(first, first + room - 1) + 0.5
    _segments(axes, (between, between), (np.array(-1), np.array(classes)), "0.92", 0.4)
    _segments(axes, (x[~wrong], x[~wrong]), (target[~wrong], mean[~wrong]), "0.75", 0.7)
    _segments(axes, (x[wrong], x[wrong]), (target[wrong], mean[wrong]), RED, 0.7)
    _segments(axes, (x - half, x + half), (target, target), "black", 1.2)
    ends = np.flatnonzero(np.diff(points["slot"])) + 1  # the line has a gap after each subject
    joined = (np.insert(one, ends, np.nan) for one in (x, mean))
    axes.plot(*joined, color="0.6", linewidth=0.6)
    axes.plot(x[~wrong], mean[~wrong], "o", color=BLUE, markersize=size, markeredgewidth=0)
    axes.plot(x[wrong], mean[wrong], "x", color=RED, markersize=1.2 * size, markeredgewidth=0.9)
    axes.set(xlim=(first - 0.5, first + room - 0.5), yticks=range(classes))
    axes.set_ylim(-0.08 * (classes - 1), 1.08 * (classes - 1))
    if classes == 2:
        axes.set_yticks([0, 0.5, 1])
    names = points.drop_duplicates("slot")
    skipped = max(1, math.ceil(len(names) / 66))  # so many numbers fit side by side
    shown = names.iloc[::skipped]
    axes.set_xticks([])
    height = -0.11 * (classes - 1)
    for slot, name in zip(shown["slot"], shown["subject_id"], strict=True):
        # Texts of a figure are quicker than ticks and than texts of axes, which are clipped.
        axes.figure.text(slot, height, name, transform=axes.transData,
                         size=SMALL - 1, rotation=90, ha="center", va="top")  # fmt: skip


def _segments(axes: Axes, x: tuple[Any, Any], y: tuple[Any, Any], color: str, width: float) -> None:
    """Draw segments as one line with gaps, which is much smaller as SVG than one line for each."""
    columns = np.broadcast_arrays(*x, *y, np.nan)
    across, along = (np.stack([*columns[k : k + 2], columns[4]], axis=1) for k in (0, 2))
    axes.plot(across.ravel(), along.ravel(), color=color, linewidth=width)


def _legend() -> list[Line2D]:
    return [
        Line2D([], [], color="black", linewidth=1.2, label="true class"),
        Line2D([], [], color=BLUE, marker="o", linestyle="", label="predicted, right"),
        Line2D([], [], color=RED, marker="x", linestyle="", label="predicted, wrong"),
        Line2D([], [], color="0.6", linewidth=0.6, label="recordings of one subject"),
    ]
