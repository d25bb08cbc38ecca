"""Measures how long a fit takes, from short fits on a few of its recordings."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.errors import PdrayError
from pdray.training.loop.worker import Place, fit
from pdray.training.task import FitTask

FIRST = 4
"""Recordings to learn from in the first, shortest fit."""


_CONTEXT_BYTES = 1 << 30  # of CUDA itself, in each process


@dataclass(frozen=True)
class Pace:
    """Time that a fit takes.

    Attributes:
        epoch: Of an epoch, for each recording of both sides of its fold [s].
        once: Before the first epoch, for each recording [s]: a process describes recordings for an
            estimator only once.
    """

    epoch: float
    once: float


def can_measure(task: FitTask) -> bool:
    """Return whether a task can be measured: one that only reads pictures needs no frame store."""
    config = task.config
    on_pictures = config.entry.loop != "once" and not config.views and not config.beside
    return on_pictures or task.recordings[0].stored is not None


def measure_pace(task: FitTask, *, place: Place | None = None, seconds: float = 2.0) -> Pace:
    """Fit growing parts of the first fold until enough time has passed; time the largest.

    Each part is fitted twice, one epoch each. The second counts, so the start of libraries does
    not. An estimator describes recordings in the first, so there the first, shortest part counts
    only if there is no larger one. Without a frame store a network is fitted to random pictures of
    the right shape.

    Args:
        task: The fit; see :func:`can_measure`.
        place: Device; default: the CPU.
        seconds: Time after which no larger part is tried [s].

    Raises:
        PdrayError: If no part can be fitted.
    """
    started, number, whole = time.perf_counter(), FIRST, len(task.sides[0].training)
    described: set[str] = set()
    while True:
        try:
            pace, fault = _timed(_part(task, number), place, described), None
        except PdrayError as error:  # such as too few recordings of a class
            fault = error
        if number == FIRST and task.config.entry.loop == "once":
            started = time.perf_counter()
        if number >= whole and fault is not None:
            raise fault
        passed = time.perf_counter() - started
        if number >= whole or (passed > seconds and fault is None):
            return pace
        number *= 4 if passed < seconds / 8 else 2


def measure_memory(task: FitTask, device: torch.device) -> float:
    """Return the share of a GPU's memory that a fit takes at most, from an epoch of whole batches.

    Args:
        task: The fit; see :func:`can_measure`.
        device: The GPU.

    Raises:
        PdrayError: If it cannot be fitted.
    """
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    _timed(_part(task, max(FIRST, task.config.optim.batch_size)), Place(device=device), set())
    taken = torch.cuda.max_memory_reserved(device) + _CONTEXT_BYTES
    return taken / torch.cuda.get_device_properties(device).total_memory


def _timed(task: FitTask, place: Place | None, described: set[str]) -> Pace:
    """Fit a part; add its recordings to those that this process has described."""
    blank = task.recordings[0].stored is None
    new = {one.recording_id for one in task.recordings} - described
    described |= new
    first, second = (
        result.metrics["time/epoch_seconds"] for result in fit(task, place=place, blank=blank)
    )
    num = len(task.sides[0].training) + len(task.sides[0].evaluation)
    once = max(0.0, first - second) if task.config.entry.loop == "once" else 0.0
    return Pace(epoch=second / num, once=once / max(1, len(new)))


def _part(task: FitTask, number: int) -> FitTask:
    """Return a task with some recordings of the first fold, as two folds of one epoch."""
    side = task.sides[0]
    share = min(1.0, number / len(side.training))
    training = _some(task.recordings, side.training, share)
    evaluation = _some(task.recordings, side.evaluation, share)
    places = tuple(range(len(training) + len(evaluation)))
    part = FoldSides(training=places[: len(training)], evaluation=places[len(training) :])
    return replace(
        task,
        recordings=tuple(task.recordings[i] for i in (*training, *evaluation)),
        sides=(part, part),
        epochs=1,
        evaluate="every_epoch",
    )


def _some(recordings: Sequence[RatedRecording], chosen: Sequence[int], share: float) -> list[int]:
    """Return a share of the recordings with the classes in turn, at least one."""
    by_class = sorted(chosen, key=lambda i: recordings[i].target)
    number = max(1, round(share * len(chosen)))
    return [by_class[k * len(chosen) // number] for k in range(number)]
