"""Manifest: the table of recordings a user hands over, checked whole before anything runs.

One row a recording, as CSV (UTF-8, commas) or Parquet. An empty cell means absent - never zero,
never guessed; ``NA`` or ``nan`` in a numeric cell is an error. Without ``audio`` the sound is the
video's own, where it has any. Cells are taken literally: a space around one is reported, not
stripped, because 'S01 ' and 'S01' would silently be two subjects. Every fault of a file is reported
at once, with its row: the line in a CSV file (line 1 is the header), the record from 1 in Parquet.
"""

import hashlib
import math
import os
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdray.config import nearest
from pdray.data.cohort.csv_table import Row
from pdray.data.cohort.rows import COLUMNS, FILES, NUMBERS, RATER, REQUIRED, TEXTS, read_rows
from pdray.data.cohort.settings import (
    ACTION,
    ITEMS,
    KNOWN_ITEMS,
    PUBLIC,
    SYNTHETIC_SITE,
    Subjects,
    unknown_item,
)
from pdray.data.media.decode import check_readable
from pdray.errors import ManifestError, refuse

if TYPE_CHECKING:  # 0.4 s, for a table alone
    import pandas as pd

# "3.0" is what pandas writes for 3 when another cell of the column is empty; it says the same.
_WHOLE = re.compile(r"([+-]?[0-9]+)(\.0+)?")
_READERS = 8  # threads that open files; they wait for the disk, not for a core


@dataclass(frozen=True, slots=True)
class Recording:
    """One row. None (or an empty tuple of raters) is an empty cell or a column that is not there.

    Attributes:
        recording_id: Unique in the manifest.
        subject_id: Pseudonym; what folds are made of. The recording's own id where an action names
            none and that is allowed.
        item: One of :data:`KNOWN_ITEMS`.
        video: Absolute path.
        grade: 0 to the item's highest; the class of an action.
        visit_id: Names one visit of the subject.
        side: "left" or "right".
        start_seconds: Where the recording starts inside the video, at least 0.
        end_seconds: Where it ends, greater than the start.
        audio: Absolute path of its sound; where None, the video's own sound is taken, if any.
        landmarks, regions: Absolute paths.
        split: A split fixed by the cohort's owner; one value a subject.
        visit_score: The visit's total score, finite.
        raters: Grade by each rater, ``rater_1`` first; None where one did not rate.
        age: Years, finite.
        diagnosis, medication_state, sex, site: Free text.
    """

    recording_id: str
    subject_id: str
    item: str
    video: Path | None = None
    grade: int | None = None
    visit_id: str | None = None
    side: str | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    audio: Path | None = None
    landmarks: Path | None = None
    regions: Path | None = None
    split: str | None = None
    diagnosis: str | None = None
    visit_score: float | None = None
    raters: tuple[int | None, ...] = ()
    medication_state: str | None = None
    sex: str | None = None
    age: float | None = None
    site: str | None = None

    @property
    def sound(self) -> Path | None:
        """Where its sound is: ``audio``, else the video, which may have none."""
        return self.audio or self.video

    @property
    def is_synthetic(self) -> bool:
        """Whether it was rendered."""
        return self.site == SYNTHETIC_SITE


@dataclass(frozen=True)
class Manifest:
    """A checked manifest.

    Attributes:
        path: Absolute path of the file.
        digest: SHA-256 of the file's content, hexadecimal.
        recordings: In the order of the file, at least one.
    """

    path: Path
    digest: str
    recordings: tuple[Recording, ...]

    def recording(self, recording_id: str) -> Recording:
        """Return one recording.

        Raises:
            ManifestError: If no row has this id; names the nearest one.
        """
        by_id = {one.recording_id: one for one in self.recordings}
        if recording_id not in by_id:
            hint = nearest(recording_id, list(by_id))
            raise ManifestError(
                f"{self.path.name}: no row of {len(by_id)} has recording_id {recording_id!r}; "
                f"{hint}table() lists them"
            )
        return by_id[recording_id]

    def table(self) -> "pd.DataFrame":
        """Return the recordings as a data frame, a row each, in the order of the file.

        Returns:
            The manifest's columns and ``rater_1``, ... ; an absent cell is <NA>, numbers are Int64
            or Float64, files are absolute paths as text.
        """
        return recordings_table(self.recordings)


def recordings_table(recordings: Sequence[Recording]) -> "pd.DataFrame":
    """Return recordings as a data frame, a row each; see :meth:`Manifest.table`."""
    import pandas as pd

    rows = []
    for one in recordings:
        row = {name: getattr(one, name) for name in COLUMNS}
        row |= {name: str(row[name]) for name in FILES if row[name] is not None}
        rows.append(row | {f"rater_{n}": grade for n, grade in enumerate(one.raters, start=1)})
    return pd.DataFrame(rows).convert_dtypes()


def grade_class(grade: int, cuts: Sequence[int]) -> int:
    """Return the class of a grade: the number of cuts, which rise, that are not above it."""
    return bisect_right(cuts, grade)


def load_manifest(
    path: Path | str, *, check_files: bool = True, subjects: Subjects = "required"
) -> Manifest:
    """Read and check a manifest.

    Args:
        path: ``.csv`` or ``.parquet``. Relative paths inside it are relative to its folder.
        check_files: Also check that every file exists and every video's header can be read.
        subjects: "none" gives a public video that names no subject its own id for one.

    Returns:
        The manifest.

    Raises:
        ManifestError: With every fault of the file at once.

    Example:
        >>> manifest = pdray.load_manifest("demo/manifest.csv")
        >>> manifest.table()[["subject_id", "item", "grade"]].dtypes.astype(str).tolist()
        ['string', 'string', 'Int64']
        >>> manifest.recording("S001_V1_finger_tapping_left").side
        'left'
    """
    path = Path(path).absolute()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from error
    required = tuple(name for name in REQUIRED if subjects == "required" or name != "subject_id")
    rows = read_rows(path, content, required=required)
    if subjects == "none":
        rows = [_with_subject(row) for row in rows]
    if not rows:
        raise ManifestError(f"{path}: is empty: expected one row a recording below the header")
    checks = [_check_row(row, path.parent) for row in rows]
    checked = zip(rows, checks, strict=True)
    faults = [(row.number, text) for row, (_, texts) in checked for text in texts]
    faults += _cross_faults(rows)
    if check_files:
        faults += _file_faults(rows, path.parent)
    # Stable: the faults of one row stay in the order they were found.
    listed = [f"row {number}: {text}" for number, text in sorted(faults, key=lambda f: f[0])]
    refuse(listed, ManifestError, path.name)
    recordings = tuple(recording for recording, _ in checks if recording is not None)
    return Manifest(path, hashlib.sha256(content).hexdigest(), recordings)


def select(
    manifest: Manifest, *, items: Sequence[str] | None, needs: Sequence[str]
) -> tuple[tuple[Recording, ...], dict[str, list[str]]]:
    """Return the recordings a job can use, and those it cannot.

    Args:
        manifest: The checked manifest.
        items: Items to use; None uses every one.
        needs: Fields of :class:`Recording` that must be present.

    Returns:
        The usable recordings, and for each needed field the ids of recordings (of the asked
        items) that lack it - to be listed by the job.

    Raises:
        ManifestError: If an item is unknown, or no recording is left; with the counts.
    """
    name = manifest.path.name
    faults = [unknown_item(item) for item in items or () if item not in KNOWN_ITEMS]
    if items is None and any(one.item == ACTION for one in manifest.recordings):
        faults.append(f"it holds item {ACTION}, whose classes are no grades; name the items to use")
    refuse(faults, ManifestError, f"{name} cannot be selected from")
    asked = [one for one in manifest.recordings if items is None or one.item in items]
    lacking = {
        need: [one.recording_id for one in asked if getattr(one, need) in (None, ())]
        for need in needs
    }
    left_out = {key for keys in lacking.values() for key in keys}
    usable = tuple(one for one in asked if one.recording_id not in left_out)
    if not usable:
        counts = ", ".join(f"{need} absent in {len(keys)}" for need, keys in lacking.items())
        raise ManifestError(
            f"{name}: no usable recording: {len(asked)} of {len(manifest.recordings)} are of the "
            f"items {', '.join(items) if items else '(every item)'}; {counts or 'nothing needed'}"
        )
    return usable, lacking


Fault = tuple[int, str]  # row, text


def _with_subject(row: Row) -> Row:
    """Let a public video without a subject be its own; other rows keep what they have."""
    subject = row.cells.get("subject_id", "")
    if not subject and row.cells["item"] in PUBLIC:
        subject = row.cells["recording_id"]
    return row._replace(cells={**row.cells, "subject_id": subject})


def _check_row(row: Row, folder: Path) -> tuple[Recording | None, list[str]]:
    """Return the row's recording, or None and what is wrong with it."""
    cells = row.cells
    if not any(cells.values()):
        return None, ["every cell is empty; delete the row"]
    faults = [
        f"{name} {cell!r} has spaces around it; write {cell.strip()!r}"
        for name, cell in cells.items()
        if cell != cell.strip()
    ]
    faults += [_missing(name, cells) for name in REQUIRED if not cells[name]]
    item, side = cells["item"], cells.get("side", "")
    if item and item not in KNOWN_ITEMS:
        faults.append(unknown_item(item))
    if side not in ("", "left", "right"):
        faults.append(f"side {side!r} is not left or right")
    numbers = {name: _number(name, cells.get(name, ""), faults) for name in NUMBERS}
    faults += _span_faults(numbers["start_seconds"], numbers["end_seconds"])
    raters = sorted((name for name in cells if RATER.fullmatch(name)), key=lambda n: int(n[6:]))
    grade, *rated = [_grade(name, cells, faults) for name in ("grade", *raters)]
    if faults:
        return None, faults
    values: dict[str, Any] = {name: cells[name] for name in REQUIRED}
    values |= {name: cells.get(name) or None for name in TEXTS}
    values |= {name: folder / cells[name] if cells.get(name) else None for name in FILES}
    values |= numbers
    return Recording(**values, grade=grade, raters=tuple(rated)), []


def _missing(name: str, cells: Mapping[str, str]) -> str:
    is_public = name == "subject_id" and cells["item"] in PUBLIC
    return f"{name} is missing" + ("; data.subjects=none allows that" if is_public else "")


def _number(name: str, cell: str, faults: list[str]) -> float | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        faults.append(f"{name} {cell!r} is not a finite number; leave the cell empty if absent")
        return None
    return value


def _span_faults(start: float | None, end: float | None) -> list[str]:
    faults = []
    if start is not None and start < 0:
        faults.append(f"start_seconds {start:g} is negative")
    if end is not None and end <= (start or 0.0):
        faults.append(f"end_seconds {end:g} must be greater than start_seconds {start or 0.0:g}")
    return faults


def _grade(name: str, cells: Mapping[str, str], faults: list[str]) -> int | None:
    cell, item = cells.get(name, ""), cells["item"]
    if not cell:
        return None
    match = _WHOLE.fullmatch(cell)
    if match is None:
        faults.append(f"{name} {cell!r} is not an integer; leave the cell empty if not rated")
        return None
    highest = ITEMS.get(item, math.inf)
    if item in KNOWN_ITEMS and not 0 <= int(match[1]) <= highest:
        scale = "negative" if item == ACTION else f"outside 0..{highest}"
        faults.append(f"{name} {match[1]} is {scale} for item {item}")
    return int(match[1])


def _cross_faults(rows: Sequence[Row]) -> list[Fault]:
    """Check rows against the rows before them."""
    seen: dict[tuple[str, ...], Row] = {}
    return [(row.number, text) for row in rows for text in _clashes(row, seen)]


def _clashes(row: Row, seen: dict[tuple[str, ...], Row]) -> Iterator[str]:
    """Say where a row repeats an id, or makes one subject two or two subjects one."""
    cells, name, subject = row.cells, row.cells["recording_id"], row.cells["subject_id"]
    first = seen.setdefault(("recording", name), row)
    if name and first is not row:
        yield f"recording_id {name} stands in row {first.number} already"
    near = seen.setdefault(("subject", subject.casefold()), row)
    if subject != near.cells["subject_id"]:
        other = f"{near.cells['subject_id']!r} of row {near.number}"
        yield f"subject_id {subject!r} differs from {other} only in case"
    split, video = cells.get("split", ""), cells.get("video", "")
    if split and subject:
        home = seen.setdefault(("split", subject), row)
        if split != home.cells["split"]:
            other = f"{home.cells['split']!r} in row {home.number}"
            yield f"split {split!r}, but subject {subject} is {other}"
    if video:
        owner = seen.setdefault(("video", os.path.normpath(video)), row)
        if subject != owner.cells["subject_id"]:
            other = f"{owner.cells['subject_id']} in row {owner.number}"
            yield f"video {video} is of subject {subject}, and of {other}; one file, one subject"


def _file_faults(rows: Sequence[Row], folder: Path) -> list[Fault]:
    """Check that files exist and videos open; each file once, however many rows name it."""
    named = [(row.number, name, row.cells.get(name, "")) for row in rows for name in FILES]
    named = [one for one in named if one[2]]
    wanted = sorted({(name == "video", cell) for _, name, cell in named})
    with ThreadPoolExecutor(_READERS) as pool:
        reasons = pool.map(lambda want: _file_fault(folder, want[1], is_video=want[0]), wanted)
        found = dict(zip(wanted, reasons, strict=True))
    return [
        (number, f"{name} {cell}: {reason}")
        for number, name, cell in named
        if (reason := found[name == "video", cell])
    ]


def _file_fault(folder: Path, cell: str, *, is_video: bool) -> str | None:
    path = folder / cell
    try:
        if not path.exists():
            return "no such file" + ("" if Path(cell).is_absolute() else f": {path}")
        if not path.is_file():
            return "is not a file"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return check_readable(path) if is_video else None


assert {field.name for field in fields(Recording)} == {*COLUMNS, "raters"}
