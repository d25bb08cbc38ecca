"""CSV files with known columns, as text: nothing converted, filled or passed over.

Read with the standard library rather than pandas: pandas fills short rows, passes over lines and
turns words like ``NA`` into absent values without a trace.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pdray.config import nearest
from pdray.data.cohort.csv_form import PLAIN, Form
from pdray.errors import ManifestError, refuse


class Row(NamedTuple):
    """One record.

    Attributes:
        number: The line it starts on in a CSV file (the header is line 1), or its place, from 1,
            in a Parquet file.
        cells: Text by column; empty where absent.
    """

    number: int
    cells: Mapping[str, str]


def read_table(path: Path, columns: Sequence[str], *, optional: Sequence[str] = ()) -> list[Row]:
    """Read a table and check its header.

    Args:
        path: The file.
        columns: Those that must be there.
        optional: Those that may be there too.

    Returns:
        The rows below the header, possibly none; an optional column that is not there is empty.

    Raises:
        ManifestError: If it cannot be read or is no such table; with every fault of the header,
            or every row that has too few or too many cells.
    """

    def check(header: list[str]) -> None:
        refuse(_header_faults(header, columns, optional), ManifestError, path.name)

    try:
        content = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from error
    absent = dict.fromkeys(optional, "")
    rows = read_csv(path, content, check, wanted=columns, right="a UTF-8 CSV")
    return [row._replace(cells={**absent, **row.cells}) for row in rows]


def read_csv(
    path: Path,
    content: bytes,
    check: Callable[[list[str]], None],
    *,
    wanted: Sequence[str],
    right: str,
    form: Form = PLAIN,
) -> list[Row]:
    """Read the rows of a CSV file.

    Args:
        path: Names the file.
        content: Its bytes.
        check: Raises where the header is wrong.
        wanted: Columns that a header must have.
        right: What a file may be, for the message.
        form: How it is written.

    Raises:
        ManifestError: If it is no CSV in UTF-8 or is empty; with every row that has too few or too
            many cells.
    """
    try:
        lines = _numbered(content.decode(form.encoding), form.delimiter)
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path}: not a CSV in UTF-8: byte {error.start} is 0x{content[error.start]:02x}; "
            f"expected {right}"
        ) from error
    except csv.Error as error:
        raise ManifestError(f"{path}: not a CSV: {error}") from error
    if not lines:
        raise ManifestError(f"{path}: is empty: expected a header with {', '.join(wanted)}")
    (_, header), *body = lines
    check(header)
    faults = [
        f"row {number}: {len(cells)} cells where the header has {len(header)}"
        for number, cells in body
        if len(cells) != len(header)
    ]
    refuse(faults, ManifestError, path.name)
    return [Row(number, dict(zip(header, cells, strict=True))) for number, cells in body]


def table_text(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a table as CSV; an absent cell is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _numbered(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """Return (line a record starts on, cells); blank lines are no records."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    lines, start = [], 1
    for cells in reader:
        if cells:
            lines.append((start, cells))
        start = reader.line_num + 1
    return lines


def _header_faults(
    header: Sequence[str], columns: Sequence[str], optional: Sequence[str]
) -> list[str]:
    known = (*columns, *optional)
    faults = [f"row 1: column {name} is missing" for name in columns if name not in header]
    for place, name in enumerate(header, start=1):
        if name in header[: place - 1]:
            faults.append(f"row 1: column {name!r} stands twice")
        elif name not in known:
            hint = nearest(name, known)
            faults.append(f"row 1: unknown column {name!r}: {hint}known are {', '.join(known)}")
    return faults
