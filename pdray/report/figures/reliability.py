"""Reliability diagram: how often a grade occurs where the model says how probable it is."""

from matplotlib.figure import Figure

from pdray.evaluation.drawing import draw_reliability
from pdray.evaluation.predictions import num_classes, probabilities, targets
from pdray.evaluation.statistics.calibration import LEAST_SUBJECTS, events, reliability
from pdray.report.case import Reported
from pdray.report.figures.print_style import (
    BLUE,
    LINE,
    NARROW,
    WIDE,
    Page,
    nothing_scored,
    sample,
)

MOST_CLASSES = 9
_COLUMNS = 4


def draw(case: Reported) -> Figure | str:
    """Draw a panel for each event of the ordered classes."""
    units = case.units
    if reason := nothing_scored(case):
        return reason
    if num_classes(units) > MOST_CLASSES:
        return f"{num_classes(units)} classes do not fit on a page"
    every = list(events(targets(units), probabilities(units)))
    columns = min(_COLUMNS, len(every))
    high = -(-len(every) // columns)
    width = NARROW if columns == 1 else WIDE
    side = width / columns
    axis = min(side - 14, 70.0)
    page = Page(case, width, (axis + 6 * LINE) * high + 2)
    for place, event in enumerate(every):
        bins, reason = reliability(event, units["subject_id"])
        if reason:
            return reason
        row, column = divmod(place, columns)
        axes = page.panel(side * column + 12, (axis + 6 * LINE) * row + 2.5 * LINE, axis, axis)
        draw_reliability(axes, event, bins, case.small_cells, BLUE)
        axes.set(aspect="equal", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        axes.set_xlabel(
            f"probability of\n{event.name}" if columns > 1 else f"probability of {case.event}"
        )
        if column == 0:
            axes.set_ylabel("share of recordings")
    return page.figure


def caption(case: Reported) -> str:
    """Return what points, bars and numbers are."""
    return (
        "Reliability: share of recordings where the event occurred, by its predicted probability, "
        "in tenths. Numbers above: subjects of a point. Grey bars: where 95% of the points of a "
        "model lie whose probabilities are right (Brocker and Smith 2007). It is drawn from "
        f"{LEAST_SUBJECTS} subjects on. {sample(case)}"
    )
