"""Pictures of a predictions table: confusion matrix, ROC curves, reliability diagram, as PNG."""

import textwrap
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pdray.atomic import replacing
from pdray.data.cohort.settings import SYNTHETIC, Target, event_name
from pdray.evaluation.drawing import (
    class_names,
    draw_confusion,
    draw_reliability,
    draw_roc,
    frame_roc,
    grades_of,
)
from pdray.evaluation.predictions import num_classes, probabilities, targets
from pdray.evaluation.roc_curves import roc_curve_of
from pdray.evaluation.score_intervals import Rows
from pdray.evaluation.statistics.calibration import events, reliability

_LETTER = 0.08  # widest letter of a tick label [inch]
_LINE = 0.16  # height of a legend line [inch]
_WRAP = 70  # letters per legend line


def confusion_picture(
    table: pd.DataFrame, path: Path, *, synthetic: bool, target: Target = "grade"
) -> None:
    """Draw the confusion matrix: rows of each true class by predicted class.

    Args:
        table: A predictions table, or one row per recording.
        path: The PNG to write.
        synthetic: Whether the cohort is synthetic; the title then says so.
        target: ``data.target``, which names the classes.
    """
    classes, names = num_classes(table), class_names(table, target)
    # A cell is as wide as the tick below it: the number of the class above its grades.
    grades = grades_of(table, target)
    cell = max(0.6, _LETTER * max(map(len, grades)))
    side = max(2.4, cell * classes)
    beside = _LETTER * max(map(len, names))
    figure = Figure(figsize=(side + beside + 0.6, side + 1.4), layout="constrained")
    axes = figure.add_subplot()
    draw_confusion(axes, table)
    below = [f"{k}\n{grade}" for k, grade in enumerate(grades)]
    axes.set_xticks(range(classes), labels=below, fontsize=9)
    axes.set_yticks(range(classes), labels=names, fontsize=9)
    axes.set_title(_title(table, "shade: share of the true class", synthetic), fontsize=9)
    save_picture(figure, path)


def roc_picture(table: pd.DataFrame, path: Path, *, synthetic: bool) -> None:
    """Draw ROC curves: for two classes of all rows and of each item, else of each class.

    A curve that cannot be drawn is left out; the legend below the axes names it. Rows of different
    networks, such as those of two folds, are not ranked together
    (:mod:`~pdray.evaluation.roc_curves`).

    Args:
        table: A predictions table, or one row per recording.
        path: The PNG to write.
        synthetic: Whether the cohort is synthetic; the title then says so.
    """
    figure = Figure(layout="constrained")
    axes = figure.add_subplot()
    frame_roc(axes)
    left_out: dict[str, list[str]] = {}
    curves = _curves(table)
    for number, (label, rows, positive) in enumerate(curves):
        curve = roc_curve_of(Rows.of(rows, mean_of_runs=True), positive)
        if isinstance(curve, str):
            left_out.setdefault(curve, []).append(label)
            continue
        counted = f"n={int((targets(rows) == positive).sum())} of {len(rows)}"
        draw_roc(
            axes,
            curve,
            label=f"{label} (area {curve.area:.2f}, {counted})",
            linewidth=1 + 0.8 * (len(curves) - 1 - number),  # equal curves stay visible
        )
    for reason, names in left_out.items():
        note = f"no curve, since {reason}: {', '.join(names)}"
        axes.plot([], [], " ", label=textwrap.fill(note, _WRAP))
    _, labels = axes.get_legend_handles_labels()
    lines = sum(label.count("\n") + 1 for label in labels)
    figure.set_size_inches(4.8, 4.9 + _LINE * lines)
    figure.legend(loc="outside lower center", fontsize=7)
    axes.set_title(_title(table, "ROC, one versus rest", synthetic), fontsize=9)
    save_picture(figure, path)


def reliability_picture(
    table: pd.DataFrame, path: Path, *, synthetic: bool, target: Target = "grade"
) -> str:
    """Draw the reliability diagram: how often an event happens where a model says how probable.

    Each panel is one event of :func:`~pdray.evaluation.statistics.calibration.events`. A number
    above counts the subjects of a bin; a bar shows where 95% of the points of a model whose
    probabilities are right would lie.

    Args:
        table: A predictions table, or one row per recording.
        path: The PNG to write.
        synthetic: Whether the cohort is synthetic; the title then says so.
        target: ``data.target``, which names the event of two classes.

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
        draw_reliability(axes, event, bins)
    if len(every) == 1:
        panels[0].set_xlabel(f"probability of {event_name(target)}")
    panels[0].set_ylabel("share of recordings where it is so")
    figure.suptitle(_title(table, "grey: 95% of a model that is right", synthetic), fontsize=9)
    save_picture(figure, path)
    return ""


def _curves(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame, int]]:
    """Return (label, rows, positive class) for each curve."""
    if num_classes(table) > 2:
        return [(name, table, k) for k, name in enumerate(class_names(table))]
    items = [(str(item), rows, 1) for item, rows in table.groupby("item", sort=True)]
    return [("all", table, 1), *(items if len(items) > 1 else [])]


def _title(table: pd.DataFrame, text: str, synthetic: bool) -> str:
    size = f"{len(table)} rows of {table['subject_id'].nunique()} subjects"
    return f"{f'{SYNTHETIC}, ' if synthetic else ''}{size}\n{text}"


def save_picture(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, whole or not at all."""
    FigureCanvasAgg(figure)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
