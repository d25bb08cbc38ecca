"""Plans all batches of a fit before it starts, from the folds and the seed alone."""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pdray.data.cohort.rated import FoldSides
from pdray.errors import SettingsError

Evaluate = Literal["every_epoch", "last_epoch", "never"]


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """One batch of one worker.

    Attributes:
        fold: Number of the fold, from 0.
        epoch: Number of the epoch, from 0.
        training: Whether the model learns from it; else it is evaluated.
        recordings: Positions of its recordings.
        global_size: Recordings of the same batch on all workers together.
    """

    fold: int
    epoch: int
    training: bool
    recordings: tuple[int, ...]
    global_size: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """Epochs, batch sizes and seed of a fit.

    Attributes:
        seed: Seed of the order of the recordings.
        batch_size: Most recordings per global batch.
        epochs: Epochs per fold.
        evaluate: Evaluation after every epoch, only after the last one, or never.
        first_step: Number of finished (fold, epoch) pairs, which are left out.
        evaluated_at_once: Most recordings per evaluation batch; None: ``batch_size``.
    """

    seed: int
    batch_size: int
    epochs: int
    evaluate: Evaluate = "every_epoch"
    first_step: int = 0
    evaluated_at_once: int | None = None


def plan_batches(
    sides: Sequence[FoldSides], schedule: Schedule, *, rank: int = 0, num_workers: int = 1
) -> list[PlannedBatch]:
    """List the batches of one worker in order: by fold, epoch, training before evaluation.

    The recordings of an epoch are cut into global batches of nearly equal size (they differ by at
    most one), so that no recording is left out and no batch is very small. The workers take the
    recordings of a global batch in turn, so each worker gets a part of each training batch.

    Args:
        sides: Both sides of each fold.
        schedule: Epochs, batch size and seed.
        rank: Number of this worker, from 0.
        num_workers: Workers that share each global batch.

    Returns:
        The batches of this worker.

    Raises:
        SettingsError: If a training batch has fewer recordings than there are workers.
    """
    plan: list[PlannedBatch] = []
    for step in range(schedule.first_step, len(sides) * schedule.epochs):
        fold, epoch = divmod(step, schedule.epochs)
        plan += _training_batches(sides[fold], (fold, epoch), schedule, (rank, num_workers))
        is_last = epoch == schedule.epochs - 1
        if schedule.evaluate == "every_epoch" or (schedule.evaluate == "last_epoch" and is_last):
            size = schedule.evaluated_at_once or schedule.batch_size
            plan += evaluation_batches(sides[fold], (fold, epoch), size, (rank, num_workers))
    return plan


def derive_seed(*parts: object) -> int:
    """Return a 63-bit seed that depends on all parts, and only on them."""
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
    # The first batches are larger by one if the recordings do not divide evenly.
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


def evaluation_batches(
    side: FoldSides, step: tuple[int, int], batch_size: int, worker: tuple[int, int]
) -> list[PlannedBatch]:
    """Return the evaluation batches of one epoch for one worker.

    Args:
        side: Its evaluation side.
        step: Fold and epoch.
        batch_size: Most recordings per batch.
        worker: Its number and the number of workers.
    """
    rank, num_workers = worker
    mine = side.evaluation[rank::num_workers]
    return [
        PlannedBatch(*step, False, tuple(mine[i : i + batch_size]), len(mine[i : i + batch_size]))
        for i in range(0, len(mine), batch_size)
    ]
