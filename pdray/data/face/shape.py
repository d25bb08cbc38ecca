"""Shapes of a face: its landmarks without the position, rotation and size of the head.

The face of each frame is fitted to the recording's own mean face by the similarity (translation,
rotation, scale) that moves the stable points closest: Umeyama 1991 (IEEE TPAMI 13, 376), eq. 40 to
43, which in two dimensions is one complex quotient. The mean face is the median of the recording's
frames. Nothing is learnt from other recordings, so nothing leaks between folds. The mean face is
upright, with the origin between the eyes and a distance of 1 between their middles.

:func:`nose_centred` makes the input of the landmark network of YouTubePD (section 5.2 and C.2).
"Left" and "right" are sides of the picture.
"""

from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from pdray.data.face.points import INDEX, LANDMARKS
from pdray.data.media.tracks import Track, align
from pdray.errors import DecodeError

Floats = npt.NDArray[np.float64]
Unit = Literal["pixels", "eyes"]
_CROP = 256.0  # side of the benchmark's face pictures [px]


def numbers_of(*names: str) -> npt.NDArray[np.int64]:
    """Return the positions of landmarks in LANDMARKS."""
    return np.array([INDEX[name] for name in names], np.int64)


def _starting(prefix: str) -> npt.NDArray[np.int64]:
    return numbers_of(*(name for name in LANDMARKS if name.startswith(prefix)))


GROUPS = {
    "contour": _starting("contour"),
    "left_eyebrow": _starting("left_eyebrow"),
    "right_eyebrow": _starting("right_eyebrow"),
    "left_eye": _starting("left_eye_"),
    "right_eye": _starting("right_eye_"),
    "nose": _starting("nose"),
    "mouth": _starting("mouth"),
}  # the 7 parts of YouTubePD, section 4.1
LEFT_EYE = numbers_of("left_eye_left_corner", "left_eye_right_corner")
RIGHT_EYE = numbers_of("right_eye_left_corner", "right_eye_right_corner")
NOSE_TIP = INDEX["nose_tip"]
# Points that expressions move least: corners of the eyes, bridge and wings of the nose, temples.
STABLE = numbers_of(
    "left_eye_left_corner", "left_eye_right_corner", "right_eye_left_corner",
    "right_eye_right_corner", "nose_bridge1", "nose_bridge2", "nose_bridge3", "nose_tip",
    "nose_middle_contour", "nose_left_contour1", "nose_right_contour1", "nose_left_contour2",
    "nose_right_contour2", "contour_left1", "contour_right1",
)  # fmt: skip
LEAST_STABLE = 6  # stable points that a fit needs: 12 coordinates for 4 numbers
# Rounds of fitting the frames and their median to each other. More rounds move no point of the
# median face of the benchmark's training clips by 1e-4.
_ROUNDS = 3
_CUT = 0.15  # mean shift between neighbouring frames that is a cut [distances between the eyes]
_GAP = 1.5  # interval, as a multiple of the usual one, that is a gap


class Shapes(NamedTuple):
    """Frames of a recording, fitted to its mean face.

    Attributes:
        seconds: (N,) rising.
        points: (N, 106, 2) x right, y down; NaN where absent. 1 is the distance between the eyes.
        roll: (N,) rotation of the line through the eyes [rad], clockwise is positive, -pi to pi
            from the recording's mean; NaN where absent.
        run: (N,) int64, rising: number of the run. A cut, a gap or an absent face ends a run.
    """

    seconds: Floats
    points: Floats
    roll: Floats
    run: npt.NDArray[np.int64]


def landmark_points(track: Track) -> Floats:
    """Return the (N, 106, 2) landmarks [px] of a track, in the order of LANDMARKS.

    Raises:
        DecodeError: If the number of points or their names are not those of the 106 landmarks.
    """
    got = track.points.shape[1]
    if got != len(LANDMARKS) or track.vertices is not None:
        kind = "points" if track.vertices is None else "corners of regions"
        raise DecodeError(
            f"its track has {got} {kind} per frame; give a file with the {len(LANDMARKS)} landmarks"
        )
    points = track.points.astype(np.float64)
    if track.names is None or track.names == LANDMARKS:
        return points
    other = sorted(set(track.names) - set(LANDMARKS))
    if other:
        raise DecodeError(
            f"its track has the point '{other[0]}' ({len(other)} such points), which is not one of "
            f"the {len(LANDMARKS)} landmarks; use their names"
        )
    return points[:, [track.names.index(name) for name in LANDMARKS]]


def as_landmarks(track: Track, _: None = None) -> Track:
    """Return a track with its points in the order of LANDMARKS, for an entry of the store.

    Raises:
        DecodeError: As :func:`landmark_points`, and if it has regions or no face.
    """
    if track.vertices is not None:
        raise DecodeError(
            "its landmarks file has an array 'vertices', which marks regions; name the file under "
            "regions in the manifest"
        )
    # An entry holds no names, so the order of the points must be fixed.
    points = landmark_points(track).astype(np.float32)
    if np.isnan(points).all():
        raise DecodeError(
            "its landmarks file has no face in any row; leave its cell in the manifest empty"
        )
    return replace(track, points=points, names=LANDMARKS)


def as_regions(track: Track, _: None = None) -> Track:
    """Return a track of regions unchanged.

    Raises:
        DecodeError: If it holds landmarks.
    """
    if track.vertices is None:
        raise DecodeError(
            "its regions file has no array 'vertices'; add it, or name the file under landmarks in "
            "the manifest"
        )
    return track


def align_frames(track: Track) -> Shapes:
    """Fit every frame of a recording to its mean face.

    Args:
        track: Landmarks of the whole recording.

    Returns:
        Its shapes. A frame with fewer than 6 stable points is wholly absent; a frame without all
        four corners of the eyes has no roll.

    Raises:
        DecodeError: As :func:`landmark_points`, and if no frame has all corners of the eyes.
    """
    z = _complex(landmark_points(track))
    upright, angle = _to_eyes(z)
    if np.isnan(angle).all():
        raise DecodeError(
            "its track has no frame with four distinct corners of the eyes; leave its cell in the "
            "manifest empty"
        )
    mean_face = _median(upright)
    for _ in range(_ROUNDS):
        mean_face = _to_eyes(_median(fit_similarity(z, mean_face))[None])[0][0]
    fitted = fit_similarity(z, mean_face)
    mean_turn = np.angle(np.nanmean(np.exp(1j * angle)))
    points = np.stack([fitted.real, fitted.imag], axis=2)
    return Shapes(
        seconds=track.seconds,
        points=points,
        roll=np.angle(np.exp(1j * (angle - mean_turn))),
        run=_runs(track.seconds, points),
    )


def fit_similarity(
    z: npt.NDArray[np.complex128], target: npt.NDArray[np.complex128]
) -> npt.NDArray[np.complex128]:
    """Fit faces to a target by the similarity that moves their stable points closest to it.

    Args:
        z: (N, 106) x + iy, NaN where absent.
        target: (106,) likewise.

    Returns:
        (N, 106) moved faces; all NaN if fewer than 6 stable points are in both, or they coincide.
    """
    source, wanted = z[:, STABLE], np.broadcast_to(target[STABLE], (len(z), len(STABLE)))
    there = ~(np.isnan(source) | np.isnan(wanted))
    num_there = there.sum(axis=1, keepdims=True)
    source_mean, wanted_mean = (
        np.where(there, one, 0).sum(axis=1, keepdims=True) / np.maximum(num_there, 1)
        for one in (source, wanted)
    )
    source_rest = np.where(there, source - source_mean, 0)
    wanted_rest = np.where(there, wanted - wanted_mean, 0)
    spread = (np.abs(source_rest) ** 2).sum(axis=1, keepdims=True)
    can = (num_there >= LEAST_STABLE) & (spread > 0)
    turn = (source_rest.conj() * wanted_rest).sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # complex NaN (absent) would warn
        turn = turn / np.where(can, spread, np.nan)
        moved: npt.NDArray[np.complex128] = (z - source_mean) * turn + wanted_mean
    return moved


def nose_centred(track: Track, *, num_frames: int, unit: Unit) -> npt.NDArray[np.float32]:
    """Choose frames evenly from a recording and centre each on the tip of the nose.

    The paper names 8 or 10 frames, but no centre and no unit (YouTubePD, section 5.2 and C.2). Its
    public code uses the nose tip and 256 pixels, the side of the benchmark's pictures.

    Args:
        track: Landmarks of the whole recording.
        num_frames: Frames F, at least 1: those nearest to the middles of F equal parts of the time
            between the first and the last complete frame. Frames repeat if there are fewer.
        unit: ``pixels``: 256 pixels, which keeps the size of the face in the picture; ``eyes``: the
            distance between the eyes in each frame, which removes it.

    Returns:
        (F, 106, 2) float32, the nose tip at 0, 0.

    Raises:
        DecodeError: As :func:`landmark_points`, and if no frame has all points.
    """
    return centred(landmark_points(track)[chosen_frames(track, num_frames)], unit)


def chosen_frames(track: Track, num_frames: int) -> npt.NDArray[np.int64]:
    """Return the positions of the (F,) frames that :func:`nose_centred` chooses."""
    points = landmark_points(track)
    whole = np.flatnonzero(~np.isnan(points).any(axis=(1, 2)))
    apart = np.abs(_eye_line(_complex(points[whole]))) > 0
    whole = whole[apart]
    if not len(whole):
        raise DecodeError(
            f"its track has no frame with all {len(LANDMARKS)} landmarks; leave its cell in the "
            "manifest empty"
        )
    seconds = track.seconds[whole]
    share = (np.arange(num_frames) + 0.5) / num_frames
    wanted = seconds[0] + share * (seconds[-1] - seconds[0])
    return whole[align(seconds, wanted, np.inf)]


def centred(points: Floats, unit: Unit) -> npt.NDArray[np.float32]:
    """Return (F, 106, 2) whole frames [px] with the nose tip at 0, 0; see :func:`nose_centred`."""
    found = points - points[:, [NOSE_TIP]]
    size = np.abs(_eye_line(_complex(points)))[:, None, None] if unit == "eyes" else _CROP
    return np.asarray(found / size, np.float32)


def _complex(points: npt.NDArray[Any]) -> npt.NDArray[np.complex128]:
    z: npt.NDArray[np.complex128] = points[..., 0] + 1j * points[..., 1]
    return z


def _eye_line(z: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    """Return (N,) from the middle of the left eye to that of the right one."""
    line: npt.NDArray[np.complex128] = z[:, RIGHT_EYE].mean(axis=1) - z[:, LEFT_EYE].mean(axis=1)
    return line


def _to_eyes(z: npt.NDArray[np.complex128]) -> tuple[npt.NDArray[np.complex128], Floats]:
    """Return (N, 106) upright faces with a distance of 1 between the eyes, and (N,) rotations."""
    line = _eye_line(z)
    line = np.where(np.abs(line) > 0, line, np.nan)
    middle = (z[:, LEFT_EYE].mean(axis=1) + z[:, RIGHT_EYE].mean(axis=1)) / 2
    with np.errstate(invalid="ignore"):  # complex NaN (absent) would warn
        return (z - middle[:, None]) / line[:, None], np.angle(line)


def _median(z: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    """Return the (106,) median face of (N, 106); NaN for a point that every face lacks."""
    absent = np.isnan(z).all(axis=0)
    filled = np.where(absent, 0, z)
    middle = np.nanmedian(filled.real, axis=0) + 1j * np.nanmedian(filled.imag, axis=0)
    middle[absent] = np.nan
    return np.asarray(middle, np.complex128)


def _runs(seconds: Floats, points: Floats) -> npt.NDArray[np.int64]:
    """Number the runs of frames; a cut, a gap in time or an absent face ends a run."""
    if len(seconds) < 2:
        return np.zeros(len(seconds), np.int64)
    interval = np.diff(seconds)
    shift = np.linalg.norm(np.diff(points, axis=0), axis=2)
    there = ~np.isnan(shift)
    num_there = there.sum(axis=1)
    mean_shift = np.where(there, shift, 0).sum(axis=1) / np.maximum(num_there, 1)
    is_end = (interval > _GAP * np.median(interval)) | (mean_shift > _CUT) | (num_there == 0)
    return np.concatenate([[0], np.cumsum(is_end)]).astype(np.int64)
