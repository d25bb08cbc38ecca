"""The estimator on sound: the description of a recording, and how the network is built."""

from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pdray.data.cohort.rated import RatedRecording
from pdray.data.media.sound_statistics import sound_statistics
from pdray.data.modalities import EMBEDDED, Modality
from pdray.data.store.entry import Entry
from pdray.models.estimators.audio_mlp import build_audio_mlp
from pdray.models.estimators.audio_mlp_settings import AudioMlpConfig
from pdray.training.estimators.fit import Parts
from pdray.training.estimators.network_in_memory import NetworkLearner
from pdray.training.frozen.keep import HELD, keep_frozen, read_vector
from pdray.training.frozen.sound import open_embedding
from pdray.training.settings import FitConfig


def describe_sound(recording: RatedRecording, config: FitConfig) -> NDArray[np.float64]:
    """Return the description of a recording's sound.

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
    if modality in EMBEDDED:
        return read_vector(keep_frozen(open_embedding(config.embedding), recording))
    return _statistics(recording.stored[modality])


def build_sound(config: FitConfig, *, num_classes: int, seed: int) -> NetworkLearner:
    """Build the network on vectors of :func:`describe_sound`, which standardises them."""
    model = cast(AudioMlpConfig, config.model)
    return NetworkLearner(
        lambda shape: build_audio_mlp(model, num_inputs=shape[0], num_classes=num_classes),
        model,
        seed=seed,
    )


@lru_cache(maxsize=HELD)
def _statistics(path: Path) -> NDArray[np.float64]:
    entry = Entry(path)
    return sound_statistics(entry.read(np.arange(len(entry)))).values


PARTS = Parts(describe_sound, build_sound)
