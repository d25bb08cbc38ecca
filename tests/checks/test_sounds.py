import numpy as np

from pdray.checks.copies import matches, prepare
from pdray.checks.sounds import sound_numbers

TIME = np.arange(32000) / 16000


def speech(seed: int) -> np.ndarray:
    """Return noise whose bands come and go."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal((20, 1600)), axis=1)
    loud = rng.uniform(0.02, 1, (20, 10)).repeat(81, axis=1)[:, : spectrum.shape[1]]
    return np.fft.irfft(spectrum * loud, axis=1).ravel() / 10


def int16(sound: np.ndarray) -> np.ndarray:
    return (sound * 8000).clip(-32768, 32767).astype(np.int16)


def test_a_faint_tone_that_never_ends_is_seen_in_its_band_alone() -> None:
    tone = 0.02 * np.sin(2 * np.pi * 5200 * TIME)
    assert not sound_numbers(int16(speech(0)))["tones"].any()
    assert np.flatnonzero(sound_numbers(int16(speech(0) + tone))["tones"]).tolist() == [10]
    stops = tone * (TIME < 1.5)
    assert not sound_numbers(int16(speech(0) + stops))["tones"].any()


def test_a_quieter_and_later_copy_of_a_sound_is_alike_and_another_sound_is_not() -> None:
    courses = [sound_numbers(int16(one))["sound_course"] for one in
               (speech(0), 0.5 * speech(0)[4800:], speech(1))]  # fmt: skip
    prepared = prepare(courses, courses[0].shape[1])
    copy, other = matches(prepared.of([0]), prepared.of([1, 2]), mirrors=False)
    assert copy.likeness > 0.95
    assert copy.shift == -15
    assert other.likeness < 0.7
