"""The rhythm of a recording: how strongly its pictures change, by frequency, without any shape.

The change between two frames is the mean absolute difference of their pixels (frame differencing,
Jain and Nagel 1979). Its power spectrum (periodogram, Schuster 1898) shows how fast and how strong
a repeated movement is, which finger tapping, gait and tremor are graded by (MDS-UPDRS 3.4 to 3.17);
a movement to and fro changes the picture at twice its own rate.

The whole recording counts, whatever its length: a power is divided by the time, so that a longer
recording of the same movement has the same spectrum. Frames at unequal times are brought to equal
steps. A frame rate shows nothing above half of it: these bands are NaN, never 0.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pdray.data.media.flow import ZERO_CODE
from pdray.errors import DecodeError

BAND_HZ = 0.5
HIGHEST_HZ = 12.0  # tremor is slower; video at 25 frames per second shows nothing faster
NUM_BANDS = round(HIGHEST_HZ / BAND_HZ)
_FLOOR = 0.0025  # [(grey levels/s)^2/Hz], far below the noise of a still picture
_FINEST_HZ = 0.1  # largest step between frequencies: five in each band
_LEAST_FRAMES = 3

Floats = NDArray[np.float64]


def movement_spectrum(
    pieces: Iterable[NDArray[np.uint8]], seconds: Floats, *, is_motion: bool = False
) -> Floats:
    """Return the log power of movement in bands of ``BAND_HZ``.

    Args:
        pieces: The pictures of a whole recording in order, some at once: (n, H, W, C).
        seconds: (N,) time of each picture, never falling.
        is_motion: The pictures are codes of optical flow or motion boundaries, which are changes
            already: their mean distance from zero takes the place of the difference of two frames.

    Returns:
        (NUM_BANDS,) natural log of the power density [(grey levels/s)^2/Hz]; NaN in bands that the
        frame rate cannot show.

    Raises:
        DecodeError: If there are fewer than three pictures, or they span no time.
    """
    if len(seconds) < _LEAST_FRAMES or seconds[-1] <= seconds[0]:
        span = seconds[-1] - seconds[0] if len(seconds) else 0.0
        raise DecodeError(
            f"has {len(seconds)} frame(s) in {span:.2f} s; a spectrum of movement needs "
            f"{_LEAST_FRAMES} at rising times: leave this recording out, or give a longer one"
        )
    if is_motion:  # the last field has no next frame; take it to last as long as the one before
        seconds = np.append(seconds, 2 * seconds[-1] - seconds[-2])
    return spectrum_of_changes(_changes(pieces, is_motion=is_motion), seconds)


def spectrum_of_changes(changes: Floats, seconds: Floats) -> Floats:
    """Return the log power of a series of changes, as :func:`movement_spectrum`.

    Args:
        changes: (N,) change from each time to the next [grey levels], at least 2.
        seconds: (N + 1,) times, never falling; the last is later than the first.
    """
    # The path is the sum of all changes so far: equal steps of it lose no change.
    path = np.concatenate([[0.0], np.cumsum(changes)])
    even = np.linspace(seconds[0], seconds[-1], len(seconds))
    rate_hz = len(changes) / (seconds[-1] - seconds[0])
    speed = np.diff(np.interp(even, seconds, path)) * rate_hz
    size = 2 ** int(np.ceil(np.log2(max(len(speed), rate_hz / _FINEST_HZ))))
    power = np.abs(np.fft.rfft(speed - speed.mean(), size)) ** 2 / (len(speed) * rate_hz)
    band = np.floor(np.fft.rfftfreq(size, 1 / rate_hz) / BAND_HZ + 1e-9).astype(np.int64)
    seen = min(NUM_BANDS, int(rate_hz / 2 / BAND_HZ + 1e-6))
    logs = np.full(NUM_BANDS, np.nan)
    logs[:seen] = [np.log(power[band == number].mean() + _FLOOR) for number in range(seen)]
    return logs


def _changes(pieces: Iterable[NDArray[np.uint8]], *, is_motion: bool) -> Floats:
    """Return the mean change of each step."""
    found, last = [], None
    for piece in pieces:
        items = piece.astype(np.float32)
        if is_motion:
            steps = items - ZERO_CODE
        else:
            steps = np.diff(items if last is None else np.concatenate([last, items]), axis=0)
            last = items[-1:]
        found.append(np.abs(steps).mean(axis=(1, 2, 3)))
    return np.concatenate(found).astype(np.float64)
