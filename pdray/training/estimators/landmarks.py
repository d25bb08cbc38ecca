"""Estimators on landmarks: the description of a recording for each, and how each is built."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from pdray.data.cohort.rated import RatedRecording
from pdray.data.face.damping import Movement, damped, movement_amounts, split_movement
from pdray.data.face.motion import feature_columns, landmark_features
from pdray.data.face.shape import Floats, centred, chosen_frames, nose_centred
from pdray.data.media.tracks import Track
from pdray.data.store.entry import Entry
from pdray.data.tables.features import Features
from pdray.models.estimators.landmark_head import build_landmark_head
from pdray.models.estimators.landmark_mlp import build_landmark_mlp
from pdray.models.estimators.landmark_settings import (
    LandmarkChoiceConfig,
    LandmarkHeadConfig,
    LandmarkMlpConfig,
)
from pdray.training.estimators.fit import Learner, Parts
from pdray.training.estimators.landmark_augment import AugmentedLearner, Face
from pdray.training.estimators.landmark_choice import LandmarkChoice
from pdray.training.estimators.network_in_memory import NetworkLearner
from pdray.training.frozen.keep import HELD
from pdray.training.settings import FitConfig


def describe_head(recording: RatedRecording, config: FitConfig) -> NDArray[np.float64] | Face:
    """Return the (D,) chosen features of a recording, NaN where absent.

    Raises:
        DecodeError: If its landmarks cannot be described; without the recording's id.
        SettingsError: If a group of features does not exist.
    """
    path = _stored(recording)
    features = motion_features(path)
    columns = feature_columns(features.names, config.landmarks)

    def again(factors: Floats) -> NDArray[np.float64]:
        track = _track(path)
        points = damped(split_movement(track), factors).astype(np.float32)
        return landmark_features(replace(track, points=points)).values[columns]

    return _described(features.values[columns], recording, config, again)


def describe_choice(recording: RatedRecording, config: FitConfig) -> Features:
    """Return all named features of a recording; raises the errors of :func:`describe_head`."""
    return motion_features(_stored(recording))


def describe_frames(recording: RatedRecording, config: FitConfig) -> NDArray[np.float64] | Face:
    """Return (F, P, 2) nose-centred landmarks; raises the errors of :func:`describe_head`."""
    model = cast(LandmarkMlpConfig, config.model)
    path = _stored(recording)
    if config.landmark_augment.kind == "damp":
        movement = _chosen_movement(path, model.num_frames)

    def again(factors: Floats) -> NDArray[np.float64]:
        return centred(damped(movement, factors), model.unit).astype(np.float64)

    frames = centred_frames(path, model.num_frames, model.unit)
    return _described(frames, recording, config, again)


def _described(
    numbers: NDArray[np.float64],
    recording: RatedRecording,
    config: FitConfig,
    again: Callable[[Floats], NDArray[np.float64]],
) -> NDArray[np.float64] | Face:
    """Return the description, with what augmentation needs where it is asked for."""
    kind = config.landmark_augment.kind
    if kind == "none":
        return numbers
    amounts = _amounts(_stored(recording)) if kind == "damp" else np.empty(0)
    return Face(numbers, amounts, again, is_made=bool(recording.carries))


def build_head(config: FitConfig, *, num_classes: int, seed: int) -> Learner:
    """Build the head that learns from the features of :func:`describe_head`."""
    model = cast(LandmarkHeadConfig, config.model)
    head = build_landmark_head(model, num_classes, seed=seed)
    return _augmented(head, config, num_classes=num_classes, seed=seed)


def build_choice(config: FitConfig, *, num_classes: int, seed: int) -> LandmarkChoice:
    """Build the estimator that learns from the features of :func:`describe_choice`."""
    model = cast(LandmarkChoiceConfig, config.model)
    return LandmarkChoice(model, num_classes=num_classes, seed=seed)


def build_network(config: FitConfig, *, num_classes: int, seed: int) -> Learner:
    """Build the network of YouTubePD on landmarks; coordinates are not scaled."""
    model = cast(LandmarkMlpConfig, config.model)
    network = NetworkLearner(
        lambda _: build_landmark_mlp(model, num_classes), model, seed=seed, scales="nothing"
    )
    return _augmented(network, config, num_classes=num_classes, seed=seed)


def _augmented(inner: Learner, config: FitConfig, *, num_classes: int, seed: int) -> Learner:
    augment = config.landmark_augment
    if augment.kind == "none":
        return inner
    return AugmentedLearner(inner, augment, num_classes=num_classes, seed=seed)


def _stored(recording: RatedRecording) -> Path:
    assert recording.stored is not None, "checked before"
    return recording.stored["landmarks"]


@lru_cache(maxsize=HELD)
def motion_features(path: Path) -> Features:
    """Return all named features of the landmarks of an entry."""
    return landmark_features(_track(path))


@lru_cache(maxsize=HELD)
def centred_frames(
    path: Path, num_frames: int, unit: Literal["pixels", "eyes"]
) -> NDArray[np.float64]:
    """Return (F, 106, 2) nose-centred landmarks of an entry; see :func:`nose_centred`."""
    return nose_centred(_track(path), num_frames=num_frames, unit=unit).astype(np.float64)


@lru_cache(maxsize=HELD)
def _amounts(path: Path) -> Floats:
    return movement_amounts(split_movement(_track(path)))


@lru_cache(maxsize=HELD)
def _chosen_movement(path: Path, num_frames: int) -> Movement:
    track = _track(path)
    return split_movement(track).of(chosen_frames(track, num_frames))


def _track(path: Path) -> Track:
    entry = Entry(path)
    points = entry.read(np.arange(len(entry)))
    # The picture size is not used: features are relative to the face.
    return Track(points, entry.seconds, (1.0, 1.0))


HEAD = Parts(describe_head, build_head)
CHOICE = Parts(describe_choice, build_choice)
NETWORK = Parts(describe_frames, build_network)
