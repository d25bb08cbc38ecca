from itertools import pairwise

import librosa
import numpy as np
import pytest

from pdray.demo.face.voice import SAMPLE_RATE, draw_voice

SECONDS = 4.5


def voice(grade: int, seed: int, pitch_hz: float = 150.0) -> np.ndarray:
    return draw_voice(grade, pitch_hz, np.random.default_rng([seed, grade]), seconds=SECONDS)


def pitch_semitones(sound: np.ndarray) -> np.ndarray:
    """Pitch of the frames that are loud enough to be voiced, in semitones above 1 Hz."""
    window = {"frame_length": 1024, "hop_length": 512}
    f0 = librosa.yin(sound, fmin=70, fmax=400, sr=SAMPLE_RATE, **window)
    loudness = librosa.feature.rms(y=sound, **window)[0]
    return 12 * np.log2(f0[loudness > 0.3 * loudness.max()])


def test_pitch_range_shrinks_with_the_grade() -> None:
    def pitch_range(grade: int) -> float:
        pitches = [pitch_semitones(voice(grade, seed)) for seed in range(8)]
        return float(np.mean([np.ptp(np.percentile(one, [5, 95])) for one in pitches]))

    ranges = [pitch_range(grade) for grade in range(5)]
    assert all(milder > worse for milder, worse in pairwise(ranges))
    assert ranges[0] > 3 * ranges[4]


def test_pauses_grow_with_the_grade() -> None:
    def silent(grade: int) -> float:
        loudness = [librosa.feature.rms(y=voice(grade, seed))[0] for seed in range(8)]
        return float(np.mean([(one < 0.1 * one.max()).mean() for one in loudness]))

    assert silent(0) < silent(2) < silent(4)


@pytest.mark.parametrize("pitch_hz", [110.0, 210.0])
def test_the_speaker_keeps_the_pitch_asked_for(pitch_hz: float) -> None:
    sound = voice(4, 0, pitch_hz)
    assert abs(np.median(pitch_semitones(sound)) - 12 * np.log2(pitch_hz)) < 1.5


def test_samples_are_in_range_and_as_many_as_asked() -> None:
    sound = voice(1, 0)
    assert sound.shape == (round(SECONDS * SAMPLE_RATE),)
    assert sound.dtype == np.float32
    assert 0.3 < np.abs(sound).max() <= 1
    assert np.array_equal(sound, voice(1, 0))
