"""Finds the row of a sheet for each video, and what has no partner."""

import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pdray.data.cohort.cells import is_personal
from pdray.data.cohort.csv_table import Row
from pdray.data.cohort.rows import OWN, SIDES
from pdray.data.cohort.settings import KNOWN_ITEMS
from pdray.data.cohort.spelling import look_alike_form
from pdray.errors import ManifestError, refuse
from pdray.importers.sheets.raters import serial_date
from pdray.importers.sheets.table import Table
from pdray.importers.sheets.words import key

VIDEO = "video"
_SHOWN, _MOST = 3, 8  # rows or videos, and hints
_CLEAR = frozenset([*KNOWN_ITEMS, *SIDES])  # words that mean nothing else


@dataclass(frozen=True)
class Part:
    """A video, or a part of one, that becomes a recording.

    Attributes:
        path: Below the folder of the videos.
        cells: By column of the manifest: what its name says, and a row of the table of times.
    """

    path: Path
    cells: Mapping[str, str]


@dataclass
class Joined:
    """Videos and the rows of a sheet.

    Attributes:
        pairs: Each part with its row.
        parts: Those without a row.
        rows: Those without a video.
        columns: What they were compared by.
        hints: Words of rows without a video that are in no name, and what they may mean.
    """

    pairs: list[tuple[Part, Row]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    columns: tuple[str, ...] = ()
    hints: list[str] = field(default_factory=list)


def join(parts: Sequence[Part], table: Table, *, splits: bool) -> Joined:
    """Find the row of each video, or part of one.

    A file is known by the column ``video`` of the sheet, if there is one; else by the columns that
    both the names of the files and the sheet have.

    Args:
        parts: The videos.
        table: The sheet.
        splits: Whether several rows may be parts of one video.

    Raises:
        ManifestError: If nothing can be compared or nothing fits; if a row is a second one of its
            video, or several videos have one row; if a row says another thing than a name.
    """
    named = table.has(VIDEO)
    both = tuple(one for one in (parts[0].cells if parts else ()) if table.has(one))
    columns = (VIDEO,) if named else both
    if not columns:
        raise ManifestError(
            f"{table.name}: nothing in it is in the names of the videos: its columns are "
            f"{', '.join(table.columns)}; name the one that is, such as "
            "map.column.NAME=subject_id, or the one with names of files: map.column.NAME=video"
        )
    joined = Joined(columns=columns)
    of_row: dict[tuple[str, ...], list[Row]] = {}
    for row in table.rows:
        of_row.setdefault(_row_key(row, columns), []).append(row)
    of_part: dict[tuple[str, ...], list[Part]] = {}
    for part in parts:
        keys = _names(part.path) if named else [_key(part.cells, columns)]
        found = next((one for one in keys if one in of_row), keys[0])
        of_part.setdefault(found, []).append(part)
    faults: list[tuple[int, str]] = []
    for found, some in of_part.items():
        rows = of_row.pop(found, [])
        if not rows:
            joined.parts += some
            continue
        faults += _several(some, rows, columns, splits=splits)
        joined.pairs += [(part, row) for part in some for row in rows]
    joined.rows = [row for rows in of_row.values() for row in rows]
    if named:
        faults += [fault for pair in joined.pairs for fault in _differs(*pair, both)]
    faults.sort()
    refuse([f"row {number}: {text}" for number, text in faults], ManifestError, table.name)
    joined.hints = [] if named else _hints(joined)
    if not joined.pairs:
        _refuse_all(joined, table)
    return joined


def told(cells: Mapping[str, str], columns: Sequence[str] = ()) -> str:
    """Return what names a recording, without a person's name: ``P012, 2, finger_tapping, left``."""
    shown = [cells.get(one, "") for one in (columns or cells)]
    return ", ".join("(a name)" if is_personal(one) else one for one in shown if one) or "(nothing)"


def _row_key(row: Row, columns: Sequence[str]) -> tuple[str, ...]:
    if columns == (VIDEO,):
        return (row.cells[VIDEO].replace("\\", "/").casefold().removeprefix("./"),)
    return _key(row.cells, columns)


def _key(cells: Mapping[str, str], columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(key(cells.get(one, "")) for one in columns)


def _names(path: Path) -> list[tuple[str, ...]]:
    """Return how a sheet may name a file: by its path, its name, either without an ending."""
    found = [path, Path(path.name)]
    texts = [one.as_posix() for one in [*found, *(one.with_suffix("") for one in found)]]
    return [(text.casefold(),) for text in texts]


def _several(
    parts: Sequence[Part], rows: Sequence[Row], columns: Sequence[str], *, splits: bool
) -> list[tuple[int, str]]:
    """Return the faults of several rows of one video, and of several videos of one row."""
    faults = []
    who = told(rows[0].cells, columns)
    if len(rows) > 1 and not splits:
        faults += [
            (row.number, f"{who} stands in row {rows[0].number} already, for one video; delete one "
             "of the rows, or add what tells them apart to the names of the videos and to the "
             "pattern. If they are parts of one video, add columns start_seconds and end_seconds")
            for row in rows[1:]
        ]  # fmt: skip
    if len(parts) > 1 and columns == (VIDEO,):
        more = "write the path below the folder in the sheet, such as visit1/NAME"
        faults.append((rows[0].number, f"{len(parts)} videos have the name {who}; {more}"))
        return faults
    own = [name for name in parts[0].cells if not name.startswith(OWN)]
    differing = [one for one in own if len({key(part.cells[one]) for part in parts}) > 1]
    wide = "; a column of one item: map.column.NAME=grade:ITEM:SIDE" * ("item" in differing)
    if differing:
        faults.append(
            (rows[0].number, f"{len(parts)} videos are of {who}: they differ in "
             f"{', '.join(differing)}, which is no column of the sheet; add the column, with one "
             "row per video, or, if the grade holds for all of them, call it x_... in the pattern"
             f"{wide}")
        )  # fmt: skip
    return faults


def _differs(part: Part, row: Row, columns: Sequence[str]) -> list[tuple[int, str]]:
    return [
        (row.number, f"{one} {told(row.cells, [one])!r}, but the name of its video says "
         f"{told(part.cells, [one])!r}; correct one of them")
        for one in columns
        if row.cells[one] and key(row.cells[one]) != key(part.cells[one])
    ]  # fmt: skip


def _hints(joined: Joined) -> list[str]:
    """Say which words of rows without a video are in no name, and which of a name they may mean."""
    hints = []
    every = [*(part for part, _ in joined.pairs), *joined.parts]
    for column in joined.columns:
        names = {key(part.cells[column]): part.cells[column] for part in every}
        for word, number in Counter(row.cells[column] for row in joined.rows).items():
            if key(word) in names or not word:
                continue
            shown, where = told({column: word}), "1 row" if number == 1 else f"{number} rows"
            hint = f"{column} {shown!r} of {where} is in no name of a video"
            day, meant = serial_date(word), _meant(word, list(names.values()))
            if day and key(day) in names:
                hint += f": it is the date {day} as a number of Excel; format the column as a date"
            elif meant or not (column == "subject_id" or word in _CLEAR):
                other = told({column: meant or next(iter(names.values()))})
                setting = shlex.quote(f"map.{column}.{shown}={other}")
                hint += f"; if it is {other!r}, give {setting}"
            hints.append(hint)
    return hints


def _meant(word: str, names: Sequence[str]) -> str:
    """Return the name that looks like a word or has its number; empty for none."""
    for like in (look_alike_form, lambda text: re.sub(r"\D", "", text)):
        found = {like(one): one for one in names}
        if like(word) and like(word) in found:
            return found[like(word)]
    return ""


def _refuse_all(joined: Joined, table: Table) -> None:
    columns = joined.columns
    rows = "; ".join(
        f"row {row.number}: {told(row.cells, columns)}" for row in joined.rows[:_SHOWN]
    )
    if columns == (VIDEO,):
        raise ManifestError(
            f"{table.name}: no row has one of the {len(joined.parts)} videos; the sheet names "
            f"{rows}; write their names, or paths below the folder, with or without ending"
        )
    names = "; ".join(told(part.cells, columns) for part in joined.parts[:_SHOWN])
    hints = "".join(f"\n  - {one}" for one in joined.hints[:_MOST])
    raise ManifestError(
        f"{table.name}: no row has a video, compared by {', '.join(columns)}: the sheet says "
        f"{rows}; the names of videos say {names}{hints}\nA column that is not to be compared is "
        "left out with map.column.NAME="
    )
