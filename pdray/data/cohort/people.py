"""People of a manifest: one person under one id, and facts that can be true of one person.

Nothing here can know who is in a video. Two ids that cannot mean two people are refused, and so are
two that look alike until they are named as two people. What differs in letters is noted.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, pairwise

from pdray.data.cohort.csv_table import Row
from pdray.data.cohort.spelling import look_alike_form, normal_form

Fault = tuple[int, str]  # row, text
_SHOWN = 5
_LEAST_RATED = 10  # recordings of a rater
HEALTHY = frozenset(
    ["healthy", "control", "healthy control", "hc", "normal", "no pd", "non-pd", "unaffected"]
)
_RISING = ("age", "disease_years")  # with time
_YEARS = 2  # between two ages of one person in one visit


def in_rows(faults: Sequence[Fault]) -> list[str]:
    """Return faults as text in the order of their rows; what is of no row (0) comes first."""
    # Stable: the faults of one row stay in the order they were found.
    return [
        f"row {number}: {text}" if number else text
        for number, text in sorted(faults, key=lambda fault: fault[0])
    ]


def id_faults(
    rows: Sequence[Row], unnamed: frozenset[str], different: Sequence[Sequence[str]]
) -> list[Fault]:
    """Find ids of one kind that are spelt in two ways.

    Args:
        rows: Of the manifest.
        unnamed: Recordings whose id stands for a subject's: they are nobody's spelling.
        different: Groups of ids that look alike and are different people.

    Returns:
        Faults of subjects, of the visits inside each subject, and of sites.
    """
    apart = {frozenset(pair) for group in different for pair in combinations(group, 2)}
    subjects = {row.cells["subject_id"] for row in rows}
    faults = [
        (0, f"data.different_subjects names {name!r}, and no row has that subject_id")
        for name in dict.fromkeys(name for group in different for name in group)
        if name not in subjects
    ]
    seen: dict[tuple[str, ...], Row] = {}
    for row in rows:
        subject = row.cells["subject_id"]
        if row.cells["recording_id"] not in unnamed:
            texts = [*_spelt(row, "subject_id", (), seen), *_alike(row, apart, seen)]
            faults += [(row.number, text) for text in texts]
        for column, scope in (("visit_id", (subject,)), ("site", ())):
            faults += [(row.number, text) for text in _spelt(row, column, scope, seen)]
    return faults


def _spelt(
    row: Row, column: str, scope: tuple[str, ...], seen: dict[tuple[str, ...], Row]
) -> Iterator[str]:
    """Say where an id differs from an earlier one, of the same scope, in its spelling alone."""
    name = row.cells.get(column, "")
    if not name:
        return
    other = seen.setdefault((column, *scope, normal_form(name)), row)
    first = other.cells[column]
    if name != first:
        shown = f"{name!r} differs from {first!r} of row {other.number} only in case"
        if name.casefold() != first.casefold():
            shown = (
                f"{name!a} differs from {first!a} of row {other.number} only in how it is written "
                "(invisible letters, width, dashes, spaces, '.0')"
            )
        yield f"{column} {shown}; write one of them everywhere"


def _alike(row: Row, apart: set[frozenset[str]], seen: dict[tuple[str, ...], Row]) -> Iterator[str]:
    """Say where a subject looks like an earlier one and is not named as another person."""
    name = row.cells["subject_id"]
    if not name:
        return
    form = look_alike_form(name)
    # Every id of this form stands under a key of its own, so that each pair is looked at.
    number = 0
    while (other := seen.setdefault(("alike", form, str(number)), row)) is not row:
        first = other.cells["subject_id"]
        if first == name:
            return
        is_one = normal_form(first) == normal_form(name)
        if not is_one and frozenset((first, name)) not in apart:
            group = json.dumps([[first, name]], separators=(",", ":"))
            yield (
                f"subject_id {name!a} looks like {first!a} of row {other.number} (leading zeros, "
                "accents, or letters that look alike): write one id if that is one person; if they "
                f"are two, give 'data.different_subjects={group}'"
            )
        number += 1


def repeated_ids(rows: Sequence[Row]) -> list[Fault]:
    """Find recording ids that stand twice."""
    seen: dict[str, Row] = {}
    return [
        (row.number, f"recording_id {name} stands in row {first.number} already")
        for row in rows
        if (name := row.cells["recording_id"])
        if (first := seen.setdefault(name, row)) is not row
    ]


def id_notes(subjects: Sequence[str]) -> list[str]:
    """Say which bare numbers stand beside the same number with letters, such as 1 and P1."""
    forms = {look_alike_form(name): name for name in subjects}
    pairs = [
        f"{forms[match[1]]} and {name}"
        for form, name in forms.items()
        if (match := re.fullmatch(r"[^\W\d_]+(\d+)", form)) and match[1] in forms
    ]
    if not pairs:
        return []
    more = f" and {len(pairs) - _SHOWN} more pairs" if len(pairs) > _SHOWN else ""
    return [
        f"subjects {', '.join(pairs[:_SHOWN])}{more} differ only in letters; if they are one "
        "person, write one id"
    ]


def rater_notes(raters: Sequence[Sequence[object]]) -> list[str]:
    """Say which raters rated so few recordings that nothing can be said of them.

    Args:
        raters: Grades of each recording, by rater; None where one did not rate.
    """
    counts = [sum(grade is not None for grade in of_one) for of_one in zip(*raters, strict=True)]
    few = [
        f"rater_{number} ({count})"
        for number, count in enumerate(counts, start=1)
        if 0 < count < _LEAST_RATED <= max(counts) / 2
    ]
    return [
        f"raters with fewer than {_LEAST_RATED} recordings, whose agreement says nothing: "
        f"{', '.join(few)}"
    ] * bool(few)


def age_notes(told: Iterable[tuple[str, str | None, float | None]]) -> list[str]:
    """Say which subjects have ages in one visit, or without visits, that are years apart.

    Args:
        told: Subject, visit and age of each recording.
    """
    found: dict[tuple[str, str | None], list[float]] = {}
    for subject, visit, age in told:
        if age is not None:
            found.setdefault((subject, visit), []).append(age)
    names = dict.fromkeys(
        subject for (subject, _), ages in found.items() if max(ages) - min(ages) > _YEARS
    )
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [
        f"{len(names)} subjects have ages more than {_YEARS} years apart in one visit, or without "
        f"visits: {', '.join([*names][:_SHOWN])}{more}; if such an id stands for two people, write "
        "two ids"
    ]


def fact_faults(rows: Sequence[Row]) -> list[Fault]:
    """Find facts that cannot be true of one person: two sexes, an age that falls, and so on."""
    people: dict[str, list[Row]] = {}
    for row in rows:
        people.setdefault(row.cells["subject_id"], []).append(row)
    return [
        fault
        for subject, members in people.items()
        if subject
        for find in (_word_faults, _diagnosis_faults, _time_faults)
        for fault in find(subject, members)
    ]


def _word_faults(subject: str, members: Sequence[Row]) -> Iterator[Fault]:
    for column in ("split", "sex"):
        told = [row for row in members if row.cells.get(column)]
        for row in told[1:]:
            found, first = row.cells[column], told[0].cells[column]
            if column == "sex":  # f and female say the same
                found, first = sorted(map(normal_form, (found, first)), key=len)
                first = first[: len(found)]
            if found != first:
                yield _differs(row, column, subject, told[0])


def _diagnosis_faults(subject: str, members: Sequence[Row]) -> Iterator[Fault]:
    """Find a diagnosis that changes inside a visit, or from ill to healthy."""
    visits: dict[str, Row] = {}
    for row in (row for row in members if row.cells.get("diagnosis")):
        first = visits.setdefault(row.cells.get("visit_id", ""), row)
        now, before = (normal_form(one.cells["diagnosis"]) for one in (row, first))
        if now != before and (row.cells.get("visit_id") or _is_healthy(row) != _is_healthy(first)):
            yield _differs(row, "diagnosis", subject, first)
    if len(set(map(_is_healthy, visits.values()))) < 2:
        return
    ordered = _in_order(list(visits.values()))
    if ordered is None:
        row = next(row for row in visits.values() if _is_healthy(row) != _is_healthy(members[0]))
        yield (
            row.number,
            (
                f"diagnosis {row.cells['diagnosis']!r}, but subject {subject} has others in visits "
                "whose names do not tell their order; name visits so that their numbers rise "
                "(V1, V2, or 2024-05-31), or correct the diagnosis"
            ),
        )
        return
    for first, row in pairwise(ordered):
        if _is_healthy(row) and not _is_healthy(first):
            yield _differs(row, "diagnosis", subject, first)


def _time_faults(subject: str, members: Sequence[Row]) -> Iterator[Fault]:
    """Find years that fall from a visit to a later one."""
    for column in _RISING:
        told = [row for row in members if _years(row, column) is not None]
        ordered = _in_order(told) or []
        for first, row in pairwise(ordered):
            falls = (_years(row, column) or 0) < (_years(first, column) or 0)
            if falls and _visit(first) != _visit(row):
                yield _differs(row, column, subject, first)


def _in_order(rows: Sequence[Row]) -> list[Row] | None:
    """Return rows by the numbers in their visits' names; None where these do not tell an order."""
    names = {_visit(row) for row in rows}
    patterns = {re.sub(r"\d+", "#", name) for name in names}
    keys = {name: tuple(map(int, re.findall(r"\d{1,9}", name))) for name in names}
    # A year behind day and month: which of them is the month is not told.
    is_date = any(pattern.startswith("#") for pattern in patterns)
    is_vague = is_date and any(number > 1900 for key in keys.values() for number in key[1:])
    if len(patterns) > 1 or len(set(keys.values())) < len(names) or is_vague:
        return None
    return sorted(rows, key=lambda row: keys[_visit(row)])


def _visit(row: Row) -> str:
    return normal_form(row.cells.get("visit_id", ""))


def _years(row: Row, column: str) -> float | None:
    cell = row.cells.get(column, "")
    return float(cell) if re.fullmatch(r"[0-9]{1,3}(\.[0-9]*)?", cell) else None


def _is_healthy(row: Row) -> bool:
    return normal_form(row.cells["diagnosis"]) in HEALTHY


def _differs(row: Row, column: str, subject: str, first: Row) -> Fault:
    return row.number, (
        f"{column} {row.cells[column]!r}, but subject {subject} is {first.cells[column]!r} in row "
        f"{first.number}; correct one of them, or write two ids if they are two people"
    )
