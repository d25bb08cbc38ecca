"""Estimates how long the trials of a search take, with those that a rule ends."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from pdray.search.cluster import Reservation
from pdray.search.plan import StudyPlan

SHARES = {"folds": 0.30, "quantile": 0.31}
"""Share of its steps that a trial runs which the rule may end (docs/results/pruning.md)."""

_WEIGHT = 2.0  # ended trials that the forecast of their length counts for
_FADING = 0.9  # of the weight of a length with each later one: rules get stricter


@dataclass(frozen=True)
class Work:
    """The work of a search; a step is one epoch of one fold.

    Attributes:
        num_trials: Trials to run.
        steps: Steps of a whole trial.
        num_whole: Trials at the start that no rule ends.
        share: Expected share of its steps that any other trial runs.
        at_once: Trials that run at once.
        refit_steps: Steps that take as long as the refit.
        fold_steps: Steps that take as long as the folds of the winner that are kept.
    """

    num_trials: int
    steps: int
    num_whole: int
    share: float
    at_once: int
    refit_steps: float
    fold_steps: float = 0.0

    def length(self, number: int) -> float:
        """Return the expected steps of the trial with this number, from 0."""
        return self.steps * (1.0 if number < self.num_whole else self.share)


def work_of(plan: StudyPlan, reservation: Reservation, *, num_folds: int) -> Work:
    """Return the work of one search of a plan."""
    config, num_trials = plan.config.search, plan.num_trials
    at_once = min(reservation.concurrent_trials, num_trials)
    prunes = bool(config.prune_quantile) and not plan.fixed
    num_rounds = -(-num_folds // min(reservation.concurrent_trials, num_folds))
    # Where folds train at once, a step of a trial takes a part of the time of one of the refit.
    whole_epochs = float(plan.epochs * reservation.folds_at_once)
    return Work(
        num_trials=num_trials,
        steps=num_folds * plan.epochs,
        # Trials that begin before enough others are complete can hardly be ended.
        num_whole=config.prune_after_trials + at_once - 1 if prunes else num_trials,
        share=SHARES[config.prune_rule] if prunes else 1.0,
        at_once=at_once,
        # A fold's two sides together are what the refit learns from.
        refit_steps=0.0 if plan.fixed else whole_epochs,
        fold_steps=num_rounds * whole_epochs if keeps_folds(plan) else 0.0,
    )


def keeps_folds(plan: StudyPlan) -> bool:
    """Return whether the winner's folds are trained again; models of one step need not be kept."""
    config = plan.config
    return config.search.keep_folds and not plan.fixed and config.fit.entry.loop != "once"


def last_end(running: Sequence[float], waiting: Iterable[float], at_once: int) -> float:
    """Return when the last trial ends, if each starts as soon as another has ended.

    Args:
        running: Steps left of the trials that run.
        waiting: Steps of the others, in their order.
        at_once: Trials that run at once.
    """
    ends = [*running, *([0.0] * (at_once - len(running)))]
    heapq.heapify(ends)
    for length in waiting:
        heapq.heapreplace(ends, ends[0] + length)
    return max(ends)


class Course:
    """Estimates the time left of a search from its forecast and from its trials so far.

    Args:
        work: The whole work of this session.
        step_seconds: Forecast of a step [s]; None: unknown.
        start_seconds: Forecast of the start of a worker [s].
    """

    def __init__(
        self, work: Work, *, step_seconds: float | None = None, start_seconds: float = 0.0
    ) -> None:
        self.work, self._forecast, self._start = work, step_seconds, start_seconds
        self._steps: dict[int, tuple[int, float]] = {}  # steps done and time, of running trials
        self._order: list[int] = []
        self._free: list[float] = []  # times at which trials ended and no other has reported
        self._times: list[float] = []
        self._lengths: list[int] = []  # of ended trials that a rule might have ended
        self._expected, self._weight = work.share * work.steps, _WEIGHT
        self._num_ended = 0
        self.refit_steps = work.refit_steps + work.fold_steps

    def take(self, trial: int, steps: int, now: float, *, is_last: bool) -> None:
        """Take a result.

        Args:
            trial: Number of the trial.
            steps: Its steps so far, from 1.
            now: Time [s].
            is_last: Whether the trial has ended.
        """
        before = self._steps.pop(trial, None)
        if before is None:
            self._order.append(trial)
            since = self._free.pop(0) if self._free and steps == 1 else None
        else:
            since = before[1] if steps == before[0] + 1 else None
        if since is not None:
            self._times.append(now - since)
        self._steps[trial] = steps, now
        if is_last:
            self.end(trial, now)

    def end(self, trial: int, now: float) -> None:
        """Take the end of a trial, also of one that was lost."""
        steps, _ = self._steps.pop(trial, (0, now))
        if steps and self._order.index(trial) >= self.work.num_whole:
            self._lengths.append(steps)
            kept = _FADING * self._weight
            self._expected = (kept * self._expected + steps) / (kept + 1)
            self._weight = kept + 1
        self._free.append(now)
        self._num_ended += 1

    def resize(self, at_once: int) -> None:
        """Take the number of trials that run at once from now on."""
        self.work = replace(self.work, at_once=at_once)

    @property
    def step_seconds(self) -> float | None:
        """Expected seconds of a step: measured ones and the forecast, which counts as one trial."""
        known = self._forecast is not None
        weight = self.work.steps if known else 0
        if not self._times and not known:
            return None
        total = weight * (self._forecast or 0.0) + sum(self._times)
        return total / (weight + len(self._times))

    def trial_seconds(self, steps_done: int = 0) -> float | None:
        """Return the expected seconds of a trial that no rule ends."""
        step = self.step_seconds
        return None if step is None else step * (self.work.steps - steps_done)

    def refit_seconds(self) -> float:
        """Return the expected seconds of the refit and the folds that are kept; 0 if unknown."""
        return self.refit_steps * (self.step_seconds or 0.0) + self._start * bool(self.refit_steps)

    def seconds_left(self, now: float) -> float | None:
        """Return the expected seconds until the refit has ended; None if nothing is known."""
        step = self.step_seconds
        if step is None:
            return None
        running = [
            max(0.0, self._left(trial, steps) - min(1.0, (now - then) / step) if step else 0.0)
            for trial, (steps, then) in self._steps.items()
        ]
        begun = len(self._order)
        waiting = (
            self.work.steps if number < self.work.num_whole else self._expected
            for number in range(begun, self.work.num_trials)
        )
        return step * last_end(running, waiting, self.work.at_once) + self.refit_seconds()

    def _left(self, trial: int, steps: int) -> float:
        """Return the expected steps left of a trial that runs."""
        whole = self.work.steps - steps
        if self._order.index(trial) < self.work.num_whole:
            return whole
        # As the trials that came this far, and one that nothing ends.
        longer = [length - steps for length in self._lengths if length > steps]
        return fmean([*longer, whole])
