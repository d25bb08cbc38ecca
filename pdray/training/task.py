"""What one fit trains, on what, for how long, and what each epoch gave: plain data that travels."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import pandas as pd
from pydantic import Field, model_validator

from pdray.config import Settings
from pdray.data.batches.plan import Schedule
from pdray.data.batches.settings import AugmentConfig, FeaturesConfig, StreamConfig, Views
from pdray.data.batches.snippet import SnippetConfig, snippet_shape
from pdray.data.cohort.rated import FoldSides, RatedRecording, check_sides
from pdray.data.face.settings import LandmarkFeatureConfig
from pdray.data.media.settings import DecodeConfig, DecodeLimits
from pdray.data.modalities import Modality
from pdray.evaluation.predictions import Origin
from pdray.models import ESTIMATORS, MODELS, ModelConfig
from pdray.models.estimators.fusion import FusionConfig
from pdray.models.estimators.linear_probe import LinearProbeConfig
from pdray.models.layers.segment_attention import SegmentsConfig
from pdray.models.networks.frame_resnet import frame_resnet_faults
from pdray.models.networks.region_attention import RegionAttentionConfig
from pdray.models.networks.tsa import TsaConfig
from pdray.training.frozen.sound import EmbeddingConfig
from pdray.training.objective import LossConfig

LEAST_FROZEN_STAGES = 3  # whose maps are kept: of fewer they are larger, and less is saved
MOST_PLAIN_VIEWS = 2  # the plain one and its mirror image


class OptimConfig(Settings):
    """Optimiser and its schedule; the defaults are those of 002, section IV-A."""

    optimizer: Literal["sgd", "adam", "adamw"] = Field(
        "sgd",
        description="sgd has momentum 0.9; adam adds weight_decay to the gradient, adamw to the "
        "step; only what the model does not freeze is trained",
    )
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

    modality: Literal[
        "rgb", "flow", "boundaries", "landmarks", "mfcc", "log_mel", "waveform", "several"
    ] = Field(
        "rgb",
        description="what the model sees: a network colours, optical flow or motion boundaries; "
        "an estimator what it is made for, such as landmarks or sound; several: what the branches "
        "of a fusion see",
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
    embedding: EmbeddingConfig = EmbeddingConfig()
    segments: SegmentsConfig = SegmentsConfig()
    features: FeaturesConfig = FeaturesConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    stream: StreamConfig = StreamConfig()

    @property
    def is_estimator(self) -> bool:
        """Whether the model learns from all recordings at once, not by gradients."""
        return self.model.name in ESTIMATORS

    @property
    def network(self) -> Any:
        """The section of the network that sees pictures: the model's own, or that of a frozen one.

        None of an estimator on numbers.
        """
        if isinstance(self.model, LinearProbeConfig):
            return self.model.backbone
        return None if self.is_estimator else self.model

    @property
    def sees(self) -> tuple[Modality, ...]:
        """Every modality that a fit may read of a recording."""
        if isinstance(self.model, FusionConfig):
            return self.model.modalities
        assert self.modality != "several", "checked when it was built"
        return (self.modality, *self.beside)

    @property
    def beside(self) -> tuple[Modality, ...]:
        """What a network is given beside its modality."""
        return () if self.is_estimator else MODELS[self.model.name].beside

    @property
    def views(self) -> Views | None:
        """The views of recordings whose maps are read; None where pictures are read."""
        if self.features.cache == "off" or not isinstance(self.model, RegionAttentionConfig):
            return None
        if self.model.frozen_stages < LEAST_FROZEN_STAGES:
            return None
        return Views(self.augment, self.features.views, (self.decode.height, self.decode.width))

    @property
    def needs(self) -> tuple[Modality, ...]:
        """Every modality without which a recording takes no part; a fusion does with any."""
        return () if isinstance(self.model, FusionConfig) else self.sees

    @model_validator(mode="after")
    def _model_sees_its_modality(self) -> Self:
        models: Mapping[str, Any] = ESTIMATORS if self.is_estimator else MODELS
        sees = models[self.model.name].sees
        if self.modality not in sees:
            right = " or ".join([", ".join(sees[:-1]), sees[-1]] if len(sees) > 1 else sees)
            raise ValueError(f"modality {self.modality}: {self.model.name} sees {right}")
        return self

    @model_validator(mode="after")
    def _no_idle_section(self) -> Self:
        """Refuse settings that would have no effect on an estimator, or on a network."""
        unused = ["landmarks"] if self.model.name != "landmark_head" else []
        but: dict[str, dict[str, Any]] = {}
        if self.is_estimator:
            unused += ["snippet", "augment", "segments", "loss", "optim", "stream", "pretrained"]
            unused += ["features"]
            but["optim"] = {"epochs": 1}  # one step, so that a trial is one epoch
            if self.network is not None:  # which weights are frozen, and what they are shown
                unused = [name for name in unused if name not in ("snippet", "pretrained")]
                but["augment"] = {"crop_size": self.augment.crop_size}
            elif isinstance(self.model, FusionConfig):
                # Of the frozen network of rgb, which some trials of a search may leave out.
                unused.remove("pretrained")
        faults = []
        for name in unused:
            default = FitConfig.model_fields[name].get_default()
            if name in but:
                default = default.model_copy(update=but[name])
            if getattr(self, name) != default:
                right = {"optim": "optim.epochs=1", "augment": "augment.crop_size"}
                told = f" but for {right[name]}" if name in but else ""
                faults.append(f"{name}: no part of {self.model.name}; leave it out{told}")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _frames_fit_the_fusion(self) -> Self:
        """Refuse pictures that the frozen network of a fusion cannot take."""
        if isinstance(self.model, FusionConfig) and "rgb" in self.sees:
            faults = frame_resnet_faults(
                self.model.backbone,
                num_frames=self.model.num_frames,
                height=self.decode.height,
                width=self.decode.width,
            )
            if faults:
                raise ValueError("; ".join(faults).replace("model.", "model.backbone."))
        return self

    @model_validator(mode="after")
    def _sound_is_heard(self) -> Self:
        """Refuse a waveform that no network hears, and a network that hears none."""
        if "waveform" in self.sees and self.embedding.folder is None:
            raise ValueError(
                "embedding.folder: modality waveform is heard by a pretrained network; name its "
                "local folder"
            )
        # A search of branches names the network for the trials that hear a waveform.
        is_fusion = isinstance(self.model, FusionConfig)
        if not is_fusion and "waveform" not in self.sees and self.embedding != EmbeddingConfig():
            raise ValueError("embedding: hears the modality waveform only; leave it out")
        return self

    @model_validator(mode="after")
    def _regions_are_seen(self) -> Self:
        """Refuse settings of regions and of kept views that would have no effect."""
        faults = _view_faults(self)
        if not self.is_estimator and not self.beside:
            name = self.model.name
            faults += [f"loss.{one}: {name} has no regions" for one in self.loss.region_settings]
            if self.features != FeaturesConfig():
                faults.append(f"features: no part of {name}; leave it out")
        if self.beside and self.segments.consensus != "none":
            faults.append(
                f"segments.consensus {self.segments.consensus}: {self.model.name} joins no "
                "snippets; set it to none"
            )
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


def _view_faults(config: FitConfig) -> list[str]:
    """Say which settings have no effect on maps that are kept, or on pictures that are read."""
    default = FeaturesConfig()
    if config.views is None:
        if not config.beside or config.features.views == default.views:
            return []
        why = "with features.cache off" if config.features.cache == "off" else "so early"
        return [
            f"features.views: got {config.features.views}; no view is kept {why}: leave it out, or "
            f"keep maps with features.cache=auto and model.frozen_stages={LEAST_FROZEN_STAGES}"
        ]
    if config.features.views > MOST_PLAIN_VIEWS:
        return []
    same = AugmentConfig(crop_size=config.augment.crop_size)
    changed = [
        f"augment.{name}"
        for name in AugmentConfig.model_fields
        if getattr(config.augment, name) != getattr(same, name)
    ]
    if not changed:
        return []
    return [
        f"{', '.join(changed)}: maps of frozen stages are kept for {config.features.views} fixed "
        f"views, which these do not change; leave them out, draw more views with features.views="
        f"{MOST_PLAIN_VIEWS + 2}, or change pictures in every epoch with features.cache=off"
    ]


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
