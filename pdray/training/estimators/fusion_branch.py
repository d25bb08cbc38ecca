"""One branch of a fusion: the description of a recording, and the model that classifies it."""

from typing import Any, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pdray.data.batches.plan import derive_seed
from pdray.data.cohort.rated import RatedRecording
from pdray.errors import DecodeError, DivergedError, FoldsError
from pdray.models.estimators.audio_mlp import AudioMlp
from pdray.models.estimators.fusion import FrameLinear
from pdray.models.estimators.fusion_settings import FusionConfig
from pdray.models.estimators.landmark_mlp import LandmarkMlp
from pdray.training.estimators.landmarks import centred_frames
from pdray.training.estimators.network_in_memory import NetworkLearner
from pdray.training.estimators.sound import sound_vector
from pdray.training.frozen.frame_features import describe_frames, frame_vectors, open_features
from pdray.training.settings import FitConfig

Seen = dict[str, Any]
"""Description of a recording for each branch, without the modalities that it lacks."""


def describe_fusion(recording: RatedRecording, config: FitConfig) -> Seen:
    """Return the description of a recording for each branch whose modality it has.

    Returns:
        For rgb (F, D) features of frames, for landmarks (F, 106, 2) nose-centred points, for sound
        (D,) numbers.

    Raises:
        DecodeError: If a modality cannot be described, or the recording has none.
        PdrayError: If weights cannot be read.
    """
    model, stored = cast(FusionConfig, config.model), recording.stored or {}
    found: Seen = {}
    for name in model.modalities:
        if name not in stored:
            continue
        if name == "rgb":
            frozen = open_features(
                model.backbone,
                num_frames=model.num_frames,
                weights=config.pretrained,
                pixels=config.pretrained_pixels,
            )
            found[name] = frame_vectors(recording, frozen)
        elif name == "landmarks":
            found[name] = centred_frames(stored[name], model.num_frames, model.unit)
        else:
            found[name] = sound_vector(recording, name, config)
    if not found:
        raise DecodeError(
            f"has none of {', '.join(model.modalities)}; remove it from the manifest, or add one "
            "of these"
        )
    return found


def describe_fusion_start(config: FitConfig) -> list[str]:
    """Return lines about the weights of the frozen network of rgb; empty without rgb.

    Raises:
        CheckpointError: If the weights cannot be read or do not fit the network.
    """
    if "rgb" not in config.sees:
        return []
    backbone = cast(FusionConfig, config.model).backbone
    return describe_frames(backbone, config.pretrained, config.pretrained_pixels)


class Branch(Protocol):
    """The model of one modality, which learns from the recordings that have it."""

    def fit(self, x: list[Seen], y: NDArray[np.int64]) -> Self:
        """Learn from those of N recordings that have the modality.

        Raises:
            FoldsError: If none has it.
            DivergedError: If the loss is not finite; names the modality.
        """

    def logits(self, x: list[Seen]) -> NDArray[np.float64]:
        """Return (N, K) logits, NaN for recordings without the modality.

        Raises:
            DivergedError: If another logit is not finite; names the modality.
        """


def build_branch(name: str, config: FusionConfig, *, num_classes: int, seed: int) -> Branch:
    """Build the branch of a modality; arguments as of :class:`BranchNetwork`."""
    kind = BranchNetwork
    return kind(name, config, num_classes=num_classes, seed=seed)


class BranchNetwork:
    """The network of one modality, trained on the recordings that have it.

    Args:
        name: The modality.
        config: Settings.
        num_classes: Classes K, at least 2; 0 is healthy.
        seed: Seed of the weights and of the order of the recordings.
    """

    def __init__(self, name: str, config: FusionConfig, *, num_classes: int, seed: int) -> None:
        self.name, self.config, self.num_classes = name, config, num_classes
        has_frames = name in ("rgb", "landmarks")
        self.fitted = NetworkLearner(
            self._build,
            config,
            seed=derive_seed(seed, name),
            votes=has_frames and config.has_votes,
            scales="frames" if has_frames else "numbers",
        )

    def fit(self, x: list[Seen], y: NDArray[np.int64]) -> Self:
        """Learn from those of N recordings that have the modality.

        Raises:
            FoldsError: If none has it.
            DivergedError: If the loss is not finite; names the modality.
        """
        has = [number for number, one in enumerate(x) if self.name in one]
        if not has:
            raise FoldsError(
                f"none of the {len(x)} training recordings has {self.name}; remove it from "
                "model.branches"
            )
        try:
            self.fitted.fit([x[number][self.name] for number in has], y[has])
        except DivergedError as error:
            raise DivergedError(f"branch {self.name}, {error}") from error
        return self

    def logits(self, x: list[Seen]) -> NDArray[np.float64]:
        """Return (N, K) logits, NaN for recordings without the modality.

        Raises:
            DivergedError: If another logit is not finite; names the modality.
        """
        found = np.full((len(x), self.num_classes), np.nan)
        has = [number for number, one in enumerate(x) if self.name in one]
        if has:
            found[has] = self.fitted.logits([x[number][self.name] for number in has])
            if not np.isfinite(found[has]).all():  # it would look like an absent modality
                raise DivergedError(f"branch {self.name}: a logit is not finite")
        return found

    def _build(self, shape: tuple[int, ...]) -> nn.Module:
        config = self.config
        is_voting, sizes = config.frames == "fv", {"num_classes": self.num_classes}
        if self.name == "rgb":
            return FrameLinear(
                is_voting=is_voting,
                num_frames=shape[0],
                num_inputs=shape[1],
                dropout=config.dropout,
                **sizes,
            )
        if self.name == "landmarks":
            return LandmarkMlp(
                is_voting=is_voting,
                num_frames=shape[0],
                num_points=shape[1],
                num_hidden=config.num_hidden,
                dropout=config.dropout,
                **sizes,
            )
        return AudioMlp(
            num_inputs=shape[0],
            num_hidden=config.num_hidden_sound,
            dropout=config.dropout,
            **sizes,
        )
