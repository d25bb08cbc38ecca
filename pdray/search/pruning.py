"""Early ends of trials: each is compared with others at the same (fold, epoch), nothing else."""

import math
from collections.abc import Sequence

import numpy as np

from pdray.errors import StudyError


class QuantileRule:
    """Ends a trial whose value is in the worst share of all trials at the same step.

    The value of a step is the mean over the folds so far of the score at this epoch, so a trial
    in its second fold is compared with what others had in their second fold. All trials meet the
    folds in the same order.

    Args:
        quantile: Share of the trials that is bad enough to end, 0..1; 0 ends none.
        num_trials: A step decides nothing before so many *other* trials reached it.
        num_epochs: Epochs of a fold; a step is fold * num_epochs + epoch.
        first_epoch: Of each fold: no trial ends before it, since early scores rank trials badly.
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
        """Remember a value; the same step again replaces it, as after a resume."""
        self._values.setdefault(step, {})[trial] = value

    def decide(self, trial: int, step: int, value: float) -> str | None:
        """Remember a value and say whether the trial should end.

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
            f"value {value:.3f} at step {step} is worse than {self._sign * limit:.3f}, "
            f"the worst {self._quantile:.0%} of {len(others)} other trials there"
        )


def mean_over_folds(scores: Sequence[Sequence[float]], fold: int, epoch: int) -> float:
    """Average the scores of one epoch over the folds up to ``fold``.

    Args:
        scores: One row a fold, one score an epoch; nan where a score is undefined.
        fold: The last fold that counts.
        epoch: The epoch.

    Returns:
        The mean over the folds where it is defined, nan where it is nowhere.
    """
    defined = [row[epoch] for row in scores[: fold + 1] if not math.isnan(row[epoch])]
    return sum(defined) / len(defined) if defined else math.nan


def choose_epoch(
    scores: Sequence[Sequence[float]], *, greater_is_better: bool
) -> tuple[int, float]:
    """Choose one epoch for all folds: the best of the mean curve, the earliest of equals.

    Epochs whose score is undefined in more folds than need be are left out: a mean over fewer
    folds is not comparable, and a model that predicts nothing must not win by it.

    Args:
        scores: One row a fold, one score an epoch.
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
        raise StudyError("the score is undefined in every fold and epoch: a class is absent")
    best, epoch = max(ranked)
    return -epoch, sign * best
