"""What one fit trains, on what, for how long, and what each epoch gave: plain data that travels."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import pandas as pd
from pydantic import Field, model_validator

from pdray.config import Settings
from pdray.data.augment import AugmentConfig
from pdray.data.decode import DecodeConfig, DecodeLimits
from pdray.data.landmark_motion import LandmarkFeatureConfig
from pdray.data.modality import PICTURES, Modality
from pdray.data.plan import FoldSides, RatedRecording, Schedule, check_sides
from pdray.data.reader import StreamConfig
from pdray.data.snippet import SnippetConfig, snippet_shape
from pdray.evaluation.predictions import Origin
from pdray.models import ESTIMATORS, ModelConfig
from pdray.models.segment_attention import SegmentsConfig
from pdray.models.tsa import TsaConfig
from pdray.training.objective import LossConfig


class OptimConfig(Settings):
    """Optimiser and its schedule; the defaults are those of 002, section IV-A."""

    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="sgd has momentum 0.9")
    learning_rate: float = Field(1e-3, gt=0, description="highest learning rate")
    weight_decay: float = Field(0.01, ge=0, description="lambda of 002 eq. 1")
    batch_size: int = Field(15, ge=1, description="recordings of a step, all workers [count]")
    epochs: int = Field(60, ge=1, description="epochs of each fold [count]")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="after the warm-up; cosine ends at zero"
    )
    warmup_epochs: float = Field(0.0, ge=0, description="linear warm-up from zero [epochs]")
    gradient_clip: float | None = Field(
        None, gt=0, description="largest norm of the gradient; null: no clipping"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="number format of the network; auto: bfloat16 on a GPU"
    )
    compiled: bool = Field(
        False,
        description="torch.compile the network: minutes at the start of each trial; on a CPU it "
        "needs a C++ compiler",
    )


class FitConfig(Settings):
    """Everything that decides the outcome of a fit besides its data and its seed."""

    modality: Literal["rgb", "flow", "boundaries", "landmarks"] = Field(
        "rgb",
        description="what the model sees: a network colours, optical flow or motion boundaries; "
        "an estimator what it is made for, such as landmarks",
    )
    decode: DecodeConfig = DecodeConfig()
    limits: DecodeLimits = DecodeLimits()
    snippet: SnippetConfig = SnippetConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = TsaConfig()
    pretrained: Path | None = Field(
        None,
        description="file of weights to start from: a published one, or a study's model.pt, which "
        "keeps its name",
    )
    landmarks: LandmarkFeatureConfig = LandmarkFeatureConfig()
    segments: SegmentsConfig = SegmentsConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    stream: StreamConfig = StreamConfig()

    @property
    def is_estimator(self) -> bool:
        """Whether the model learns from all recordings at once, not by gradients."""
        return self.model.name in ESTIMATORS

    @property
    def sees(self) -> tuple[Modality, ...]:
        """Every modality that a fit may read of a recording."""
        return (self.modality,)

    @property
    def needs(self) -> tuple[Modality, ...]:
        """Every modality without which a recording takes no part."""
        return self.sees

    @model_validator(mode="after")
    def _model_sees_its_modality(self) -> Self:
        sees = ESTIMATORS[self.model.name].sees if self.is_estimator else PICTURES
        if self.modality not in sees:
            right = " or ".join([", ".join(sees[:-1]), sees[-1]] if len(sees) > 1 else sees)
            raise ValueError(f"modality {self.modality}: {self.model.name} sees {right}")
        return self

    @model_validator(mode="after")
    def _no_idle_section(self) -> Self:
        """Refuse settings that would have no effect on an estimator, or on a network."""
        unused = ["landmarks"] if self.model.name != "landmark_head" else []
        if self.is_estimator:
            unused += ["snippet", "augment", "segments", "loss", "optim", "stream", "pretrained"]
        faults = []
        for name in unused:
            default = FitConfig.model_fields[name].get_default()
            if name == "optim":  # one step, so that a trial is one epoch
                default = default.model_copy(update={"epochs": 1})
            if getattr(self, name) != default:
                right = " but for optim.epochs=1" if name == "optim" else ""
                faults.append(f"{name}: no part of {self.model.name}; leave it out{right}")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _segments_are_there(self) -> Self:
        """Refuse a consensus of one snippet: it would be the snippet."""
        if self.segments.consensus != "none" and self.snippet.mode != "segments":
            raise ValueError(
                f"segments.consensus {self.segments.consensus} needs snippet.mode segments; in "
                f"mode {self.snippet.mode} a recording has one snippet"
            )
        return self


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
