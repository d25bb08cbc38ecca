"""A printed table: cells that hold counts, ranges or means, as text and as CSV."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pdray.data.cohort.csv_table import table_text
from pdray.evaluation.report import aligned

NOT_GIVEN, NONE = "not given", "-"
WIDTH = 80  # letters of a line
_LONGEST = 24  # letters of a cell, in text


class Count(NamedTuple):
    """How many recordings and subjects a cell has.

    Attributes:
        recordings: All.
        subjects: Those that are named.
        unnamed: Recordings that name no subject.
    """

    recordings: int
    subjects: int
    unnamed: int = 0

    def __str__(self) -> str:
        known = f"{self.subjects}" if self.subjects or not self.unnamed else ""
        return f"{self.recordings}/{known}{'?' if self.unnamed else ''}"

    @property
    def sentence(self) -> str:
        """The counts in words."""
        people = f" of {self.subjects} subjects" if self.subjects or not self.unnamed else ""
        nameless = f", {self.unnamed} of which name no subject" if self.unnamed else ""
        return f"{self.recordings} recordings{people}{nameless}"


class Ends(NamedTuple):
    """The least and the most of some values."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{_shown(self.low)}/{_shown(self.high)}"


class Mean(NamedTuple):
    """A mean and the sample standard deviation, which one value alone does not have."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """Return the mean of at least one value."""
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return cls(float(np.mean(values)), deviation)

    def __str__(self) -> str:
        deviation = NONE if self.deviation is None else _shown(self.deviation)
        return f"{_shown(self.mean)} ({deviation})"


Cell = str | int | float | Count | Ends | Mean | None
# The end of a column's name in text, and those of its columns in a CSV.
_PARTS: dict[type, tuple[str, tuple[str, ...]]] = {
    Count: ("count", ("recordings", "subjects")),
    Ends: ("min/max", ("min", "max")),
    Mean: ("mean (SD)", ("mean", "SD")),
}
LEGEND = (
    "count: recordings/subjects; ?: recordings that name no subject are not counted as "
    f"subjects; {NONE}: there can be none"
)


class Table(NamedTuple):
    """A table, printed and written alike.

    Attributes:
        name: Of its file, without the ending.
        title: One line or more above it.
        labels: How many of its columns name a row.
        columns: Names.
        rows: Cells; None is not given.
    """

    name: str
    title: str
    labels: int
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def text(table: Table) -> str:
    """Return a table in lines of at most 80 letters; what is wider goes on below."""
    header = [name.removesuffix(" count") for name in table.columns]
    cells = [header, *([_shown(cell) for cell in row] for row in table.rows)]
    columns = list(zip(*cells, strict=True))
    widths = [2 + max(map(len, column)) for column in columns]
    label = range(table.labels)
    blocks: list[list[int]] = [[]]
    for place in range(table.labels, len(columns)):
        wanted = sum(widths[one] for one in (*label, *blocks[-1], place)) - 2
        if blocks[-1] and wanted > WIDTH:
            blocks.append([])
        blocks[-1].append(place)
    lines = [table.title]
    for block in blocks:
        shown = [[row[place] for place in (*label, *block)] for row in cells]
        lines += aligned(shown, numbers_right=True)
    return "\n".join(lines)


def csv_text(table: Table) -> str:
    """Return a table as CSV; what is not given is empty.

    A count takes two columns, and a third one, of recordings that name no subject, where there are
    such.
    """
    columns: dict[str, list[object]] = {}
    for place, name in enumerate(table.columns):
        cells = [row[place] for row in table.rows]
        end, parts = _parts(name, cells)
        if not parts:
            columns[name] = ["" if cell in (None, NONE) else cell for cell in cells]
            continue
        group = name.removesuffix(end).strip()
        for number, part in enumerate(parts):
            columns[f"{group} {part}".strip()] = [_part(cell, number) for cell in cells]
    rows = zip(*columns.values(), strict=True)
    return table_text(columns, [dict(zip(columns, row, strict=True)) for row in rows])


def _parts(name: str, cells: Sequence[Cell]) -> tuple[str, tuple[str, ...]]:
    """Return the end of a column's name and what its cells hold; nothing of one value each."""
    kinds = {type(cell) for cell in cells}
    found = [parts for kind, parts in _PARTS.items() if kind in kinds or name.endswith(parts[0])]
    end, parts = found[0] if found else ("", ())
    if any(isinstance(cell, Count) and cell.unnamed for cell in cells):
        parts += ("unnamed",)
    return end, parts


def _part(cell: Cell, number: int) -> object:
    """Return one number of a cell that has several; empty where it is not given."""
    if not isinstance(cell, tuple):
        return ""
    if isinstance(cell, Count) and number and cell.unnamed and not cell.subjects:
        return ""
    return "" if cell[number] is None else cell[number]


def _shown(cell: Cell) -> str:
    if cell is None:
        return NOT_GIVEN
    if isinstance(cell, float):
        return f"{cell:.2f}" if abs(cell) < 10 else f"{cell:.1f}"
    shown = " ".join(str(cell).split())  # one line, whatever a free text holds
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."
