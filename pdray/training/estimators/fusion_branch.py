"""One branch of a fusion: the description of a recording, and the model that classifies it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pdray.data.batches.plan import derive_seed
from pdray.data.cohort.rated import RatedRecording
from pdray.data.modalities import is_table
from pdray.errors import DecodeError, DivergedError, FoldsError
from pdray.models.estimators.audio_mlp import AudioMlp
from pdray.models.estimators.feature_settings import FeatureHeadConfig
from pdray.models.estimators.fusion import FrameLinear
from pdray.models.estimators.fusion_settings import FusionConfig
from pdray.models.estimators.landmark_mlp import LandmarkMlp
from pdray.training.estimators.feature_choice import FeatureChoice
from pdray.training.estimators.feature_head import FeatureHead
from pdray.training.estimators.landmarks import centred_frames, motion_features
from pdray.training.estimators.network_in_memory import NetworkLearner
from pdray.training.estimators.sound import sound_vector
from pdray.training.frozen.frame_features import describe_frames, frame_vectors, open_features
from pdray.training.frozen.keep import read_features
from pdray.training.settings import FitConfig

_LEAST = 1e-12  # probability of a class that is absent from training
Seen = dict[str, Any]
"""Description of a recording for each branch, without the modalities that it lacks."""


def describe_fusion(recording: RatedRecording, config: FitConfig) -> Seen:
    """Return the description of a recording for each branch whose modality it has.

    Returns:
        For rgb (F, D) features of frames, for landmarks (F, 106, 2) nose-centred points or
        features of motion, for sound (D,) numbers, for tables their features.

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
        elif is_table(name):
            found[name] = read_features(stored[name])
        elif model.has_head(name):
            found[name] = motion_features(stored[name])
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

    def fit(self, x: list[Seen], y: NDArray[np.int64], subjects: Sequence[str] = ()) -> Self:
        """Learn from those of N recordings that have the modality.

        Args:
            x: Descriptions.
            y: (N,) class, 0 to K-1.
            subjects: Subject of each recording, for a choice by inner folds.

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
    """Build the model of a branch that is not fitted yet; arguments as of its class."""
    made = BranchHead if config.has_head(name) else BranchNetwork
    return made(name, config, num_classes=num_classes, seed=seed)


class BranchHead:
    """The classifier of a branch with named features; its logits are log probabilities.

    Args:
        name: The modality.
        config: Settings.
        num_classes: Classes K, at least 2; 0 is healthy.
        seed: Seed of the classifier, and of the inner folds of a choice.
    """

    def __init__(self, name: str, config: FusionConfig, *, num_classes: int, seed: int) -> None:
        self.name, self.num_classes = name, num_classes
        given = {"num_classes": num_classes, "seed": derive_seed(seed, name) % 2**32}
        head = config.head
        self.learner: FeatureHead | FeatureChoice = (
            FeatureHead(head, **given)
            if isinstance(head, FeatureHeadConfig)
            else FeatureChoice(head, **given)
        )

    def fit(self, x: list[Seen], y: NDArray[np.int64], subjects: Sequence[str] = ()) -> Self:
        """Learn as :meth:`Branch.fit`.

        Raises:
            DecodeError: If recordings have different features; names the modality.
        """
        has = _having(self.name, x)
        with _named(self.name):
            people = [subjects[number] for number in has] if len(subjects) else []
            self.learner.fit([x[number][self.name] for number in has], y[has], people)
        return self

    def logits(self, x: list[Seen]) -> NDArray[np.float64]:
        """Return (N, K) logarithms of probabilities, NaN where the modality is absent."""
        found = np.full((len(x), self.num_classes), np.nan)
        has = [number for number, one in enumerate(x) if self.name in one]
        if has:
            with _named(self.name):
                shares = self.learner.predict_proba([x[number][self.name] for number in has])
            found[has] = np.log(shares.clip(_LEAST))
        return found


@contextmanager
def _named(branch: str) -> Iterator[None]:
    """Name the branch in errors."""
    try:
        yield
    except (DecodeError, DivergedError, FoldsError) as error:
        raise type(error)(f"branch {branch}, {error}") from error


def _having(name: str, x: list[Seen]) -> list[int]:
    """Return the positions of the training recordings that have a modality.

    Raises:
        FoldsError: If none has it.
    """
    has = [number for number, one in enumerate(x) if name in one]
    if not has:
        raise FoldsError(
            f"none of the {len(x)} training recordings has {name}; remove it from model.branches"
        )
    return has


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

    def fit(self, x: list[Seen], y: NDArray[np.int64], subjects: Sequence[str] = ()) -> Self:
        """Learn as :meth:`Branch.fit`."""
        has = _having(self.name, x)
        with _named(self.name):
            self.fitted.fit([x[number][self.name] for number in has], y[has])
        return self

    def logits(self, x: list[Seen]) -> NDArray[np.float64]:
        """Return (N, K) logits as :meth:`Branch.logits`."""
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
