"""Task of one fit, and the result of each epoch: plain data that travels."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from pdray.data.batches.plan import Schedule
from pdray.data.batches.snippet import snippet_shape
from pdray.data.cohort.rated import FoldSides, RatedRecording, check_sides
from pdray.evaluation.predictions import Origin
from pdray.training.settings import FitConfig


@dataclass(frozen=True)
class FitTask:
    """One trial, or one refit: folds trained one after the other.

    Attributes:
        origin: Key columns of the predictions; a single fold keeps its ``fold``.
        config: Settings.
        recordings: All recordings that positions in ``sides`` refer to.
        sides: One entry a fold.
        num_classes: K.
        epochs: Epochs to run; fewer than ``config.optim.epochs`` cuts the schedule short, it
            does not compress it.
        evaluate: After every epoch, or once after the last.
    """

    origin: Origin
    config: FitConfig
    recordings: tuple[RatedRecording, ...]
    sides: tuple[FoldSides, ...]
    num_classes: int
    epochs: int
    evaluate: Literal["every_epoch", "last_epoch"] = "every_epoch"

    def __post_init__(self) -> None:
        check_sides(self.recordings, self.sides)

    @property
    def num_steps(self) -> int:
        """Number of (fold, epoch) pairs."""
        return len(self.sides) * self.epochs

    def schedule(self, first_step: int = 0) -> Schedule:
        """Return the schedule of the fit's batches from a (fold, epoch) pair on.

        An evaluated recording may have many more frames than a trained one (dense views), so
        that fewer of them make a batch of the same size.
        """
        config = self.config
        trained, evaluated = (
            math.prod(snippet_shape(config.snippet, training=training))
            for training in (True, False)
        )
        return Schedule(
            seed=self.origin.seed,
            batch_size=config.optim.batch_size,
            evaluated_at_once=max(1, config.optim.batch_size * trained // evaluated),
            epochs=self.epochs,
            evaluate=self.evaluate,
            first_step=first_step,
        )


@dataclass(frozen=True)
class EpochResult:
    """What one (fold, epoch) gave.

    Attributes:
        fold: From 0.
        epoch: From 0.
        metrics: ``train/...``, ``val/...`` (or ``test/...``) and ``time/...``; rank 0 has those of
            all workers, other ranks have none.
        predictions: The evaluated snippets of all workers; None where nothing was evaluated and
            on other ranks.
        state: From which the fit resumes after this epoch: plain numbers and tensors. The tensors
            are the model's own, so save or copy them before the next result is asked for.
    """

    fold: int
    epoch: int
    metrics: dict[str, float]
    predictions: pd.DataFrame | None
    state: dict[str, Any]
