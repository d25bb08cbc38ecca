"""Table 1 of a study: its people and recordings, by part and by class.

Every fact has a row "not given" where it is missing. A person is counted in each row that has one
of the person's recordings. Counts of few people are hidden, see ``small_cells.py``.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

from pdray.data.cohort.settings import LABELS, SYNTHETIC_MARK, target_of
from pdray.evaluation.printed_table import NOT_GIVEN, Cell, Count, Table, csv_text
from pdray.report.case import Reported
from pdray.report.parts import ANALYSED, LEFT_OUT, SCORED, TRAINING, Parts, parts_of
from pdray.report.small_cells import Shown, Sum, protect

NOT_KEPT = (
    "not known: the study has no table of recordings; earlier versions kept none, and it goes with "
    "the folder private"
)
OLDEST = 89
"""Oldest age that is printed [years]; above it stands "90+"."""
_BANDS = {60: "under 60", 70: "60 to 69", 80: "70 to 79", 200: "80 and older"}
_LONGEST = 60  # letters of a value
_FORMULA = ("=", "+", "-", "@")  # a spreadsheet program runs a cell that begins so
_FACTS = {
    "sex": "sex", "age band": "age [years]", "diagnosis": "diagnosis",
    "medication_state": "medication", "stimulation_state": "stimulation", "site": "site",
    "item": "item", "side": "side", "grade": "grade", "visits": "visits of the person",
}  # fmt: skip
# Numbers that are described by their quartiles, each once per person or per recording.
_QUARTILES = {
    "age": ("age [years]", True),
    "disease_years": ("disease years", True),
    "seconds": ("length of a recording [s]", False),
}


def cohort_table(case: Reported) -> Table:
    """Return the table: two columns, people and recordings, for each part and each class."""
    title = "Cohort: people and recordings"
    parts = parts_of(case)
    if parts is None:
        return Table("cohort", title, 2, ("fact", "value"), [("recordings", NOT_KEPT)])
    is_graded = target_of(case.settings) != "diagnosis"
    columns = _columns(parts, is_graded=is_graded)
    headings = [f"{name} {unit}" for name in columns for unit in ("people", "recordings")]
    rows: list[list[Cell]] = []
    if case.is_synthetic:
        rows.append(["data", SYNTHETIC_MARK, *[""] * len(headings)])
    rows.append(["all", "", *_cells([parts.shown[key] for key in columns.values()])])
    labels = labelled(cast("pd.DataFrame", case.cohort))
    quartiles = dict(_quartile_rows(parts, columns, case.small_cells))
    for fact, name in _FACTS.items():
        if fact == "grade" and not is_graded:  # the diagnosis has a row
            continue
        rows += quartiles.pop("age", []) if fact == "age band" else []
        rows += _block(labels[fact], name, parts, columns, case.small_cells)
        rows += quartiles.pop("disease_years", []) if fact == "diagnosis" else []
    for rater in [str(name) for name in labels if str(name).startswith("rater_")]:
        rows += _block(labels[rater], rater, parts, columns, case.small_cells)
    rows += [row for some in quartiles.values() for row in some]
    return Table("cohort", title, 2, ("fact", "value", *headings), rows)


def cohort_csv(table: Table) -> str:
    """Return the table as CSV, in which no cell is a formula of a spreadsheet program."""
    rows = [[_harmless(cell) for cell in row] for row in table.rows]
    return csv_text(table._replace(rows=rows))


def labelled(cohort: pd.DataFrame) -> pd.DataFrame:
    """Return the printed value of each fact of each recording, "not given" where it is missing.

    Args:
        cohort: A table of recordings.

    Returns:
        Its index; columns are the facts, such as "sex" and "age band", and raters.
    """
    people = cohort.groupby("subject_id")
    first = cohort["subject_id"].map(ages(cohort).groupby(cohort["subject_id"]).min())
    visits = cohort["subject_id"].map(people["visit_id"].nunique())
    found = {
        "age band": [age_band(age) for age in first],
        "visits": ["3 or more" if number > 2 else str(number or NOT_GIVEN) for number in visits],
    }
    for fact in _FACTS:
        if fact not in found:
            found[fact] = [_word(value) for value in cohort[fact]]
    for rater in sorted(str(name) for name in cohort if str(name).startswith("rater_")):
        found[rater] = ["graded" if known else NOT_GIVEN for known in cohort[rater].notna()]
    return pd.DataFrame(found, index=cohort.index)


def ages(cohort: pd.DataFrame) -> pd.Series:
    """Return the age at each recording [years]; 90 of everybody who is older than 89."""
    years = pd.to_numeric(cohort["age"].astype("str").str.rstrip("+"), errors="coerce")
    return years.where(~(years > OLDEST), float(OLDEST + 1))


def age_band(age: float) -> str:
    """Return the printed band of an age [years]; "not given" of nan."""
    return next((words for end, words in _BANDS.items() if age < end), NOT_GIVEN)


def _columns(parts: Parts, *, is_graded: bool) -> dict[str, str]:
    """Return the key of each group by its name in the table."""
    columns = {ANALYSED: ANALYSED}
    columns |= {name: name for name in (SCORED, TRAINING) if TRAINING in parts.rows}
    for name, key in parts.classes().items():
        columns[name if is_graded else LABELS[int(name.removeprefix("class "))]] = key
    return columns | {name: name for name in (LEFT_OUT,) if name in parts.rows}


def _block(
    labels: pd.Series, name: str, parts: Parts, columns: Mapping[str, str], least: int
) -> list[list[Cell]]:
    """Return the rows of one fact."""
    counts = {
        (key, value): found
        for key in columns.values()
        for value, found in _counts(parts.rows[key]["subject_id"], labels).items()
    }
    values = sorted({value for _, value in counts}, key=value_order)
    counts = {(key, one): Count(0, 0) for key in columns.values() for one in values} | counts
    counts = dict(sorted(counts.items(), key=lambda pair: pair[1].subjects))
    sums = [Sum((key, ""), tuple((key, value) for value in values)) for key in columns.values()]
    divided = [
        [key for key in (SCORED, TRAINING) if key in columns.values()],
        [key for key in parts.classes().values() if key in columns.values()],
    ]
    for some in filter(None, divided):
        sums += [
            Sum((ANALYSED, value), tuple((key, value) for key in some)) for value in ("", *values)
        ]
    if name == "grade":
        sums += _class_sums(labels, parts)
    keys = dict.fromkeys([*columns.values(), *(one.total[0] for one in sums)])
    totals = {(key, ""): parts.counts[key] for key in keys}
    shown = protect(
        {**counts, **totals}, sums, least, {place: parts.shown[place[0]] for place in totals}
    )
    return [
        [name, value, *_cells([shown[key, value] for key in columns.values()])] for value in values
    ]


def _class_sums(labels: pd.Series, parts: Parts) -> Iterator[Sum[tuple[str, str]]]:
    """Yield the scored people of each class, whom the flow counts, as sums over its grades."""
    column = SCORED if TRAINING in parts.rows else ANALYSED
    for key in parts.classes(SCORED).values():
        grades = sorted(set(labels[parts.rows[key].index]))
        yield Sum((key, ""), tuple((column, grade) for grade in grades))


def _counts(subjects: pd.Series, labels: pd.Series) -> dict[str, Count]:
    """Return the recordings and people of each value of a fact."""
    people: dict[str, set[str]] = {}
    number: Counter[str] = Counter()
    for subject, value in zip(subjects, labels[subjects.index], strict=True):
        people.setdefault(value, set()).add(subject)
        number[value] += 1
    return {value: Count(number[value], len(some)) for value, some in people.items()}


def _quartile_rows(
    parts: Parts, columns: Mapping[str, str], least: int
) -> Iterator[tuple[str, list[list[Cell]]]]:
    for fact, (name, is_of_person) in _QUARTILES.items():
        cells = []
        for key in columns.values():
            rows = parts.rows[key]
            numbers = ages(rows) if fact == "age" else pd.to_numeric(rows[fact])
            people = rows["subject_id"][numbers.notna()]
            known = numbers.dropna().astype(float)
            if is_of_person:
                known = known.groupby(people).min()
            cells += [_quartiles(known, people.nunique(), least), ""]
        yield fact, [[name, "median (quartiles)", *cells]]


def _quartiles(numbers: pd.Series, num_people: int, least: int) -> str:
    if not num_people:
        return NOT_GIVEN
    if num_people < least:
        return f"<{least} people"
    low, middle, high = map(years_text, np.quantile(numbers, [0.25, 0.5, 0.75]))
    return f"{middle} ({low} to {high})"


def years_text(number: float) -> str:
    """Return a number with at most one decimal; above 89 it is "90+", as an age must be."""
    return "90+" if number > OLDEST else f"{number:.1f}".removesuffix(".0")


def _cells(shown: list[Shown]) -> list[Cell]:
    return [cell for one in shown for cell in one]


def _word(value: Any) -> str:
    if pd.isna(value):
        return NOT_GIVEN
    text = " ".join("".join(one if one.isprintable() else " " for one in str(value)).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _harmless(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def value_order(value: str) -> tuple[bool, bool, str]:
    """Return where a value stands among others, "not given" last."""
    return value == NOT_GIVEN, not value.startswith("under"), value
