"""Print style of the report's figures: sizes in millimetres, text of 8 points, safe colors.

The widths are those of one and two columns of a journal. The colors are those of Okabe and Ito,
which colour-blind people can distinguish. Markers, line styles and lightness differ too, so that a
figure can be read in grey. Axes are placed in millimetres, since a layout that matplotlib computes
takes several times as long as the drawing.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from pdray.data.cohort.settings import SYNTHETIC_MARK
from pdray.report.case import Reported
from pdray.report.small_cells import HIDDEN

NARROW, WIDE = 89.0, 183.0
"""Width of one and of two columns [mm]."""
TEXT, SMALL = 8.0, 7.0
"""Sizes of text [points]."""
LINE = 3.4
"""Height of a line of text [mm]."""
BLUE, RED, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#E69F00", "#009E73", "0.55"

_FONT = "DejaVu Sans"  # it comes with matplotlib, so every machine has it
_STYLE = {
    "axes.labelpad": 2,
    "axes.labelsize": TEXT,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlepad": 3,
    "axes.titlesize": TEXT,
    "font.family": _FONT,
    "font.size": TEXT,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "pdf.fonttype": 42,
    "savefig.dpi": 300,
    "svg.fonttype": "path",  # text looks the same where the font is absent
    "xtick.labelsize": SMALL,
    "xtick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.labelsize": SMALL,
    "ytick.major.size": 2.5,
    "ytick.major.width": 0.6,
}

_INCH = 25.4  # [mm]
POINTS = 72 / _INCH
"""Points of a millimetre."""
_MARK = 5.0  # height of the mark of a SYNTHETIC cohort [mm]


@dataclass(frozen=True)
class ReportFigure:
    """A figure of the report.

    Attributes:
        title: Its title.
        draw: Draws it, in :func:`print_style`, or returns why there is none.
        caption: Returns what a reader must know, with the numbers of subjects and recordings.
    """

    title: str
    draw: Callable[[Reported], Figure | str]
    caption: Callable[[Reported], str]


class Page:
    """A figure whose parts are placed in millimetres.

    Of a SYNTHETIC cohort it says so above everything.
    """

    def __init__(self, case: Reported, width: float, height: float) -> None:
        self._above = _MARK if case.is_synthetic else 0.0
        self.width, self._height = width, height + self._above
        self.figure = Figure(figsize=(width / _INCH, self._height / _INCH))
        if case.is_synthetic:
            self.figure.text(
                1.5 / width, 1 - 1.2 / self._height, SYNTHETIC_MARK,
                fontsize=SMALL, va="top",
            )  # fmt: skip

    def panel(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes; the numbers are millimetres from the left upper corner."""
        bottom = self._height - self._above - top - height
        return self.figure.add_axes(
            (left / self.width, bottom / self._height, width / self.width, height / self._height)
        )


def print_style(name: str) -> AbstractContextManager[None]:
    """Return a context in which figures are drawn and saved in print style.

    Args:
        name: The figure's name, from which the ids of an SVG follow.
    """
    style: Any = {**_STYLE, "svg.hashsalt": name}  # matplotlib names every key in its type
    return rc_context(style)


@cache
def width_of(text: str, size: float = SMALL) -> float:
    """Return the width of a line of text [mm]."""
    font = get_font(findfont(_FONT))
    font.set_size(size, 72)
    font.set_text(text)
    return float(font.get_width_height()[0]) / 64 / 72 * _INCH


def shortened(text: str, room: float, size: float = SMALL) -> str:
    """Return a text that is at most ``room`` millimetres wide, without its middle if need be."""
    if width_of(text, size) <= room:
        return text
    for kept in range(len(text) - 1, 1, -1):
        found = f"{text[: (kept + 1) // 2]}...{text[len(text) - kept // 2 :]}"
        if width_of(found, size) <= room:
            return found
    return text[:1]


def sample(case: Reported) -> str:
    """Return the numbers of subjects and recordings of the scored rows, for a caption."""
    people, recordings = (case.units[f"{one}_id"].nunique() for one in ("subject", "recording"))
    times = len(case.units) / recordings
    repeats = f", each recording scored {times:g} times" if times > 1 else ""
    return f"n = {counted(case, people, recordings)}{repeats}."


def counted(case: Reported, people: object, recordings: object) -> str:
    """Return numbers of subjects and recordings as text."""
    if recordings == HIDDEN:
        return f"{people} subjects"
    rows = f"{recordings} recordings"
    return f"{people} subjects, {rows}" if case.names_people else f"{rows}, which name no people"


TRAINS_NOTHING = "the models of the study are used as they are, and nothing is trained or searched"
"""Why figures of training are absent where models are validated externally."""


def nothing_scored(case: Reported) -> str:
    """Return why figures of test predictions are absent; empty if there are predictions."""
    return "the study scored no test subjects" if case.units.empty else ""
