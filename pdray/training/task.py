"""The task of one fit and the result of an epoch: plain data that can be sent to workers."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pdray.data.batches.plan import Evaluate, Schedule
from pdray.data.batches.snippet import snippet_shape
from pdray.data.cohort.rated import FoldSides, RatedRecording, check_sides
from pdray.evaluation.predictions import Origin
from pdray.training.settings import FitConfig


@dataclass(frozen=True)
class FitTask:
    """One trial or one refit, whose folds are trained one after the other.

    Attributes:
        origin: Key columns of the predictions; a single fold keeps its ``fold``.
        config: Settings.
        recordings: Recordings to which the positions in ``sides`` refer.
        sides: One entry per fold.
        num_classes: K.
        epochs: Epochs to run; fewer than ``config.optim.epochs`` cut the learning-rate schedule
            off, they do not compress it.
        evaluate: After every epoch, once after the last, or never.
    """

    origin: Origin
    config: FitConfig
    recordings: tuple[RatedRecording, ...]
    sides: tuple[FoldSides, ...]
    num_classes: int
    epochs: int
    evaluate: Evaluate = "every_epoch"

    def __post_init__(self) -> None:
        check_sides(self.recordings, self.sides, scored=self.evaluate != "never")

    @property
    def num_steps(self) -> int:
        """Number of (fold, epoch) pairs."""
        return len(self.sides) * self.epochs

    def schedule(self, first_step: int = 0) -> Schedule:
        """Return the schedule of the fit's batches, starting at a (fold, epoch) pair."""
        return Schedule(
            seed=self.origin.seed,
            batch_size=self.config.optim.batch_size,
            evaluated_at_once=evaluated_at_once(self.config),
            epochs=self.epochs,
            evaluate=self.evaluate,
            first_step=first_step,
        )


def evaluated_at_once(config: FitConfig) -> int:
    """Return the most recordings of an evaluation batch.

    Evaluation may use many more frames per recording than training (dense views), so its batches
    hold fewer recordings.
    """
    trained, evaluated = (
        math.prod(snippet_shape(config.snippet, training=training)) for training in (True, False)
    )
    return max(1, config.optim.batch_size * trained // evaluated)


@dataclass(frozen=True)
class EpochResult:
    """The result of one epoch of one fold.

    Attributes:
        fold: From 0.
        epoch: From 0.
        metrics: ``train/...``, ``val/...`` (or ``test/...``) and ``time/...``; rank 0 has those of
            all workers, other ranks have none.
        predictions: Predictions of all workers; None without evaluation, and on other ranks.
        state: Numbers and tensors from which the fit resumes after this epoch. The tensors are
            the model's own, so save or copy them before you take the next result.
    """

    fold: int
    epoch: int
    metrics: dict[str, float]
    predictions: pd.DataFrame | None
    state: dict[str, Any]
