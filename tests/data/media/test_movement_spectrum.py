import numpy as np
import pytest

from pdray.data.media.movement_spectrum import BAND_HZ, NUM_BANDS, movement_spectrum
from pdray.errors import DecodeError


def swinging(seconds: np.ndarray, hz: float = 1.6) -> np.ndarray:
    """Pictures whose brightness rises and falls ``hz`` times per second."""
    level = 100 + 50 * np.sin(2 * np.pi * hz * seconds)
    return np.broadcast_to(level[:, None, None, None], (len(seconds), 4, 4, 3)).astype(np.uint8)


def spectrum_of(seconds: np.ndarray, *, hz: float = 1.6, at_once: int = 1000) -> np.ndarray:
    frames = swinging(seconds, hz)
    pieces = [frames[i : i + at_once] for i in range(0, len(frames), at_once)]
    return movement_spectrum(pieces, seconds)


def test_it_peaks_at_twice_the_rate_of_the_movement_whatever_the_frame_rate() -> None:
    for rate in (15, 25, 30, 60):
        spectrum = spectrum_of(np.arange(4 * rate) / rate)
        assert spectrum.shape == (NUM_BANDS,)
        assert np.nanargmax(spectrum) * BAND_HZ == 3.0, rate


def test_bands_above_half_the_frame_rate_are_absent_not_zero() -> None:
    spectrum = spectrum_of(np.arange(60) / 15)
    assert np.isnan(spectrum).tolist() == [False] * 15 + [True] * 9


def test_pieces_are_joined_without_losing_the_change_between_them() -> None:
    seconds = np.arange(100) / 25
    np.testing.assert_allclose(spectrum_of(seconds, at_once=7), spectrum_of(seconds), rtol=1e-6)


def test_the_second_half_of_a_long_recording_counts() -> None:
    """An FFT of a fixed number of frames would cut it off in silence."""
    seconds = np.arange(1000) / 25
    still_then_fast = swinging(seconds, 1.6)
    still_then_fast[:500] = 100
    still = movement_spectrum([still_then_fast[:500]], seconds[:500])
    both = movement_spectrum([still_then_fast], seconds)
    assert both[6] - still[6] > 5


def test_a_longer_recording_of_the_same_movement_has_the_same_power() -> None:
    """The mean over the band of the peak: a line is spread over fewer frequencies."""
    short, long = (spectrum_of(np.arange(n) / 25, hz=1.63) for n in (200, 1600))
    assert short[6] == pytest.approx(long[6], abs=0.1)


def test_the_same_movement_has_the_same_power_at_another_frame_rate() -> None:
    slow, fast = (spectrum_of(np.arange(8 * rate) / rate, hz=1.63) for rate in (30, 60))
    assert slow[6] == pytest.approx(fast[6], abs=0.1)


def test_unequal_times_are_brought_to_equal_steps() -> None:
    """Variable frame rate: half of the recording at 50, half at 25 frames per second."""
    even = np.arange(300) / 37.5
    uneven = np.concatenate([np.arange(200) / 50, 4 + np.arange(100) / 25])
    as_even = movement_spectrum([swinging(uneven, 1.63)], even)  # its times are not used
    right = spectrum_of(even, hz=1.63)
    assert spectrum_of(uneven, hz=1.63)[6] == pytest.approx(right[6], abs=0.1)
    assert abs(as_even[6] - right[6]) > 0.5


def test_codes_of_flow_are_changes_already() -> None:
    seconds = np.arange(100) / 25
    speed = 128 + np.rint(60 * np.sin(2 * np.pi * 1.5 * seconds))
    codes = np.broadcast_to(speed[:, None, None, None], (100, 4, 4, 2)).astype(np.uint8)
    spectrum = movement_spectrum([codes], seconds, is_motion=True)
    assert spectrum.argmax() * BAND_HZ == 3.0


@pytest.mark.parametrize("seconds", [[], [0.0], [0.0, 0.04], [1.0, 1.0, 1.0]])
def test_too_few_frames_are_refused_with_their_number(seconds: list[float]) -> None:
    with pytest.raises(DecodeError, match=rf"has {len(seconds)} frame.*needs 3 at rising times"):
        movement_spectrum([swinging(np.array(seconds))], np.array(seconds))
