"""Traits of a recording: numbers of its pictures, sound, face and file, without its grade.

They are computed once per recording and kept in :attr:`Case.cache`, under a name made of the
digests of its store entries.
"""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pdray.atomic import replacing
from pdray.checks.case import Case
from pdray.checks.pictures import at_rate, movement_course, small_frames, still_numbers
from pdray.checks.sounds import sound_numbers
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rated import RatedRecording
from pdray.data.face.shape import GROUPS, LEFT_EYE, RIGHT_EYE
from pdray.data.media.audio import read_waveform
from pdray.data.media.decode import decode_frames
from pdray.data.media.settings import DecodeConfig
from pdray.data.modalities import PICTURES
from pdray.data.store.entry import Entry
from pdray.errors import DecodeError, StoreError

Traits = Mapping[str, NDArray[Any]]
"""Arrays by name; what a recording does not have is absent.

Those of :mod:`pdray.checks.pictures` and :mod:`~pdray.checks.sounds`, and ``seconds`` (1,),
``size`` (3,) width and height of the file's picture, or of the rectangle that is read of it, and
frames per second, ``coding`` (2,) names of its codecs, ``shape`` (212,) of a face, in distances
between the eyes.
"""

_VERSION = 1  # of the numbers; raise it when they change
_MOST_SECONDS = 60.0  # of a recording that are looked at
_CHUNK = 64  # frames read together
_PLAIN = DecodeConfig(height=32, width=32)  # of pictures that the store does not hold


def traits_of(case: Case) -> list[Traits]:
    """Return the traits of every recording of a case, in its order."""
    rows = {one.recording_id: one for one in case.cohort.recordings}
    return [_kept(case.cache, one, rows[one.recording_id]) for one in case.recordings]


def _kept(cache: Path, rated: RatedRecording, row: Recording) -> Traits:
    if row.video is None and row.sound is None and "landmarks" not in (rated.stored or {}):
        return {}  # tables of features are read as they are
    path = cache / f"{_key(rated, row)}.npz"
    try:
        with np.load(path, allow_pickle=False) as kept:
            return dict(kept)
    except (OSError, ValueError, zipfile.BadZipFile):
        found = describe(rated, row)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **found)  # type: ignore[arg-type]
    return found


def _key(rated: RatedRecording, row: Recording) -> str:
    files = [one for one in (row.video, row.sound) if one is not None and one.exists()]
    stats = [(one.stat().st_size, one.stat().st_mtime_ns) for one in files]
    entries = sorted(path.stem for path in (rated.stored or {}).values())
    known = (_VERSION, entries, stats, row.start_seconds, row.end_seconds)
    key = repr(known if row.crop is None else (*known, tuple(row.crop)))
    return hashlib.sha256(key.encode()).hexdigest()


def describe(rated: RatedRecording, row: Recording) -> dict[str, NDArray[Any]]:
    """Compute the traits of one recording.

    Args:
        rated: With its store entries, if it has any.
        row: Its row of the manifest, whose files are read for sound and for their headers.
    """
    found: dict[str, NDArray[Any]] = {}
    for add in (_add_file, _add_sound, _add_face, _add_pictures):
        try:
            found |= add(rated, row)
        except (DecodeError, StoreError, av.FFmpegError, OSError):
            continue  # a study that needs it refused it before; here it is absent
    return found


def _add_file(rated: RatedRecording, row: Recording) -> dict[str, NDArray[Any]]:
    source = row.video or row.audio
    if source is None:
        return {}
    with av.open(str(source)) as file:
        pictures, sounds = file.streams.video, file.streams.audio
        seconds = (file.duration or 0) / av.time_base
        rate = float(pictures[0].average_rate or 0) if pictures else 0.0
        size = [pictures[0].width, pictures[0].height, rate] if pictures else [0, 0, 0]
        if row.crop is not None:
            size[:2] = row.crop.width, row.crop.height
        names = [stream[0].codec_context.name if stream else "" for stream in (pictures, sounds)]
    if row.end_seconds is not None:
        seconds = row.end_seconds
    return {
        "seconds": np.array([seconds - (row.start_seconds or 0.0)]),
        "size": np.array(size, np.float64),
        "coding": np.array(names),
    }


def _add_sound(rated: RatedRecording, row: Recording) -> dict[str, NDArray[Any]]:
    if row.sound is None:
        return {}
    start = row.start_seconds or 0.0
    ends = [end for end in (row.end_seconds, start + _MOST_SECONDS) if end is not None]
    wave = read_waveform(
        row.sound, max_seconds=np.inf, start_seconds=row.start_seconds, end_seconds=min(ends)
    )
    return {**sound_numbers(wave.samples)}


def _add_face(rated: RatedRecording, row: Recording) -> dict[str, NDArray[Any]]:
    stored = rated.stored or {}
    if "landmarks" not in stored:
        return {}
    entry = Entry(stored["landmarks"])
    seconds = entry.seconds
    points = entry.read(np.arange(len(seconds))).astype(np.float64)
    whole = ~np.isnan(points).any(axis=(1, 2))
    if whole.sum() < 2:
        return {}
    points, seconds = points[whole], seconds[whole]
    eyes = [points[:, numbers].mean(axis=1, keepdims=True) for numbers in (LEFT_EYE, RIGHT_EYE)]
    apart = np.linalg.norm(eyes[1] - eyes[0], axis=2, keepdims=True).clip(1e-3)
    shape = np.median((points - (eyes[0] + eyes[1]) / 2) / apart, axis=0)
    centre = points.mean(axis=1, keepdims=True)
    course = np.stack(
        [
            np.ptp(points[:, GROUPS["mouth"], 1], axis=1),
            centre[:, 0, 0],
            centre[:, 0, 1],
            np.linalg.norm(points - centre, axis=2).mean(axis=1),
        ]
    )
    return {
        "shape": shape.ravel().astype(np.float32),
        "course": at_rate(course, seconds),
        "seconds": np.array([seconds[-1] - seconds[0]]),
    }


def _add_pictures(rated: RatedRecording, row: Recording) -> dict[str, NDArray[Any]]:
    stored = rated.stored or {}
    if "rgb" in stored:
        entry = Entry(stored["rgb"])
        times = entry.seconds
        times = times[times <= times[0] + _MOST_SECONDS]
        frames = small_frames(_chunks(entry, len(times)))
    elif row.video is not None and not stored.keys().isdisjoint(PICTURES):
        end = min(row.end_seconds or np.inf, (row.start_seconds or 0.0) + _MOST_SECONDS)
        part = row.part._replace(end_seconds=None if end > _length(row) else end)
        decoded = list(decode_frames(row.video, _PLAIN, part=part))
        times = np.array([seconds for seconds, _ in decoded])
        frames = np.stack([picture for _, picture in decoded]).astype(np.float32)
    else:
        return {}
    found: dict[str, NDArray[Any]] = {**still_numbers(frames)}
    if len(times) > 1:
        found["course"] = movement_course(frames, times)
        found["seconds"] = np.array([times[-1] - times[0]])
    return found


def _chunks(entry: Entry, count: int) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, count, _CHUNK):
        yield entry.read(np.arange(start, min(start + _CHUNK, count)))


def _length(row: Recording) -> float:
    with av.open(str(row.video)) as file:
        return (file.duration or 0) / av.time_base
