"""Makes a manifest with tracks from YouTubePD (Zhou et al. 2023), in either of its layouts.

The benchmark's videos and sound are not published: the manifest names landmarks and regions, and
videos and sound that the user has. Subjects are not published either; only the user can give them.
Missing data are listed in a table next to the manifest and never filled in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pdray.atomic import write_text
from pdray.data.cohort.csv_table import read_table, table_text
from pdray.data.cohort.marks import marks_text
from pdray.data.cohort.rows import FILES
from pdray.data.media.tracks import Track, read_track, write_track
from pdray.errors import DecodeError, ManifestError, refuse
from pdray.importers.files import (
    OTHER_CONTENT,
    inside,
    outside,
    settings_text,
    shown,
    text_faults,
)
from pdray.importers.youtubepd.clips import Clip, Content, Lack, batch, severity
from pdray.importers.youtubepd.marks import mark_lacks
from pdray.importers.youtubepd.pack import read_pack
from pdray.importers.youtubepd.release import read_release
from pdray.importers.youtubepd.settings import ImportConfig
from pdray.importers.youtubepd.tracks import LANDMARK, REGION, flat_frames, gaps, to_track

ITEM = "face_interview"
COLUMNS = ("recording_id", "subject_id", "item", "video", "audio", "landmarks", "regions", "grade",
           "split", "site")  # fmt: skip
VIDEOS = frozenset({".mp4", ".avi", ".mkv", ".webm", ".mov"})
SOUNDS = frozenset({".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus"})

_KINDS = (LANDMARK, REGION)
_FINAL = "_final"  # ending of the name of a processed clip in the release


@dataclass(frozen=True)
class Imported:
    """Result of an import.

    Attributes:
        manifest: The manifest.
        marks: Table of the clinician's marks, also of clips that are not in the manifest.
        lacks: Table of missing data.
        settings: YAML file with the data settings of the manifest, for ``--config``.
        clips: The recordings.
        num_marks: Rows of the table of marks.
        lacking: Missing data, one entry per row of the table.
        has_subjects: Whether every recording has a subject.
        has_split: Whether every recording has a side of the benchmark's split.
    """

    manifest: Path
    marks: Path
    lacks: Path
    settings: Path
    clips: tuple[Clip, ...]
    num_marks: int
    lacking: tuple[Lack, ...]
    has_subjects: bool
    has_split: bool


def import_youtubepd(config: ImportConfig) -> Imported:
    """Write the manifest of YouTubePD, its tracks and its tables.

    Args:
        config: Layout, folder and output.

    Returns:
        The written files, each whole or not at all, the manifest last.

    Raises:
        ManifestError: If a file cannot be read; if labels, landmarks, regions or marks have faults
            (lists all); or if the output exists with other content.
    """
    if config.layout == "pack":
        content = read_pack(config.folder)
    else:
        content = read_release(config.folder, config.landmarks)
    names = [clip.name for clip in content.clips]
    lacks = [*content.lacks, *_content_lacks(content)]
    videos = _files(config.videos, names, VIDEOS, "video", lacks)
    sounds = _files(config.audio, names, SOUNDS, "audio", lacks)
    subjects = _subjects(config, content.clips, lacks)
    output = config.output.absolute()
    tracks = _tracks(content, output.parent)
    lacks.sort(key=lambda lack: lack.what)  # stable, so the order within a kind stays
    imported = Imported(
        manifest=output,
        marks=output.with_suffix(".marks.csv"),
        lacks=output.with_suffix(".lacks.csv"),
        settings=output.with_suffix(".data.yaml"),
        clips=content.clips,
        num_marks=len(content.marks),
        lacking=tuple(lacks),
        has_subjects=all(name in subjects for name in names),
        has_split=config.split == "benchmark" and all(clip.split for clip in content.clips),
    )
    rows = [
        {
            "recording_id": clip.name,
            "subject_id": subjects.get(clip.name, ""),
            "item": ITEM,
            "video": shown(videos.get(clip.name), output.parent),
            "audio": shown(sounds.get(clip.name), output.parent),
            **_track_cells(clip.name, tracks, output.parent),
            "grade": str(severity(clip.label)),
            "split": clip.split if config.split == "benchmark" else "",
            "site": batch(clip.name),
        }
        for clip in content.clips
    ]
    texts = {
        imported.marks: marks_text(content.marks, names),
        imported.lacks: table_text(("what", "name", "detail"), [one._asdict() for one in lacks]),
        imported.settings: _settings_text(
            imported, outside(row[name] for row in rows for name in FILES if name in row)
        ),
        output: table_text(COLUMNS, rows),
    }
    _write(tracks, texts)
    return imported


def count_lacks(lacks: Iterable[Lack]) -> dict[str, list[str]]:
    """Return the names of each kind of lack, by kind."""
    found: dict[str, list[str]] = {}
    for lack in lacks:
        found.setdefault(lack.what, []).append(lack.name)
    return found


def _content_lacks(content: Content) -> list[Lack]:
    """List missing data of clips, and irregular tracks and marks."""
    lacks = []
    for kind, all_frames in ((LANDMARK, content.landmarks), (REGION, content.regions)):
        for clip in content.clips:
            frames = all_frames.get(clip.name)
            if frames is None:
                lacks.append(Lack(f"{kind.what} absent", clip.name))
                continue
            if not len(frames.points):
                lacks.append(Lack(f"{kind.what} without any frame of a face", clip.name))
            if lost := gaps(kind, frames):
                numbers = " ".join(map(str, lost))
                lacks.append(Lack(f"{kind.what} lack frames", clip.name, numbers))
    for name, frames in content.regions.items():
        if flat := flat_frames(frames):
            numbers = " ".join(map(str, flat))
            lacks.append(Lack("regions have a polygon without an area", name, numbers))
    return [*lacks, *mark_lacks(content.marks, content.clips)]


def _files(
    folder: Path | None,
    names: Sequence[str],
    suffixes: frozenset[str],
    what: str,
    lacks: list[Lack],
) -> dict[str, Path]:
    """Return the file of each clip; add clips without a file and files without a clip to lacks."""
    found: dict[str, Path] = {}
    faults = []
    known = frozenset(names)
    for path in [] if folder is None else inside(folder):
        name = path.stem.removesuffix(_FINAL)
        if path.suffix.lower() not in suffixes or not path.is_file():
            continue
        if name not in known:
            lacks.append(Lack(f"{what} files of no clip", path.name))
        elif found.setdefault(name, path) is not path:
            faults.append(
                f"{name} has two files, {found[name].name} and {path.name}; remove one of them"
            )
        elif not path.stat().st_size:
            faults.append(f"{name}: {path.name} is empty; copy it again or remove it")
    refuse(faults, ManifestError, f"{what} files of {folder}")
    lacks += [Lack(f"{what} files absent", name) for name in names if name not in found]
    return found


def _subjects(config: ImportConfig, clips: Sequence[Clip], lacks: list[Lack]) -> dict[str, str]:
    """Return the subject of each clip in the user's table."""
    found: dict[str, str] = {}
    spelled: dict[str, str] = {}
    faults = []
    rows = [] if config.subjects is None else read_table(config.subjects, ("clip_id", "subject_id"))
    for row in rows:
        clip, subject = row.cells["clip_id"], row.cells["subject_id"]
        if not subject or subject != subject.strip():
            faults.append(
                f"row {row.number}: clip {clip} has the subject_id {subject!r}, expected a "
                "pseudonym without spaces at its ends"
            )
        elif found.setdefault(clip, subject) != subject:
            faults.append(
                f"row {row.number}: clip {clip} has the subjects {subject!r} and {found[clip]!r}; "
                "give one"
            )
        elif spelled.setdefault(subject.casefold(), subject) != subject:
            other = spelled[subject.casefold()]
            faults.append(
                f"row {row.number}: subject {subject!r} differs from {other!r} only in upper and "
                "lower case; use one spelling"
            )
    if config.split == "benchmark":
        faults += _split_faults(found, clips)
    refuse(faults, ManifestError, str(config.subjects))
    known = {clip.name for clip in clips}
    lacks += [Lack("subjects absent", clip.name) for clip in clips if clip.name not in found]
    lacks += [Lack("subjects of no clip", name) for name in found if name not in known]
    return {name: subject for name, subject in found.items() if name in known}


def _split_faults(subjects: Mapping[str, str], clips: Sequence[Clip]) -> list[str]:
    """List the subjects on both sides of the benchmark's split, which divides clips."""
    first: dict[str, Clip] = {}
    faults: dict[str, str] = {}
    for clip in clips:
        subject = subjects.get(clip.name, "")
        home = first.setdefault(subject, clip)
        if subject and home.split != clip.split:
            faults[subject] = (
                f"subject {subject!r} is on both sides of the benchmark's split: {home.name} in "
                f"{home.split}, {clip.name} in {clip.split}; set split=none to split by subject"
            )
    return list(faults.values())


def _tracks(content: Content, folder: Path) -> dict[Path, Track]:
    return {
        folder / kind.what / f"{name}.npz": to_track(kind, frames)
        for kind, all_frames in zip(_KINDS, (content.landmarks, content.regions), strict=True)
        for name, frames in all_frames.items()
        if len(frames.points)
    }


def _track_cells(name: str, tracks: Mapping[Path, Track], folder: Path) -> dict[str, str]:
    paths = {kind.what: folder / kind.what / f"{name}.npz" for kind in _KINDS}
    return {what: shown(path, folder) for what, path in paths.items() if path in tracks}


def _settings_text(imported: Imported, allowed: Mapping[str, bool]) -> str:
    data = {
        "manifest": str(imported.manifest),
        "items": [ITEM],
        "subjects": "required" if imported.has_subjects else "none",
        "grade_cuts": [1, 2, 3, 4, 5],  # the benchmark's six classes
        **allowed,
    }
    # The benchmark's split; with split=none there is none.
    folds = {"folds": {"from_split": True}} if imported.has_split else {}
    return settings_text(data, **folds)


def _write(tracks: Mapping[Path, Track], texts: Mapping[Path, str]) -> None:
    """Write all files that do not exist yet; refuse files with other content first."""
    there = [path for path in tracks if path.exists()]
    faults = [f"{path}: {OTHER_CONTENT}" for path in there if not _is_same(path, tracks[path])]
    refuse([*faults, *text_faults(texts)], ManifestError, "nothing was written")
    try:
        for path, track in tracks.items():
            if path not in there:
                write_track(path, track)
        for path, text in texts.items():
            write_text(path, text)
    except OSError as error:
        raise ManifestError(f"{error.filename}: cannot be written: {error.strerror}") from error


def _is_same(path: Path, track: Track) -> bool:
    try:
        found = read_track(path)
    except DecodeError:
        return False
    return (
        np.array_equal(found.points, track.points, equal_nan=True)
        and np.array_equal(found.seconds, track.seconds)
        and found.size == track.size
        and found.names == track.names
        and _vertices(found) == _vertices(track)
    )


def _vertices(track: Track) -> list[int] | None:
    return None if track.vertices is None else list(track.vertices)
