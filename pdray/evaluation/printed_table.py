"""Table with cells of counts, ranges or means, as text and as CSV."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pdray.data.cohort.csv_table import table_text
from pdray.evaluation.report import aligned

NOT_GIVEN, NONE = "not given", "-"
WIDTH = 80  # letters per line
_LONGEST = 24  # letters per cell, in text


class Count(NamedTuple):
    """Number of recordings and subjects.

    Attributes:
        recordings: All recordings.
        subjects: Known subjects.
        unnamed: Recordings without a subject_id.
        least: A count of fewer people, except of none, is not shown.
    """

    recordings: int
    subjects: int
    unnamed: int = 0
    least: int = 1

    def __str__(self) -> str:
        if self.is_few:
            return f"<{self.least}"
        known = f"{self.subjects}" if self.subjects or not self.unnamed else ""
        return f"{self.recordings}/{known}{'?' if self.unnamed else ''}"

    @property
    def is_few(self) -> bool:
        """Whether it is not shown."""
        return 0 < self.subjects + self.unnamed < self.least

    @property
    def sentence(self) -> str:
        """The counts in words."""
        people = f" of {self.subjects} subjects" if self.subjects or not self.unnamed else ""
        unknown = f", {self.unnamed} of them without a subject_id" if self.unnamed else ""
        return f"{self.recordings} recordings{people}{unknown}"


class Ends(NamedTuple):
    """Smallest and largest of some values."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{_shown(self.low)}/{_shown(self.high)}"


class Mean(NamedTuple):
    """Mean and sample standard deviation; a single value has no deviation."""

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
# Ending of a column name in text, and the endings of its columns in CSV.
_PARTS: dict[type, tuple[str, tuple[str, ...]]] = {
    Count: ("count", ("recordings", "subjects")),
    Ends: ("min/max", ("min", "max")),
    Mean: ("mean (SD)", ("mean", "SD")),
}
LEGEND = (
    "count: recordings/subjects; ?: some recordings have no subject_id and are not counted as "
    f"subjects; {NONE}: not possible"
)


class Table(NamedTuple):
    """Table that is printed and written as CSV.

    Attributes:
        name: Name of its file, without the ending.
        title: Line or lines above it.
        labels: Number of first columns that name a row.
        columns: Names of the columns.
        rows: Cells; None means "not given".
    """

    name: str
    title: str
    labels: int
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def without_small_cells(table: Table, least: int) -> Table:
    """Return a table without counts of fewer than ``least`` people, and what describes these.

    Args:
        table: In each row, a count of people or visits stands before what describes them. The
            first count is of the whole row.
        least: Smaller counts, except none, become "<5".
    """
    rows = [_without_small(row, table.columns, least) for row in table.rows]
    return table._replace(rows=rows)


def _without_small(row: Sequence[Cell], columns: Sequence[str], least: int) -> list[Cell]:
    few = f"<{least}"
    cells = [cell._replace(least=least) if isinstance(cell, Count) else cell for cell in row]
    is_row_few = next((cell.is_few for cell in cells if isinstance(cell, Count)), False)
    is_few, found = False, list[Cell]()
    for name, cell in zip(columns, cells, strict=True):
        if isinstance(cell, Count):
            # Those who lack a value are not described by what follows.
            is_few = cell.is_few and not name.startswith(NOT_GIVEN)
            found.append(cell)
        elif isinstance(cell, int):
            is_few = 0 < cell < least
            found.append(few if is_few else cell)
        else:
            hides = isinstance(cell, Ends | Mean | float) and (is_few or is_row_few)
            found.append(few if hides else cell)
    return found


def text(table: Table) -> str:
    """Return a table in lines of at most 80 letters; further columns follow below."""
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
    """Return a table as CSV; a cell that is not given is empty.

    A count has two columns, and a third one if some recordings have no subject_id.
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
    """Return the ending of a column name and the parts of its cells; no parts for single values."""
    kinds = {type(cell) for cell in cells}
    found = [parts for kind, parts in _PARTS.items() if kind in kinds or name.endswith(parts[0])]
    end, parts = found[0] if found else ("", ())
    if any(isinstance(cell, Count) and cell.unnamed for cell in cells):
        parts += ("unnamed",)
    return end, parts


def _part(cell: Cell, number: int) -> object:
    """Return one part of a cell with several; empty if it is not given."""
    if isinstance(cell, str) and cell != NONE:
        return cell  # of too few people
    if not isinstance(cell, tuple):
        return ""
    if isinstance(cell, Count) and cell.is_few:
        return str(cell)
    if isinstance(cell, Count) and number and cell.unnamed and not cell.subjects:
        return ""
    return "" if cell[number] is None else cell[number]


def _shown(cell: Cell) -> str:
    if cell is None:
        return NOT_GIVEN
    if isinstance(cell, float):
        return f"{cell:.2f}" if abs(cell) < 10 else f"{cell:.1f}"
    shown = " ".join(str(cell).split())  # a free text may have several lines
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."
