"""Figures of a study's report, in the print style of journals."""

from collections.abc import Mapping

from pdray.report.figures import (
    confusion,
    flow,
    importance,
    learning,
    raters,
    reliability,
    roc,
    subjects,
)
from pdray.report.figures.print_style import ReportFigure

FIGURES: Mapping[str, ReportFigure] = {
    "roc": ReportFigure("ROC curve", roc.draw, roc.caption),
    "flow": ReportFigure("Flow of participants", flow.draw, flow.caption),
    "confusion": ReportFigure("Confusion matrix", confusion.draw, confusion.caption),
    "subjects": ReportFigure("Every subject", subjects.draw, subjects.caption),
    "reliability": ReportFigure("Reliability", reliability.draw, reliability.caption),
    "raters": ReportFigure("Raters and model", raters.draw, raters.caption),
    "learning": ReportFigure("Learning curves", learning.draw, learning.caption),
    "importance": ReportFigure("Importance of settings", importance.draw, importance.caption),
}
"""Every figure, by the name of its files."""
