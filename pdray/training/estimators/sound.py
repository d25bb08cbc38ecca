"""What the network on sound sees of a recording, and how it is fitted."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from pdray.data.cohort.rated import RatedRecording
from pdray.data.media.sound_statistics import sound_statistics
from pdray.data.modalities import Modality
from pdray.data.store.entry import Entry
from pdray.models.estimators.audio_mlp import build_audio_mlp
from pdray.models.estimators.audio_mlp_settings import AudioMlpConfig
from pdray.training.estimators.fit import Parts
from pdray.training.estimators.network_in_memory import ScaledNetwork
from pdray.training.frozen.keep import keep_frozen
from pdray.training.frozen.sound import open_embedding
from pdray.training.settings import FitConfig

_HELD = 4096  # recordings whose description a process keeps, a few kilobytes each


def describe_sound(recording: RatedRecording, config: FitConfig) -> NDArray[np.float64]:
    """Return what the network on sound sees of a recording.

    Returns:
        (D,) statistics of log_mel or mfcc, or the mean embedding of a waveform.

    Raises:
        DecodeError: If its sound is too short or not finite.
        SettingsError: If an embedding is needed and cannot be loaded.
    """
    return sound_vector(recording, config.modality, config)


def sound_vector(
    recording: RatedRecording, modality: Modality | Any, config: FitConfig
) -> NDArray[np.float64]:
    """Return the vector of one modality of sound; see :func:`describe_sound`."""
    assert recording.stored is not None, "checked before"
    if modality == "waveform":
        return _vector(keep_frozen(open_embedding(config.embedding), recording))
    return _statistics(recording.stored[modality])


class AudioEstimator:
    """The network on sound, told of recordings one by one.

    Args:
        config: Settings of a fit whose model is ``audio_mlp``.
        num_classes: Classes K, at least 2; 0 is healthy.
        seed: Of all randomness.
    """

    def __init__(self, config: FitConfig, *, num_classes: int, seed: int) -> None:
        model = config.model
        assert isinstance(model, AudioMlpConfig), "the only one on sound alone"
        self.told: dict[str, float] = {}
        self.fitted = ScaledNetwork(
            lambda shape: build_audio_mlp(model, num_inputs=shape[0], num_classes=num_classes),
            model,
            seed=seed,
        )

    def fit(self, x: Sequence[Any], y: NDArray[np.int64], subjects: Sequence[str]) -> Self:
        """Learn from N vectors of D numbers and their (N,) classes.

        Raises:
            DivergedError: If the loss is not finite.
        """
        self.fitted.fit(np.stack(x), y)
        return self

    def predict_proba(self, x: Sequence[Any]) -> NDArray[np.float64]:
        """Return (N, K) probabilities of N vectors."""
        shares: NDArray[np.float64] = softmax(self.fitted.logits(np.stack(x)), axis=1)
        return shares


@lru_cache(maxsize=_HELD)
def _statistics(path: Path) -> NDArray[np.float64]:
    entry = Entry(path)
    return sound_statistics(entry.read(np.arange(len(entry)))).values


@lru_cache(maxsize=_HELD)
def _vector(path: Path) -> NDArray[np.float64]:
    vector: NDArray[np.float64] = Entry(path).read(np.arange(1))[0].astype(np.float64)
    return vector


PARTS = Parts(describe_sound, AudioEstimator)
