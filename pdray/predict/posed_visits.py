"""Visits of posed expressions: which recordings each has, and its row of a manifest."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pdray.data.cohort.csv_table import Row
from pdray.data.cohort.made import refuse_made
from pdray.data.cohort.manifest import Recording, load_manifest
from pdray.data.cohort.rows import CROP, FILES, RATER, REQUIRED, read_rows
from pdray.data.cohort.settings import VISIT
from pdray.errors import ManifestError, refuse

RATED = "facial_expression"  # MDS-UPDRS 3.2, which rates the whole visit
_OF_RECORDING = {
    *REQUIRED, *FILES, "grade", "grade_status", "side", "start_seconds", "end_seconds", CROP,
}  # fmt: skip
_OF_VISIT = ("recording_id", "subject_id", "visit_id", "item", "grade", "intensities")


@dataclass(frozen=True)
class PosedVisit:
    """The posed expressions of one visit.

    Attributes:
        name: Id of its row.
        videos: Recordings of each expression, several only where that is allowed; an absent
            expression is not there.
        cells: Cells of its row that its recordings agree on; without its grade.
        differing: Columns in which they do not agree.
        grade: Grade of the visit as text; empty if unknown.
        grade_of: What it was graded by: an item, ``its videos``, or nothing.
    """

    name: str
    videos: Mapping[str, tuple[Recording, ...]]
    cells: Mapping[str, str]
    differing: tuple[str, ...]
    grade: str
    grade_of: str

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """All its recordings."""
        return tuple(one for some in self.videos.values() for one in some)

    def row(self, file: str) -> dict[str, str]:
        """Return its row of a manifest, with the path of its file of intensities."""
        return {
            **self.cells,
            "recording_id": self.name,
            "item": VISIT,
            "grade": self.grade,
            "intensities": file,
        }


def find_visits(
    path: Path, expressions: Sequence[str], repeats: Literal["refuse", "mean"]
) -> tuple[tuple[PosedVisit, ...], tuple[str, ...]]:
    """Return the visits of a manifest that have a recording of some expressions.

    Args:
        path: The manifest.
        expressions: Those to measure.
        repeats: Whether several recordings of one expression in a visit are refused.

    Returns:
        The visits, in the order of the manifest, and the columns of their rows.

    Raises:
        ManifestError: If the manifest has faults, a recording names no visit, a visit has several
            recordings of one expression, or no recording is of these expressions.
    """
    # Any scale will do for other items, whose grades are not used.
    manifest = load_manifest(path, scale="0..99", allowed=None)
    refuse_made(manifest.made)
    rows, _ = read_rows(manifest.path, manifest.path.read_bytes())
    items = {f"expression_{one}": one for one in expressions}
    posed = [one for one in manifest.recordings if one.item in items]
    if not posed:
        found = ", ".join(sorted({one.item for one in manifest.recordings}))
        raise ManifestError(
            f"{path.name}: none of its {len(rows)} recordings is of {', '.join(items)} (its items: "
            f"{found}); correct column item, or choose others with items=[...]"
        )
    refuse(_visit_faults(posed, rows, repeats), ManifestError, path.name)
    by_visit: dict[tuple[str, str], list[Recording]] = {}
    for one in posed:
        by_visit.setdefault((one.subject_id, str(one.visit_id)), []).append(one)
    ratings: dict[tuple[str, str], set[int]] = {}
    for one in manifest.recordings:
        if one.item == RATED and one.visit_id and one.grade is not None:
            ratings.setdefault((one.subject_id, one.visit_id), set()).add(one.grade)
    cells = {row.cells["recording_id"]: row.cells for row in rows}
    visits = tuple(
        _visit(some, items, [cells[one.recording_id] for one in some], ratings.get(key, set()))
        for key, some in by_visit.items()
    )
    twice = [name for name, count in Counter(one.name for one in visits).items() if count > 1]
    refuse(
        [f"two visits would be named {name}; rename one of them in visit_id" for name in twice],
        ManifestError, path.name,
    )  # fmt: skip
    return visits, tuple(dict.fromkeys([*_OF_VISIT, *filter(_is_of_visit, rows[0].cells)]))


def _visit_faults(posed: Sequence[Recording], rows: Sequence[Row], repeats: str) -> list[str]:
    number = {row.cells["recording_id"]: row.number for row in rows}
    faults = [
        f"row {number[one.recording_id]}: recording {one.recording_id} has no visit_id, so it is "
        "not known which videos belong together; write the name of its visit"
        for one in posed
        if one.visit_id is None
    ]
    seen: dict[tuple[str, str | None, str], str] = {}
    for one in posed:
        first = seen.setdefault((one.subject_id, one.visit_id, one.item), one.recording_id)
        if first != one.recording_id and one.visit_id and repeats == "refuse":
            faults.append(
                f"row {number[one.recording_id]}: recordings {first} and {one.recording_id} are "
                f"both of {one.item} in visit {one.visit_id}; remove one, or average them with "
                "repeats=mean"
            )
    return faults


def _is_of_visit(column: str) -> bool:
    return column not in _OF_RECORDING and RATER.fullmatch(column) is None


def _visit(
    recordings: Sequence[Recording],
    items: Mapping[str, str],
    cells: Sequence[Mapping[str, str]],
    ratings: set[int],
) -> PosedVisit:
    videos = {
        name: tuple(one for one in recordings if one.item == item) for item, name in items.items()
    }
    found = {
        column: {one[column] for one in cells} - {""} for column in filter(_is_of_visit, cells[0])
    }
    agreed = {column: next(iter(values)) for column, values in found.items() if len(values) == 1}
    graded = ratings or {one.grade for one in recordings if one.grade is not None}
    grade = next(iter(graded)) if len(graded) == 1 else None
    grade_of = RATED if ratings else "its videos"
    first = recordings[0]
    return PosedVisit(
        f"{first.subject_id}_{first.visit_id}",
        {name: some for name, some in videos.items() if some},
        {"subject_id": first.subject_id, **agreed},
        tuple(column for column, values in found.items() if len(values) > 1),
        "" if grade is None else str(grade),
        "" if grade is None else grade_of,
    )
