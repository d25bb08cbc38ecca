"""The flow of participants as boxes; of two classes with the model's results, as STARD asks."""

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pdray.report.case import Reported
from pdray.report.figures.print_style import LINE, NARROW, SMALL, Page, counted
from pdray.report.flow import CASE_CONTROL, Flow, flow
from pdray.report.small_cells import HIDDEN

NOT_KEPT = "the study has no table of recordings"
_MAIN, _SIDE = (1.0, 44.0), (50.0, 38.0)  # left edge and width of boxes [mm]
_BROAD = (1.0, 60.0)
_HALVES = ((1.0, 41.0), (46.0, 41.0))
_LETTER = 1.33  # mean width of a letter [mm]
_PADDING, _GAP = 2.0, 5.0  # [mm]
_Lines = Sequence[str]


def draw(case: Reported) -> Figure | str:
    """Draw the flow; return why there is none."""
    found = flow(case)
    if found is None:
        return NOT_KEPT
    rows = _rows(found)
    height = 2 + sum(max(_height(lines) for _, lines in row) + _GAP for row in rows)
    page = Page(case, NARROW, height)
    axes = page.panel(0, 0, NARROW, height)
    axes.set(xlim=(0, NARROW), ylim=(height, 0), xticks=[], yticks=[])
    axes.axis("off")
    top, main = 1.0, 0.0  # of the row; lower end of the last box of the main line
    for row in rows:
        for place, lines in row:
            _box(axes, place, top, lines)
            if main:
                _arrow(axes, place, main, (top, _height(lines)))
        if row[0][0] == _MAIN:
            main = top + _height(row[0][1])
        top += max(_height(lines) for _, lines in row) + _GAP
    return page.figure


def caption(case: Reported) -> str:
    """Return what the boxes count."""
    found = flow(case)
    told = f"Counts of fewer than {case.small_cells} people are hidden, and others that would tell "
    told += f"them ({HIDDEN})."
    if found is None:
        return told
    last = found.steps[-1]
    told = f"n = {counted(case, *last.shown)} {last.title}. {told}"
    if found.counts_repeats:
        told += " Results count each recording once for each repeat."
    return f"{told} {CASE_CONTROL}" if found.is_case_control else told


def _rows(found: Flow) -> list[list[tuple[tuple[float, float], list[str]]]]:
    """Return the boxes of each row: their place and their lines."""
    listed, analysed, *scored = found.steps
    rows = [[(_MAIN, _wrapped([listed.title, listed.counts], _MAIN))]]
    if found.lost:
        lines = ["left out", *(f"{box.title}: {box.counts}" for box in found.left_out)]
        rows.append([(_SIDE, _wrapped(lines, _SIDE))])
    rows.append([(_MAIN, _wrapped([analysed.title, analysed.counts], _MAIN))])
    if found.training:
        lines = [found.training.title, found.training.counts]
        rows.append([(_SIDE, _wrapped(lines, _SIDE))])
    rows += [[(_MAIN, _wrapped([box.title, box.counts], _MAIN))] for box in scored]
    if len(found.classes) == 2:
        results = {one.reference: one.results for one in found.results}
        rows.append(
            [
                (
                    half,
                    _wrapped([box.title, box.counts, *_called(results.get(box.title, {}))], half),
                )
                for half, box in zip(_HALVES, reversed(found.classes), strict=True)
            ]
        )
    elif found.classes:
        lines = ["by class", *(f"{box.title}: {box.counts}" for box in found.classes)]
        rows.append([(_BROAD, _wrapped(lines, _BROAD))])
    return rows


def _called(results: dict[str, int]) -> list[str]:
    told = [f"  called {name}: {number}" for name, number in results.items()]
    return ["of these recordings", *told] if told else []


def _wrapped(lines: _Lines, place: tuple[float, float]) -> list[str]:
    letters = int((place[1] - 2 * _PADDING) / _LETTER)
    return [part for line in lines for part in textwrap.wrap(line, letters)]


def _height(lines: _Lines) -> float:
    return len(lines) * LINE + 2 * _PADDING - 1


def _box(axes: Axes, place: tuple[float, float], top: float, lines: _Lines) -> None:
    left, width = place
    axes.add_patch(Rectangle((left, top), width, _height(lines), fill=False, linewidth=0.6))
    for number, line in enumerate(lines):
        weight = "bold" if number == 0 else "normal"
        axes.text(left + _PADDING, top + _PADDING + number * LINE, line, va="top", fontsize=SMALL,
                  fontweight=weight, parse_math=False)  # fmt: skip


def _arrow(axes: Axes, place: tuple[float, float], main: float, box: tuple[float, float]) -> None:
    """Draw the way from the main line to a box, whose upper edge and height are given."""
    (left, width), (top, height) = place, box
    middle = _MAIN[0] + _MAIN[1] / 2
    head = {"arrowstyle": "-|>", "linewidth": 0.6, "facecolor": "black", "shrinkA": 0, "shrinkB": 0}
    if place == _SIDE:
        half = top + height / 2
        axes.plot([middle, middle], [main, half], color="black", linewidth=0.6)
        axes.annotate("", (left, half), (middle, half), arrowprops=head)
        return
    over = middle if left < middle < left + width else left + width / 2
    turn = top - _GAP / 2
    axes.plot([middle, middle, over], [main, turn, turn], color="black", linewidth=0.6)
    axes.annotate("", (over, top), (over, turn), arrowprops=head)
