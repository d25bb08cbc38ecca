"""Grades of one or several raters in a sheet: what each cell says, and one grade of them all."""

import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from statistics import median_low

import numpy as np
from numpy.typing import NDArray

from pdray.data.cohort.cells import is_personal
from pdray.data.cohort.csv_table import Row
from pdray.data.cohort.rows import UNABLE
from pdray.errors import ManifestError
from pdray.importers.sheets.table import Table

Numbers = NDArray[np.float64]
Kappa = Callable[[Numbers, Numbers, Numbers], Numbers]

CONSENSUS: Mapping[str, tuple[str, Callable[[list[int]], int | None]]] = {
    "first": ("of the first rater who gave one", lambda grades: grades[0]),
    "median": ("in the middle; of two in the middle the lower", median_low),
    "mean_rounded": (
        "next to the mean; halves go up",
        lambda grades: math.floor(sum(grades) / len(grades) + 0.5),
    ),
    "agreed": (
        "that all who gave one agree on; else none",
        lambda grades: grades[0] if len(set(grades)) == 1 else None,
    ),
}
_WHOLE = re.compile(r"[+-]?[0-9]{1,9}(\.0+)?")
_DATE = re.compile(r"(19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}.*")
_SERIALS = range(10_000, 80_000)  # of Excel, days of 1927 to 2119
_EPOCH = date(1899, 12, 30)


def serial_date(text: str) -> str:
    """Return the date that a number of days of Excel means, as 2024-05-31; empty for no such."""
    if not text.isdigit() or int(text) not in _SERIALS:
        return ""
    return (_EPOCH + timedelta(days=int(text))).isoformat()


def grade_faults(table: Table) -> list[str]:
    """Return what is wrong with the grades of a sheet, with the row and how to mend it."""
    columns = [one for one in ("grade", *table.raters) if table.has(one)]
    faults = []
    for row in table.rows:
        for column in columns:
            cell = row.cells[column]
            if cell and cell != UNABLE and not _WHOLE.fullmatch(cell):
                shown = "(a name)" if is_personal(cell) else repr(cell)
                faults.append(f"row {row.number}: {column} {shown} {_reason(cell)}")
            elif day := serial_date(cell):
                faults.append(
                    f"row {row.number}: {column} {cell} is a date as a number of Excel ({day}), "
                    "not a grade; correct the cell, or give another column as grade"
                )
    return faults


def _reason(cell: str) -> str:
    if _DATE.fullmatch(cell):
        return (
            "is a date, which Excel makes of text such as 1-2; format the column as text and write "
            "the grade again"
        )
    word = "WORD" if is_personal(cell) else cell
    return (
        "is not a whole grade; correct it, or say what it means: "
        f"{shlex.quote(f'map.grade.{word}=2')}, or without the number for no grade"
    )


def agree(rows: Sequence[Row], raters: Sequence[str], consensus: str | None) -> list[Row]:
    """Return rows with ``grade`` and ``grade_status`` from the grades in them.

    Who was rated by some and called unable to rate by others has the grades of the former.

    Args:
        rows: With ``grade`` or with columns of raters.
        raters: Columns of raters.
        consensus: How their grades become one; None where ``grade`` stands in the sheet.
    """
    found = []
    for row in rows:
        names = ["grade"] if consensus is None else raters
        cells = {name: row.cells.get(name, "") for name in dict.fromkeys([*names, *raters])}
        grades = [int(float(cells[name])) for name in names if cells[name] not in ("", UNABLE)]
        is_unable = not grades and UNABLE in [cells[name] for name in names]
        one = CONSENSUS[consensus or "first"][1](grades) if grades else None
        bare = {name: "" if cell == UNABLE else cell for name, cell in cells.items()}
        grade = {"grade": "" if one is None else str(one)}
        status = {"grade_status": UNABLE} if is_unable else {}
        found.append(row._replace(cells={**row.cells, **bare, **grade, **status}))
    return found


def choice(table: Table, given: str | None, rows: Sequence[Row], kappa: Kappa) -> str | None:
    """Return how the raters' grades become one; None where the sheet has the grade.

    Raises:
        ManifestError: If several raters have no consensus and none was asked for, with their
            agreement; if one was asked for and the sheet has a column of grades; or if it has
            neither grades nor raters.
    """
    raters = table.raters
    if table.has("grade"):
        if given:
            raise ManifestError(
                f"{table.name}: consensus={given}, and the sheet has a column of grades; leave "
                "consensus out, or that column: map.column.NAME="
            )
        return None
    if not raters:
        raise ManifestError(
            f"{table.name}: no column of grades is among {', '.join(table.columns)}; name it: "
            "map.column.NAME=grade, or for several raters map.column.NAME=rater_1, ... If nothing "
            "was rated, add an empty column grade"
        )
    if len(raters) == 1 or given:
        return given or "first"
    told = "\n".join(f"  {line}" for line in agreement(rows, raters, kappa))
    ways = "\n".join(f"  consensus={name}: the grade {how}" for name, (how, _) in CONSENSUS.items())
    raise ManifestError(
        f"{table.name}: {len(raters)} raters and no column of the grade to learn:\n{told}\nSay "
        f"which grade is to be learnt; the others stay in the manifest:\n{ways}"
    )


def agreement(rows: Sequence[Row], raters: Sequence[str], kappa: Kappa) -> list[str]:
    """Say how far every two raters agree, on all recordings and on each item.

    Args:
        rows: With the columns of raters and the item.
        raters: Columns of raters.
        kappa: Cohen's kappa with quadratic weights of (N,) numbers with (W, N) weights.
    """
    items = list(dict.fromkeys(row.cells.get("item", "") for row in rows))
    lines = []
    for place, first in enumerate(raters):
        for second in raters[place + 1 :]:
            for item in [None, *(items if len(items) > 1 else [])]:
                some = [row.cells for row in rows if item in (None, row.cells.get("item", ""))]
                lines.append(f"{first} and {second}{f', {item}' if item else ''}: "
                             f"{_compared(some, first, second, kappa)}")  # fmt: skip
    return lines


def _compared(rows: Sequence[Mapping[str, str]], first: str, second: str, kappa: Kappa) -> str:
    pairs = [(one[first], one[second]) for one in rows]
    both = [pair for pair in pairs if all(_WHOLE.fullmatch(cell) for cell in pair)]
    if not both:
        return "no recording has a grade by both"
    x, y = np.array(both, dtype=np.float64).T
    value = float(kappa(x, y, np.ones((1, len(x))))[0])
    shown = "undefined (all grades are equal)" if math.isnan(value) else f"{value:.2f}"
    equal = int((x == y).sum())
    return f"kappa (quadratic weights) {shown}, equal in {equal} of {len(x)} recordings"
