"""Pictures of a search: the scores of its trials, and which settings mattered.

The importance of a setting is Optuna's: the share of the variance of the scores that a forest of
trees ascribes to it (fANOVA; Hutter, Hoos and Leyton-Brown 2014). It describes the trials that were
run; few trials say little.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pdray.data.cohort.settings import SYNTHETIC
from pdray.evaluation.plots import save_picture
from pdray.report.figures.importance import draw_importance

_STATES = {"complete": "o", "pruned": "x"}


def history_picture(
    trials: Sequence[Mapping[str, Any]], path: Path, *, metric: str, maximise: bool, synthetic: bool
) -> None:
    """Draw the score of each trial by its number, and the best so far.

    Args:
        trials: The content of each ``trial.json``.
        path: The PNG to write.
        metric: Name of the score, such as ``val/mcc``.
        maximise: Whether more is better.
        synthetic: Whether the cohort is synthetic; the title then says so.
    """
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for state, marker in _STATES.items():
        some = [one for one in trials if one["state"] == state and one["value"] is not None]
        if some:
            axes.scatter(
                [one["number"] for one in some],
                [one["value"] for one in some],
                marker=marker,
                label=f"{state} ({len(some)})",
            )
    done = [one for one in trials if one["state"] == "complete" and one["value"] is not None]
    best = max if maximise else min
    so_far = [best(one["value"] for one in done[: place + 1]) for place in range(len(done))]
    axes.step([one["number"] for one in done], so_far, where="post", label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel(metric)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(f"{_mark(synthetic)}scores of {len(trials)} trials", fontsize=9)
    axes.legend(fontsize=8)
    save_picture(figure, path)


def importance_picture(
    importance: Mapping[str, float], path: Path, *, num_trials: int, synthetic: bool
) -> None:
    """Draw the importance of each searched setting, largest first.

    Args:
        importance: Share by dotted key; the shares sum to 1.
        path: The PNG to write.
        num_trials: Complete trials that they come from.
        synthetic: Whether the cohort is synthetic; the title then says so.
    """
    figure = Figure(figsize=(5.4, 1.2 + 0.35 * len(importance)), layout="constrained")
    axes = figure.add_subplot()
    draw_importance(axes, importance)
    axes.set_title(
        f"{_mark(synthetic)}importance of settings, {num_trials} complete trials", fontsize=9
    )
    save_picture(figure, path)


def _mark(synthetic: bool) -> str:
    return f"{SYNTHETIC}, " if synthetic else ""
