"""Cells of a manifest: from text to a value, or what is wrong with it and what to do.

Absent is an empty cell and nothing else. A word that a table program writes for an absent or broken
cell is no value: as an id it would make one person of many.
"""

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pdray.data.cohort.csv_table import Row
from pdray.data.cohort.rows import (
    CONSENT,
    CONSENTS,
    CROP,
    FILES,
    IDS,
    LEAST_CROP,
    MADE,
    NUMBERS,
    PLACES,
    RATER,
    REQUIRED,
    SIDES,
    TEXTS,
    UNABLE,
    WORDS,
    file_columns,
    is_known,
)
from pdray.data.cohort.settings import (
    ACTION,
    PUBLIC,
    highest_grade,
    item_fault,
)
from pdray.data.cohort.spelling import normal_form
from pdray.data.media.part import Box
from pdray.data.modalities import is_table

# "3.0" is what pandas writes for 3 when another cell of the column is empty; it says the same.
_WHOLE = re.compile(r"([+-]?[0-9]{1,9})(\.0+)?")
# Python's float() reads more: 1_000, digits of other scripts.
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BROKEN = re.compile(
    r"#(n/a|ref!|name\?|value!|div/0!|null!|num!|spill!|calc!|#+)( n/a)?|#?-?nan|<na>|null|none"
    r"|-?1\.#(ind|qnan)"
)
_NOBODY = re.compile(
    r"n/?a|n\.a\.|nat|nil|unknown|unnamed|anonymous|undefined|missing|absent|empty|tbd|todo"
    r"|xxx+|k\.a\.|unbekannt|[-?._*/]+"
)
_CROP = re.compile(r"([0-9]{1,6}) ([0-9]{1,6}) ([0-9]{1,6}) ([0-9]{1,6})")
_ROUNDED = re.compile(r"[0-9]+([.,][0-9]+)?e[+-][0-9]+")
_MONTH = "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Mrz|Mai|Okt|Dez)"
_DATE = re.compile(
    rf"[0-9]{{1,2}}\.?[- ]{_MONTH}\.?([- ][0-9]{{2,4}})?|{_MONTH}[- ][0-9]{{2,4}}|"
    r"(19|20)[0-9]{2}[-/](0?[1-9]|1[0-2])[-/](0?[1-9]|[12][0-9]|3[01])([ T].*)?|"
    r"[0-9]{1,2}(?P<point>[./])[0-9]{1,2}(?P=point)(19|20)[0-9]{2}"
)
_LETTERS = r"[^\W\d_][^\d,;@]*"
_NAME = re.compile(rf"{_LETTERS}, ?{_LETTERS}")
_MAIL = re.compile(r"\S+@\S+\.\S+")
# An id stands in names of files, in pages, in logs and in tables that a spreadsheet opens. The last
# signs begin lines, or turn the text that follows.
_NO_WORD = re.compile(r"\.\.|^[=@]|[/\\<>\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_LONGEST_ID = 200


def is_unnamed(row: Row) -> bool:
    """Whether a row is of a public video and names no subject."""
    return not row.cells.get("subject_id", "") and row.cells["item"] in PUBLIC


def with_subject(row: Row) -> Row:
    """Let a public video without a subject be its own; other rows keep what they have."""
    name = "recording_id" if is_unnamed(row) else "subject_id"
    return row._replace(cells={**row.cells, "subject_id": row.cells.get(name, "")})


def outside_faults(row: Row, folder: Path) -> list[str]:
    """Return which files of a row lie outside the manifest's folder, by the text of their paths.

    A link inside the folder may lead out of it: no table can make one.

    Args:
        row: Of the manifest.
        folder: Of the manifest, absolute.
    """
    root = os.path.normpath(folder)
    named = {name: row.cells.get(name, "") for name in (*file_columns(row.cells), MADE)}
    return [
        f"{name} {cell} lies outside the manifest's folder; if the manifest may name files "
        "anywhere on this machine, give data.allow_outside=true, else copy the file there"
        for name, cell in named.items()
        if cell and not Path(os.path.normpath(Path(root, cell))).is_relative_to(root)
    ]


def word_faults(row: Row) -> list[str]:
    """Return the ids of a row that are no words: with parts of paths, of pages or of formulas."""
    faults = []
    for name in IDS:
        cell = row.cells.get(name, "")
        if found := _NO_WORD.search(cell):
            right = re.sub(r"[^\w.-]+|\.{2,}", "-", cell).strip("-") or "id-1"
            faults.append(
                f"{name} {cell!r} holds {found[0]!r}; write it with letters, digits, '_', '-' and "
                f"'.' alone, such as {right!r}"
            )
        elif len(cell) > _LONGEST_ID:
            faults.append(f"{name} has {len(cell)} characters; write at most {_LONGEST_ID}")
    return faults


def read_row(
    row: Row, folder: Path, unnamed: frozenset[str], scale: str | None = None
) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the fields of a row's recording, or None and what is wrong with the row.

    Args:
        row: Of the manifest.
        folder: Of the manifest; paths are relative to it.
        unnamed: Recordings whose id stands for a subject's.
        scale: Of items that are not known; None refuses them.
    """
    cells = row.cells
    if not any(cells.values()):
        return None, ["every cell is empty; delete the row"]
    faults = [
        f"{name} {text!r} has spaces around it; write {text.strip()!r}"
        for name, text in cells.items()
        if text != text.strip() and is_known(name)
    ]
    faults += [_missing(name, cells) for name in REQUIRED if not cells[name]]
    faults += _text_faults(cells, scale, is_unnamed=cells["recording_id"] in unnamed)
    words = {name: _word(name, cells.get(name, ""), faults) for name in WORDS}
    words[CONSENT] = _consents(cells.get(CONSENT, ""), faults)
    numbers = {name: _number(name, cells.get(name, ""), faults) for name in NUMBERS}
    faults += _span_faults(numbers["start_seconds"], numbers["end_seconds"])
    crop = read_crop(cells.get(CROP, ""), faults)
    raters = sorted((name for name in cells if RATER.fullmatch(name)), key=lambda n: int(n[6:]))
    grade, *rated = [_grade(name, cells, scale, faults) for name in ("grade", *raters)]
    if grade is not None and words["grade_status"] == UNABLE:
        faults.append(f"grade {grade}, but grade_status is {UNABLE}; leave one of them empty")
    if faults:
        return None, faults
    values: dict[str, Any] = {name: cells[name] for name in REQUIRED}
    values |= {name: cells.get(name) or None for name in ("visit_id", "side", *TEXTS)}
    values |= {name: folder / cells[name] if cells.get(name) else None for name in (*FILES, MADE)}
    tables = {name: folder / cells[name] for name in cells if is_table(name) and cells[name]}
    values |= {"grade": grade, "raters": tuple(rated), "features": tables, CROP: crop}
    return values | words | numbers, []


def _missing(name: str, cells: Mapping[str, str]) -> str:
    is_public = name == "subject_id" and cells["item"] in PUBLIC
    return f"{name} is missing" + ("; data.subjects=none allows that" if is_public else "")


def _span_faults(start: float | None, end: float | None) -> list[str]:
    faults = []
    if start is not None and start < 0:
        faults.append(f"start_seconds {start:g} is negative")
    if end is not None and end <= (start or 0.0):
        faults.append(f"end_seconds {end:g} must be greater than start_seconds {start or 0.0:g}")
    return faults


def read_crop(cell: str, faults: list[str]) -> Box | None:
    """Return the rectangle of a cell of column ``crop``; None where it is empty or wrong."""
    if not cell:
        return None
    match = _CROP.fullmatch(cell)
    if match is None:
        faults.append(
            f"{CROP} {cell!r} is not four whole numbers with a space between, left top width "
            "height in pixels of the picture as it is shown, such as '0 0 640 480'"
        )
        return None
    crop = Box(*map(int, match.groups()))
    if min(crop.width, crop.height) < LEAST_CROP:
        faults.append(
            f"{CROP} {cell} is {crop.width} x {crop.height} px, less than {LEAST_CROP} x "
            f"{LEAST_CROP}; its numbers are left top width height"
        )
    return crop


def is_personal(subject: str) -> bool:
    """Whether a subject looks like a person's name or e-mail address, which is never printed."""
    return bool(_MAIL.fullmatch(subject) or _NAME.fullmatch(subject))


def _id_fault(column: str, cell: str) -> str | None:
    """Return why a cell cannot name a person, a visit or a recording; None where it can.

    A person's name or address is not repeated in the message.
    """
    form = normal_form(cell)
    if not form:
        return f"{column} {cell!a} holds no letter that can be seen; write an id, or nothing"
    if _BROKEN.fullmatch(form) or _NOBODY.fullmatch(form):
        return (
            f"{column} {cell!r} names nobody: it is what tables write for a cell that is empty or "
            "broken, and would make one of many; write the id, or leave the cell empty"
        )
    if _ROUNDED.fullmatch(form):
        return (
            f"{column} {cell!r} is a number that a spreadsheet has rounded: different ids may now "
            "be equal; take the ids from their source, in a column formatted as text"
        )
    if column == "subject_id" and _DATE.fullmatch(cell):
        return (
            f"subject_id {cell!r} is a date: a spreadsheet has made it of an id such as 1-2 or "
            "FEB1, or it is a birthday; take the ids from their source, in a column formatted as "
            "text, and write pseudonyms"
        )
    if column == "subject_id" and is_personal(cell):
        return (
            "subject_id looks like a person's name or e-mail address (not repeated here); write a "
            "pseudonym"
        )
    return None


def _text_faults(cells: Mapping[str, str], scale: str | None, *, is_unnamed: bool) -> list[str]:
    """Return what is wrong with the ids, free texts, item and side of a row.

    Args:
        cells: Text by column.
        scale: Of items that are not known; None refuses them.
        is_unnamed: Whether the subject's id is the recording's, as nobody knows the person.
    """
    checked = [name for name in IDS if name != "subject_id" or not is_unnamed]
    named = ((name, cells.get(name, "")) for name in checked)
    faults = [fault for name, cell in named if cell and (fault := _id_fault(name, cell))]
    faults += [
        f"{name} {cells[name]!r} is what tables write for a cell that is empty or broken; write "
        "the word, or leave the cell empty"
        for name in TEXTS
        if cells.get(name) and cells[name] != "none" and _BROKEN.fullmatch(normal_form(cells[name]))
    ]
    item, side = cells["item"], cells.get("side", "")
    if item and (fault := item_fault(item, scale)):
        faults.append(fault)
    places = PLACES.get(item, SIDES)
    if side and side not in places:
        right = normal_form(side)
        hint = f"; write {right!r}" if right in places else ""
        faults.append(f"side {side!r} is not {_either(places)}{hint}")
    return faults


def _word(column: str, cell: str, faults: list[str]) -> str | None:
    """Return the word of a cell, however it is spelt; None where it is empty or wrong."""
    if not cell:
        return None
    form = re.sub("[ _-]", "", normal_form(cell))
    for known, others in WORDS[column].items():
        if form in (known, *others):
            return known
    right = _either(tuple(WORDS[column]))
    faults.append(f"{column} {cell!r} is not {right}; leave the cell empty if it is not known")
    return None


def _consents(cell: str, faults: list[str]) -> str | None:
    """Return what a person agreed to, as words in the order of :data:`CONSENTS`."""
    given = re.split("[ ,;+]+", normal_form(cell)) if cell else []
    if wrong := [word for word in given if word not in CONSENTS]:
        faults.append(
            f"{CONSENT} {cell!r}: {wrong[0]!r} does not say what the person agreed to; write some "
            "of: learn (a generator may learn from the pictures), change (the pictures may be "
            "changed), show (changed pictures may be shown outside the study); empty is no consent"
        )
    return " ".join(word for word in CONSENTS if word in given) or None


def _number(column: str, cell: str, faults: list[str]) -> float | None:
    """Return the number of a cell; None where it is empty or wrong."""
    if not cell:
        return None
    value = float(cell) if _DECIMAL.fullmatch(cell) else math.nan
    allowed = NUMBERS[column]
    if not math.isfinite(value):
        hint = _number_hint(cell)
        faults.append(f"{column} {cell!r} is not a finite number; {hint}")
    elif allowed.values and value not in allowed.values:
        faults.append(f"{column} {value:g} is not {_either([f'{v:g}' for v in allowed.values])}")
    elif value < allowed.low and allowed.high == math.inf:
        faults.append(f"{column} {value:g} is negative")
    elif not allowed.low <= value <= allowed.high:
        faults.append(f"{column} {value:g} is outside {allowed.low:g}..{allowed.high:g}")
    else:
        return value
    return None


def _grade(
    column: str, cells: Mapping[str, str], scale: str | None, faults: list[str]
) -> int | None:
    """Return the grade of a cell; None where it is empty or wrong."""
    cell, item = cells.get(column, ""), cells["item"]
    if not cell:
        return None
    match = _WHOLE.fullmatch(cell)
    if item != ACTION and (cell.casefold() == "ur" or (match and int(match[1]) == 101)):
        faults.append(
            f"{column} {cell} is the code of MDS-UPDRS for 'unable to rate'; leave the cell empty "
            f"and write {UNABLE} in column grade_status"
        )
        return None
    if match is None:
        faults.append(f"{column} {cell!r} is not an integer; leave the cell empty if not rated")
        return None
    highest = highest_grade(item, scale)
    if not 0 <= int(match[1]) <= highest:
        wrong = "negative" if highest == math.inf else f"outside 0..{highest:g}"
        faults.append(f"{column} {match[1]} is {wrong} for item {item}")
    return int(match[1])


def _number_hint(cell: str) -> str:
    if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", cell):
        return f"write {cell.replace(',', '.')}"
    form = normal_form(cell).replace("_", "").replace("'", "")
    if _DECIMAL.fullmatch(form):
        return f"write {form}"
    return "leave the cell empty if absent"


def _either(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
