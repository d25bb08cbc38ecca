"""Scales the movement of a face about its mean: the numbers of the method ``damp``.

Hypomimia is less movement of the face: "lessened movement of orofacial muscles" (YouTubePD, section
1), "facial rigidity" (the expression paper, section 1), "diminished micro-movement dynamics" (the
hypomimia abstract). So the movement of the head in the plane of the picture (place, rotation, size:
:func:`~pdray.data.face.shape.align_frames`) is taken out first, and each part of the face has a
factor of its own. None of the three papers says anything about the head. In Parkinson's disease the
whole body moves less (MDS-UPDRS 3.14), and heads do in the training clips of YouTubePD, so the
head's movement has its own factor too, before it is put back; without ``damp.head`` it stays as it
was. Turning to the side and nodding change the shape of a face in the picture, and are scaled with
it.

In each run of frames (no cut between them), a point z of the fitted face becomes
``m + f (z - m)`` with m its mean and f the factor of its part of the face. The factor of a class is
the median movement of that class over that of class 0, at most 1: this method makes less movement,
never more.

Letters: N frame, P = 106 landmark, R recording, K class; G the 7 parts of the face and the head.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pdray.data.face.points import LANDMARKS
from pdray.data.face.shape import GROUPS, Floats, Shapes, align_frames, landmark_points
from pdray.data.media.tracks import Track

Complexes = npt.NDArray[np.complex128]

HEAD = "head"
PARTS = (*GROUPS, HEAD)
_PART_OF_POINT = np.zeros(len(LANDMARKS), np.int64)
for _number, _points in enumerate(GROUPS.values()):
    _PART_OF_POINT[_points] = _number


class Movement(NamedTuple):
    """A face's movement apart from its rest, each in runs of frames.

    Attributes:
        face: (N, P) fitted face, x + iy; NaN where absent.
        face_rest: (N, P) its mean over the run.
        place: (N,) middle of the eyes' middles in the picture [px].
        place_rest: (N,) its mean over the run.
        turn: (N,) rotation and size of the face in the picture, as one factor [px].
        turn_rest: (N,) its mean over the run.
        run: (N,) number of the run.
        is_whole: Whether all coordinates are whole pixels, as some detectors write them.
    """

    face: Complexes
    face_rest: Complexes
    place: Complexes
    place_rest: Complexes
    turn: Complexes
    turn_rest: Complexes
    run: npt.NDArray[np.int64]
    is_whole: bool

    def of(self, frames: npt.NDArray[np.int64]) -> "Movement":
        """Return some of the frames; what is the rest stays that of all."""
        arrays = {name: one[frames] for name, one in self._asdict().items() if name != "is_whole"}
        return self._replace(**arrays)


def split_movement(track: Track) -> Movement:
    """Split a face's movement from its rest.

    Args:
        track: Landmarks of the whole recording.

    Returns:
        Its movement. A frame that cannot be fitted (fewer than 6 stable points) is absent.

    Raises:
        DecodeError: As :func:`~pdray.data.face.shape.align_frames`.
    """
    points = landmark_points(track)
    shapes = align_frames(track)
    face, picture = _complex(shapes.points), _complex(points)
    turn, place = _similarity(face, picture)
    rests = (_run_mean(one, shapes) for one in (face, place[:, None], turn[:, None]))
    face_rest, place_rest, turn_rest = rests
    there = ~np.isnan(points)
    is_whole = bool((points[there] == np.round(points[there])).all())
    rest = place_rest[:, 0], turn, turn_rest[:, 0]
    return Movement(face, face_rest, place, *rest, shapes.run, is_whole)


def damped(movement: Movement, factors: npt.ArrayLike) -> Floats:
    """Return landmarks whose movement is scaled.

    Args:
        movement: Of N frames.
        factors: (G,) factor of each of :data:`PARTS`, 0 (still) to 1 (as it was).

    Returns:
        (N, P, 2) x, y in pixels; NaN where absent. Whole pixels if the source's are.
    """
    scale = np.asarray(factors, np.float64)
    of_point, of_head = scale[:-1][_PART_OF_POINT], scale[-1]
    with np.errstate(invalid="ignore"):  # complex NaN (absent) would warn
        face = movement.face_rest + of_point * (movement.face - movement.face_rest)
        place = movement.place_rest + of_head * (movement.place - movement.place_rest)
        # The logarithm of a turn has its size and its rotation as two parts.
        turn = movement.turn_rest * np.exp(of_head * np.log(movement.turn / movement.turn_rest))
        found = place[:, None] + turn[:, None] * face
    points = np.stack([found.real, found.imag], axis=2)
    return np.round(points) if movement.is_whole else points


def movement_amounts(movement: Movement) -> Floats:
    """Return how much each part of a face moves.

    Returns:
        (G,) standard deviation of the part's points, or of the head's place and turn, about the
        mean of their run, pooled over points and runs, in distances between the eyes; NaN without
        a run of two frames.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = np.abs(movement.face - movement.face_rest)
        size = np.abs(movement.turn_rest)
        moved = np.abs(movement.place - movement.place_rest) / size
        turned = np.abs(np.log(movement.turn / movement.turn_rest))
    of_parts = [_pooled(shift[:, points], movement.run) for points in GROUPS.values()]
    return np.array([*of_parts, _pooled(np.hypot(moved, turned)[:, None], movement.run)])


def movement_ratios(
    amounts: Floats, classes: Sequence[int], subjects: Sequence[str], *, num_classes: int
) -> Floats:
    """Return how much each class moves compared with class 0.

    Args:
        amounts: (R, G) of :func:`movement_amounts`.
        classes: Class of each recording, 0..K-1.
        subjects: Subject of each recording, each of whom counts once in a class.
        num_classes: K.

    Returns:
        (K, G) median over the subjects of a class of the median over their recordings, divided by
        that of class 0; NaN for a class without recordings.
    """
    middles = np.full((num_classes, amounts.shape[1]), np.nan)
    whose = np.array(subjects)
    for number in range(num_classes):
        is_of = np.array(classes) == number
        of_people = [
            _medians(amounts[is_of & (whose == name)])
            for name in dict.fromkeys(whose[is_of].tolist())
        ]
        if of_people:
            middles[number] = _medians(np.stack(of_people))
    ratios: Floats = middles / np.where(middles[0] > 0, middles[0], np.nan)
    return ratios


def damping_factors(ratios: Floats, *, head: bool) -> Floats:
    """Return the factors of a target class at full strength.

    Args:
        ratios: (G,) of :func:`movement_ratios`; what is NaN is not changed.
        head: Whether the movement of the head is scaled.

    Returns:
        (G,) from 0 to 1.
    """
    factors = np.clip(np.nan_to_num(ratios, nan=1.0), 0.0, 1.0)
    if not head:
        factors[-1] = 1.0
    return factors


def at_strength(factors: Floats, strength: float) -> Floats:
    """Return factors at a strength of the edit: 1 at strength 0, as they are at strength 1."""
    return 1.0 + strength * (factors - 1.0)


def _medians(values: Floats) -> Floats:
    """Return the median of each column of what is known; NaN where nothing is."""
    known = [column[~np.isnan(column)] for column in values.T]
    return np.array([np.median(column) if len(column) else np.nan for column in known])


def _complex(points: Floats) -> Complexes:
    found: Complexes = points[..., 0] + 1j * points[..., 1]
    return found


def _similarity(face: Complexes, picture: Complexes) -> tuple[Complexes, Complexes]:
    """Return (N,) a and b of ``picture = a face + b``, which holds exactly for each frame."""
    there = ~(np.isnan(face) | np.isnan(picture))
    count = np.maximum(there.sum(axis=1), 1)
    x, y = (np.where(there, one, 0) for one in (face, picture))
    x_mean, y_mean = x.sum(axis=1) / count, y.sum(axis=1) / count
    rest = np.where(there, x - x_mean[:, None], 0)
    spread = (np.abs(rest) ** 2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        turn = (rest.conj() * y).sum(axis=1) / np.where(spread > 0, spread, np.nan)
        return turn, y_mean - turn * x_mean


def _run_mean(values: Complexes, shapes: Shapes) -> Complexes:
    """Return for each frame of (N, V) values the mean over its run; NaN without one there."""
    there = ~np.isnan(values)
    num_runs = int(shapes.run[-1]) + 1
    sums = np.zeros((num_runs, values.shape[1]), np.complex128)
    counts = np.zeros((num_runs, values.shape[1]))
    np.add.at(sums, shapes.run, np.where(there, values, 0))
    np.add.at(counts, shapes.run, there)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    found: Complexes = means[shapes.run]
    return found


def _pooled(shift: Floats, run: npt.NDArray[np.int64]) -> float:
    """Return the standard deviation of (N, V) distances from the mean of their run."""
    there = ~np.isnan(shift)
    counts = np.zeros((int(run[-1]) + 1, shift.shape[1]))
    np.add.at(counts, run, there)
    freedom = np.maximum(counts - 1, 0).sum()
    if not freedom:
        return float("nan")
    return float(np.sqrt((np.where(there, shift, 0) ** 2).sum() / freedom))
