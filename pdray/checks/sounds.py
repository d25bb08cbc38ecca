"""Numbers of sound that no grade enters: its level, steady tones, its voice, and its course."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

from pdray.checks.pictures import RATE
from pdray.data.media.settings import SAMPLE_RATE

Floats = NDArray[np.floating]

_HOP = round(SAMPLE_RATE / RATE)
_WINDOW = 512
_BANDS = 16
_FLOOR = 1e-9  # power, below the rounding noise of 16 bits
_TONE_WINDOW = 8000  # half a second: lines every 2 Hz
_AROUND = 20  # lines on each side of one
_STANDS_OUT = 5.0  # ln of the power of a line over its neighbours
_LOUD = 60  # percentile of level above which somebody speaks
_DEPTH = 7.0  # below the loudest band, levels are taken for silence [ln power]
_PITCH_HZ = 70, 400


def sound_numbers(samples: NDArray[np.int16]) -> dict[str, Floats]:
    """Describe sound.

    Args:
        samples: (N,) int16 at 16 kHz.

    Returns:
        Empty for less than half a second. ``level``: (1,) logarithm of the greatest amplitude;
        ``tones``: (16,) by how much the strongest tone of each band of 500 Hz, which never ends,
        stands out above its neighbours [ln power], 0 below a factor of 150 (a voice, whose pitch
        moves, has less); ``voice``: (33,) mean spectrum of loud moments and the
        logarithm of their pitch; ``sound_course``: (7, T) differences between the levels of
        neighbouring bands up to 4 kHz at :data:`~pdray.checks.pictures.RATE`, which syllables of
        one rhythm do not make alike.
    """
    x = samples.astype(np.float32) / 32768
    if len(x) < _TONE_WINDOW:
        return {}
    power = _power(x, _WINDOW, _HOP)
    level = np.log(power.mean(axis=1) + _FLOOR)
    loud = level >= np.percentile(level, _LOUD)
    bands = np.log(power.reshape(len(power), 2 * _BANDS, -1).mean(axis=2) + _FLOOR)
    spectrum = bands[loud].mean(axis=0)
    course = np.log(power.reshape(len(power), _BANDS, -1).mean(axis=2) + 1e-6)[:, : _BANDS // 2]
    course = np.diff(np.maximum(course, course.max() - _DEPTH), axis=1).T
    return {
        "level": np.log([np.abs(x).max() + _FLOOR]).astype(np.float32),
        "tones": _tones(x),
        "voice": np.array([*(spectrum - spectrum.mean()), np.log(_pitch(x, loud))], np.float32),
        "sound_course": course.astype(np.float32),
    }


def _tones(x: Floats) -> Floats:
    """Return (16,) how far lines that sound all the time stand out in each band."""
    lines = np.log(_power(x, _TONE_WINDOW, _TONE_WINDOW // 4) + _FLOOR).min(axis=0)
    around = sliding_window_view(np.pad(lines, _AROUND, mode="reflect"), 2 * _AROUND + 1)
    above = (lines - np.median(around, axis=1)).reshape(_BANDS, -1).max(axis=1)
    return np.asarray(np.maximum(above - _STANDS_OUT, 0), np.float32)


def _power(x: Floats, window: int, hop: int) -> Floats:
    """Return (T, window // 2) power of each line of the spectrum, without constant pressure."""
    windows = sliding_window_view(x, window)[::hop]
    shape = np.hanning(window).astype(np.float32)
    spectrum = fft.rfft(windows * shape, axis=1)[:, 1:]
    return np.asarray(np.abs(spectrum) ** 2 / np.square(shape).sum(), np.float32)


def _pitch(x: Floats, loud: NDArray[np.bool_]) -> float:
    """Return the middle pitch of loud moments by autocorrelation [Hz]."""
    longest, shortest = (round(SAMPLE_RATE / hertz) for hertz in _PITCH_HZ)
    width = 2 * longest
    starts = np.flatnonzero(loud) * _HOP
    starts = starts[starts + width <= len(x)][:100]
    if not len(starts):
        return float(_PITCH_HZ[0])
    pieces = np.stack([x[start : start + width] for start in starts])
    pieces = pieces - pieces.mean(axis=1, keepdims=True)
    spectrum = np.abs(fft.rfft(pieces, 2 * width, axis=1)) ** 2
    likeness = fft.irfft(spectrum, axis=1)[:, shortest:longest]
    return float(SAMPLE_RATE / np.median(shortest + likeness.argmax(axis=1)))
