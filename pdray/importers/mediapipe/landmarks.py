"""Finds landmarks and regions of faces in videos, with MediaPipe's Face Landmarker.

It reads every frame of each recording that has a video and no track of its face. The mesh that
MediaPipe finds becomes the 106 landmarks and 14 regions of ``pdray.data.face.points``, and a new
manifest names the two tracks. A face that is small in the picture is found by a closer look
(``closer.py``). A frame without a face is absent, not guessed. A recording that has no face in any
frame, or cannot be read, is listed and keeps empty cells. One face per frame is tracked: that of
the filmed person, if no other face is nearer or larger.

    <output>                                  manifest with all rows and cells of the old one
    <output without .csv>.tracks/             tracks
    <output without .csv>.no_face.csv         recordings without a track, and the reasons
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pdray.atomic import safe_name, write_text
from pdray.command import Say
from pdray.config import require_writable
from pdray.data.cohort.csv_table import table_text
from pdray.data.cohort.manifest import Recording, load_manifest
from pdray.data.cohort.rows import FILES, read_rows
from pdray.data.face.points import LANDMARKS, REGIONS, VERTICES
from pdray.data.media.decode import content_box, decode_frames
from pdray.data.media.settings import DecodeConfig, DecodeLimits
from pdray.data.media.tracks import Track, write_track
from pdray.errors import DecodeError, ManifestError
from pdray.importers.files import outside, shown
from pdray.importers.mediapipe.closer import SMALLEST, FaceSearch, without_brief
from pdray.importers.mediapipe.landmarker import OpenLandmarker
from pdray.importers.mediapipe.points import NUM_MESH, to_landmarks, to_regions
from pdray.importers.mediapipe.settings import ExtractConfig

_TRACKS = ("landmarks", "regions")


class Face(NamedTuple):
    """Face found in a recording.

    Attributes:
        landmarks: Track of 106 points.
        regions: Track of 14 polygons.
        num_seen: Frames with a face.
        num_closer: Those of them whose face only a closer look found.
    """

    landmarks: Track
    regions: Track
    num_seen: int
    num_closer: int


@dataclass(frozen=True)
class Extracted:
    """Result of the extraction.

    Attributes:
        manifest: The new manifest.
        lacks: Table of recordings without tracks.
        num_done: Recordings with new tracks.
        num_kept: Recordings that had a track before.
        num_frames: Frames of the recordings with new tracks.
        num_seen: Those of these frames that show a face.
        num_closer: Those of them whose face only a closer look found.
        without: Recording id, and the reason why it has no track.
        is_outside: Whether the new manifest names files outside its folder.
    """

    manifest: Path
    lacks: Path
    num_done: int
    num_kept: int
    num_frames: int
    num_seen: int
    num_closer: int
    without: tuple[tuple[str, str], ...]
    is_outside: bool = False


def extract(config: ExtractConfig, opens: OpenLandmarker, say: Say) -> Extracted:
    """Track the faces in a manifest's videos and write a manifest with the tracks.

    Args:
        config: Checked settings.
        opens: Opens the landmarker, once per recording, and once at the start to check the model.
        say: Called with lines on the progress.

    Raises:
        PdrayError: If the manifest cannot be used, the model cannot be opened or a file cannot be
            written.
    """
    # Any scale will do, as no grade is used here.
    manifest = load_manifest(config.manifest, subjects=config.subjects, scale="0..99", allowed=None)
    require_writable(config.output.parent, key="output")
    with opens():
        pass
    rows, _ = read_rows(manifest.path, manifest.path.read_bytes(), required=())
    wanted = [one for one in manifest.listed if one.item in config.items]
    todo = [one for one in wanted if one.landmarks is None and one.regions is None]
    found: dict[str, dict[str, str]] = {}
    without: list[tuple[str, str]] = []
    num_frames = num_seen = num_closer = 0
    for number, recording in enumerate(todo, start=1):
        try:
            face = follow_face(recording, opens, size=config.size, limits=config.limits)
        except DecodeError as error:
            without.append((recording.recording_id, str(error)))
        else:
            found[recording.recording_id] = _write_face(recording.recording_id, face, config.output)
            num_frames += len(face.landmarks.points)
            num_seen += face.num_seen
            num_closer += face.num_closer
        if number == len(todo) or number % max(1, len(todo) // 10) == 0:
            say(f"recordings {number}/{len(todo)}")
    cells = [_row(row.cells, found, manifest.path.parent, config.output.parent) for row in rows]
    lacks = config.output.with_suffix(".no_face.csv")
    lacking = [{"recording_id": name, "why": why} for name, why in without]
    try:
        write_text(lacks, table_text(("recording_id", "why"), lacking))
        columns = dict.fromkeys([*rows[0].cells, *_TRACKS])
        write_text(config.output, table_text(columns, cells))
    except OSError as error:
        raise ManifestError(f"{error.filename}: cannot be written: {error.strerror}") from error
    kept = len(wanted) - len(todo)
    done = (len(found), kept, num_frames, num_seen, num_closer, tuple(without))
    far = outside(row.get(name) or "" for row in cells for name in FILES)
    return Extracted(config.output, lacks, *done, is_outside=bool(far))


def follow_face(
    recording: Recording, opens: OpenLandmarker, *, size: int, limits: DecodeLimits
) -> Face:
    """Find the face in every frame of a recording.

    Args:
        recording: Row of a manifest.
        opens: Opens the landmarker.
        size: Longer side of the pictures given to the landmarker [px].
        limits: Limits of decoding.

    Raises:
        DecodeError: If it has no video, cannot be read, or has no face in any frame; without its
            id.
    """
    if recording.video is None:
        raise DecodeError("has no video")
    canvas = DecodeConfig(height=size, width=size)
    box = content_box(recording.video, canvas, limits, recording.part)
    frames = decode_frames(recording.video, canvas, limits, recording.part)
    meshes, closer, times, last = [], [], [], -1
    with FaceSearch(opens) as search:
        for seconds, drawn in frames:
            picture = drawn[box.top : box.top + box.height, box.left : box.left + box.width]
            last = max(last + 1, round(1000 * seconds))
            mesh = search.find(picture, last)
            meshes.append(np.full((NUM_MESH, 2), np.nan) if mesh is None else mesh)
            closer.append(search.closer)
            times.append(seconds)
    points = np.stack(meshes)
    lasting = without_brief(np.array(closer), np.array(times))
    points[np.array(closer) & ~lasting] = np.nan
    num_seen = int(np.isfinite(points).all(axis=(1, 2)).sum())
    if not num_seen:
        lowest = round(SMALLEST * max(box.width, box.height))
        raise DecodeError(
            f"has no face in any of its {len(points)} frames, looked at whole and in "
            f"{search.num_parts} parts; the face may be too small (lower than {lowest} of "
            f"{box.width} x {box.height} px), turned away or hidden: film closer, or cut out the "
            "upper body"
        )
    landmarks = to_landmarks(points)
    shared = np.array(times), (float(box.width), float(box.height))
    return Face(
        Track(landmarks.astype(np.float32), *shared, names=LANDMARKS),
        Track(to_regions(landmarks).astype(np.float32), *shared, VERTICES, REGIONS),
        num_seen,
        int(lasting.sum()),
    )


def _write_face(name: str, face: Face, output: Path) -> dict[str, str]:
    """Write both tracks; return the cells that name them."""
    cells = {}
    for what in _TRACKS:
        cells[what] = f"{output.stem}.tracks/{safe_name(name)}_{what}.npz"
        path = output.parent / cells[what]
        try:
            write_track(path, getattr(face, what))
        except OSError as error:
            raise ManifestError(f"{path}: cannot be written: {error.strerror}") from error
    return cells


def _row(
    cells: Mapping[str, str], found: Mapping[str, Mapping[str, str]], old: Path, new: Path
) -> dict[str, str]:
    """Return a row of the new manifest, with paths relative to the new folder."""
    moved = dict(cells)
    for name in FILES:
        if cells.get(name):
            moved[name] = shown(old / cells[name], new)
    return moved | dict(found.get(cells["recording_id"], {}))
