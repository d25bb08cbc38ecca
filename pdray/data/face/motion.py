"""Landmark features of a recording: named numbers of how much and how fast the face moves.

Parkinson's disease makes faces and heads move less (hypomimia and bradykinesia: MDS-UPDRS 3.2 and
3.14). So the main feature is the *change* of each measure of :mod:`pdray.data.face.measures` over a
lag: the natural logarithm of its mean absolute difference between frames that are 0.1 to 2 s apart
and in the same run (no cut between them). Unlike a range, it does not grow with the length of the
recording and does not need one uninterrupted stretch. It works at any frame rate, since frames are
paired by their times. Change over the shortest lag is speed, over the longest amplitude.

Nothing here is learnt: each recording is described by itself. The length of the recording, the
size of the face in the picture, the number of cuts and the jitter of the detector are left out on
purpose, since they show where a recording was collected. An unknown number is NaN, never zero.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pdray.data.face.blink import BLINK_NAMES, RHYTHM_NAMES, blink_dynamics, rhythm
from pdray.data.face.measures import SIDES, face_measures
from pdray.data.face.points import REGIONS, VERTICES, place_corners
from pdray.data.face.settings import LandmarkFeatureConfig
from pdray.data.face.shape import GROUPS, Floats, Shapes, align_frames
from pdray.data.media.tracks import Track
from pdray.data.tables.features import Features
from pdray.errors import SettingsError, refuse

_CHANGING: dict[str, tuple[str, ...]] = {
    "head": ("roll", "yaw", "pitch"),
    "eyes": ("eye_openness",),
    "gaze": ("gaze_x", "gaze_y"),
    "brows": ("brow_height", "brow_distance"),
    "mouth": ("mouth_opening", "mouth_width", "corner_height", "jaw_drop"),
}
_RHYTHMIC = ("roll", "yaw", "pitch", "brow_height", "mouth_opening")
_TWO_SIDED = ("eye_openness", "brow_height", "corner_height")
_LEVELS = ("eye_openness", "brow_height", "brow_distance", "mouth_opening", "mouth_width",
           "mouth_height", "corner_height", "jaw_drop")  # fmt: skip
LAGS = (0.1, 0.2, 0.5, 1.0, 2.0)  # [s]
_PART_LAGS = (0.2, 1.0)
_SLACK = 0.4  # largest deviation of a pair from its lag, as a share of the lag (15 Hz needs 1/3)
_ROUNDING_SECONDS = 1e-3  # times in files are rounded
_LEAST_PAIRS = 5
# A tenth of the effect of rounding to whole pixels, with 100 px between the eyes.
_FLOOR = 1e-4


def landmark_features(track: Track) -> Features:
    """Describe a recording by its landmarks.

    Args:
        track: Landmarks of the whole recording, at any rate; changes over lags shorter than its
            interval are NaN.

    Returns:
        Its features, named ``group.name``. ``change`` is a logarithm, at least log(1e-4), in
        distances between the eyes (radians for roll, a ratio for eye_openness and pitch).

    Raises:
        DecodeError: As :func:`pdray.data.face.shape.align_frames`.
    """
    shapes = align_frames(track)
    measures = face_measures(shapes)
    pairs = {lag: lagged_pairs(shapes, lag) for lag in LAGS}
    described: dict[str, float] = {}
    for group, names in _CHANGING.items():
        for name in names:
            described |= _changes(f"{group}.{name}", measures[name][:, None], pairs, LAGS)
    for name, numbers in GROUPS.items():
        described |= _changes(f"parts.{name}", _flat(shapes.points[:, numbers]), pairs, _PART_LAGS)
    for name, centres in zip(REGIONS, _region_centres(shapes), strict=True):
        key = f"regions.{name.replace(' ', '_')}"
        described |= _changes(key, centres, pairs, _PART_LAGS)
    blinks = blink_dynamics(measures["eye_openness"], shapes.seconds, shapes.run)
    described |= {f"blink.{name}": blinks[name] for name in BLINK_NAMES}
    for name in _RHYTHMIC:
        found = rhythm(measures[name], shapes.seconds, shapes.run)
        described |= {f"rhythm.{name}_{kind}": found[kind] for kind in RHYTHM_NAMES}
    for name in _TWO_SIDED:
        left, right = (measures[f"{side}_{name}"] for side in SIDES)
        described[f"asymmetry.{name}_difference"] = _middle(np.abs(left - right))
        described[f"asymmetry.{name}_coupling"] = _coupling(left, right, pairs[0.2])
    described |= {f"shape.{name}": _middle(measures[name]) for name in _LEVELS}
    return Features(tuple(described), np.array(list(described.values()), np.float64))


def feature_columns(names: Sequence[str], config: LandmarkFeatureConfig) -> npt.NDArray[np.int64]:
    """Return the columns of the features that the settings choose.

    Raises:
        SettingsError: If a group has no feature among the names.
    """
    wanted = config.groups.split("+")
    groups = [name.split(".")[0] for name in names]
    refuse(
        [
            f"landmarks.groups: none of {len(names)} features is in the group {one}; remove it"
            for one in wanted
            if one not in groups
        ],
        SettingsError,
        "features cannot be chosen",
    )
    return np.flatnonzero(np.isin(groups, wanted))


def lagged_pairs(shapes: Shapes, lag: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the earlier and the later frames of all pairs that are a lag [s] apart.

    Each frame is paired with the one whose distance in time is nearest to the lag. Pairs are
    dropped if they differ from the lag by more than half the usual interval or two fifths of the
    lag, or if they are in two runs.
    """
    seconds = shapes.seconds
    interval = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
    wanted = seconds + lag
    after = np.minimum(np.searchsorted(seconds, wanted), len(seconds) - 1)
    before = np.maximum(after - 1, 0)
    is_before = wanted - seconds[before] < seconds[after] - wanted
    later = np.where(is_before, before, after)
    earlier = np.arange(len(seconds))
    near = np.abs(seconds[later] - wanted) <= min(_SLACK * lag, interval / 2 + _ROUNDING_SECONDS)
    near &= shapes.run[later] == shapes.run
    return earlier[near], later[near]


def _changes(
    key: str,
    values: Floats,
    pairs: dict[float, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
    lags: Sequence[float],
) -> dict[str, float]:
    """Return the logarithm of the mean change of (N, V) values over each lag.

    The change of several values is their root mean square.
    """
    described = {}
    for lag in lags:
        earlier, later = pairs[lag]
        change = np.sqrt(((values[later] - values[earlier]) ** 2).mean(axis=1))
        change = change[~np.isnan(change)]
        enough = len(change) >= _LEAST_PAIRS
        described[f"{key}_change_{lag:g}s"] = (
            float(np.log(max(change.mean(), _FLOOR))) if enough else np.nan
        )
    return described


def _flat(points: Floats) -> Floats:
    return points.reshape(len(points), -1)


def _region_centres(shapes: Shapes) -> list[Floats]:
    """Return (N, 2) the mean corner of each of the 14 regions, placed by the landmarks."""
    corners = place_corners(shapes.points)
    starts = np.concatenate([[0], np.cumsum(VERTICES)[:-1]])
    centres = np.add.reduceat(corners, starts, axis=1) / VERTICES[None, :, None]
    return [centres[:, number] for number in range(len(VERTICES))]


def _middle(values: Floats) -> float:
    there = values[~np.isnan(values)]
    return float(np.median(there)) if len(there) else float("nan")


def _coupling(
    left: Floats, right: Floats, pairs: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
) -> float:
    """Return the correlation between the changes of both sides, NaN if one hardly changes."""
    earlier, later = pairs
    both = np.stack([left[later] - left[earlier], right[later] - right[earlier]])
    both = both[:, ~np.isnan(both).any(axis=0)]
    if both.shape[1] < _LEAST_PAIRS or (both.std(axis=1) < _FLOOR).any():
        return float("nan")
    return float(np.corrcoef(both[0], both[1])[0, 1])
