"""Pictures of a predictions table: confusion matrix, ROC curves, reliability diagram, as PNG."""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from pdray.atomic import replacing
from pdray.data.cohort.settings import SYNTHETIC
from pdray.evaluation.metrics import predicted
from pdray.evaluation.predictions import num_classes, probabilities, targets
from pdray.evaluation.statistics.calibration import events, reliability

_LETTER = 0.08  # widest letter of a tick label [inch]
_LINE = 0.16  # height of a legend line [inch]
_WRAP = 70  # letters per legend line


def confusion_picture(table: pd.DataFrame, path: Path, *, synthetic: bool) -> None:
    """Draw the confusion matrix: rows of each true class by predicted class.

    Args:
        table: A predictions table, or one row per recording.
        path: The PNG to write.
        synthetic: Whether the cohort is synthetic; the title then says so.
    """
    classes = num_classes(table)
    counts = confusion_matrix(
        targets(table), predicted(probabilities(table)), labels=list(range(classes))
    )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # A cell is as wide as the tick below it: the number of the class above its grades.
    grades = _grades(table)
    cell = max(0.6, _LETTER * max(map(len, grades)))
    side = max(2.4, cell * classes)
    beside = _LETTER * max(map(len, _class_names(table)))
    figure = Figure(figsize=(side + beside + 0.6, side + 1.4), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=color)
    below = [f"{k}\n{grade}" for k, grade in enumerate(grades)]
    axes.set_xticks(range(classes), labels=below, fontsize=9)
    axes.set_yticks(range(classes), labels=_class_names(table), fontsize=9)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(_title(table, "shade: share of the true class", synthetic), fontsize=9)
    save_picture(figure, path)


def roc_picture(table: pd.DataFrame, path: Path, *, synthetic: bool) -> None:
    """Draw ROC curves: for two classes of all rows and of each item, else of each class.

    A curve whose rows are all positive or all negative is left out; the legend below the axes
    names it.

    Args:
        table: A predictions table, or one row per recording.
        path: The PNG to write.
        synthetic: Whether the cohort is synthetic; the title then says so.
    """
    figure = Figure(layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    left_out: list[str] = []
    curves = _curves(table)
    for number, (label, rows, positive) in enumerate(curves):
        is_class, share = targets(rows) == positive, probabilities(rows)[:, positive]
        if is_class.all() or not is_class.any():
            left_out.append(label)
            continue
        false_rate, true_rate, _ = roc_curve(is_class, share)
        area = roc_auc_score(is_class, share)
        counted = f"n={int(is_class.sum())} of {len(rows)}"
        axes.plot(
            false_rate,
            true_rate,
            label=f"{label} (area {area:.2f}, {counted})",
            linewidth=1 + 0.8 * (len(curves) - 1 - number),  # equal curves stay visible
        )
    if left_out:
        note = f"no curve, since only one class is present: {', '.join(left_out)}"
        axes.plot([], [], " ", label=textwrap.fill(note, _WRAP))
    _, labels = axes.get_legend_handles_labels()
    lines = sum(label.count("\n") + 1 for label in labels)
    figure.set_size_inches(4.8, 4.9 + _LINE * lines)
    figure.legend(loc="outside lower center", fontsize=7)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))  # a curve along the edge stays visible
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.set_title(_title(table, "ROC, one versus rest", synthetic), fontsize=9)
    save_picture(figure, path)


def reliability_picture(table: pd.DataFrame, path: Path, *, synthetic: bool) -> str:
    """Draw the reliability diagram: how often an event happens where a model says how probable.

    Each panel is one event of :func:`~pdray.evaluation.statistics.calibration.events`. A number
    counts the subjects of a bin; a bar shows where 95% of the points of a model whose probabilities
    are right would lie.

    Args:
        table: A predictions table, or one row per recording.
        path: The PNG to write.
        synthetic: Whether the cohort is synthetic; the title then says so.

    Returns:
        Why nothing is drawn; empty if the picture is written.
    """
    every = list(events(targets(table), probabilities(table)))
    figure = Figure(figsize=(3.6 * len(every), 4.2), layout="constrained")
    panels = figure.subplots(1, len(every), squeeze=False, sharey=True)[0]
    for axes, event in zip(panels, every, strict=True):
        bins, reason = reliability(event, table["subject_id"])
        if reason:
            return reason
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        for one in bins:
            axes.plot([one.mean_share] * 2, one.chance, color="0.8", linewidth=6, zorder=1)
            axes.plot(one.mean_share, one.observed, "o", color="C0", zorder=2)
            place = (one.mean_share, one.observed)
            axes.annotate(
                str(one.num_subjects), place, (5, 4), textcoords="offset points", fontsize=7
            )
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        axes.set_xlabel(f"probability of {event.name}")
    panels[0].set_ylabel("share of recordings where it is so")
    figure.suptitle(_title(table, "grey: 95% of a model that is right", synthetic), fontsize=9)
    save_picture(figure, path)
    return ""


def _curves(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame, int]]:
    """Return (label, rows, positive class) for each curve."""
    if num_classes(table) > 2:
        return [(name, table, k) for k, name in enumerate(_class_names(table))]
    items = [(str(item), rows, 1) for item, rows in table.groupby("item", sort=True)]
    return [("all", table, 1), *(items if len(items) > 1 else [])]


def _class_names(table: pd.DataFrame) -> list[str]:
    return [f"{k}: {grade}" for k, grade in enumerate(_grades(table))]


def _grades(table: pd.DataFrame) -> list[str]:
    """Return the grades of each class."""
    grades = {k: sorted(rows.unique()) for k, rows in table.groupby("target")["grade"]}
    return [
        f"grade {', '.join(map(str, grades[k]))}" if k in grades else "absent"
        for k in range(num_classes(table))
    ]


def _title(table: pd.DataFrame, text: str, synthetic: bool) -> str:
    size = f"{len(table)} rows of {table['subject_id'].nunique()} subjects"
    return f"{f'{SYNTHETIC}, ' if synthetic else ''}{size}\n{text}"


def save_picture(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, whole or not at all."""
    FigureCanvasAgg(figure)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
