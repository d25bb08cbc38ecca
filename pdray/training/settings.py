"""Settings of a fit: everything that decides its result, except its data and its seed."""

import json
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pdray.address import ClusterAddress
from pdray.config import Settings
from pdray.data.batches.settings import (
    AugmentConfig,
    FeaturesConfig,
    SnippetConfig,
    StreamConfig,
    Views,
    augment_faults,
    seen_size,
)
from pdray.data.batches.snippet import snippet_shape
from pdray.data.face.settings import LandmarkAugmentConfig, LandmarkFeatureConfig, PortraitConfig
from pdray.data.media.settings import DecodeConfig, DecodeLimits
from pdray.data.modalities import (
    EMBEDDED,
    FEATURES,
    MODALITIES,
    Modality,
    SeenModality,
    is_table,
    named,
)
from pdray.data.store.settings import picture_size
from pdray.losses.settings import LossConfig
from pdray.models import DEFAULT, MODELS, ModelConfig
from pdray.models.entry import ModelEntry
from pdray.models.estimators.audio_mlp_settings import EmbeddingConfig
from pdray.models.layers.settings import SegmentsConfig

# Sections that every fit has, whatever its model; _sound_faults checks ``embedding``, and
# ``pretrained_pixels`` belongs to ``pretrained``.
_OF_ALL = ("modality", "decode", "portraits", "limits", "model", "embedding", "pretrained_pixels")


class OptimConfig(Settings):
    """Settings of the optimiser and its schedule; the defaults are those of TSA, section IV-A."""

    optimizer: Literal["sgd", "adam", "adamw"] = Field(
        "sgd",
        description="sgd has momentum 0.9; adam adds weight_decay to the gradient, adamw to the "
        "step; frozen weights are not trained",
    )
    learning_rate: float = Field(1e-3, gt=0, description="highest learning rate")
    weight_decay: float = Field(
        0.01, ge=0, description="pulls weights towards zero; lambda of TSA eq. 1"
    )
    batch_size: int = Field(15, ge=1, description="recordings per step, over all workers [count]")
    epochs: int = Field(60, ge=1, description="epochs per fold [count]")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="learning-rate schedule after the warm-up; cosine ends at zero"
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
        description="compile the network with torch.compile, which takes minutes at the start of "
        "each trial; on a CPU this needs a C++ compiler",
    )


class SynthesisConfig(Settings):
    """Settings of a translator, which learns from single pictures and has no snippets."""

    preset: Literal["paper", "demo"] | None = Field(
        None,
        description="numbers of epochs, pictures per recording, batch, network and side of the "
        "portraits: those of the translator's paper, or small ones that take minutes "
        "(pdray/training/presets.yaml); keys that you give replace them; null: none",
    )
    guide: Path | None = Field(
        None,
        description="folder of a finished study whose network grades single pictures of the same "
        "kind: hrfae learns from it, and the translated pictures of other people are compared with "
        "their ill ones by its features, which a search maximises; null: nothing is compared",
    )
    frames: int = Field(
        8,
        ge=1,
        description="pictures of each recording in an epoch, and of each that is held out [count]",
    )


class ClusterConfig(Settings):
    """Where models run."""

    address: ClusterAddress = Field(
        None,
        description="address of a Ray cluster, whose nodes all read the study; null: that of a "
        "submitted job, else this machine alone, without Ray",
    )


class FitConfig(Settings):
    """Everything that decides the result of a fit, except its data and its seed."""

    modality: SeenModality = Field(
        "rgb",
        description="input of the model: colours (rgb), colours of the face alone (portraits), "
        "optical flow or motion boundaries for a network; landmarks, sound, intensities, features "
        "or features.NAME (tables of numbers) for an estimator; several for a fusion",
    )
    decode: DecodeConfig = DecodeConfig()
    portraits: PortraitConfig = PortraitConfig()
    limits: DecodeLimits = DecodeLimits()
    snippet: SnippetConfig = SnippetConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = MODELS[DEFAULT].settings(name=DEFAULT)
    pretrained: Path | None = Field(
        None,
        description="weights file to start from: a published file, or a study's model.pt (do not "
        "rename it)",
    )
    pretrained_pixels: Literal[
        "auto",
        "pdray",
        "minus_one_to_one",
        "hara_2018",
        "hara_2020",
        "torchvision_video",
        "pytorchvideo",
        "imagenet",
        "vggface2",
        "earlier",
    ] = Field(
        "auto",
        description="pixel scale that the file of pretrained was trained on; auto: decided from "
        "the file, and printed; pdray: that of pdray, so nothing is adapted; earlier: as earlier "
        "versions decided and adapted, which differs at the edges of the picture",
        json_schema_extra={"earlier": "earlier"},
    )
    landmarks: LandmarkFeatureConfig = LandmarkFeatureConfig()
    landmark_augment: LandmarkAugmentConfig = LandmarkAugmentConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    segments: SegmentsConfig = SegmentsConfig()
    features: FeaturesConfig = FeaturesConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    stream: StreamConfig = StreamConfig()
    synthesis: SynthesisConfig = SynthesisConfig()

    @property
    def entry(self) -> ModelEntry:
        """The entry of the model in the registry."""
        return MODELS[self.model.name]

    @property
    def network(self) -> Any:
        """Settings of the network on pictures: the model's own, or those of its frozen backbone.

        None if the model has no such network.
        """
        path = self.entry.network
        return None if path is None else attrgetter(path)(self)

    @property
    def sees(self) -> tuple[Modality, ...]:
        """Every modality that a fit may read."""
        return self.model.modalities or (self.modality, *self.beside)

    @property
    def beside(self) -> tuple[Modality, ...]:
        """Further inputs of a network beside its modality."""
        return self.entry.beside

    @property
    def picture_size(self) -> tuple[int, int]:
        """(height, width) of the stored pictures that a network reads [px]."""
        return picture_size(self.sees[0], self.decode, self.portraits)

    @property
    def needs(self) -> tuple[Modality, ...]:
        """Every modality that a recording must have; empty for branches, which need only one."""
        return () if self.entry.branches else self.sees

    @property
    def views(self) -> Views | None:
        """The views of recordings whose cached maps are read; None if pictures are read."""
        if self.features.cache == "off" or not self.model.keeps_maps:
            return None
        return Views(self.augment, self.features.views, self.picture_size)

    @classmethod
    def over_preset(cls, tree: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return settings over those of the preset that they name."""
        section = tree.get("synthesis")
        if not isinstance(section, Mapping) or section.get("preset") is None:
            return tree
        from pdray.training.presets import with_preset  # few fits name one

        return with_preset(tree)

    @model_validator(mode="after")
    def _fits_the_model(self) -> Self:
        """Refuse inputs that the model does not take, and settings without effect."""
        rules = (_modality_faults, _idle_faults, self.entry.checks, _sound_faults, _segment_faults)
        for rule in rules:  # a later rule may rely on the checks of an earlier one
            faults = rule(self)
            if faults:
                raise ValueError("; ".join(faults))
        return self


def _modality_faults(config: FitConfig) -> list[str]:
    sees = named(config.entry.sees)
    if config.modality in sees or (is_table(config.modality) and FEATURES in sees):
        return []
    right = " or ".join([", ".join(sees[:-1]), sees[-1]] if len(sees) > 1 else sees)
    return [f"modality: got '{config.modality}'; {config.model.name} needs {right}"]


def _idle_faults(config: FitConfig) -> list[str]:
    """List the changed sections that the model does not use."""
    entry, name = config.entry, config.model.name
    faults = []
    for section, field in FitConfig.model_fields.items():
        if section in (*_OF_ALL, *entry.sections):
            continue
        default = field.get_default()
        used = [one for one in entry.sections if one.startswith(f"{section}.")]
        for one in used:
            key, _, value = one.partition(".")[2].partition("=")
            right = json.loads(value) if value else getattr(getattr(config, section), key)
            default = default.model_copy(update={key: right})
        if getattr(config, section) != default:
            told = f", except {', '.join(used)}" if used else ""
            faults.append(f"{section}: {name} does not use it; leave it out{told}")
    if "loss" in entry.sections and not entry.beside:
        faults += [
            f"loss.{one}: {name} has no regions; leave it out"
            for one in config.loss.region_settings
        ]
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
    """Refuse a consensus over one snippet, which would have no effect."""
    if config.segments.consensus == "none" or config.snippet.mode == "segments":
        return []
    return [
        f"segments.consensus: got '{config.segments.consensus}', but with snippet.mode "
        f"{config.snippet.mode} a recording has one snippet; set snippet.mode=segments"
    ]


def size_faults(config: FitConfig) -> list[str]:
    """List what a network cannot take of its own settings and of the snippets it will see."""
    if config.network is None:
        return []
    stored = dict(zip(("height", "width"), config.picture_size, strict=True))
    keys = {"height": "decode.height", "width": "decode.width"}
    if MODALITIES[config.sees[0]].placed_by is not None:
        keys = dict.fromkeys(keys, "portraits.size")
    wrong = augment_faults(config.augment, **stored, keys=tuple(keys.values()))
    if wrong:
        return wrong
    height, width = seen_size(config.augment, **stored)
    # With dense views, evaluation may use shorter snippets than training.
    lengths = {snippet_shape(config.snippet, training=training)[1] for training in (True, False)}
    network_faults = MODELS[config.network.name].faults
    for num_frames in sorted(lengths, reverse=True):
        wrong += network_faults(config.network, num_frames=num_frames, height=height, width=width)
    told = {
        "num_frames: ": "snippet.num_frames: " if len(lengths) == 1 else "snippet: num_frames: ",
        "height: ": f"{keys['height']}: " if height == stored["height"] else "crop height: ",
        "width: ": f"{keys['width']}: " if width == stored["width"] else "crop width: ",
    }
    told["model."] = f"{config.entry.network}."
    return list(dict.fromkeys(_keyed(fault, told) for fault in wrong))


def _keyed(fault: str, keys: Mapping[str, str]) -> str:
    """Replace a size in a network's fault by the name of the setting that decides it."""
    for size, key in keys.items():
        if fault.startswith(size):
            return key + fault.removeprefix(size)
    return fault
