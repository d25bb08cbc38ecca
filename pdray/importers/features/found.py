"""Recordings of a published table: their cells in a manifest, and their features."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pdray.data.cohort.csv_form import find_form
from pdray.data.cohort.csv_table import Row, read_csv
from pdray.errors import ManifestError

Cells = dict[str, str]


@dataclass
class Found:
    """What a layout holds.

    Attributes:
        rows: Cells of each recording by column of the manifest, with ``recording_id``.
        tables: Features of each recording by modality and recording id, as cells by name.
        data, folds: Settings of these sections that fit the manifest.
        left_out: Reason of each recording that the manifest has not, by id.
        notes: What the user should know, one sentence each.
    """

    rows: list[Cells]
    tables: dict[str, dict[str, Cells]]
    data: dict[str, Any]
    folds: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_rows(folder: Path, names: Sequence[str], needed: Iterable[str]) -> list[Row]:
    """Read a table as text.

    Args:
        folder: That has it, or the table itself.
        names: Its possible places in the folder.
        needed: Columns that it must have, each in lower case; ``a|b`` is one of both.

    Returns:
        Its rows; names of columns as they stand in the file.

    Raises:
        ManifestError: If there is no such file, or a column is missing.
    """
    if folder.is_file():
        path = folder
    else:
        there = [folder / name for name in names if (folder / name).is_file()]
        if not there:
            raise ManifestError(f"{folder}: has none of {', '.join(names)}; give another folder")
        path = there[0]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from error

    def check(header: list[str]) -> None:
        known = {name.lower() for name in header}
        absent = [one for one in needed if known.isdisjoint(one.split("|"))]
        if absent:
            raise ManifestError(
                f"{path.name}: column {absent[0].replace('|', ' or ')} is missing; choose another "
                "layout"
            )

    rows = read_csv(
        path, content, check, wanted=tuple(needed), right="a table", form=find_form(content)
    )
    if not rows:
        raise ManifestError(f"{path.name}: has no row below the header")
    return rows


def cell(row: Row, *names: str) -> str:
    """Return the first cell of a row that one of these columns (lower case) has; else empty."""
    known = {name.lower(): text for name, text in row.cells.items()}
    return next((known[name].strip() for name in names if known.get(name, "").strip()), "")


def numbers(rows: Sequence[Row], columns: Sequence[str]) -> tuple[list[Cells], list[str]]:
    """Return the cells of columns of numbers, and the columns that hold text.

    A cell ``nan`` is written empty.
    """
    texts = [
        name for name in columns if not all(map(_is_number, (row.cells[name] for row in rows)))
    ]
    kept = [name for name in columns if name not in texts]
    return [{name: _written(row.cells[name]) for name in kept} for row in rows], texts


def without_zeros(described: Sequence[Cells]) -> tuple[list[Cells], int]:
    """Leave cells of the face empty where every number of it is zero: no face was found there.

    Facial actions (AU) and the mesh of the face come from two programs.

    Returns:
        The cells, and in how many recordings some were zero.
    """
    found = [dict(one) for one in described]
    num_changed = 0
    for one in found:
        groups = [[name for name in one if ("_AU" in name) == is_action] for is_action in (0, 1)]
        faceless = [
            name
            for group in groups
            if all(float(one[name] or 0) == 0 for name in group)
            for name in group
        ]
        one |= dict.fromkeys(faceless, "")
        num_changed += bool(faceless)
    return found, num_changed


def is_empty(cells: Mapping[str, str]) -> bool:
    """Whether every feature is absent."""
    return not any(cells.values())


def _written(text: str) -> str:
    return "" if text.strip().lower() == "nan" else text.strip()


def _is_number(text: str) -> bool:
    try:
        float(text or 0)
    except ValueError:
        return False
    return True
