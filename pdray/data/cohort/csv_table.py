"""A CSV file with known columns, as text: nothing converted, filled or passed over.

UTF-8 with commas, as :mod:`pdray.data.cohort.rows` reads manifests; the caller names the columns.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from pdray.config import nearest
from pdray.data.cohort.rows import Row
from pdray.errors import ManifestError, refuse


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
    try:
        text = path.read_bytes().decode("utf-8-sig")  # spreadsheets write a byte order mark
        lines = _numbered(text)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path}: not a CSV in UTF-8: {error}") from error
    if not lines:
        raise ManifestError(f"{path}: is empty: expected a header with {', '.join(columns)}")
    header = lines[0][1]
    refuse(_header_faults(header, columns, optional), ManifestError, path.name)
    faults = [
        f"row {number}: {len(cells)} cells where the header has {len(header)}"
        for number, cells in lines[1:]
        if len(cells) != len(header)
    ]
    refuse(faults, ManifestError, path.name)
    absent = dict.fromkeys(set(optional) - set(header), "")
    return [
        Row(number, absent | dict(zip(header, cells, strict=True))) for number, cells in lines[1:]
    ]


def _numbered(text: str) -> list[tuple[int, list[str]]]:
    """Return (line a record starts on, cells); blank lines are no records."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
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
