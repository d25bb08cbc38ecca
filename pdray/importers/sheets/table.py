"""Reads a sheet of ratings or of times with the columns and the words of a manifest."""

import shlex
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pdray.data.cohort.cells import is_personal
from pdray.data.cohort.csv_table import Row
from pdray.data.cohort.rows import OWN, RATER
from pdray.errors import ManifestError, refuse
from pdray.importers.sheets.settings import HEADERS
from pdray.importers.sheets.words import Words, is_rater
from pdray.importers.sheets.workbook import Grid, read_grid

TOLD_WORDS = ("item", "side")  # whose words are printed; others may say who somebody is


@dataclass
class Table:
    """A sheet with the columns of a manifest.

    Attributes:
        name: Of the file.
        rows: Below the header, with the row in the sheet; cells by column of the manifest.
        columns: Header to the column of the manifest.
        left_out: Headers of columns that are not kept.
        words: How often (column, word of the sheet, word of the manifest) was found.
        notes: What the user should know of the file.
    """

    name: str
    rows: list[Row] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    words: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def has(self, column: str) -> bool:
        """Whether a column of the manifest is in the sheet."""
        return column in self.columns.values()

    @property
    def raters(self) -> list[str]:
        """Columns of single raters, in order."""
        return sorted(filter(RATER.fullmatch, self.columns.values()), key=lambda one: int(one[6:]))


def read_sheet(path: Path, sheet: str | None, words: Words) -> Table:
    """Read a sheet; see :func:`read_grid`.

    Args:
        path: The file.
        sheet: Name of the sheet inside a workbook.
        words: How columns and cells are written in a manifest.

    Raises:
        ManifestError: If it cannot be read, or two of its columns are one column of a manifest.
    """
    grid = _long(read_grid(path, sheet), words)
    table = Table(path.name, notes=grid.notes)
    places = _columns(grid, words, table)
    for number, cells in grid.lines:
        found = {}
        for column, place in places.items():
            found[column] = words.cell(column, cells[place])
            if column in TOLD_WORDS and cells[place].strip():
                table.words[column, cells[place].strip(), found[column]] += 1
        table.rows.append(Row(number, found))
    if not table.rows:
        raise ManifestError(f"{path.name}: has no row below the header")
    return table


def _long(grid: Grid, words: Words) -> Grid:
    """Return a sheet with a row per recording, where columns hold the grades of one item each.

    Such a column is one whose header means ``grade:ITEM`` or ``grade:ITEM:SIDE``.
    """
    means = {place: words.header(header) for place, header in enumerate(grid.header)}
    wide = {place: one.split(":") for place, one in means.items() if ":" in one}
    if not wide:
        return grid
    rest = [place for place in means if place not in wide]
    kinds = list(dict.fromkeys(kind for kind, *_ in wide.values()))
    lines = []
    for number, cells in grid.lines:
        found: dict[tuple[str, str], dict[str, str]] = {}
        for place, (kind, item, *side) in wide.items():
            if cells[place].strip():
                found.setdefault((item, "".join(side)), {})[kind] = cells[place]
        lines += [
            (number, [*(cells[place] for place in rest), *what, *(one.get(k, "") for k in kinds)])
            for what, one in found.items()
        ]
    header = [*(grid.header[place] for place in rest), "item", "side", *kinds]
    told = ", ".join(f"{grid.header[place]} -> {means[place]}" for place in wide)
    return Grid(header, lines, [*grid.notes, f"columns of one item each: {told}"])


def _columns(grid: Grid, words: Words, table: Table) -> dict[str, int]:
    """Return the place of each column of the manifest, and note the headers in the table."""
    places: dict[str, int] = {}
    faults = []
    for place, header in enumerate(grid.header):
        column = words.header(header) if header else ""
        cells = [cells[place] for _, cells in grid.lines]
        if column.startswith(OWN) and any(is_personal(cell.strip()) for cell in cells):
            column = ""
        if not column:
            if any(map(str.strip, cells)):
                table.left_out.append(header or f"number {place + 1}, which has no name")
            continue
        if column in places and column.startswith(OWN):
            column = f"{column}_{place + 1}"
        if column in places:
            other = grid.header[places[column]]
            faults.append(
                f"columns {other!r} and {header!r} are both taken for {column}; say which one is: "
                f"{shlex.quote(f'map.{HEADERS}.{header}=')} leaves it out, and =x_name keeps it"
            )
            continue
        places[column] = place
        table.columns[header] = column
    refuse(faults, ManifestError, table.name)
    return _numbered(places, table)


def _numbered(places: dict[str, int], table: Table) -> dict[str, int]:
    """Number the raters from 1 without a gap."""
    new = {old: f"rater_{number}" for number, old in enumerate(table.raters, start=1)}
    table.columns = {header: new.get(one, one) for header, one in table.columns.items()}
    return {new.get(column, column): place for column, place in places.items()}


def told_columns(table: Table) -> list[str]:
    """Say which columns were taken for which; other names of raters' columns may be people's."""
    named = [
        f"{header if is_rater(header) or not RATER.fullmatch(column) else 'a rater'} -> {column}"
        for header, column in table.columns.items()
        if header != column and not column.startswith(OWN)
    ]
    own = [column for column in table.columns.values() if column.startswith(OWN)]
    lines = [", ".join(named)] * bool(named)
    lines += [f"kept as they are: {', '.join(own)}"] * bool(own)
    if table.left_out:
        lines.append(
            f"left out, as they may tell who somebody is or map.{HEADERS} says so: "
            f"{', '.join(table.left_out)}"
        )
    return [f"{table.name}: {line}" for line in lines]
