"""Checks landmarks and region polygons of YouTubePD's clips and turns them into tracks.

Both are in pixels of the processed clip: the face cropped frame by frame, 256 x 256 at 20 Hz.
Polygons exist for every frame, numbered from 0. Landmarks exist for every second frame, numbered
from 1, so landmark frame F is clip frame 2 (F - 1). Values are used as published; it is not known
whether they are measured from the corner or the centre of a pixel.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pdray.data.face.points import LANDMARKS, REGIONS, VERTICES
from pdray.data.media.tracks import Track

SIZE = 256.0  # width and height of the processed clip [px]
RATE = 20.0  # frames per second of the clip
MAX_FRAMES = 72_000  # an hour; the benchmark's longest clip has 240

# Coordinates of the benchmark's landmarks are 18 to 262, those of the polygons -62 to 269, since
# polygons reach beyond the face. Half a picture is twice as far; points farther out belong to
# another picture or another scale.
MARGIN = SIZE / 2
# Direction of each polygon in the benchmark's median frame: 1 is from x to y (clockwise). In any
# frame at most 4 of 14 run the other way, mostly folds of a turned face.
_TURNS = np.array([1, 1, 1, -1, 1, 1, -1, -1, 1, -1, 1, -1, -1, 1])
_MOST_TURNED = 7
_STARTS = np.concatenate([[0], np.cumsum(VERTICES)[:-1]])
_ENDS = np.cumsum(VERTICES) - 1


class Frames(NamedTuple):
    """Points of some frames of a clip.

    Attributes:
        numbers: (N,) int64 as published: landmarks count from 1, polygons from 0.
        points: (N, 106 or 58, 2) x, y [px].
    """

    numbers: npt.NDArray[Any]
    points: npt.NDArray[Any]


@dataclass(frozen=True)
class Kind:
    """Landmarks or regions.

    Attributes:
        what: Name of the kind.
        num_points: Points per frame.
        first: Number of the first frame.
        step: Clip frames from one frame to the next.
    """

    what: str
    num_points: int
    first: int
    step: int


LANDMARK = Kind("landmarks", len(LANDMARKS), first=1, step=2)
REGION = Kind("regions", int(VERTICES.sum()), first=0, step=1)


def clip_frames(kind: Kind, frames: Frames) -> npt.NDArray[np.int64]:
    """Return the (N,) frames of the 20 Hz clip, from 0, to which the points belong."""
    return (frames.numbers.astype(np.int64) - kind.first) * kind.step


def to_track(kind: Kind, frames: Frames) -> Track:
    """Return the track of a clip that has at least one frame and no faults."""
    is_region = kind is REGION
    return Track(
        points=frames.points.astype(np.float32),
        seconds=clip_frames(kind, frames) / RATE,
        size=(SIZE, SIZE),
        vertices=VERTICES if is_region else None,
        names=REGIONS if is_region else LANDMARKS,
    )


def gaps(kind: Kind, frames: Frames) -> list[int]:
    """Return the missing frames between the first frame of a clip and the last one present."""
    if not len(frames.numbers):
        return []
    there = set(frames.numbers.tolist())
    return [n for n in range(kind.first, int(frames.numbers[-1]) + 1) if n not in there]


def flat_frames(frames: Frames) -> list[int]:
    """Return the frames with a polygon without width or height."""
    if not len(frames.points):
        return []
    extent = np.maximum.reduceat(frames.points, _STARTS, axis=1)
    extent = extent - np.minimum.reduceat(frames.points, _STARTS, axis=1)
    flat: list[int] = frames.numbers[(extent <= 0).any(axis=(1, 2))].tolist()
    return flat


def frames_faults(kind: Kind, frames: Frames, place: str) -> list[str]:
    """List faults of the points of a clip.

    Args:
        kind: Landmarks or regions.
        frames: Points of one clip, of any shape and type.
        place: File and clip, for the message.

    Returns:
        One text per fault, with its first value.
    """
    numbers, points = frames
    if points.dtype.kind not in "iuf" or points.ndim != 3 or points.shape[2] != 2:
        return [f"{place}: is {points.dtype} {points.shape}, expected (N, P, 2) numbers"]
    if points.shape[1] != kind.num_points:
        return [
            f"{place}: has {points.shape[1]} points per frame, expected {kind.num_points} "
            f"{kind.what} as in the benchmark"
        ]
    faults = _number_faults(kind, frames, place)
    if faults or not len(points):
        return faults
    place_of = f"{place} frame"
    far = ~((points >= -MARGIN) & (points <= SIZE + MARGIN))  # also true for NaN
    if far.any():
        row, point, axis = np.argwhere(far)[0]
        faults.append(
            f"{place_of} {numbers[row]}: {'xy'[axis]} {points[row, point, axis]:g} of "
            f"{_point_name(kind, int(point))} is outside {-MARGIN:g}..{SIZE + MARGIN:g} px for a "
            f"picture of {SIZE:g} px ({int(far.any(axis=(1, 2)).sum())} such frames)"
        )
    elif kind is REGION:
        turned = (np.sign(_areas(points)) == -_TURNS).sum(axis=1)
        inverted = turned > _MOST_TURNED
        if inverted.any():
            row = int(np.argmax(inverted))
            faults.append(
                f"{place_of} {numbers[row]}: {turned[row]} of {len(VERTICES)} polygons run in the "
                f"wrong direction ({int(inverted.sum())} such frames); check whether the picture "
                "is mirrored or y is counted from below"
            )
    return faults


def end_faults(landmarks: Frames, regions: Frames, place: str) -> list[str]:
    """List a fault if landmarks go beyond the end of the clip, whose every frame has polygons."""
    if not len(landmarks.numbers) or not len(regions.numbers):
        return []
    frame, last = int(clip_frames(LANDMARK, landmarks)[-1]), int(regions.numbers[-1])
    if frame <= last:
        return []
    return [
        f"{place}: landmark frame {landmarks.numbers[-1]} is clip frame {frame}, but the regions "
        f"of the clip end at frame {last}"
    ]


def _number_faults(kind: Kind, frames: Frames, place: str) -> list[str]:
    numbers, points = frames
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1 or len(numbers) != len(points):
        return [f"{place}: {numbers.dtype} frame numbers {numbers.shape} for {len(points)} frames"]
    # In int64, where the difference of two unsigned numbers can be negative.
    wrong = np.diff(numbers.astype(np.int64), prepend=kind.first - 1) <= 0
    if not wrong.any():
        if len(numbers) and numbers[-1] > MAX_FRAMES:
            return [
                f"{place}: frame number {numbers[-1]} is too large, expected up to {MAX_FRAMES}"
            ]
        return []
    row = int(np.argmax(wrong))
    return [
        f"{place}: frame numbers must rise from {kind.first}, but number {numbers[row]} is at "
        f"position {row}" + (f", after {numbers[row - 1]}" if row else "")
    ]


def _areas(points: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return (N, 14) signed areas of the polygons (the shoelace formula)."""
    x, y = np.moveaxis(points.astype(np.float64), 2, 0)
    following = np.arange(points.shape[1]) + 1
    following[_ENDS] = _STARTS
    crossed = x * y[:, following] - y * x[:, following]
    areas: npt.NDArray[np.float64] = np.add.reduceat(crossed, _STARTS, axis=1) / 2
    return areas


def _point_name(kind: Kind, point: int) -> str:
    if kind is LANDMARK:
        return LANDMARKS[point]
    return REGIONS[int(np.searchsorted(_ENDS, point))]
