"""Rows of the manifest with made recordings: the real ones, and one of each made file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pdray.data.cohort.csv_table import Row
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rows import MADE, file_columns
from pdray.importers.files import shown

# What a made recording has of its source: who, what was done, and where.
KEPT = (
    "item", "visit_id", "side", "start_seconds", "end_seconds", "split", "medication_state", "sex",
    "age", "site", "stimulation_state", "recording_protocol",
)  # fmt: skip


def moved_cells(row: Row, old: Path, new: Path) -> dict[str, str]:
    """Return the cells of a real row, whose files are named from another folder.

    Args:
        row: Of the manifest in ``old``.
        old: Its folder.
        new: That of the new manifest.
    """
    cells = dict(row.cells)
    for name in (*file_columns(cells), MADE):
        if cells.get(name):
            cells[name] = shown(old / cells[name], new)
    return cells


def made_cells(
    source: Mapping[str, str], recording: Recording, *, made: Mapping[str, str]
) -> dict[str, str]:
    """Return the cells of a made row.

    It has no grades of raters and nothing else that is known of the source's illness, no other
    file, and no consent of its own: that of the real rows counts.

    Args:
        source: Cells of its source.
        recording: The source.
        made: ``recording_id``, the label that it is to show, its file and ``made_by``.
    """
    kept = {name: source[name] for name in KEPT if source.get(name)}
    return {**kept, "subject_id": recording.subject_id, **made}


def label_cells(target_class: int, cuts: Sequence[int], ill: str | None) -> dict[str, str]:
    """Return the cells of a made row's label.

    Args:
        target_class: The class that it is to show, 1..K-1.
        cuts: First grade of each class but the lowest.
        ill: The word of the diagnosis, where that is the target; None is a grade.
    """
    return {"grade": str(cuts[target_class - 1])} if ill is None else {"diagnosis": ill}
