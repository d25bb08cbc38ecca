"""Points followed through a recording - landmarks, regions of a face - and their place in time.

A track is an ``.npz`` file, read without pickle, of these arrays:
  points    (N, P, 2) real: x, y in pixels of the shown picture; NaN, NaN where a point is absent
  seconds   (N,) real, rising; 0 is the first frame of the video stream
  size      (2,) real: width and height of that picture [px]
  vertices  (R,) integer, only for regions: vertices of each polygon; the points are the vertices
            of all polygons back to back
  names     text, may lack: of each point, or of each polygon where there are ``vertices``
  made      () text, only of a made track: SYNTHETIC, the method and the date
"Shown" is turned as the recording asks, left and right as seen. The corner of the picture is the
origin, so that pixel (0, 0) covers 0 to 1 with its centre at 0.5 and the picture reaches from 0
to its width: a detector that counts from the centre of pixels adds 0.5. Points may lie outside.

Messages carry no path and no name: whoever knows the recording's id puts it in front.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pdray.atomic import replacing
from pdray.data.media.arrays import Arrays, array_form, load_arrays
from pdray.data.media.part import Box
from pdray.errors import DecodeError, refuse

MAX_BYTES = 256 * 1024**2  # an hour of 25 Hz with 372 points; more is no track but a bomb
_NEEDED = ("points", "seconds", "size")
_OPTIONAL = ("vertices", "names", "made")
_TIE_SECONDS = 1e-6  # times are sums of floats: nearer by less than this is not nearer
_FAR_SECONDS = 0.1  # a row farther from a frame shows another moment
_LEAST_SHARE = 0.5  # of the frames between a track's first and last row that need one
_STRETCH = 0.05  # small canvases round a picture's shape
_ROUNDING_SECONDS = 1e-3  # Matroska rounds a frame's time to milliseconds


@dataclass(frozen=True)
class Track:
    """Points along time; the module says what each is.

    Attributes:
        points: (N, P, 2) float32 [px], NaN where absent; N and P at least 1.
        seconds: (N,) float64, rising.
        size: Width and height of the picture [px].
        vertices: (R,) int64, each at least 3, of regions; None of landmarks.
        names: One for each point, or for each polygon of regions; None where the file has none.
        made: The mark of a made track; None is one of a real recording.
    """

    points: npt.NDArray[np.float32]
    seconds: npt.NDArray[np.float64]
    size: tuple[float, float]
    vertices: npt.NDArray[np.int64] | None = None
    names: tuple[str, ...] | None = None
    made: str | None = None


def read_track(path: Path) -> Track:
    """Read a track file.

    Args:
        path: An ``.npz`` file as the module describes it.

    Returns:
        The track.

    Raises:
        DecodeError: With every fault of the file at once.
    """
    num_known = len(_NEEDED + _OPTIONAL)
    arrays = load_arrays(path, "track", num_known=num_known, max_bytes=MAX_BYTES)
    refuse(_faults(arrays), DecodeError, "its track cannot be used")
    vertices, names, made = (arrays.get(name) for name in _OPTIONAL)
    width, height = arrays["size"].tolist()
    return Track(
        points=arrays["points"].astype(np.float32),
        seconds=arrays["seconds"].astype(np.float64),
        size=(float(width), float(height)),
        vertices=None if vertices is None else vertices.astype(np.int64),
        names=None if names is None else tuple(names.tolist()),
        made=None if made is None else str(made),
    )


def is_made(path: Path) -> bool:
    """Return whether a track file is marked as made; False for one that cannot be read."""
    try:
        with zipfile.ZipFile(path) as file:
            return "made.npy" in file.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def write_track(path: Path, track: Track) -> None:
    """Write a track file, whole or not at all.

    Raises:
        DecodeError: If :func:`read_track` would refuse it; nothing is written.
    """
    arrays: Arrays = {
        "points": np.asarray(track.points),
        "seconds": np.asarray(track.seconds),
        "size": np.array(track.size),
    }
    if track.vertices is not None:
        arrays["vertices"] = np.asarray(track.vertices)
    if track.names is not None:
        arrays["names"] = np.array(track.names)
    if track.made is not None:
        arrays["made"] = np.array(track.made)
    refuse(_faults(arrays), DecodeError, "the track cannot be written")
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def align(
    track_seconds: npt.NDArray[np.float64],
    frame_seconds: npt.NDArray[np.float64],
    tolerance: float | None = None,
) -> npt.NDArray[np.int64]:
    """Find for each frame the row of a track, or of any modality, that is nearest in time.

    Args:
        track_seconds: (N,) rising; may be empty.
        frame_seconds: (T,) in any order.
        tolerance: The farthest that a row may be; None is half the median interval of the rows
            and, as times are rounded in files, a millisecond (or a tenth of the interval, where
            that is less). One row has no interval: it serves its own time, within a millisecond.

    Returns:
        (T,) int64 position in the track, -1 where no row is near enough. Of two rows equally
        near (within a microsecond) the earlier one.
    """
    num_rows = len(track_seconds)
    if num_rows == 0:
        return np.full(len(frame_seconds), -1, np.int64)
    if tolerance is None:
        tolerance = _half_interval(track_seconds)
    after = np.searchsorted(track_seconds, frame_seconds)
    left, right = np.maximum(after - 1, 0), np.minimum(after, num_rows - 1)
    to_left = np.abs(frame_seconds - track_seconds[left])
    to_right = np.abs(track_seconds[right] - frame_seconds)
    is_right = to_right < to_left - _TIE_SECONDS
    near = np.where(is_right, to_right, to_left) <= tolerance + _TIE_SECONDS
    return np.where(near, np.where(is_right, right, left), -1).astype(np.int64)


def to_canvas(
    track: Track,
    frame_seconds: npt.NDArray[np.float64],
    box: Box,
    tolerance: float | None = None,
) -> npt.NDArray[np.float32]:
    """Bring a track to the frames of its recording as they are decoded.

    Args:
        track: Of the whole recording.
        frame_seconds: (T,) times of the frames [s].
        box: Where the shown picture lies on the frames.
        tolerance: As :func:`align` takes it.

    Returns:
        (T, P, 2) float32 x, y in pixels of the frame, measured from its corner: the corners of
        the picture become the corners of the box. NaN where a point is absent or no row of the
        track is near enough; rows are never interpolated.
    """
    rows = align(track.seconds, frame_seconds, tolerance)
    scale = np.array([box.width / track.size[0], box.height / track.size[1]])
    points = track.points[rows] * scale + [box.left, box.top]
    points[rows < 0] = np.nan
    return np.asarray(points, np.float32)


def fit_to_frames(
    track: Track, frame_seconds: npt.NDArray[np.float64], box: Box
) -> npt.NDArray[np.float32]:
    """Bring a track to its recording's frames, and refuse one that is of another recording.

    Args and returns as :func:`to_canvas`.

    Raises:
        DecodeError: If the track's picture has another shape than the recording's, or most frames
            between its first and last row have no row within 0.1 s.
    """
    width, height = track.size
    stretch = (width / height) * (box.height / box.width)
    if abs(stretch - 1) > _STRETCH:
        raise DecodeError(
            f"its track's size {width:g} x {height:g} is not the shape of the shown picture; give "
            "width and height as shown, turned as the recording asks"
        )
    tolerance = min(_half_interval(track.seconds), _FAR_SECONDS)
    rows = align(track.seconds, frame_seconds, tolerance)
    first, last = track.seconds[[0, -1]]
    between = (frame_seconds >= first - tolerance) & (frame_seconds <= last + tolerance)
    if not between.any() or (rows[between] >= 0).mean() < _LEAST_SHARE:
        raise DecodeError(
            f"its track's rows, from {first:g} to {last:g} s, do not stand at its frames, from "
            f"{frame_seconds[0]:g} to {frame_seconds[-1]:g} s; seconds count from the first frame "
            f"of the video, with rows at most {2 * _FAR_SECONDS:g} s apart"
        )
    return to_canvas(track, frame_seconds, box, tolerance)


def _half_interval(seconds: npt.NDArray[np.float64]) -> float:
    if len(seconds) < 2:
        return _ROUNDING_SECONDS
    interval = float(np.median(np.diff(seconds)))
    return interval / 2 + min(_ROUNDING_SECONDS, interval / 10)


def _faults(arrays: Arrays) -> list[str]:
    known = (*_NEEDED, *_OPTIONAL)
    faults = [f"array '{name}' is missing" for name in _NEEDED if name not in arrays]
    faults += [
        f"unknown array '{name}': known are {', '.join(known)}"
        for name in sorted(arrays.keys() - set(known))
    ]
    checks = {
        "points": _points_faults,
        "seconds": _seconds_faults,
        "size": _size_faults,
        "vertices": _vertices_faults,
        "names": _names_faults,
        "made": _made_faults,
    }
    return faults + [
        fault for name, check in checks.items() if name in arrays for fault in check(arrays)
    ]


def _points_faults(arrays: Arrays) -> list[str]:
    points = arrays["points"]
    if points.dtype.kind not in "iuf" or points.ndim != 3 or points.shape[2] != 2:
        return [f"points are {array_form(points)}, not (N, P, 2) numbers"]
    if 0 in points.shape:
        return [f"points are {array_form(points)}: without a row or without a point"]
    with np.errstate(over="ignore"):
        absent = np.isnan(points)
        endless = np.isinf(points.astype(np.float32))
    faults = []
    if endless.any():
        faults.append(f"points{_first(endless)} is infinite; NaN says that a point is absent")
    halved = absent[..., 0] != absent[..., 1]
    if halved.any():
        faults.append(f"points{_first(halved)} has one of x and y only")
    return faults


def _seconds_faults(arrays: Arrays) -> list[str]:
    seconds = arrays["seconds"]
    if seconds.dtype.kind not in "iuf" or seconds.ndim != 1:
        return [f"seconds are {array_form(seconds)}, not (N,) numbers"]
    faults = []
    points = arrays.get("points")
    if points is not None and points.ndim and len(points) != len(seconds):
        faults.append(f"there are {len(seconds)} seconds for {len(points)} rows of points")
    endless = ~np.isfinite(seconds)
    if endless.any():
        return [*faults, f"seconds{_first(endless)} is not finite"]
    falling = np.diff(seconds.astype(np.float64)) <= 0
    if falling.any():
        row = int(np.argmax(falling))
        faults.append(
            f"seconds do not rise: [{row}] is {seconds[row]:g}, [{row + 1}] is {seconds[row + 1]:g}"
        )
    return faults


def _size_faults(arrays: Arrays) -> list[str]:
    size = arrays["size"]
    if size.dtype.kind not in "iuf" or size.shape != (2,):
        return [f"size is {array_form(size)}, not (2,) numbers: width and height"]
    if not (np.isfinite(size) & (size > 0)).all():
        return [f"size is {size.tolist()}: width and height must be above 0"]
    return []


def _vertices_faults(arrays: Arrays) -> list[str]:
    vertices = arrays["vertices"]
    if vertices.dtype.kind not in "iu" or vertices.ndim != 1 or not len(vertices):
        return [f"vertices are {array_form(vertices)}, not (R,) integers"]
    if (vertices < 3).any():
        return [f"vertices{_first(vertices < 3)} is below 3, which is no polygon"]
    points = arrays.get("points")
    if points is not None and points.ndim == 3 and vertices.sum() != points.shape[1]:
        return [f"vertices sum to {vertices.sum()}, but there are {points.shape[1]} points a row"]
    return []


def _names_faults(arrays: Arrays) -> list[str]:
    names = arrays["names"]
    if names.dtype.kind != "U" or names.ndim != 1:
        return [f"names are {array_form(names)}, not (P,) text"]
    if len(set(names.tolist())) < len(names):
        return ["names are not unique"]
    points, vertices = arrays.get("points"), arrays.get("vertices")
    if vertices is not None:
        return _count_fault(len(names), len(vertices), "polygons") if vertices.ndim == 1 else []
    if points is not None and points.ndim == 3:
        return _count_fault(len(names), points.shape[1], "points")
    return []


def _made_faults(arrays: Arrays) -> list[str]:
    made = arrays["made"]
    if made.dtype.kind != "U" or made.ndim:
        return [f"made is {array_form(made)}, not one text"]
    return []


def _count_fault(num_names: int, wanted: int, what: str) -> list[str]:
    return [] if num_names == wanted else [f"there are {num_names} names for {wanted} {what}"]


def _first(where: npt.NDArray[np.bool_]) -> str:
    """Return the place of the first fault as it is indexed."""
    return str([int(i) for i in np.argwhere(where)[0]])
