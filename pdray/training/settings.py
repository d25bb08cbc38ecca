"""Settings of a fit: everything that decides its outcome besides its data and its seed."""

import json
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pdray.config import Settings
from pdray.data.batches.settings import AugmentConfig, FeaturesConfig, StreamConfig, Views
from pdray.data.batches.snippet import SnippetConfig
from pdray.data.face.settings import LandmarkFeatureConfig
from pdray.data.media.settings import DecodeConfig, DecodeLimits
from pdray.data.modalities import EMBEDDED, Modality, SeenModality, named
from pdray.losses.settings import LossConfig
from pdray.models import DEFAULT, MODELS, ModelConfig
from pdray.models.entry import ModelEntry
from pdray.models.estimators.audio_mlp_settings import EmbeddingConfig
from pdray.models.layers.settings import SegmentsConfig

# Sections that every fit has, whatever its model; ``embedding`` is judged by what is heard.
_OF_ALL = ("modality", "decode", "limits", "model", "embedding")


class OptimConfig(Settings):
    """Optimiser and its schedule; the defaults are those of TSA, section IV-A."""

    optimizer: Literal["sgd", "adam", "adamw"] = Field(
        "sgd",
        description="sgd has momentum 0.9; adam adds weight_decay to the gradient, adamw to the "
        "step; only what the model does not freeze is trained",
    )
    learning_rate: float = Field(1e-3, gt=0, description="highest learning rate")
    weight_decay: float = Field(0.01, ge=0, description="lambda of TSA eq. 1")
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

    modality: SeenModality = Field(
        "rgb",
        description="what the model sees: a network colours, optical flow or motion boundaries; "
        "an estimator what it is made for, such as landmarks or sound; several: what the branches "
        "of a fusion see",
    )
    decode: DecodeConfig = DecodeConfig()
    limits: DecodeLimits = DecodeLimits()
    snippet: SnippetConfig = SnippetConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = MODELS[DEFAULT].settings(name=DEFAULT)
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
    def entry(self) -> ModelEntry:
        """What the registry says of the model."""
        return MODELS[self.model.name]

    @property
    def network(self) -> Any:
        """The section of the network that sees pictures: the model's own, or that of a frozen one.

        None of a model that sees none through a network.
        """
        path = self.entry.network
        return None if path is None else attrgetter(path)(self)

    @property
    def sees(self) -> tuple[Modality, ...]:
        """Every modality that a fit may read of a recording."""
        return self.model.modalities or (self.modality, *self.beside)

    @property
    def beside(self) -> tuple[Modality, ...]:
        """What a network is given beside its modality."""
        return self.entry.beside

    @property
    def needs(self) -> tuple[Modality, ...]:
        """Every modality without which a recording takes no part; of branches any one will do."""
        return () if self.entry.branches else self.sees

    @property
    def views(self) -> Views | None:
        """The views of recordings whose maps are read; None where pictures are read."""
        if self.features.cache == "off" or not self.model.keeps_maps:
            return None
        return Views(self.augment, self.features.views, (self.decode.height, self.decode.width))

    @model_validator(mode="after")
    def _fits_the_model(self) -> Self:
        """Refuse what the model does not see, and settings that would have no effect."""
        rules = (_modality_faults, _idle_faults, self.entry.checks, _sound_faults, _segment_faults)
        for rule in rules:  # a later one may need what an earlier one has checked
            faults = rule(self)
            if faults:
                raise ValueError("; ".join(faults))
        return self


def _modality_faults(config: FitConfig) -> list[str]:
    sees = named(config.entry.sees)
    if config.modality in sees:
        return []
    right = " or ".join([", ".join(sees[:-1]), sees[-1]] if len(sees) > 1 else sees)
    return [f"modality {config.modality}: {config.model.name} sees {right}"]


def _idle_faults(config: FitConfig) -> list[str]:
    """List the sections that the model does not use and that are not at their defaults."""
    entry, name = config.entry, config.model.name
    faults = []
    for section, field in FitConfig.model_fields.items():
        if section in (*_OF_ALL, *entry.sections):
            continue
        default = field.get_default()
        used = next((one for one in entry.sections if one.startswith(f"{section}.")), "")
        if used:
            key, _, value = used.partition(".")[2].partition("=")
            right = json.loads(value) if value else getattr(getattr(config, section), key)
            default = default.model_copy(update={key: right})
        if getattr(config, section) != default:
            told = f" but for {used}" if used else ""
            faults.append(f"{section}: no part of {name}; leave it out{told}")
    if "loss" in entry.sections and not entry.beside:
        faults += [f"loss.{one}: {name} has no regions" for one in config.loss.region_settings]
    return faults


def _sound_faults(config: FitConfig) -> list[str]:
    """Refuse sound that a network must embed and none does, and a network that embeds none."""
    embedded = [one for one in config.sees if one in EMBEDDED]
    if embedded and config.embedding.folder is None:
        return [
            f"embedding.folder: modality {embedded[0]} is heard by a pretrained network; name its "
            "local folder"
        ]
    # A search of branches names the network for the trials that need one.
    may_hear = not {*EMBEDDED}.isdisjoint(config.entry.branches or config.sees)
    if not may_hear and config.embedding != EmbeddingConfig():
        return [f"embedding: hears the modality {', '.join(EMBEDDED)} only; leave it out"]
    return []


def _segment_faults(config: FitConfig) -> list[str]:
    """Refuse a consensus of one snippet: it would be the snippet."""
    if config.segments.consensus == "none" or config.snippet.mode == "segments":
        return []
    return [
        f"segments.consensus {config.segments.consensus} needs snippet.mode segments; in mode "
        f"{config.snippet.mode} a recording has one snippet"
    ]
