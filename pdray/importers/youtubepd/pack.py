"""Reads the neutral pack of YouTubePD: tables, name lists and two archives of numbers, no pickles.

Its data card describes how it was made from the public release. If it has a file ``SHA256SUMS``,
the digests of all files are compared before anything is read.
"""

import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pdray.atomic import file_digest
from pdray.data.cohort.csv_table import Row, read_table
from pdray.data.cohort.marks import Mark
from pdray.data.face.points import LANDMARKS, REGIONS, VERTICES
from pdray.errors import ManifestError, refuse
from pdray.importers.youtubepd.clips import (
    Clip,
    Content,
    Lack,
    batch,
    number_of,
    parse_clip,
    severity,
    unique_clips,
)
from pdray.importers.youtubepd.marks import mark_faults
from pdray.importers.youtubepd.tracks import (
    LANDMARK,
    REGION,
    Frames,
    Kind,
    end_faults,
    frames_faults,
    gaps,
)

Arrays = dict[str, npt.NDArray[Any]]

MAX_BYTES = 1024**3  # largest size, unpacked; the pack has 31 MB
FILES = ("clips.csv", "landmarks.npz", "landmark_names.json", "regions.npz", "region_names.json",
         "region_annotations.csv")  # fmt: skip

_SUMS = "SHA256SUMS"
_SUM = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_NUMBERS = "__frame_index"  # ends the name of the array with the frames of a clip's landmarks
_CLIP_COLUMNS = ("clip_id", "label_0_10", "severity_0_5", "pd", "split", "collection_batch",
                 "has_landmarks", "has_regions", "has_region_annotations", "n_frames_landmarks",
                 "n_missing_landmark_frames", "n_frames_regions")  # fmt: skip
_CLIP_OPTIONAL = ("split_june2023", "subject_id", "has_media", "upstream_csv_rows")
_MARK_NUMBERS = ("region_index", "annotated_frame", "total_frames", "severity", "confidence")
_MARK_COLUMNS = ("clip_id", "annotated_frame", "total_frames", "region_index", "severity",
                 "confidence", "severity_0_5", "clip_in_pack", "exact_duplicate",
                 "note")  # fmt: skip
_WHOLE = re.compile(r"[0-9]{1,9}")
# NumPy parses the header of an array as Python before it compares the archive's checksum.
_DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, RuntimeError, KeyError,
           SyntaxError, TokenError)  # fmt: skip
_TOO_MUCH = (MemoryError, OverflowError)  # from wrong shapes in a header


class _Clips(NamedTuple):
    clips: tuple[Clip, ...]
    cells: dict[str, Mapping[str, str]]


def read_pack(folder: Path) -> Content:
    """Read a pack.

    Args:
        folder: Folder with :data:`FILES`, and perhaps ``SHA256SUMS``.

    Returns:
        Content of the pack.

    Raises:
        ManifestError: If a digest differs, or a file cannot be read or has faults; lists all of
            them.
    """
    faults, lacks = _check_digests(folder)
    refuse(faults, ManifestError, f"{folder} is damaged or changed, copy it again")
    faults += _name_faults(folder)
    listed, listing_faults, listing_lacks = _read_clips(folder / "clips.csv")
    faults += listing_faults
    lacks += listing_lacks
    landmarks = _by_clip(_read_npz(folder / "landmarks.npz", faults), has_numbers=True)
    regions = _by_clip(_read_npz(folder / "regions.npz", faults), has_numbers=False)
    marks, mark_texts = _read_marks(folder / "region_annotations.csv", set(listed.cells))
    faults += mark_texts
    for kind, found in ((LANDMARK, landmarks), (REGION, regions)):
        faults += _archive_faults(kind, found, listed)
        known = {clip.name for clip in listed.clips}
        lacks += [Lack(f"{kind.what} without a label", name) for name in found if name not in known]
    refuse(faults, ManifestError, f"{folder} cannot be imported")
    marked = {mark.clip for mark in marks}
    for clip in listed.clips:
        faults += _flag_faults(clip, listed, clip.name in marked)
        if clip.name in landmarks and clip.name in regions:
            place = f"landmarks.npz {clip.name}"
            faults += end_faults(landmarks[clip.name], regions[clip.name], place)
    refuse(faults, ManifestError, f"{folder} cannot be imported")
    return Content(
        clips=listed.clips,
        landmarks={name: landmarks[name] for name in listed.cells if name in landmarks},
        regions={name: regions[name] for name in listed.cells if name in regions},
        marks=tuple(sorted(marks, key=lambda mark: number_of(mark.clip) or 0)),
        lacks=tuple(lacks),
    )


def _check_digests(folder: Path) -> tuple[list[str], list[Lack]]:
    """Compare the digests of all files; list files that are missing or have no digest."""
    try:
        lines = (folder / _SUMS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return [], [Lack("digests absent, nothing compared", _SUMS)]
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{folder / _SUMS}: cannot be read: {error}") from error
    faults, lacks, listed = [], [], set()
    for number, line in enumerate(lines, start=1):
        match = _SUM.fullmatch(line)
        if match is None:
            faults.append(
                f"{_SUMS} line {number}: {line!a} is wrong, expected a digest, two blanks and a "
                "file"
            )
            continue
        listed.add(match[2])
        if (folder / match[2]).is_file():
            faults += _digest_faults(folder / match[2], match[2], match[1])
        else:
            lacks.append(Lack("files of the pack absent", match[2]))
    lacks += [Lack("files without a digest", name) for name in FILES if name not in listed]
    return faults, lacks


def _digest_faults(path: Path, name: str, said: str) -> list[str]:
    try:
        found = file_digest(path)
    except OSError as error:
        return [f"{name}: cannot be read: {error.strerror or error}"]
    if found == said:
        return []
    return [f"{name}: its SHA-256 is {found[:12]}..., expected {said[:12]}... ({_SUMS})"]


def _name_faults(folder: Path) -> list[str]:
    """Compare the pack's names and their order with those of pdray's tracks."""
    faults = []
    for file, wanted in (
        ("landmark_names.json", {"names": LANDMARKS}),
        ("region_names.json", {"names": REGIONS, "vertices": VERTICES.tolist()}),
    ):
        try:
            said = json.loads((folder / file).read_bytes())
        except OSError as error:
            raise ManifestError(
                f"{folder / file}: cannot be read: {error.strerror or error}"
            ) from error
        except ValueError as error:
            raise ManifestError(f"{folder / file}: is not JSON: {error}") from error
        for key, values in wanted.items():
            given = said.get(key) if isinstance(said, dict) else None
            given = given if isinstance(given, list) else []
            if given != list(values):
                pairs = zip([*given, None], [*values, None], strict=False)
                place, pair = next((n, p) for n, p in enumerate(pairs) if p[0] != p[1])
                faults.append(
                    f"{file}: {key}[{place}] is {pair[0]!r}, expected {pair[1]!r}; the order or "
                    "the set of points differs"
                )
    return faults


def _read_clips(path: Path) -> tuple[_Clips, list[str], list[Lack]]:
    rows = read_table(path, _CLIP_COLUMNS, optional=_CLIP_OPTIONAL)
    clips, cells, faults, twice = [], {}, [], []
    for row in rows:
        name, place = row.cells["clip_id"], f"{path.name} row {row.number}"
        clip, texts = parse_clip(name, row.cells["label_0_10"], row.cells["split"], place)
        faults += texts
        if clip is None:
            continue
        clips.append(clip)
        cells[name] = row.cells
        faults += _row_faults(clip, row.cells)
        if row.cells["upstream_csv_rows"] not in ("", "1"):
            twice.append(Lack("listed twice, taken once", name))
    if not rows:
        faults.append(f"{path.name}: has no clip below the header")
    listed, texts, lacks = unique_clips(clips)
    return _Clips(listed, cells), faults + texts, lacks + twice


def _row_faults(clip: Clip, cells: Mapping[str, str]) -> list[str]:
    """Compare a row with the values that follow from its label and its number."""
    expected = {
        "severity_0_5": str(severity(clip.label)),
        "pd": str(int(clip.label > 0)),
        "collection_batch": batch(clip.name),
    }
    faults = [
        f"{clip.place}: {clip.name}: {name} is {cells[name]!r}, expected {value} from label "
        f"{clip.label} and the number of the clip"
        for name, value in expected.items()
        if cells[name] != value
    ]
    if cells["subject_id"]:
        faults.append(
            f"{clip.place}: {clip.name}: subject_id is not empty; clear it and set subjects=FILE"
        )
    return faults


def _read_marks(path: Path, clips: set[str]) -> tuple[list[Mark], list[str]]:
    marks, faults = [], []
    for row in read_table(path, _MARK_COLUMNS):
        place = f"{path.name} row {row.number}"
        texts = _mark_cell_faults(row, place, clips)
        if not texts:
            cells = row.cells
            numbers = [int(cells[name]) if cells[name] else None for name in _MARK_NUMBERS]
            region, frame, total, level, confidence = numbers
            mark = Mark(cells["clip_id"], region, frame, total, level, confidence, cells["note"])
            texts = mark_faults(mark, place)
            grade = None if mark.severity is None else severity(mark.severity)
            if cells["severity_0_5"] != ("" if grade is None else str(grade)):
                texts.append(
                    f"{place}: {mark.clip}: severity_0_5 is {cells['severity_0_5']!r}, expected "
                    f"{grade} from severity {mark.severity}"
                )
            marks.append(mark)
        faults += texts
    return marks, faults


def _mark_cell_faults(row: Row, place: str, clips: set[str]) -> list[str]:
    name, in_pack = row.cells["clip_id"], row.cells["clip_in_pack"]
    if number_of(name) is None:
        return [f"{place}: clip {name!r} is wrong, expected 'video' and a number"]
    faults = [
        f"{place}: {name}: {column} {row.cells[column]!r} is not a whole number"
        for column in _MARK_NUMBERS
        if row.cells[column] and not _WHOLE.fullmatch(row.cells[column])
    ]
    if in_pack != str(int(name in clips)):
        faults.append(f"{place}: {name}: clip_in_pack {in_pack!r} contradicts clips.csv")
    return faults


def _read_npz(path: Path, faults: list[str]) -> Arrays:
    """Return the readable arrays of an archive; add the others to ``faults``."""
    try:
        with zipfile.ZipFile(path) as file:
            size = sum(one.file_size for one in file.infolist())
        if size > MAX_BYTES:
            faults.append(f"{path.name}: unpacks to {size} bytes, expected at most {MAX_BYTES}")
            return {}
        found = {}
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                try:
                    found[name] = arrays[name]
                except (*_DAMAGE, *_TOO_MUCH) as error:
                    faults.append(f"{path.name} {name}: cannot be read: {error}")
        return found
    except (*_DAMAGE, *_TOO_MUCH) as error:
        faults.append(f"{path.name}: cannot be read as a whole .npz file: {error}")
        return {}


def _by_clip(arrays: Arrays, *, has_numbers: bool) -> dict[str, Frames]:
    """Join points and frame numbers; if one is missing, it is an array without shape."""
    nothing = np.zeros(())
    found: dict[str, Frames] = {}
    for name in arrays:
        if has_numbers and name.endswith(_NUMBERS):
            clip = name.removesuffix(_NUMBERS)
            found.setdefault(clip, Frames(arrays[name], arrays.get(clip, nothing)))
        elif has_numbers:
            found[name] = Frames(arrays.get(name + _NUMBERS, nothing), arrays[name])
        else:
            found[name] = Frames(np.arange(len(np.atleast_1d(arrays[name]))), arrays[name])
    return found


def _archive_faults(kind: Kind, found: Mapping[str, Frames], listed: _Clips) -> list[str]:
    """Check every array of an archive, and each clip's number of frames."""
    file = f"{kind.what}.npz"
    faults = []
    for name, frames in found.items():
        if number_of(name) is None:
            faults.append(f"{file}: unknown array {name!a}")
            continue
        texts = frames_faults(kind, frames, f"{file} {name}")
        faults += texts
        if texts or name not in listed.cells:
            continue
        said = {f"n_frames_{kind.what}": len(frames.points)}
        if kind is LANDMARK:
            said["n_missing_landmark_frames"] = len(gaps(kind, frames))
        faults += [
            f"{file} {name}: clips.csv has {column} {listed.cells[name][column]}, found {count}"
            for column, count in said.items()
            if listed.cells[name][column] != str(count)
        ]
    for name, cells in listed.cells.items():
        if cells[f"has_{kind.what}"] != str(int(name in found)):
            there = "has the clip" if name in found else "does not have the clip"
            flag = f"has_{kind.what} {cells[f'has_{kind.what}']}"
            faults.append(f"{file} {name}: clips.csv has {flag}, but the archive {there}")
    return faults


def _flag_faults(clip: Clip, listed: _Clips, is_marked: bool) -> list[str]:
    flag = listed.cells[clip.name]["has_region_annotations"]
    if flag == str(int(is_marked)):
        return []
    return [
        f"{clip.place}: {clip.name}: has_region_annotations {flag} contradicts "
        "region_annotations.csv"
    ]
