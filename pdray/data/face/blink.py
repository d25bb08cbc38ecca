"""Blinks in the openness of the eyes, and rhythm in any measure of a face.

A blink is a run of frames, at most 0.8 s long, in which the openness of the eyes is below three
quarters of its usual value (the upper quartile of the recording). Longer closures only count as
closed time. At 10 frames per second a blink (0.1 to 0.4 s) has one to four frames: depth and
duration are rough, the rate is not. Parkinson's disease makes blinks rarer (Karson et al. 1984,
Ann. Neurol. 12:580; MDS-UPDRS 3.2).
"""

import numpy as np
import numpy.typing as npt

from pdray.data.face.shape import Floats

BLINK_NAMES = (
    "rate_per_minute", "depth", "duration_seconds", "duration_variation", "interval_variation",
    "closed_share",
)  # fmt: skip
RHYTHM_NAMES = ("centroid_hz", "share_above_2hz")
_OPEN = 0.75  # share of the usual openness; below it an eye is closing
_LONGEST = 0.8  # longest blink [s]
_LEAST_SECONDS = 2.0  # visible eyes [s] that a rate needs
_LEAST_RHYTHM = 3.0  # uninterrupted time [s] that distinguishes 0.4 Hz from drift
_BAND = (0.4, 4.5)  # [Hz]; 10 frames per second show nothing faster
_FAST = 2.0  # [Hz]


def blink_dynamics(
    openness: Floats, seconds: Floats, run: npt.NDArray[np.int64]
) -> dict[str, float]:
    """Describe the blinks of a recording.

    Args:
        openness: (N,) openness of the eyes, NaN where absent.
        seconds: (N,) rising.
        run: (N,) as in :class:`pdray.data.face.shape.Shapes`; a blink ends with its run.

    Returns:
        Each of BLINK_NAMES: blinks per minute of visible eyes; largest loss of openness as a share
        of the usual one; mean duration; its coefficient of variation (at least 2 blinks), and that
        of the times between blinks (at least 3, within runs); share of closed frames. NaN if there
        are too few blinks; all NaN below 2 s of visible eyes.
    """
    there = ~np.isnan(openness)
    interval = float(np.median(np.diff(seconds))) if len(seconds) > 1 else np.nan
    seen = float(there.sum()) * interval
    usual = float(np.percentile(openness[there], 75)) if there.any() else 0.0
    if not seen >= _LEAST_SECONDS or usual <= 0:
        return dict.fromkeys(BLINK_NAMES, np.nan)
    is_closed = there & (np.where(there, openness, np.inf) < _OPEN * usual)
    blinks = [one for one in _stretches(is_closed, run) if len(one) * interval <= _LONGEST]
    durations = np.array([len(one) for one in blinks]) * interval
    return {
        "rate_per_minute": len(blinks) / seen * 60,
        "depth": 1 - float(np.percentile(openness[there], 2)) / usual,
        "duration_seconds": float(durations.mean()) if len(blinks) else np.nan,
        "duration_variation": _variation(durations),
        "interval_variation": _variation(_intervals(blinks, seconds, run)),
        "closed_share": float(is_closed.sum() / there.sum()),
    }


def rhythm(values: Floats, seconds: Floats, run: npt.NDArray[np.int64]) -> dict[str, float]:
    """Describe the power spectrum of a measure between 0.4 and 4.5 Hz.

    Args:
        values: (N,) values of a measure, NaN where absent.
        seconds: (N,) rising.
        run: (N,) as in :class:`pdray.data.face.shape.Shapes`.

    Returns:
        Each of RHYTHM_NAMES, for the longest uninterrupted stretch after its linear trend is
        removed (periodogram with a Hann window): the mean frequency weighted by power, and the
        share of power above 2 Hz. NaN if the stretch is below 3 s, has too few frames per second
        for 4.5 Hz, or does not change.
    """
    nothing = dict.fromkeys(RHYTHM_NAMES, np.nan)
    longest = max(_stretches(~np.isnan(values), run), key=len, default=np.zeros(0, np.int64))
    if len(longest) < 2:
        return nothing
    interval = float(seconds[longest[-1]] - seconds[longest[0]]) / (len(longest) - 1)
    # With rounded times, half of 10 frames per second may be slightly below 5 Hz.
    if len(longest) * interval < _LEAST_RHYTHM or 0.5 / interval < _BAND[1]:
        return nothing
    place = np.linspace(-1, 1, len(longest))
    line = np.polynomial.Polynomial.fit(place, values[longest], 1)
    rest = (values[longest] - line(place)) * np.hanning(len(longest))
    power = np.abs(np.fft.rfft(rest)) ** 2
    hertz = np.fft.rfftfreq(len(longest), interval)
    inside = (hertz >= _BAND[0]) & (hertz <= _BAND[1])
    total = float(power[inside].sum())
    if total <= 1e-20 * max(1.0, float(np.abs(values[longest]).max()) ** 2):
        return nothing
    return {
        "centroid_hz": float((hertz * power)[inside].sum()) / total,
        "share_above_2hz": float(power[inside & (hertz > _FAST)].sum()) / total,
    }


def _stretches(
    is_in: npt.NDArray[np.bool_], run: npt.NDArray[np.int64]
) -> list[npt.NDArray[np.int64]]:
    """Return the frames of each uninterrupted stretch of marked frames within one run."""
    frames = np.flatnonzero(is_in)
    if not len(frames):
        return []
    is_new = (np.diff(frames) > 1) | (np.diff(run[frames]) > 0)
    return np.split(frames, np.flatnonzero(is_new) + 1)


def _intervals(
    blinks: list[npt.NDArray[np.int64]], seconds: Floats, run: npt.NDArray[np.int64]
) -> Floats:
    """Return the times between the starts of consecutive blinks in the same run [s]."""
    starts = np.array([one[0] for one in blinks], np.int64)
    same: npt.NDArray[np.bool_] = np.diff(run[starts]) == 0
    between: Floats = np.diff(seconds[starts])[same]
    return between


def _variation(values: Floats) -> float:
    """Return the coefficient of variation (population), NaN for fewer than two values."""
    if len(values) < 2:
        return float("nan")
    return float(values.std() / values.mean())
