"""Lets trials follow their cluster: as many at once as fit, and a line while they wait."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ray import tune
from ray.tune import TuneConfig
from ray.tune.search import BasicVariantGenerator, ConcurrencyLimiter

from pdray.display import say
from pdray.nodes import WAITING_SECONDS
from pdray.search.cluster import Reservation, counted, describe_capacity
from pdray.search.progress import Progress

LOOK_SECONDS = 5.0
"""Time between two looks at the nodes of the cluster [s]."""


class Growth(tune.Callback):
    """Follows the cluster up and down while trials run; prints what they wait for.

    A node that joins lets more trials start. After a loss no new trial starts before as many have
    ended as no longer fit; those that were interrupted keep their place.

    Args:
        reservation: Resources of a trial.
        how: Search algorithm, and how many trials run at once at the start; None: there is one
            trial, as in a refit.
        listeners: Callbacks; the forecast of a ``Progress`` is told of a change.

    Attributes:
        how: With the search algorithm that follows the cluster, for Tune.
    """

    def __init__(
        self, reservation: Reservation, how: TuneConfig, listeners: Sequence[tune.Callback]
    ) -> None:
        self._reservation = reservation
        self._told = [one for one in listeners if isinstance(one, Progress)]
        self._next = time.monotonic() + LOOK_SECONDS
        self._since: float | None = None
        self._said = 0.0
        at_once, self._is_one = how.max_concurrent_trials or 1, how.max_concurrent_trials is None
        self._limiter: Any = BasicVariantGenerator(max_concurrent=at_once)
        if how.search_alg is not None:
            self._limiter = ConcurrencyLimiter(how.search_alg, max_concurrent=at_once)
        self.how = replace(how, search_alg=self._limiter, max_concurrent_trials=None)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Look at the cluster at intervals; Tune takes a step at least every few seconds."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LOOK_SECONDS
        if not self._is_one:
            self._follow()
        self._tell(sum(trial.status in ("PENDING", "RUNNING") for trial in trials), now)

    def _follow(self) -> None:
        (capacity, at_once), before = self._reservation.now(), self._limiter.max_concurrent
        if at_once == before:
            return
        self._limiter.max_concurrent = at_once
        for one in self._told:
            one.resize(at_once)
        fitting = counted(at_once, "trial") if self._reservation.fits(capacity) else "no trial"
        say(f"cluster    {describe_capacity(capacity)}: {fitting} at once, {before} before")

    def _tell(self, num_live: int, now: float) -> None:
        # The process of a distributed trial runs while its workers wait.
        lacks = self._reservation.lacking(num_live)
        if lacks is None:
            self._since = None
        elif self._since is None:
            self._since = self._said = now
        elif now - self._said >= WAITING_SECONDS:
            self._said = now
            say(f"waiting for {lacks[0]} ({lacks[1]}, {now - self._since:.0f} s)")
