"""Reads sheets of spreadsheet programs and CSV files as rows of text, with the row of each."""

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pdray.data.cohort.csv_form import find_form
from pdray.data.cohort.rows import WORKBOOKS
from pdray.errors import ManifestError

_ALPHABET = 26
_SHOWN = 3  # cells
# A cell of Excel with a formula and no value; text (t="str") may be empty.
_FORMULA = re.compile(
    rb'<c r="([A-Z]+[0-9]+)"(?![^>]* t="str")[^>]*>\s*<f(?:[^>]*/>|[^>]*>[^<]*</f>)\s*'
    rb"(?:<v\s*/>|<v></v>)?\s*</c>"
)
_FEWEST = 2  # cells of a header; a row with fewer above it is a title


class Grid(NamedTuple):
    """A sheet as text.

    Attributes:
        header: Names of the columns; empty where a column has none.
        lines: (row in the sheet, from 1; cells, as many as the header) of the rows below it that
            are not empty.
        notes: What the user should know of the file, one sentence each.
    """

    header: list[str]
    lines: list[tuple[int, list[str]]]
    notes: list[str]


def read_grid(path: Path, sheet: str | None) -> Grid:
    """Read a sheet; the first row with two cells or more is its header.

    Args:
        path: A workbook (``.xlsx``, ``.xls``, ``.xlsb``, ``.ods``), or a CSV file with commas,
            semicolons or tabs in UTF-8, UTF-16 or Windows-1252.
        sheet: Name of the sheet inside a workbook; None is its only one that holds something.

    Raises:
        ManifestError: If it cannot be read, has no header, or several sheets hold something.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from error
    spans: Sequence[int] = ()
    if path.suffix.lower() in WORKBOOKS:
        lines, spans, notes = _read_workbook(path.name, content, sheet)
    else:
        lines, notes = _read_text(path.name, content)
    filled = [(number, cells) for number, cells in lines if any(map(str.strip, cells))]
    widths = [len(_given(cells)) for _, cells in filled]
    start = next((at for at, width in enumerate(widths) if width >= _FEWEST), None)
    if start is None:
        raise ManifestError(f"{path.name}: has no row with the names of columns, such as Patient")
    if filled[start][0] in spans:
        raise ManifestError(
            f"{path.name}: in row {filled[start][0]}, the header, one cell spans several columns; "
            "split it and name each column, or delete the row if the names stand below it"
        )
    header = [cell.strip() for cell in filled[start][1]]
    width = len(header)
    below = [(n, [*cells, *[""] * width][:width]) for n, cells in filled[start + 1 :]]
    wide = [n for n, cells in filled[start + 1 :] if _given(cells[width:])]
    if wide:
        raise ManifestError(
            f"{path.name}: row {wide[0]} has more cells than the {width} columns of the header in "
            f"row {filled[start][0]}; put quotes around text that holds what separates cells"
        )
    return Grid(header, below, notes)


def _given(cells: Sequence[str]) -> list[str]:
    return [cell for cell in cells if cell.strip()]


def _read_text(name: str, content: bytes) -> tuple[list[tuple[int, list[str]]], list[str]]:
    form = find_form(content)
    lines, last = [], 0
    try:
        text = io.StringIO(content.decode(form.encoding), newline="")
        reader = csv.reader(text, strict=True, delimiter=form.delimiter)
        for cells in reader:
            lines.append((last + 1, cells))
            last = reader.line_num
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(
            f"{name}: cannot be read as a CSV file: {error}; save it as .xlsx or as CSV in UTF-8"
        ) from error
    return lines, form.notes(name)


def _read_workbook(
    name: str, content: bytes, sheet: str | None
) -> tuple[list[tuple[int, list[str]]], list[int], list[str]]:
    """Return lines, rows in which a cell spans several columns, and notes."""
    try:
        import python_calamine as calamine
    except ImportError as error:
        raise ManifestError(
            f"{name}: to read workbooks, pdray needs python-calamine: pip install -c "
            "constraints.txt -e '.[sheets]'; or save the sheet as CSV"
        ) from error
    try:
        with calamine.CalamineWorkbook.from_filelike(io.BytesIO(content)) as book:
            seen = [one.name for one in book.sheets_metadata
                    if one.visible == calamine.SheetVisibleEnum.Visible]  # fmt: skip
            sheets = {one: book.get_sheet_by_name(one) for one in book.sheet_names}
            held = [one for one in seen if sheets[one].height > 1]
            chosen = sheet or (held[0] if len(held) == 1 else "")
            if chosen not in sheets:
                found = f"its sheets are {', '.join(held)}; name one with sheet=..."
                if not held:
                    found = "no sheet in it has a row below a header; choose another file"
                missing = f"has no sheet {sheet!r}; " if sheet else ""
                raise ManifestError(f"{name}: {missing}{found}")
            rows: list[list[Any]] = sheets[chosen].to_python(skip_empty_area=False)
            merged = sheets[chosen].merged_cell_ranges or ()
    except calamine.PasswordError as error:
        raise ManifestError(f"{name}: is locked by a password; save it without one") from error
    except calamine.CalamineError as error:
        raise ManifestError(
            f"{name}: cannot be read as a workbook: {error}; save it again as .xlsx or as CSV"
        ) from error
    xml = _sheets_of_excel(content)
    _refuse_formulas(name, xml, rows)
    for (top, left), (bottom, _) in merged:  # what is written once holds for all rows
        for row in rows[top : bottom + 1]:
            row[left] = rows[top][left]
    spans = [top + 1 for (top, left), (_, right) in merged if right > left]
    lines = [(number, [_text(cell) for cell in row]) for number, row in enumerate(rows, start=1)]
    broken = "a cell with an error, such as #N/A, was read as empty"
    return lines, spans, [f"{name}: {broken}"] * any(b' t="e"' in one for one in xml)


def _text(cell: Any) -> str:
    """Return a cell as text: 2 without a point, dates as 2024-05-31, times of day as 00:01:30."""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(sep=" ")
    if isinstance(cell, timedelta):
        return str(cell.total_seconds())
    return cell.isoformat() if isinstance(cell, date | time) else str(cell)


def _sheets_of_excel(content: bytes) -> list[bytes]:
    """Return the XML of each sheet of a workbook of Excel; empty for another kind of file."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return []
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        parts = [one for one in book.namelist() if one.startswith("xl/worksheets/sheet")]
        return [book.read(one) for one in parts]


def _refuse_formulas(name: str, xml: Sequence[bytes], rows: Sequence[Sequence[Any]]) -> None:
    """Refuse cells with a formula whose value is not in the file: they would be read as empty.

    A program that is not a spreadsheet program writes them so.
    """
    without = {match[1].decode() for one in xml for match in _FORMULA.finditer(one)}
    held = [
        cell
        for number, row in enumerate(rows, start=1)
        for place, value in enumerate(row)
        if value == "" and (cell := f"{_letters(place)}{number}") in without
    ]
    if held:
        more = ", ..." * (len(held) > _SHOWN)
        raise ManifestError(
            f"{name}: formulas without a value in {', '.join(held[:_SHOWN])}{more}; open it in "
            "Excel or LibreOffice, which computes them, and save it"
        )


def _letters(place: int) -> str:
    """Return the name of a column, from A."""
    above = _letters(place // _ALPHABET - 1) if place >= _ALPHABET else ""
    return f"{above}{chr(ord('A') + place % _ALPHABET)}"
