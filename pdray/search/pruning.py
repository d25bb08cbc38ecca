"""Rules that end bad trials early (pruning), and the choice of a trial's epoch."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from pdray.errors import StudyError
from pdray.tracking.epoch_lines import EpochRecord

Floats = NDArray[np.float64]


# Chosen on the recorded curves of benchmarks/search.py.
CAUTION = 1.4  # standard deviations of what the other folds can still change
EARLY = 0.25  # share of the epochs of the first fold before which no trial ends
SPARED = 0.1  # share of the best trials that do not end inside the first fold

Scores = Sequence[Sequence[float]]
"""Scores of a trial so far: one row per fold, one score per epoch; nan where undefined."""


class FoldRule:
    """Ends a trial that is clearly worse than the best complete one: after a fold, or in the first.

    After each fold the trial is compared with the best complete trial on the same folds, each at
    its best epoch. It ends if the mean difference is larger than what the other folds can still
    change: ``CAUTION`` standard deviations of their mean difference, as measured between the
    complete trials. So where scores lie close together, few trials end. Inside the first fold, from
    a quarter of its E epochs on, the best scores so far are compared; the limit is
    sqrt(E / epochs so far) times as large, and the best tenth of all trials goes on.

    Deciding between folds is from Bergman, Purucker and Hutter, "Don't Waste Your Time: Early
    Stopping Cross-Validation" (AutoML 2024). The comparison on the same folds is our own.

    Args:
        num_trials: Number of *other* trials that must be complete before one ends.
        num_folds: Folds per trial, all run in the same order.
        num_epochs: Epochs per fold.
        first_epoch: First epoch of the first fold in which a trial may end, from 0.
        greater_is_better: Direction of the scores.
    """

    def __init__(
        self,
        *,
        num_trials: int,
        num_folds: int,
        num_epochs: int,
        first_epoch: int,
        greater_is_better: bool,
    ) -> None:
        self._num_trials, self._num_folds, self._num_epochs = num_trials, num_folds, num_epochs
        self._first_epoch = max(first_epoch, math.ceil(EARLY * num_epochs) - 1)
        self._sign = 1.0 if greater_is_better else -1.0
        self._first: dict[int, Floats] = {}  # best score so far in the first fold, by epoch
        self._complete: dict[int, Floats] = {}  # score by fold at the chosen epoch

    def observe(self, trial: int, scores: Scores) -> None:
        """Store the scores of a trial in the place of its earlier ones."""
        self._first[trial] = np.fmax.accumulate(self._sign * np.array(scores[0]))
        self._complete.pop(trial, None)
        if len(scores) == self._num_folds and len(scores[-1]) == self._num_epochs:
            found = self._at_best_epoch(scores)
            if found is not None:
                self._complete[trial] = found

    def decide(self, trial: int, scores: Scores) -> str | None:
        """Store the scores of a trial and decide whether it should end.

        Returns:
            The reason to end it, or None.
        """
        self.observe(trial, scores)
        others = {number: of for number, of in self._complete.items() if number != trial}
        num, epoch = len(scores), len(scores[-1]) - 1
        is_end = epoch == self._num_epochs - 1
        if len(others) < max(2, self._num_trials) or not (
            is_end or self._is_asked(trial, num, epoch)
        ):
            return None
        best = max(others, key=lambda number: (_mean(others[number]), -number))
        if is_end:
            own, reference = self._at_best_epoch(scores), others[best][:num]
        else:
            own, reference = self._first[trial][epoch:], self._first[best][epoch : epoch + 1]
        gap = np.nan if own is None else _mean(reference - own)
        left = (self._num_folds - num) / (num * self._num_folds)
        wider = self._num_epochs / (epoch + 1)  # 1 after a fold
        margin = CAUTION * math.sqrt(left * wider) * _spread(others, best)
        if own is None or not gap > margin:
            return None
        where = f"after fold {num}" if is_end else f"at epoch {epoch} of the first fold"
        return (
            f"its mean {self._sign * _mean(own):.3f} {where} is worse by {gap:.3f} than that of "
            f"trial {best}, the best so far, on the same folds; the other folds are not expected "
            f"to change more than {margin:.3f}"
        )

    def _is_asked(self, trial: int, num: int, epoch: int) -> bool:
        """Return whether a trial may end inside its first fold: not one of the best tenth there."""
        if num > 1 or epoch < self._first_epoch:
            return False
        others = [of[epoch] for n, of in self._first.items() if n != trial and len(of) > epoch]
        defined = [one for one in others if not math.isnan(one)]
        return bool(self._first[trial][epoch] < np.quantile(defined or [math.nan], 1 - SPARED))

    def _at_best_epoch(self, scores: Scores) -> Floats | None:
        """Return the scores by fold, more is better, at the best epoch; None if all undefined."""
        if np.isnan(scores).all():
            return None
        epoch, _ = choose_epoch(scores, greater_is_better=self._sign > 0)
        found: Floats = self._sign * np.array(scores)[:, epoch]
        return found


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
        self._scores: dict[int, Scores] = {}

    def observe(self, trial: int, scores: Scores) -> None:
        """Store the scores of a trial in the place of its earlier ones."""
        self._scores[trial] = scores

    def decide(self, trial: int, scores: Scores) -> str | None:
        """Store the scores of a trial and decide whether it should end.

        Returns:
            The reason to end it, or None; an undefined score never ends a trial.
        """
        self.observe(trial, scores)
        fold, epoch = len(scores) - 1, len(scores[-1]) - 1
        value = mean_over_folds(scores, fold, epoch)
        reached = [
            mean_over_folds(of, fold, epoch)
            for number, of in self._scores.items()
            if number != trial and len(of) > fold and len(of[fold]) > epoch
        ]
        others = [self._sign * other for other in reached if not math.isnan(other)]
        if epoch < self._first_epoch or math.isnan(value) or len(others) < self._num_trials:
            return None
        if self._quantile == 0:
            return None
        limit = float(np.quantile(others, self._quantile))
        if self._sign * value >= limit:
            return None
        return (
            f"value {value:.3f} at step {fold * self._num_epochs + epoch} is worse than "
            f"{self._sign * limit:.3f}, the limit of the worst {self._quantile:.0%} of "
            f"{len(others)} other trials at this step"
        )


def _mean(values: Floats) -> float:
    """Return the mean of the defined values; nan if there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else math.nan


def _spread(complete: Mapping[int, Floats], best: int) -> float:
    """Return the standard deviation over folds of the difference between the best and another.

    It is nan if no other trial has two folds in which both scores are defined.
    """
    gaps = [complete[best] - of for number, of in complete.items() if number != best]
    counts = [np.count_nonzero(~np.isnan(gap)) for gap in gaps]
    squares = [
        (gap - _mean(gap)) ** 2 * count / (count - 1)
        for gap, count in zip(gaps, counts, strict=True)
        if count > 1
    ]
    return math.sqrt(_mean(np.concatenate(squares))) if squares else math.nan


def scores_by_fold(records: Iterable[EpochRecord], name: str) -> list[list[float]]:
    """Return a score of a log: one row per fold, one value per epoch; nan where it is lacking."""
    rows = groupby(records, key=attrgetter("fold"))
    return [[one.metrics.get(name, math.nan) for one in fold] for _, fold in rows]


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
