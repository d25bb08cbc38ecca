"""Draws the pictures of each step of a translator: some of class 0 and some of other classes.

Every picture is a function of seed, fold, epoch and step alone, so a fit that resumes draws the
same ones, and several workers that share a step draw it together and take their part.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pdray.data.batches.plan import derive_seed


class Drawn(NamedTuple):
    """One drawn picture.

    Attributes:
        recording: Position of its recording.
        time: Where it is between the start of the recording (0) and its end (1, never reached).
    """

    recording: int
    time: float


class Pairs(NamedTuple):
    """Pictures of one step.

    Attributes:
        source: B pictures of class 0.
        target: B pictures of other classes, in no relation to those of ``source``.
    """

    source: tuple[Drawn, ...]
    target: tuple[Drawn, ...]


def steps_per_epoch(num_sources: int, num_targets: int, *, frames: int, batch_size: int) -> int:
    """Return how many steps an epoch has; the larger side decides.

    Args:
        num_sources: Recordings of class 0.
        num_targets: Recordings of other classes.
        frames: Pictures per recording.
        batch_size: Pictures of each side in a step.
    """
    return math.ceil(frames * max(num_sources, num_targets) / batch_size)


class EpochPairs:
    """Pictures of each step of an epoch.

    In an epoch each recording of the larger side gives ``frames`` pictures, except that the last
    step is filled up. Those of the smaller side give more, one as often as another within one.

    Args:
        sources: Positions of the recordings of class 0, at least one.
        targets: Positions of those of other classes, at least one.
        frames: Pictures per recording.
        batch_size: Pictures of each side in a step, over all workers.
        key: Seed, fold and epoch.
    """

    def __init__(
        self,
        sources: Sequence[int],
        targets: Sequence[int],
        *,
        frames: int,
        batch_size: int,
        key: tuple[int, int, int],
    ) -> None:
        self._batch_size, self._key = batch_size, key
        self.num_steps = steps_per_epoch(
            len(sources), len(targets), frames=frames, batch_size=batch_size
        )
        self._order = [
            self._ordered(name, side) for name, side in (("source", sources), ("target", targets))
        ]

    def step(self, number: int, *, rank: int = 0, num_workers: int = 1) -> Pairs:
        """Return the pictures of one worker, which takes each ``num_workers``-th one of a step."""
        seed, fold, epoch = self._key
        draws = np.random.default_rng(derive_seed(seed, "frames", fold, epoch, number))
        times = draws.random((2, self._batch_size))
        first = number * self._batch_size
        sides = [
            tuple(
                Drawn(order[first + place], float(times[side, place]))
                for place in range(rank, self._batch_size, num_workers)
            )
            for side, order in enumerate(self._order)
        ]
        return Pairs(*sides)

    def some(self, most: int) -> Pairs:
        """Return some pictures of the epoch, the same for every worker: of different recordings."""
        seed, fold, epoch = self._key
        draws = np.random.default_rng(derive_seed(seed, "shown", fold, epoch))
        sides = [
            tuple(Drawn(one, float(draws.random())) for one in order[:most])
            for order in self._order
        ]
        return Pairs(*sides)

    def _ordered(self, name: str, side: Sequence[int]) -> list[int]:
        """Return the recordings of a side in the order of all steps: all of them, in rounds."""
        seed, fold, epoch = self._key
        draws = np.random.default_rng(derive_seed(seed, "order", name, fold, epoch))
        rounds = math.ceil(self.num_steps * self._batch_size / len(side))
        places = np.asarray(side)
        return [int(one) for _ in range(rounds) for one in draws.permutation(places)]
