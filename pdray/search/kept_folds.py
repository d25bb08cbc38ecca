"""Trains the folds of the winner again and keeps their weights, for predictions on new recordings.

A trial keeps no weights, since most trials lose. Seeds and batches are those of the trial, so on
the same machine the weights are those that it had at its chosen epoch; how far the validation
predictions are from the trial's is measured and printed.
"""

import math
from dataclasses import replace

import numpy as np
from ray import tune
from ray.tune import TuneConfig

from pdray.command import Say
from pdray.display import step
from pdray.errors import StudyError
from pdray.search.cluster import counted
from pdray.search.progress import Mirror, RefitProgress
from pdray.search.running import run_trials
from pdray.search.trial import APART
from pdray.search.trial_plan import TrialPlan
from pdray.tracking.run_log import StudyLog, TrialLog


def train_folds(
    trials: TrialPlan,
    study: StudyLog,
    at_once: int,
    listeners: tuple[Mirror, Say],
) -> None:
    """Train the folds that have not been kept yet, each to the chosen epoch of the winner.

    Args:
        trials: What the trials of the search share.
        study: The log of the study, whose refit is complete. Its trial counts, also if a trial that
            was added since is better: the refit was scored, and its folds belong to it.
        at_once: Most folds that are trained at once.
        listeners: The mirror, and what prints a line.

    Raises:
        StudyError: If a fold failed; the others are kept.
        KeyboardInterrupt: If interrupted; the study can be continued.
    """
    (mirror, say), winner = listeners, study.winner.read()
    number, params = winner["number"], winner["params"]
    logs = [study.kept_fold(fold) for fold in range(len(trials.sides))]
    left = [fold for fold, log in enumerate(logs) if not _is_kept(log)]
    errors: list[Exception] = []
    if left:
        chosen = int(study.trial(number).read()["chosen_epoch"])
        length = counted(chosen + 1, "epoch")
        say(f"folds: {counted(len(left), 'fold')} of trial {number} again, {length}")
        plan = replace(trials, labels=(), role="fold", epochs=chosen + 1, pruner=None)
        reuse = trials.workers.num_workers == 1
        with step("training the folds of the winner again"):
            errors = run_trials(
                plan,
                TuneConfig(max_concurrent_trials=at_once, reuse_actors=reuse),
                callbacks=[RefitProgress(mirror, say, num_epochs=chosen + 1, folds=True)],
                param_space={"number": number, "params": params, "fold": tune.grid_search(left)},
            ).errors
    _check(logs, errors)
    what = ("validation predictions", "in probability")
    if not trials.fit.entry.predicts:
        what = ("losses and scores", "")
    say(_compared(logs, number, *what))


def _is_kept(log: TrialLog) -> bool:
    return log.exists() and log.read()["state"] == "complete"


def _check(logs: list[TrialLog], errors: list[Exception]) -> None:
    """Refuse to go on without a fold."""
    found = {fold: log.read() for fold, log in enumerate(logs) if log.exists()}
    failed = {fold: one["reason"] for fold, one in found.items() if one["state"] == "failed"}
    if failed or errors:  # an error: the process of a fold was lost, so its log says nothing
        told = "; ".join(f"fold {fold}: {reason}" for fold, reason in failed.items()) or errors[0]
        raise StudyError(
            f"{len(failed) or len(errors)} of {counted(len(logs), 'fold')} of the winner could not "
            f"be trained again: {told}; correct the cause and continue, or continue with "
            "search.keep_folds=false"
        )
    if not all(map(_is_kept, logs)):
        raise KeyboardInterrupt  # Tune caught it and ended its trials


def _compared(logs: list[TrialLog], number: int, what: str, unit: str) -> str:
    apart = float(np.max([log.read()["scores"][APART]["value"] for log in logs]))  # nan, if any is
    kept = f"folds: {len(logs)} kept; their {what}"
    if apart == 0:
        return f"{kept} are those of trial {number}"
    if math.isnan(apart):
        return f"{kept} are of other recordings than those of trial {number}"
    return f"{kept} differ from those of trial {number} by up to {apart:.2g} {unit}".rstrip()
