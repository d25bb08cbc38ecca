"""Reads predictions tables of any program, CSV or Parquet, and lists every fault with its row.

Required columns: ``subject_id``, ``target`` (class, 0..K-1) and ``probability_0..K-1``, or, for two
classes, ``probability`` (of class 1) alone. All others are optional; see :data:`KNOWN`. Lines
above the header that begin with ``#`` are skipped, and so are the columns that
``jobs/predict.py`` adds.
"""

import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pdray.config import nearest
from pdray.data.cohort.csv_form import find_form
from pdray.data.cohort.csv_table import Row, read_csv
from pdray.data.cohort.rated import FACTS
from pdray.data.cohort.rows import WORDS
from pdray.data.cohort.settings import SYNTHETIC, SYNTHETIC_SITE
from pdray.errors import ManifestError, StudyError, refuse
from pdray.evaluation.predictions import RATER
from pdray.evaluation.table_checks import NO_ITEM, row_faults

REQUIRED = ("subject_id", "target")
TEXTS = ("recording_id", "item", "split", "study", *FACTS)
COUNTS = ("grade", "trial", "outer_fold", "fold", "repeat", "seed", "epoch", "snippet")
KNOWN = (*REQUIRED, "probability_0", "probability_1", *TEXTS, *COUNTS, "rater_1")
"""Columns that are read; more of ``probability_2`` and ``rater_2``, and ``logit_0``, too."""
OF_PREDICT = ("estimated_grade", "disagreement", "num_models", "note", "calibrated_0")
"""Columns of ``jobs/predict.py`` that are not read, nor is ``calibrated_1``, ..."""
_UNREAD = re.compile("|".join((*OF_PREDICT[:4], "calibrated_(0|[1-9][0-9]*)")))
_COMMENTS = re.compile(rb"\A(\xef\xbb\xbf)?(#[^\n]*\n)+")
_NUMBERED = re.compile(r"(probability|logit)_(0|[1-9][0-9]*)")
_WORDS_OF = {
    name: {also: word for word, others in words.items() for also in (word, *others)}
    for name, words in WORDS.items()
}


class Foreign(NamedTuple):
    """A table that was read.

    Attributes:
        table: Rows with all columns of a predictions table, except the logits; ``item`` is
            :data:`NO_ITEM` where the file has none.
        given: Columns of the file.
        notes: What a reader of the scores should know.
        is_synthetic: Whether a line above the header, or a site, says SYNTHETIC.
    """

    table: pd.DataFrame
    given: frozenset[str]
    notes: tuple[str, ...]
    is_synthetic: bool


def read_foreign(path: Path) -> Foreign:
    """Read and check a predictions table of any program.

    Args:
        path: A CSV file (commas, semicolons or tabs) or a ``.parquet`` file.

    Returns:
        The table.

    Raises:
        StudyError: If it cannot be read or has faults; lists all of them with file, row and value.
    """
    try:
        rows = _read_parquet(path) if path.suffix == ".parquet" else _read_text(path)
    except ManifestError as error:  # of the CSV reader
        raise StudyError(str(error)) from error
    refuse([] if rows else ["there is no row below the header"], StudyError, path.name)
    rows = [row._replace(cells=_without_unread(row.cells)) for row in rows]
    given = frozenset(rows[0].cells)
    table, wrong = _typed(rows, given)
    whole = [place for place, row in enumerate(rows) if row.number not in wrong]
    numbers = np.array([rows[place].number for place in whole], dtype=np.int64)
    sound = _whole_numbers(table.iloc[whole].reset_index(drop=True))
    faults = [fault for told in wrong.values() for fault in told]
    faults += row_faults(sound, numbers, graded="grade" in given)
    refuse(faults, StudyError, path.name)
    above = _COMMENTS.match(path.read_bytes())
    marked = above is not None and SYNTHETIC.encode() in above[0]
    is_synthetic = marked or bool((sound["site"] == SYNTHETIC_SITE).any())
    return Foreign(sound, given, tuple(_notes(sound, given)), is_synthetic)


def _read_text(path: Path) -> list[Row]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StudyError(f"{path}: cannot be read: {error.strerror or error}") from error
    # Blank lines in their place keep the numbers of rows.
    content = _COMMENTS.sub(lambda found: b"\n" * found[0].count(b"\n"), content)
    wanted, right = (*REQUIRED, "probability_0", "probability_1"), "a UTF-8 CSV or a .parquet file"
    return read_csv(
        path,
        content,
        _checks_header(path),
        wanted=wanted,
        right=right,
        form=find_form(content),
    )


def _read_parquet(path: Path) -> list[Row]:
    try:
        table = pq.read_table(io.BytesIO(path.read_bytes()))
        _checks_header(path)(table.column_names)
        rows = table.to_pylist()
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StudyError(f"{path}: cannot be read as Parquet: {reason}") from error
    return [
        Row(number, {name: "" if cell is None else str(cell) for name, cell in row.items()})
        for number, row in enumerate(rows, start=1)
    ]


def _checks_header(path: Path) -> Callable[[list[str]], None]:
    def check(header: list[str]) -> None:
        refuse(_header_faults(header), StudyError, path.name)

    return check


def _header_faults(header: Sequence[str]) -> list[str]:
    faults = [f"row 1: column {name} is missing" for name in REQUIRED if name not in header]
    for place, name in enumerate(header, start=1):
        if name in header[: place - 1]:
            faults.append(f"row 1: column {name!r} stands twice")
        elif not (name in (*KNOWN, "probability") or _is_numbered(name) or _UNREAD.fullmatch(name)):
            hint = nearest(name, KNOWN)
            known = ", ".join((*KNOWN, "rater_2, ...", "probability_2, ..."))
            faults.append(f"row 1: unknown column {name!r}: {hint}known are {known}")
    places = _places(header, "probability")
    if "probability" in header and places:
        faults.append("row 1: columns probability and probability_0, ...; leave one of them out")
    elif "probability" not in header and (len(places) < 2 or places != list(range(len(places)))):
        found = ", ".join(f"probability_{k}" for k in places) or "none"
        faults.append(
            f"row 1: the columns of probabilities are {found}; write probability_0, "
            "probability_1, ... without a gap, or, for two classes, probability (of class 1) alone"
        )
    if "snippet" in header and "recording_id" not in header:
        faults.append("row 1: column snippet needs recording_id, which is missing")
    return faults


def _without_unread(cells: Mapping[str, str]) -> dict[str, str]:
    return {name: cell for name, cell in cells.items() if not _UNREAD.fullmatch(name)}


def _is_numbered(name: str) -> bool:
    return bool(RATER.fullmatch(name) or _NUMBERED.fullmatch(name))


def _places(header: Iterable[str], kind: str) -> list[int]:
    found = (_NUMBERED.fullmatch(name) for name in header)
    return sorted(int(match[2]) for match in found if match and match[1] == kind)


def _typed(rows: Sequence[Row], given: frozenset[str]) -> tuple[pd.DataFrame, dict[int, list[str]]]:
    """Return the table and the faults of cells by row; a cell that is wrong is then nan."""
    wrong: dict[int, list[str]] = {}
    columns: dict[str, Any] = {
        "recording_id": [f"row {row.number}" for row in rows],
        "item": NO_ITEM,
        "split": "test",
        "study": "",
        **dict.fromkeys(FACTS),
        **dict.fromkeys(COUNTS, 0),
    }
    raters = sorted(filter(RATER.fullmatch, given), key=lambda name: int(name[6:]))
    shares = [f"probability_{k}" for k in _places(given, "probability")]
    parsers: dict[str, Callable[[str], Any]] = {
        **dict.fromkeys(("subject_id", *TEXTS[:4]), _name),
        **{name: _fact_of(name) for name in FACTS},
        **dict.fromkeys(("target", *COUNTS), _whole),
        **dict.fromkeys(raters, _rating),
        **dict.fromkeys(("probability", *shares), _share),
    }
    for name, parse in parsers.items():
        if name in given:
            columns[name] = _parsed(rows, name, parse, wrong)
    if "grade" not in given:
        columns["grade"] = columns["target"]
    if "probability" in given:
        ill = np.array(columns.pop("probability"), dtype=np.float64)
        columns |= {"probability_0": 1 - ill, "probability_1": ill}
    return pd.DataFrame(columns, index=range(len(rows))), wrong


def _parsed(
    rows: Sequence[Row], name: str, parse: Callable[[str], Any], wrong: dict[int, list[str]]
) -> list[Any]:
    values = []
    for row in rows:
        cell = row.cells[name].strip()
        try:
            values.append(parse(cell))
        except ValueError as error:
            told = f"{cell!r} {error}" if cell else f"is empty; {error}"
            wrong.setdefault(row.number, []).append(f"row {row.number}: {name} {told}")
            values.append(math.nan)
    return values


def _whole_numbers(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype(dict.fromkeys(("target", *COUNTS), "int64"))


def _name(cell: str) -> str:
    if not cell or cell.lower() in ("nan", "na", "n/a", "null", "none"):
        raise ValueError("names nothing; write an id" if cell else "write an id")
    return cell


def _whole(cell: str) -> int:
    value = _number(cell, "write a whole number")
    if value != int(value):
        raise ValueError("is no whole number")
    return int(value)


def _rating(cell: str) -> float:
    return _number(cell, "write a grade, or nothing") if cell else math.nan


def _share(cell: str) -> float:
    value = _number(cell, "write a number from 0 to 1")
    if not 0 <= value <= 1:
        raise ValueError("is outside 0..1; write a probability, not a score or a logit")
    return value


def _number(cell: str, advice: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        comma = ", with a point in place of the comma" if "," in cell else ""
        raise ValueError(f"is no number; {advice}{comma}" if cell else advice) from None
    if not math.isfinite(value):
        raise ValueError(f"is not finite; {advice}, or remove the row")
    return value


def _fact_of(name: str) -> Callable[[str], str | None]:
    words = _WORDS_OF.get(name)

    def read(cell: str) -> str | None:
        if words is None or not cell:
            return cell or None
        word = words.get(re.sub(r"[\s_-]", "", cell.lower()))
        if word is None:
            raise ValueError(f"is unknown; write {', '.join(WORDS[name])}, or nothing")
        return word

    return read


def _notes(table: pd.DataFrame, given: frozenset[str]) -> list[str]:
    notes = []
    if "recording_id" not in given:
        notes.append("there is no column recording_id, so each row is taken for a recording")
    if "grade" not in given:
        notes.append("there is no column grade, so the classes are taken for the grades")
    for name in ("fold", "outer_fold"):
        present = set(table.loc[table[name] >= 0, name])
        absent = sorted(set(range(max(present, default=-1) + 1)) - present)
        if absent and len(present) > 1:
            notes.append(f"{name} {', '.join(map(str, absent))} has no row; nobody of it is scored")
    return notes
