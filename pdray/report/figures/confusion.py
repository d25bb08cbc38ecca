"""Confusion matrix with counts and row percentages."""

from matplotlib.figure import Figure

from pdray.data.cohort.settings import target_of
from pdray.evaluation.drawing import class_names, draw_confusion
from pdray.evaluation.predictions import num_classes
from pdray.report.case import Reported
from pdray.report.figures.print_style import (
    LINE,
    NARROW,
    SMALL,
    WIDE,
    Page,
    nothing_scored,
    sample,
    shortened,
    width_of,
)

MOST_CLASSES = 12
_CELL, _WIDEST = 11.0, 42.0  # [mm]


def draw(case: Reported) -> Figure | str:
    """Draw the matrix of the most probable class of each recording."""
    if reason := nothing_scored(case):
        return reason
    classes = num_classes(case.units)
    if classes > MOST_CLASSES:
        return f"{classes} classes do not fit on a page; see evaluation/confusion.png of the study"
    target = target_of(case.settings)
    names = [shortened(name, _WIDEST) for name in class_names(case.units, target)]
    left = max(map(width_of, names)) + 3 * LINE
    page_width = NARROW if left + classes * _CELL + 3 <= NARROW else WIDE
    side = min(page_width - left - 3, 26.0 * classes, 120.0)
    page = Page(case, page_width, side + 4 + 3 * LINE)
    axes = page.panel(left, 3, side, side)
    draw_confusion(axes, case.units)
    axes.set_xticks(range(classes))
    axes.set_yticks(range(classes), labels=names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if side / classes < _CELL:
        for text in axes.texts:
            text.set_fontsize(SMALL - 1)
    return page.figure


def caption(case: Reported) -> str:
    """Return what the cells count."""
    return (
        "Confusion matrix: recordings of each true class (rows) by their most probable class "
        "(columns), and the share of the true class in percent, which is also the shade. "
        f"{sample(case)}"
    )
