"""PDR010: underfitting and overfitting, from the learning curves of each fold."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pdray.checks.case import Case
from pdray.checks.finding import Finding, State, counted
from pdray.tracking.run_log import StudyLog

# Shares of the training loss of the first epoch.
LEAST_FALL = 0.1  # of the training loss, else underfitting
MOST_RISE = 0.1  # of the validation loss, while the training loss fell by half as much
SHARE = 1 / 3  # of the folds
_WINDOW = 5  # epochs over which the validation loss is smoothed by its median


class Curve(NamedTuple):
    """Learning curves of one fold up to the chosen epoch.

    Attributes:
        name: Of the search and fold.
        training: Mean training loss of each epoch.
        validation: Mean validation loss of each epoch.
    """

    name: str
    training: list[float]
    validation: list[float]


def run(case: Case) -> Finding:
    """Compare training and validation losses of the winning trial in each of its folds."""
    curves = [one for search in case.searches for one in _curves(search, len(case.searches) > 1)]
    faults = {one.name: fault for one in curves if (fault := judge(one))}
    state: State = "warning" if faults and len(faults) >= SHARE * len(curves) else "passed"
    found = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
    if not curves:
        state = "unknown"
        found = "the model is fitted in one step or in one epoch, so there is no learning curve"
    ends = [one.training[-1] / one.training[0] for one in curves]
    return Finding(
        state=state,
        looked_at="training and validation loss per epoch of the winning trial, in "
        f"{counted(len(curves), 'fold')}",
        found=found
        or f"training loss fell to {min(ends):.0%} to {max(ends):.0%} of that of the first epoch, "
        "and validation loss did not rise again",
        sure="a rule of thumb: losses of few subjects are noisy, and the training loss is measured "
        "with augmentation",
        advice="underfitting: train longer (optim.epochs), with a larger learning rate or a larger "
        "network; overfitting: fewer epochs, more weight decay or augmentation, a smaller network, "
        "more subjects",
        numbers={"folds": len(curves), "flagged": len(faults)},
    )


def judge(curve: Curve) -> str:
    """Return the fault of a fold; empty if there is none."""
    first, last = curve.training[0], curve.training[-1]
    if last > (1 - LEAST_FALL) * first:
        return f"underfitting, training loss {last:.3g} at the end, {first:.3g} in the first epoch"
    smooth = [
        float(np.median(curve.validation[max(0, n - _WINDOW // 2) : n + _WINDOW // 2 + 1]))
        for n in range(len(curve.validation))
    ]
    lowest = int(np.argmin(smooth))
    rises = smooth[-1] - smooth[lowest] > MOST_RISE * first
    if rises and curve.training[lowest] - last > MOST_RISE / 2 * first:
        return (
            f"overfitting, validation loss rose from {smooth[lowest]:.3g} to {smooth[-1]:.3g} "
            f"while training loss fell to {last:.3g}"
        )
    if last < first / 2 and smooth[-1] > (1 - LEAST_FALL) * first:
        return (
            f"overfitting, training loss fell from {first:.3g} to {last:.3g}, validation loss is "
            f"{smooth[-1]:.3g}"
        )
    return ""


def _curves(search: StudyLog, named: bool) -> Iterator[Curve]:
    """Yield the curves of the winning trial that have two epochs or more."""
    if not search.winner.exists():
        return
    trial = search.trial(int(search.winner.read()["number"]))
    chosen = trial.read()["chosen_epoch"]
    losses: dict[int, list[tuple[float, float]]] = {}
    for record in trial.epochs():
        pair = (record.metrics.get("train/loss", np.nan), record.metrics.get("val/loss", np.nan))
        if record.epoch <= (chosen or 0) and np.isfinite(pair).all():
            losses.setdefault(record.fold, []).append(pair)
    for fold, pairs in losses.items():
        if len(pairs) > 1 and pairs[0][0] > 0:
            training, validation = map(list, zip(*pairs, strict=True))
            where = f"search {search.folder.name}, fold {fold}" if named else f"fold {fold}"
            yield Curve(where, training, validation)
