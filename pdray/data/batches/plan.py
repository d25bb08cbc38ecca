"""The batches of a whole fit, known before it starts: a pure function of folds and seed."""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pdray.data.cohort.rated import FoldSides
from pdray.errors import SettingsError


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """One batch of one worker.

    Attributes:
        fold: Fold it belongs to, from 0.
        epoch: Epoch it belongs to, from 0.
        training: Whether the model learns from it; else it is evaluated.
        recordings: Positions of its recordings.
        global_size: Recordings of the same batch over all workers.
    """

    fold: int
    epoch: int
    training: bool
    recordings: tuple[int, ...]
    global_size: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often and with what a fit goes over its folds.

    Attributes:
        seed: Seed of the order of the recordings.
        batch_size: Recordings of a global batch, at most.
        epochs: Epochs of each fold.
        evaluate: After every epoch, or after the last one only.
        first_step: Finished (fold, epoch) pairs to leave out, fold by fold.
        evaluated_at_once: Recordings of an evaluation batch, at most; None is ``batch_size``.
    """

    seed: int
    batch_size: int
    epochs: int
    evaluate: Literal["every_epoch", "last_epoch"] = "every_epoch"
    first_step: int = 0
    evaluated_at_once: int | None = None


def plan_batches(
    sides: Sequence[FoldSides], schedule: Schedule, *, rank: int = 0, num_workers: int = 1
) -> list[PlannedBatch]:
    """List one worker's batches in the order they are met: fold, epoch, training, evaluation.

    An epoch's recordings are cut into global batches of nearly equal size (they differ by one at
    most), so that no recording is left out and no batch is a tiny rest. A global batch is dealt
    to the workers card by card; every worker gets a part of each training batch.

    Args:
        sides: Both sides of each fold.
        schedule: Epochs, batch size and seed.
        rank: This worker, from 0.
        num_workers: Workers that share each global batch.

    Returns:
        The batches.

    Raises:
        SettingsError: If a training batch has fewer recordings than there are workers.
    """
    plan: list[PlannedBatch] = []
    for step in range(schedule.first_step, len(sides) * schedule.epochs):
        fold, epoch = divmod(step, schedule.epochs)
        plan += _training_batches(sides[fold], (fold, epoch), schedule, (rank, num_workers))
        if schedule.evaluate == "every_epoch" or epoch == schedule.epochs - 1:
            size = schedule.evaluated_at_once or schedule.batch_size
            plan += _evaluation_batches(sides[fold], (fold, epoch), size, (rank, num_workers))
    return plan


def derive_seed(*parts: object) -> int:
    """Return a 63-bit seed that depends on every part and on nothing else."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def _training_batches(
    side: FoldSides, step: tuple[int, int], schedule: Schedule, worker: tuple[int, int]
) -> list[PlannedBatch]:
    fold, epoch = step
    rank, num_workers = worker
    draw = np.random.default_rng(derive_seed(schedule.seed, "order", fold, epoch))
    order = draw.permutation(np.asarray(side.training))
    num_batches = -(-len(order) // schedule.batch_size)
    # The first batches are one larger where the recordings do not divide.
    small, num_larger = divmod(len(order), num_batches)
    if small < num_workers:
        raise SettingsError(
            f"fold {fold}: batches of {small} recordings (optim.batch_size = "
            f"{schedule.batch_size}, {len(order)} recordings) cannot be shared by {num_workers} "
            "workers; set a larger optim.batch_size or a smaller resources.num_workers"
        )
    recordings = order.tolist()
    starts = [number * small + min(number, num_larger) for number in range(num_batches + 1)]
    return [
        PlannedBatch(fold, epoch, True, tuple(recordings[a + rank : b : num_workers]), b - a)
        for a, b in itertools.pairwise(starts)
    ]


def _evaluation_batches(
    side: FoldSides, step: tuple[int, int], batch_size: int, worker: tuple[int, int]
) -> list[PlannedBatch]:
    rank, num_workers = worker
    mine = side.evaluation[rank::num_workers]
    return [
        PlannedBatch(*step, False, tuple(mine[i : i + batch_size]), len(mine[i : i + batch_size]))
        for i in range(0, len(mine), batch_size)
    ]
