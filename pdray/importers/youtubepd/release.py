"""Reads YouTubePD as its authors publish it: two repositories.

Both are read as they were in October 2023:
  samwli/YouTubePD-data                    ``train.csv``, ``test.csv``: lines of a path that ends in
                                           ``videoN_final.mp4``, a blank and a label;
                                           ``bbox_coords/videoN_kpts``: a pickle, video -> frame,
                                           from ``frame0`` -> 14 polygons -> points x, y and a
                                           score; ``region_video_annotations.pkl``: a pickle,
                                           video -> texts (some blank), which
                                           :mod:`pdray.importers.youtubepd.marks` reads
  anshgs/YoutubePD_Additional_Modalities   ``Landmarks/videoN/F.pickle``, F from 1: a pickle, name
                                           of a landmark -> ``x`` and ``y``
:mod:`pdray.plain_pickle` reads the pickles without running code from them. The scores of the
polygons are not used, since the authors' script always writes 0.9.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from reprlib import repr as short
from typing import Any

import numpy as np

from pdray.data.cohort.marks import Mark
from pdray.data.face.points import LANDMARKS, REGIONS, VERTICES
from pdray.errors import ManifestError, refuse
from pdray.importers.files import inside
from pdray.importers.youtubepd.clips import (
    SPLITS,
    Clip,
    Content,
    Lack,
    number_of,
    parse_clip,
    unique_clips,
)
from pdray.importers.youtubepd.marks import mark_faults, parse_mark
from pdray.importers.youtubepd.tracks import (
    LANDMARK,
    REGION,
    Frames,
    Kind,
    end_faults,
    frames_faults,
)
from pdray.plain_pickle import PlainPickleError, read_plain

MAX_BYTES = 64 * 1024**2  # largest pickle; the boxes of a clip have 1 MB

_LINE = re.compile(r"(?:.*/)?(video[0-9]+)_final\.mp4 (\S+)")
_BOXES, _MARKS, _LANDMARKS = "bbox_coords", "region_video_annotations.pkl", "Landmarks"
_BOX_FILE = re.compile(r"(video[0-9]+)_kpts")
_FRAME = re.compile(r"frame(0|[1-9][0-9]{0,8})")
_LANDMARK_FILE = re.compile(r"([1-9][0-9]{0,8})\.pickle")


_NUMBER = (int, float, np.integer, np.floating)


class _FileError(Exception):
    """A file cannot be used; the message gives the reason without the file's name."""


def read_release(folder: Path, landmarks: Path | None) -> Content:
    """Read the public release.

    Args:
        folder: Checkout of samwli/YouTubePD-data.
        landmarks: Checkout of anshgs/YoutubePD_Additional_Modalities; None: no clip has landmarks.

    Returns:
        Content of both.

    Raises:
        ManifestError: If a file has a fault; lists all faults, but only the first one of the
            pickles of a clip.
    """
    faults: list[str] = []
    listed = [clip for split in SPLITS for clip in _read_list(folder, split, faults)]
    clips, texts, lacks = unique_clips(listed)
    faults += texts
    names = [clip.name for clip in clips]
    marks = _read_marks(folder / _MARKS, faults, lacks)
    regions = _read_boxes(folder / _BOXES, names, faults, lacks)
    points = {}
    if landmarks is not None:
        inner = landmarks / _LANDMARKS
        points = _read_landmarks(inner if inner.is_dir() else landmarks, names, faults, lacks)
    for name in regions.keys() & points.keys():
        faults += end_faults(points[name], regions[name], f"{_LANDMARKS}/{name}")
    refuse(faults, ManifestError, f"{folder} cannot be imported")
    return Content(clips, points, regions, tuple(marks), tuple(lacks))


def _read_list(folder: Path, split: str, faults: list[str]) -> list[Clip]:
    path = folder / f"{split}.csv"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        older = folder / "data" / path.name
        hint = (
            f"; do not use {older}, which is older and has withdrawn clips"
            if older.is_file()
            else ""
        )
        raise ManifestError(f"{path}: cannot be read: {error}{hint}") from error
    clips = []
    for number, line in enumerate(lines, start=1):
        place = f"{path.name} row {number}"
        match = _LINE.fullmatch(line.strip())
        if match:
            clip, texts = parse_clip(match[1], match[2], split, place)
            faults += texts
            clips += [] if clip is None else [clip]
        elif line.strip():
            faults.append(
                f"{place}: {line!a} is wrong, expected '<folder>/videoN_final.mp4 <label>'"
            )
    if not clips:
        faults.append(f"{path.name}: has no clip; download it again")
    return clips


def _read_marks(path: Path, faults: list[str], lacks: list[Lack]) -> list[Mark]:
    if not path.is_file():
        lacks.append(Lack("marks absent, the whole file", path.name))
        return []
    try:
        content = _read_pickle(path)
        if not isinstance(content, dict):
            raise _FileError(f"holds {type(content).__name__}, expected a dict of videos")
    except _FileError as error:
        faults.append(f"{path.name}: {error}")
        return []
    marks = []
    for name, texts in content.items():
        if not isinstance(name, str) or number_of(name) is None or not _is_texts(texts):
            faults.append(
                f"{path.name} {name!a}: is wrong, expected 'video' and a number with a list of "
                "texts"
            )
            continue
        filled = [(n, text) for n, text in enumerate(texts) if text.strip()]
        if len(filled) < len(texts):
            lacks.append(Lack("blank marks", name, f"{len(texts) - len(filled)}"))
        for number, text in filled:
            mark = parse_mark(name, text)
            faults += mark_faults(mark, f"{path.name}[{number}]")
            marks.append(mark)
    return sorted(marks, key=lambda mark: number_of(mark.clip) or 0)


def _is_texts(texts: object) -> bool:
    return isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts)


def _read_boxes(
    folder: Path, names: Sequence[str], faults: list[str], lacks: list[Lack]
) -> dict[str, Frames]:
    there = {}
    for path in _there(folder):
        match = _BOX_FILE.fullmatch(path.name)
        if match is None:
            lacks.append(Lack("files not read", f"{folder.name}/{path.name}"))
        elif match[1] not in names:
            lacks.append(Lack("regions without a label", match[1]))
        else:
            there[match[1]] = path
    found = {}
    for name in (name for name in names if name in there):
        place = f"{folder.name}/{there[name].name}"
        try:
            frames = _polygons(_read_pickle(there[name]), name)
        except _FileError as error:
            faults.append(f"{place}: {error}")
            continue
        faults += frames_faults(REGION, frames, place)
        found[name] = frames
    return found


def _polygons(content: object, name: str) -> Frames:
    """Return the polygons of ``{'videoN.mp4': {'frame0': [[[x, y, score], ...], ...], ...}}``."""
    keys = list(content) if isinstance(content, dict) else []
    is_own = len(keys) == 1 and re.fullmatch(rf"{name}(\D.*)?", str(keys[0]))
    frames = content[keys[0]] if is_own and isinstance(content, dict) else None
    if not isinstance(frames, dict):
        raise _FileError(f"holds the videos {short(keys)}, expected only frames of {name}.mp4")
    rows = []
    for key, polygons in frames.items():
        match = _FRAME.fullmatch(key) if isinstance(key, str) else None
        if match is None:
            raise _FileError(f"has {short(key)}, expected 'frame' and a number from 0")
        rows.append((int(match[1]), _corners(polygons, key)))
    return _sorted_frames(REGION, rows)


def _corners(polygons: Any, frame: str) -> list[tuple[float, float]]:
    given = polygons if isinstance(polygons, list | tuple) else []
    sizes = [len(one) if isinstance(one, list | tuple) else -1 for one in given]
    if sizes != VERTICES.tolist():
        raise _FileError(
            f"{frame} has polygons of {sizes} points, expected {len(VERTICES)} of "
            f"{VERTICES.tolist()}"
        )
    return [
        _point(point, (0, 1), f"{frame}, {REGIONS[number]}")
        for number, polygon in enumerate(given)
        for point in polygon
    ]


def _read_landmarks(
    folder: Path, names: Sequence[str], faults: list[str], lacks: list[Lack]
) -> dict[str, Frames]:
    there = {}
    for path in _there(folder):
        if not path.is_dir() or number_of(path.name) is None:
            lacks.append(Lack("files not read", f"{folder.name}/{path.name}"))
        elif path.name not in names:
            lacks.append(Lack("landmarks without a label", path.name))
        else:
            there[path.name] = path
    if not there:
        faults.append(f"{folder}: has no folder of a listed clip, such as video0; check landmarks")
    found = {}
    for name in (name for name in names if name in there):
        place = f"{folder.name}/{name}"
        found[name] = _read_faces(there[name], place, faults, lacks)
        faults += frames_faults(LANDMARK, found[name], place)
    return found


def _read_faces(folder: Path, place: str, faults: list[str], lacks: list[Lack]) -> Frames:
    """Return the landmarks of a clip, up to the first unusable file."""
    rows = []
    for path in inside(folder):
        match = _LANDMARK_FILE.fullmatch(path.name)
        if match is None:
            lacks.append(Lack("files not read", f"{place}/{path.name}"))
            continue
        try:
            rows.append((int(match[1]), _face(_read_pickle(path))))
        except _FileError as error:
            faults.append(f"{place}/{path.name}: {error}")
            break
    return _sorted_frames(LANDMARK, rows)


def _face(content: object) -> list[tuple[float, float]]:
    """Return the points of ``{name: {'x': x, 'y': y}}`` in the order of the landmarks."""
    given = content if isinstance(content, dict) else {}
    if set(given) != set(LANDMARKS):
        absent = [name for name in LANDMARKS if name not in given]
        extra = [name for name in given if name not in LANDMARKS]
        raise _FileError(
            f"has {len(given)} points, expected {len(LANDMARKS)}; it lacks "
            f"{', '.join(absent[:3]) or 'none'}, and {short(extra[0]) if extra else 'none'} is "
            "unknown"
        )
    return [_point(given[name], ("x", "y"), name) for name in LANDMARKS]


def _point(point: Any, keys: Sequence[Any], place: str) -> tuple[float, float]:
    try:
        x, y = point[keys[0]], point[keys[1]]
        if isinstance(x, _NUMBER) and isinstance(y, _NUMBER):
            return float(x), float(y)
    except (LookupError, TypeError, OverflowError):
        pass
    raise _FileError(f"{place} is {short(point)}, not two numbers x and y")


def _sorted_frames(kind: Kind, rows: list[tuple[int, list[tuple[float, float]]]]) -> Frames:
    """Return frames sorted by number; without rows the points are empty."""
    rows.sort(key=lambda row: row[0])
    numbers = np.array([number for number, _ in rows], np.int64)
    points = np.array([points for _, points in rows], np.float64)
    return Frames(numbers, points.reshape(len(rows), kind.num_points, 2))


def _read_pickle(path: Path) -> Mapping[Any, Any] | Any:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _FileError(f"has {path.stat().st_size} bytes, expected at most {MAX_BYTES}")
        return read_plain(path.read_bytes())
    except OSError as error:
        raise _FileError(f"cannot be read: {error.strerror or error}") from error
    except PlainPickleError as error:
        raise _FileError(f"was refused, and no code of it has run: {error}") from error


def _there(folder: Path) -> list[Path]:
    return inside(folder) if folder.is_dir() else []
