"""The manifest's table as text: columns, header and cells, nothing converted or guessed."""

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from pdray.config import nearest
from pdray.data.cohort.csv_form import PLAIN, find_form
from pdray.data.cohort.csv_table import Row, read_csv
from pdray.data.modalities import FEATURES, MODALITIES, is_table
from pdray.errors import ManifestError, refuse

# Files of one recording. An empty audio cell: the sound is the video's own, where it has any.
FILES = tuple(
    dict.fromkeys(
        [
            *("video", "audio"),
            *(one.needs for one in MODALITIES.values() if one.needs not in ("sound", FEATURES)),
        ]
    )
)
SIDES = ("left", "right")
PLACES = {"rest_tremor": (*SIDES, "left_leg", "right_leg", "lip_jaw")}  # of other items: SIDES
UNABLE = "unable"  # to rate, a grade_status; MDS-UPDRS writes UR or 101


class Numbers(NamedTuple):
    """A column of numbers from ``low`` to ``high``, or of ``values`` alone."""

    low: float = -math.inf
    high: float = math.inf
    values: tuple[float, ...] = ()


IDS = ("recording_id", "subject_id", "visit_id")
TEXTS = ("split", "diagnosis", "sex", "site", "recording_protocol", "consent_version")
CONSENT, CONSENTS = "consent_synthesis", ("learn", "change", "show")
CROP = "crop"  # left top width height of the rectangle of the shown picture that is read [px]
LEAST_CROP = 16  # sides of the least one [px]
MADE = "made_by"  # its cell names the provenance file of a made recording
# Column to its words and, in lower case without spaces, dashes and underscores, how else each may
# be written.
WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "grade_status": {"rated": (), UNABLE: ("unabletorate", "ur")},
    "medication_state": {
        "on": ("onmed", "medon", "onmedication", "onstate"),
        "off": ("offmed", "medoff", "offmedication", "offstate"),
        "untreated": ("drugnaive", "denovo"),
    },
    "stimulation_state": {"on": ("onstim", "stimon"), "off": ("offstim", "stimoff"), "none": ()},
    "dyskinesia": {"none": (), "present": (), "interfered": ()},
    "consent_pictures": {"yes": ("y", "true", "1"), "no": ("n", "false", "0")},
}
NUMBERS: dict[str, Numbers] = {
    "start_seconds": Numbers(),
    "end_seconds": Numbers(),
    "visit_score": Numbers(),
    "age": Numbers(0, 120),
    "hoehn_yahr": Numbers(values=(0, 1, 1.5, 2, 2.5, 3, 4, 5)),
    "disease_years": Numbers(0, 120),
    "hours_since_dose": Numbers(0, 24 * 30),
}
REQUIRED = ("recording_id", "subject_id", "item")
# And features, features.NAME (tables of many recordings), rater_1, rater_2, ...
COLUMNS = (
    *REQUIRED, *FILES, "grade", "visit_id", "side", *TEXTS, *WORDS, *NUMBERS, CROP, CONSENT, MADE
)  # fmt: skip
RATER = re.compile(r"rater_([1-9][0-9]*)")
OWN = "x_"  # how the user's own columns begin
WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")

_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")


class Sheet(NamedTuple):
    """The rows of a manifest below its header, and what the user should know of the file."""

    rows: list[Row]
    notes: list[str]


def read_rows(path: Path, content: bytes, *, required: Sequence[str] = REQUIRED) -> Sheet:
    """Read a table and check its header.

    Args:
        path: Names the file; ``.parquet`` is read as Parquet, anything else as CSV.
        content: The file's bytes.
        required: Columns that must be there.

    Returns:
        The rows, possibly none, with the columns that are not known too.

    Raises:
        ManifestError: If it is not such a file, or the header or the number of cells is wrong.
    """
    if path.suffix.lower() in WORKBOOKS:
        raise ManifestError(
            f"{path.name} is a workbook of a spreadsheet program, not a manifest; make a manifest "
            f"of it: jobs/make_manifest.py folder=... ratings={path.name} output=manifest.csv"
        )
    read = _read_parquet if path.suffix == ".parquet" else _read_csv
    return read(path, content, required)


def is_known(column: str) -> bool:
    """Return whether a manifest gives a meaning to a column."""
    return column in COLUMNS or is_table(column) or RATER.fullmatch(column) is not None


def file_columns(columns: Iterable[str]) -> tuple[str, ...]:
    """Return the columns whose cells name files; tables of features last."""
    return (*FILES, *(name for name in columns if is_table(name)))


def _read_csv(path: Path, content: bytes, required: Sequence[str]) -> Sheet:
    ignored: list[str] = []

    def check(header: list[str]) -> None:
        ignored.extend(_check_header(path, header, required))

    form = find_form(content)
    right = "a UTF-8 CSV or a .parquet file"
    rows = read_csv(path, content, check, wanted=required, right=right, form=form)
    notes = form.notes("the manifest")
    if form.delimiter != PLAIN.delimiter:
        rows, changed = _with_points(rows)
        if changed:
            notes.append(f"decimal commas were read as points in {', '.join(changed)}")
    return Sheet(rows, [*notes, *_ignored(ignored)])


def _with_points(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Write numbers with a point, where no comma is between cells; return the columns, too."""
    names = [name for name in (rows[0].cells if rows else ()) if _is_number(name)]
    changed: dict[str, None] = {}
    found = []
    for row in rows:
        cells = {name: row.cells[name] for name in names if _COMMA.fullmatch(row.cells[name])}
        changed |= dict.fromkeys(cells)
        pointed = {name: cell.replace(",", ".") for name, cell in cells.items()}
        found.append(row._replace(cells={**row.cells, **pointed}))
    return found, list(changed)


def _is_number(column: str) -> bool:
    return column in NUMBERS or column == "grade" or RATER.fullmatch(column) is not None


def _read_parquet(path: Path, content: bytes, required: Sequence[str]) -> Sheet:
    import pyarrow as pa  # heavy, and settings import the columns
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(f"{path}: not a Parquet file: {error}") from error
    ignored = _check_header(path, table.column_names, required)
    try:
        rows = table.to_pylist()
    except (ValueError, OverflowError) as error:  # text that is not UTF-8, a time out of range
        raise ManifestError(f"{path}: a cell cannot be read: {error}") from error
    found = [
        Row(number, {key: "" if cell is None else str(cell) for key, cell in row.items()})
        for number, row in enumerate(rows, start=1)
    ]
    return Sheet(found, _ignored(ignored))


def _check_header(path: Path, header: Sequence[str], required: Sequence[str]) -> list[str]:
    """Refuse a wrong header; return the columns that are not known, without the user's own."""
    faults = [
        f"row 1: required column {name} is missing" for name in required if name not in header
    ]
    ignored = []
    for place, name in enumerate(header, start=1):
        if name in header[: place - 1]:
            faults.append(f"row 1: column {name!r} stands twice")
        elif not name:
            faults.append(f"row 1: column {place} has no name")
        elif not is_known(name) and not name.startswith(OWN):
            ignored.append(name)
            from pdray.data.cohort.spelling import normal_form  # known columns need it not

            if hint := nearest(re.sub("[ -]", "_", normal_form(name)), (*COLUMNS, FEATURES)):
                faults.append(
                    f"row 1: unknown column {name!r}: {hint}valid columns: {', '.join(COLUMNS)}, "
                    f"{FEATURES}, {FEATURES}.NAME, rater_1, rater_2, ...; for a column of your "
                    f"own write {OWN}..."
                )
    given = [match[1] for name in header if (match := RATER.fullmatch(name))]
    absent = [number for number in map(str, range(1, len(given) + 1)) if number not in given]
    if absent:
        faults.append(f"row 1: column rater_{absent[0]} is missing, a later rater is there")
    refuse(faults, ManifestError, path.name)
    return ignored


def _ignored(columns: Sequence[str]) -> list[str]:
    told = f"columns of the manifest that are not known, and not used: {', '.join(columns)}"
    return [told] * bool(columns)
