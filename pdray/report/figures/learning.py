"""Learning curves of the winning trial, with the chosen epoch."""

import math
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pdray.report.case import Reported
from pdray.report.figures.print_style import (
    BLUE,
    LINE,
    NARROW,
    ORANGE,
    TRAINS_NOTHING,
    WIDE,
    Page,
    counted,
)

Fold = Mapping[int, float]  # value by epoch
_LOSSES = {"train/loss": (ORANGE, "--", "training"), "val/loss": (BLUE, "-", "validation")}


def draw(case: Reported) -> Figure | str:
    """Draw the score that decides, and the losses: the mean over folds and each fold."""
    if case.external is not None:
        return TRAINS_NOTHING
    if not case.epochs:
        return "the study kept no learning curves"
    if len({one.epoch for one in case.epochs}) < 2:
        return "the model is fitted in one step, so that there are no learning curves"
    panels = [
        (label, lines)
        for label, lines in (
            (case.metric, {f"val/{case.metric}": (BLUE, "-", "validation")}),
            ("loss", _LOSSES),
        )
        if any(_folds(case, name) for name in lines)
    ]
    if not panels:
        return "the learning curves have neither the score nor a loss"
    page = Page(case, WIDE if len(panels) > 1 else NARROW, 62)
    side = page.width / len(panels)
    for place, (label, lines) in enumerate(panels):
        axes = page.panel(side * place + 17, 6, side - 21, 62 - 3 * LINE - 6)
        for name, style in lines.items():
            _curves(axes, _folds(case, name), style)
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        if case.chosen_epoch is not None:
            axes.axvline(case.chosen_epoch + 1, color="black", linestyle=":", linewidth=0.8)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    return page.figure


def caption(case: Reported) -> str:
    """Return what the curves are, and of whom."""
    folds = len({one.fold for one in case.epochs})
    words = f"Learning curves of the winning trial: mean over {folds} folds, thin lines each fold."
    if case.chosen_epoch is not None:
        words += f" Dotted: the chosen epoch, {case.chosen_epoch + 1}."
    if case.inner is None:
        return words
    people, rows = (case.inner[f"{one}_id"].nunique() for one in ("subject", "recording"))
    return f"{words} n = {counted(case, people, rows)}."


def _folds(case: Reported, name: str) -> list[Fold]:
    """Return the defined values of each fold."""
    folds: dict[int, dict[int, float]] = {}
    for one in case.epochs:
        if not math.isnan(value := one.metrics.get(name, math.nan)):
            folds.setdefault(one.fold, {})[one.epoch] = value
    return list(folds.values())


def _curves(axes: Axes, folds: list[Fold], style: tuple[str, str, str]) -> None:
    color, line, label = style
    for fold in folds:
        axes.plot([epoch + 1 for epoch in fold], list(fold.values()), color=color, linestyle=line,
                  linewidth=0.5, alpha=0.5)  # fmt: skip
    shared = sorted(set.intersection(*map(set, folds))) if folds else []
    means = [math.fsum(fold[epoch] for fold in folds) / len(folds) for epoch in shared]
    axes.plot([epoch + 1 for epoch in shared], means, color=color, linestyle=line, label=label)
