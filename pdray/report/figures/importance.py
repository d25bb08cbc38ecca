"""Importance of the searched settings."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdray.report.case import Reported
from pdray.report.figures.print_style import (
    NARROW,
    SMALL,
    TRAINS_NOTHING,
    WIDE,
    Page,
    shortened,
    width_of,
)

_BAR, _WIDEST, _MOST = 4.5, 90.0, 20  # [mm], [mm], settings


def draw_importance(axes: Axes, importance: Mapping[str, float]) -> list[str]:
    """Draw a bar for each setting, largest on top, and return the settings from below."""
    names = sorted(importance, key=lambda key: importance[key])
    axes.barh(range(len(names)), [importance[name] for name in names], color="0.5", height=0.6)
    axes.set_yticks(range(len(names)), labels=names)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the variance of the scores")
    return names


def draw(case: Reported) -> Figure | str:
    """Draw the importance of each searched setting."""
    if case.external is not None:
        return TRAINS_NOTHING
    if not case.importance:
        return "the study did not search enough trials that differ"
    shown = dict(sorted(case.importance.items(), key=lambda one: -one[1])[:_MOST])
    left = min(_WIDEST, max(map(width_of, shown))) + 3
    width = NARROW if left <= NARROW / 3 else WIDE
    high = _BAR * len(shown) + 2
    page = Page(case, width, high + 11)
    axes = page.panel(left, 2, width - left - 4, high)
    names = draw_importance(axes, shown)
    axes.set_yticks(range(len(names)), labels=[shortened(one, _WIDEST) for one in names])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.tick_params(labelsize=SMALL)
    return page.figure


def caption(case: Reported) -> str:
    """Return what the shares are of."""
    complete = sum(one["state"] == "complete" for one in case.trials)
    left_out = len(case.importance) - _MOST
    return (
        "Importance of the searched settings: share of the variance of the validation score that a "
        "forest of trees ascribes to each (fANOVA, Hutter, Hoos and Leyton-Brown 2014). "
        f"{complete} complete trials; few trials say little."
        + (f" The {left_out} least important settings are left out." if left_out > 0 else "")
    )
