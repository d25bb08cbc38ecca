"""What each estimator on landmarks sees of a recording, and how it is built."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from pdray.data.cohort.rated import RatedRecording
from pdray.data.face.motion import Features, feature_columns, landmark_features
from pdray.data.face.shape import nose_centred
from pdray.data.media.tracks import Track
from pdray.data.store.entry import Entry
from pdray.models.estimators.landmark_choice import LandmarkChoiceConfig
from pdray.models.estimators.landmark_head import build_landmark_head
from pdray.models.estimators.landmark_head_settings import LandmarkHeadConfig
from pdray.models.estimators.landmark_mlp_settings import LandmarkMlpConfig
from pdray.training.estimators.fit import Parts
from pdray.training.estimators.landmark_choice import LandmarkChoice
from pdray.training.estimators.landmark_network import LandmarkNetwork
from pdray.training.settings import FitConfig

_HELD = 4096  # recordings whose description a process keeps, a kilobyte each


def describe_landmarks(recording: RatedRecording, config: FitConfig) -> NDArray[np.float64] | Any:
    """Return what the estimator of a fit sees of a recording.

    Returns:
        Of landmark_head (D,) chosen features, NaN where absent; of landmark_choice all of them,
        named; of landmark_mlp (F, P, 2) nose-centred landmarks.

    Raises:
        DecodeError: If its landmarks cannot be described; without the recording's id.
        SettingsError: If a group of features is not there.
    """
    assert recording.stored is not None, "checked before"
    path = recording.stored["landmarks"]
    if isinstance(config.model, LandmarkMlpConfig):
        return centred_frames(path, config.model.num_frames, config.model.unit)
    features = _features(path)
    if isinstance(config.model, LandmarkChoiceConfig):
        return features
    return features.values[feature_columns(features.names, config.landmarks)]


class LandmarkEstimator:
    """A head or a network on landmarks, told of recordings one by one.

    Args:
        config: Settings of a fit whose model sees landmarks.
        num_classes: Classes K, at least 2; 0 is healthy.
        seed: Of all randomness.
    """

    def __init__(self, config: FitConfig, *, num_classes: int, seed: int) -> None:
        self.config, self.num_classes, self.seed = config, num_classes, seed
        self.told: dict[str, float] = {}

    def fit(self, x: Sequence[Any], y: NDArray[np.int64], subjects: Sequence[str]) -> Self:
        """Learn from described recordings.

        Args:
            x: N descriptions of :func:`describe_landmarks`.
            y: (N,) class, 0 to K-1.
            subjects: Of each recording; what is chosen is chosen among them.

        Raises:
            DivergedError: If a loss is not finite.
            FoldsError: If there are too few subjects to choose inside them.
        """
        model = self.config.model
        given: dict[str, Any] = {"num_classes": self.num_classes, "seed": self.seed}
        self.fitted: Any
        if isinstance(model, LandmarkChoiceConfig):
            choice = LandmarkChoice(model, x[0].names, **given).fit(_stacked(x), y, subjects)
            self.told = {"fit/choice": choice.chosen, "fit/inner_score": choice.scores.max()}
            self.fitted = choice
        elif isinstance(model, LandmarkMlpConfig):
            self.fitted = LandmarkNetwork(model, **given).fit(_stacked(x), y)
        else:
            assert isinstance(model, LandmarkHeadConfig), "the only other one on landmarks"
            self.fitted = build_landmark_head(model, self.num_classes, seed=self.seed)
            self.fitted.fit(_stacked(x), y)
        return self

    def predict_proba(self, x: Sequence[Any]) -> NDArray[np.float64]:
        """Return (N, K) probabilities of N descriptions."""
        shares: NDArray[np.float64] = self.fitted.predict_proba(_stacked(x))
        return shares


def _stacked(x: Sequence[Any]) -> NDArray[np.float64]:
    return np.stack([one.values if isinstance(one, Features) else one for one in x])


@lru_cache(maxsize=_HELD)
def _features(path: Path) -> Features:
    return landmark_features(_track(path))


@lru_cache(maxsize=_HELD)
def centred_frames(
    path: Path, num_frames: int, unit: Literal["pixels", "eyes"]
) -> NDArray[np.float64]:
    """Return (F, 106, 2) nose-centred landmarks of an entry; see :func:`nose_centred`."""
    return nose_centred(_track(path), num_frames=num_frames, unit=unit).astype(np.float64)


def _track(path: Path) -> Track:
    entry = Entry(path)
    points = entry.read(np.arange(len(entry)))
    # The size of the picture says nothing here: the face is described by itself.
    return Track(points, entry.seconds, (1.0, 1.0))


PARTS = Parts(describe_landmarks, LandmarkEstimator)
