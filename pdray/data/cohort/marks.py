"""The marks of a clinician on regions of faces, by recording: what a region's label is made of.

The table is the one that :func:`marks_text` makes; importers write it beside a manifest. A region
that was marked more than once has its highest mark. Absent is not zero: a region without a mark is
None.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pdray.data.cohort.csv_table import read_table, table_text
from pdray.data.cohort.rated import RatedRecording
from pdray.data.face.points import REGIONS
from pdray.errors import ManifestError, refuse

HIGHEST = 10  # of a mark and of a confidence
_MOST_FRAMES = 10**9
COLUMNS = ("recording_id", "in_manifest", "region_index", "region", "mark_0_10", "grade_0_5",
           "confidence_0_10", "frame", "total_frames", "time_ratio", "repeated",
           "note")  # fmt: skip

RegionMarks = tuple[int | None, ...]
"""Of each region the severity of its mark, 0 to 10; None where it has none."""

NO_MARKS: RegionMarks = (None,) * len(REGIONS)


class Mark(NamedTuple):
    """One mark; None where it does not say.

    Attributes:
        clip: Name of the clip.
        region: 0 to 13, the place in :data:`pdray.data.face.points.REGIONS`.
        frame: Of the annotator's timeline, 0 to ``total``.
        total: Frames of that timeline, at least 1.
        severity: 0 to 10.
        confidence: 0 to 10.
        note: What is odd about it; may be empty.
    """

    clip: str
    region: int | None
    frame: int | None
    total: int | None
    severity: int | None
    confidence: int | None
    note: str = ""


class MarksTable(NamedTuple):
    """What a table of marks says.

    Attributes:
        regions: By recording id; every recording that is in the table.
        num_vague: Rows that name no region or no severity: they mark nothing.
    """

    regions: Mapping[str, RegionMarks]
    num_vague: int


def read_marks(path: Path) -> MarksTable:
    """Read a table of marks.

    Args:
        path: CSV with at least the columns recording_id, region_index (0 to 13) and mark_0_10; the
            latter two may be empty.

    Raises:
        ManifestError: If it cannot be read, with every fault of its cells.
    """
    columns = ("recording_id", "region_index", "mark_0_10")
    rows = read_table(path, columns, optional=[one for one in COLUMNS if one not in columns])
    found: dict[str, list[int | None]] = {}
    faults, num_vague = [], 0
    for row in rows:
        name, region, mark = (row.cells[column] for column in columns)
        highest = {"region_index": len(REGIONS) - 1, "mark_0_10": HIGHEST}
        wrong = [
            f"row {row.number}: {column} '{row.cells[column]}' is not 0..{most}"
            for column, most in highest.items()
            if row.cells[column] and not _is_within(row.cells[column], most)
        ]
        if not name:
            wrong.append(f"row {row.number}: recording_id is empty")
        frame, total = (row.cells.get(column, "") for column in ("frame", "total_frames"))
        if (
            frame
            and total
            and not (_is_within(total, _MOST_FRAMES) and _is_within(frame, int(total)))
        ):
            wrong.append(f"row {row.number}: frame '{frame}' is not within its total of '{total}'")
        faults += wrong
        if wrong:
            continue
        marks = found.setdefault(name, list(NO_MARKS))
        if not region or not mark:
            num_vague += 1
            continue
        marks[int(region)] = max(int(mark), marks[int(region)] or 0)
    refuse(faults, ManifestError, path.name)
    return MarksTable({name: tuple(marks) for name, marks in found.items()}, num_vague)


def add_marks(
    recordings: Sequence[RatedRecording], table: MarksTable
) -> tuple[RatedRecording, ...]:
    """Give recordings their marks; those that are not in the table, and marks of no use, have none.

    Raises:
        ManifestError: If a healthy recording has a mark above 0; names every such one.
    """
    faults = [
        f"recording {one.recording_id}: grade 0, and a mark of {max(found)} on a region: marks are "
        "of ill recordings only"
        for one in recordings
        if one.grade == 0
        and (found := [mark for mark in table.regions.get(one.recording_id, NO_MARKS) if mark])
    ]
    refuse(faults, ManifestError, "marks")
    return tuple(replace(one, marks=table.regions.get(one.recording_id)) for one in recordings)


def marks_text(marks: Iterable[Mark], recordings: Collection[str]) -> str:
    """Return the table of marks.

    Args:
        marks: In the order to write.
        recordings: Those of the manifest; marks of others are flagged.

    Returns:
        CSV with the columns :data:`COLUMNS`. ``repeated`` flags a mark that says the same as one
        above it; ``time_ratio`` is the frame's share of the total, 0 to 1.
    """
    rows, seen = [], set()
    for mark in marks:
        said = mark[:-1]
        region = "" if mark.region is None else REGIONS[mark.region]
        grade = None if mark.severity is None else (mark.severity + 1) // 2
        cells = (mark.clip, int(mark.clip in recordings), mark.region, region, mark.severity,
                 grade, mark.confidence, mark.frame, mark.total, _share(mark), int(said in seen),
                 mark.note)  # fmt: skip
        rows.append(dict(zip(COLUMNS, cells, strict=True)))
        seen.add(said)
    return table_text(COLUMNS, rows)


def _is_within(text: str, most: int) -> bool:
    return re.fullmatch("[0-9]{1,9}", text) is not None and int(text) <= most


def _share(mark: Mark) -> str:
    if mark.frame is None or mark.total is None:
        return ""
    return f"{mark.frame / mark.total:.6f}"
