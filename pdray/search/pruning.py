"""Prunes bad trials: compares each trial with the others at the same fold and epoch."""

import math
from collections.abc import Sequence

import numpy as np

from pdray.errors import StudyError


class QuantileRule:
    """Ends a trial whose value is among the worst of all trials at the same step.

    The value at a step is the score of this epoch, averaged over the folds so far. So a trial in
    its second fold is compared with the others in their second fold. All trials run the folds in
    the same order.

    Args:
        quantile: Share of the worst trials that end, 0..1; 0 ends none.
        num_trials: Number of *other* trials that must have reached a step before a trial ends.
        num_epochs: Epochs per fold; a step is fold * num_epochs + epoch.
        first_epoch: First epoch of each fold in which a trial may end, since early scores rank
            trials badly.
        greater_is_better: Direction of the values.
    """

    def __init__(
        self,
        *,
        quantile: float,
        num_trials: int,
        num_epochs: int,
        first_epoch: int,
        greater_is_better: bool,
    ) -> None:
        self._quantile = quantile
        self._num_trials = num_trials
        self._num_epochs = num_epochs
        self._first_epoch = first_epoch
        self._sign = 1.0 if greater_is_better else -1.0
        self._values: dict[int, dict[int, float]] = {}

    def observe(self, trial: int, step: int, value: float) -> None:
        """Store a value; a repeated step, as after a resume, replaces it."""
        self._values.setdefault(step, {})[trial] = value

    def decide(self, trial: int, step: int, value: float) -> str | None:
        """Store a value and decide whether the trial should end.

        Args:
            trial: Number of the trial.
            step: fold * num_epochs + epoch.
            value: The trial's value at this step; nan never ends a trial.

        Returns:
            The reason to end it, or None.
        """
        self.observe(trial, step, value)
        others = [
            self._sign * other
            for number, other in self._values[step].items()
            if number != trial and not math.isnan(other)
        ]
        is_early = step % self._num_epochs < self._first_epoch
        if is_early or math.isnan(value) or len(others) < self._num_trials:
            return None
        if self._quantile == 0:
            return None
        limit = float(np.quantile(others, self._quantile))
        if self._sign * value >= limit:
            return None
        return (
            f"value {value:.3f} at step {step} is worse than {self._sign * limit:.3f}, the limit "
            f"of the worst {self._quantile:.0%} of {len(others)} other trials at this step"
        )


def mean_over_folds(scores: Sequence[Sequence[float]], fold: int, epoch: int) -> float:
    """Average the scores of one epoch over the folds up to ``fold``.

    Args:
        scores: One row per fold, one score per epoch; nan where a score is undefined.
        fold: The last fold that counts.
        epoch: The epoch.

    Returns:
        The mean over the folds where the score is defined; nan if it is defined in none.
    """
    defined = [row[epoch] for row in scores[: fold + 1] if not math.isnan(row[epoch])]
    return sum(defined) / len(defined) if defined else math.nan


def choose_epoch(
    scores: Sequence[Sequence[float]], *, greater_is_better: bool
) -> tuple[int, float]:
    """Choose one epoch for all folds: the one with the best mean score, the earliest of equals.

    Only epochs whose score is defined in the most folds take part: means over fewer folds are not
    comparable, and a model without predictions must not win because of them.

    Args:
        scores: One row per fold, one score per epoch.
        greater_is_better: Direction of the scores.

    Returns:
        The epoch and its mean score.

    Raises:
        StudyError: If the score is defined in no fold of any epoch.
    """
    last = len(scores) - 1
    curve = [mean_over_folds(scores, last, epoch) for epoch in range(len(scores[0]))]
    sign = 1.0 if greater_is_better else -1.0
    defined = [sum(not math.isnan(row[epoch]) for row in scores) for epoch in range(len(curve))]
    most = max(defined)
    ranked = [(sign * curve[e], -e) for e in range(len(curve)) if most and defined[e] == most]
    if not ranked:
        raise StudyError(
            "the score is undefined in every fold and epoch, because a class is absent; use fewer "
            "folds, more recordings, or another search.metric"
        )
    best, epoch = max(ranked)
    return -epoch, sign * best
