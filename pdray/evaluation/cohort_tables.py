"""Tables of a cohort in the form of the papers: grades, lengths, people, visits.

Every row counts recordings and subjects. A missing value is shown as "not given", never as zero and
never left out. A subject (or visit) is counted in each row that has one of its recordings, so the
rows may sum to more subjects than there are.

Forms: Table 1 of the motion boundary paper, Tables IV and VI of TSA, Tables 10 to 12 of YouTubePD.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pdray.data.cohort.manifest import Recording, grade_class
from pdray.data.cohort.settings import ACTION, ITEMS, LABELS, Target
from pdray.data.store.lengths import Length
from pdray.evaluation.printed_table import NONE, NOT_GIVEN, Cell, Count, Ends, Mean, Table

ALL = "all"
_NAMES = {
    "medication_state": "medication", "stimulation_state": "stimulation",
    "state": "medication/stim.", "hoehn_yahr": "Hoehn and Yahr", "disease_years": "disease years",
    "recording_protocol": "protocol", "grade_status": "grade status",
}  # fmt: skip
FACTS = ("sex", "age", "medication_state", "diagnosis", "site", "split")
# Shown where any recording gives them.
MORE_FACTS = (
    "stimulation_state", "state", "dyskinesia", "hoehn_yahr", "disease_years",
    "recording_protocol", "grade_status",
)  # fmt: skip
_SPANS = {"age": 10, "disease_years": 5}  # years of a row
_OLDEST = 90  # years; who is older is one group, as there are few
# Field to its name in a table; ages are shown in any case.
_MEANS = {
    "age": "age", "disease_years": "disease years", "hours_since_dose": "hours since dose",
}  # fmt: skip
Visit = tuple[str, str]  # subject, visit


@dataclass(frozen=True)
class Described:
    """Cohort to describe.

    Attributes:
        recordings: In the manifest's order, at least one.
        lengths: Length of each recording by id.
        cuts: First grade of each class but the lowest; the class of an action is its grade.
        unnamed: Ids of recordings without a subject_id.
        small_cells: Counts of fewer people are not shown.
        target: What the classes are of.
    """

    recordings: Sequence[Recording]
    lengths: Mapping[str, Length]
    cuts: Sequence[int]
    unnamed: frozenset[str]
    small_cells: int = 1
    target: Target = "grade"

    @property
    def is_action(self) -> bool:
        """Whether grades are classes of actions."""
        return self.recordings[0].item == ACTION

    @property
    def is_graded(self) -> bool:
        """Whether grades are those of a scale."""
        return not self.is_action and self.target == "grade"

    def count(self, recordings: Iterable[Recording]) -> Count:
        """Count recordings and their subjects."""
        some = list(recordings)
        named = {one.subject_id for one in some if one.recording_id not in self.unnamed}
        unnamed = sum(one.recording_id in self.unnamed for one in some)
        return Count(len(some), len(named), unnamed)

    def class_of(self, recording: Recording) -> int | None:
        """Return the class of a recording's grade; None if it has no grade."""
        if recording.grade is None or self.is_action:
            return recording.grade
        return grade_class(recording.grade, self.cuts)

    def class_name(self, number: int) -> str:
        """Return what a class is called."""
        return LABELS[number] if self.target == "diagnosis" else f"class {number:g}"

    def seconds(self, recordings: Iterable[Recording]) -> list[float]:
        """Return the known lengths [s]."""
        found = (self.lengths[one.recording_id].seconds for one in recordings)
        return [one for one in found if one is not None]

    def frames(self, recordings: Iterable[Recording]) -> list[int]:
        """Return the known numbers of frames."""
        found = (self.lengths[one.recording_id].frames for one in recordings)
        return [one for one in found if one is not None]

    def means(self, recordings: Iterable[Recording], fact: str) -> list[float]:
        """Return the mean of a number over the recordings of each subject that has it."""
        found: dict[str, list[float]] = {}
        for one in recordings:
            if (value := getattr(one, fact)) is not None:
                found.setdefault(one.subject_id, []).append(value)
        return [float(np.mean(values)) for values in found.values()]

    def has(self, fact: str) -> bool:
        """Return whether any recording has a fact."""
        return any(value_of(one, fact) is not None for one in self.recordings)

    def visits(self) -> dict[Visit, list[Recording]]:
        """Return the recordings of each visit with a visit_id."""
        found: dict[Visit, list[Recording]] = {}
        for one in self.recordings:
            if one.visit_id is not None:
                found.setdefault((one.subject_id, one.visit_id), []).append(one)
        return found

    def scores(self) -> dict[Visit, float]:
        """Return the score of each visit that has exactly one."""
        found = {
            key: {one.visit_score for one in members if one.visit_score is not None}
            for key, members in self.visits().items()
        }
        return {key: next(iter(scores)) for key, scores in found.items() if len(scores) == 1}


def item_table(cohort: Described) -> Table:
    """Count recordings, frames and seconds per item and class (motion boundary paper, Table 1)."""
    columns = ("item", "class", "grades", "count", "frames min/max", "seconds min/max")
    rows: list[Sequence[Cell]] = []
    for item, members in _items(cohort).items():
        classes = _by_class(cohort, members, item)
        parts = [(name, grades, some) for (name, grades), some in classes.items()]
        for name, grades, some in [*parts, (ALL, "", members)]:
            ends = [_ends(values, some) for values in (cohort.frames(some), cohort.seconds(some))]
            rows.append((item, name, grades, cohort.count(some), *ends))
    return Table("items", "Items and classes", 2, columns, rows)


def grade_table(cohort: Described) -> Table:
    """Count the grades per item (YouTubePD, Table 10; TSA, Fig. 4b)."""
    items = _items(cohort)
    highest = {item: _highest(item, members) for item, members in items.items()}
    grades = [*range(max(highest.values()) + 1), None]
    rows = []
    for item, members in items.items():
        counts = [cohort.count(one for one in members if one.grade == grade) for grade in grades]
        shown: list[Cell] = [
            NONE if grade is not None and grade > highest[item] else count
            for grade, count in zip(grades, counts, strict=True)
        ]
        rows.append((item, *shown, cohort.count(members)))
    names = [NOT_GIVEN if grade is None else str(grade) for grade in grades]
    return Table("grades", "Grades, count of each", 1, ("item", *names, ALL), rows)


def length_table(cohort: Described) -> Table:
    """Describe the lengths of the recordings per item (TSA, Fig. 4a)."""
    columns = ("item", "count", "not given count", "hours", "mean (SD)", "median", "90%", "longest")
    rows = []
    for item, members in [*_items(cohort).items(), (ALL, cohort.recordings)]:
        seconds = cohort.seconds(members)
        lack = [one for one in members if cohort.lengths[one.recording_id].seconds is None]
        cells: list[Cell] = [None] * 5
        if seconds:
            cells = [
                sum(seconds) / 3600,
                Mean.of(seconds),
                float(np.median(seconds)),
                float(np.quantile(seconds, 0.9)),
                max(seconds),
            ]
        rows.append((item, cohort.count(members), cohort.count(lack), *cells))
    return Table("lengths", "Length of the recordings [s]; 90%: 90% are shorter", 1, columns, rows)


def fact_table(cohort: Described, name: str, title: str, by: Mapping[str, str]) -> Table:
    """Count facts such as sex and age in each group (TSA, Table VI; YouTubePD, Tables 11 and 12).

    Args:
        cohort: The cohort.
        name: Name of the table's file.
        title: Title of the table.
        by: Group of each recording by id; each group is a column.
    """
    groups = _ordered(by.values())
    rows: list[Sequence[Cell]] = []
    for fact in (*FACTS, *filter(cohort.has, MORE_FACTS)):
        for value, members in _by_value(cohort.recordings, fact).items():
            cells = [
                cohort.count(one for one in members if by.get(one.recording_id) == group)
                for group in groups
            ]
            rows.append((_NAMES.get(fact, fact), value, cohort.count(members), *cells))
    return Table(name, f"{title}, count of each", 2, ("fact", "value", ALL, *groups), rows)


def group_table(cohort: Described, name: str, title: str, by: Mapping[str, str]) -> Table:
    """Describe ages, disease and visit scores of each group (TSA, Table VI).

    Args:
        cohort: The cohort.
        name: Name of the table's file.
        title: Title of the table.
        by: Group of each recording by id.
    """
    facts = [fact for fact in _MEANS if fact == "age" or cohort.has(fact)]
    headings = [end for fact in facts for end in (f"with {_MEANS[fact]} count",
                                                 f"{_MEANS[fact]} mean (SD)")]  # fmt: skip
    columns = ("group", "count", *headings, "visits", "with score", "score mean (SD)")
    scores, rows = cohort.scores(), []
    for group in [*_ordered(by.values()), ALL]:
        members = [one for one in cohort.recordings if group in (ALL, by.get(one.recording_id))]
        means: list[Cell] = []
        for fact in facts:
            having = [one for one in members if getattr(one, fact) is not None]
            means += (
                [cohort.count(having), Mean.of(cohort.means(having, fact))]
                if having
                else [None] * 2
            )
        visits = {(one.subject_id, one.visit_id) for one in members if one.visit_id is not None}
        known = [score for visit, score in scores.items() if visit in visits]
        score: list[Cell] = [len(known), Mean.of(known)] if known else [None] * 2
        rows.append((group, cohort.count(members), *means, len(visits) or None, *score))
    return Table(name, title, 1, columns, rows)


def by_class(cohort: Described) -> dict[str, str]:
    """Return the printed class of each recording by id; empty for actions."""
    if cohort.is_action:
        return {}
    classes = {one.recording_id: cohort.class_of(one) for one in cohort.recordings}
    return {key: NOT_GIVEN if k is None else cohort.class_name(k) for key, k in classes.items()}


def by_diagnosis(cohort: Described) -> dict[str, str]:
    """Return the diagnosis of each recording by id; empty with fewer than two diagnoses."""
    if len({one.diagnosis for one in cohort.recordings if one.diagnosis}) < 2:
        return {}
    return {one.recording_id: one.diagnosis or NOT_GIVEN for one in cohort.recordings}


def by_score(cohort: Described) -> dict[str, str]:
    """Return the third of the visit scores to which each recording's visit belongs, by id.

    A score on a cut belongs to the lower third (TSA, section IV-B). Empty if there are fewer than
    three different scores, or a third would be empty.
    """
    scores = cohort.scores()
    if len(set(scores.values())) < 3:
        return {}
    values = sorted(scores.values())
    low, high = np.quantile(values, [1 / 3, 2 / 3], method="inverted_cdf")
    if low == high or high == values[-1]:
        return {}
    names = (f"1: to {low:g}", f"2: to {high:g}", f"3: above {high:g}")

    def third(recording: Recording) -> str:
        score = scores.get((recording.subject_id, recording.visit_id or ""))
        return NOT_GIVEN if score is None else names[int(score > low) + int(score > high)]

    return {one.recording_id: third(one) for one in cohort.recordings}


def _items(cohort: Described) -> dict[str, list[Recording]]:
    return _by_value(cohort.recordings, "item")


def _by_class(
    cohort: Described, members: Sequence[Recording], item: str
) -> dict[tuple[str, str], list[Recording]]:
    """Return the recordings per possible class of an item, and those without a grade."""
    found: dict[int | None, list[Recording]] = {}
    grades: dict[int | None, list[int]] = {}
    if cohort.target == "diagnosis":
        labels = {k: [one for one in members if one.grade == k] for k in range(len(LABELS))}
        unknown = [one for one in members if one.grade is None]
        named = {(str(k), LABELS[k]): some for k, some in labels.items()}
        return {**named, **({(NOT_GIVEN, ""): unknown} if unknown else {})}
    for grade in range(_highest(item, members) + 1):
        number = grade if cohort.is_action else grade_class(grade, cohort.cuts)
        found.setdefault(number, [])
        grades.setdefault(number, []).append(grade)
    for one in members:
        found.setdefault(cohort.class_of(one), []).append(one)
    return {
        (NOT_GIVEN, "") if number is None else (str(number), _range(grades[number])): some
        for number, some in found.items()
    }


def _highest(item: str, members: Sequence[Recording]) -> int:
    """Return the highest grade of an item; of one that is not known, the highest one given."""
    return ITEMS.get(item, max((one.grade or 0 for one in members), default=0))


def _range(grades: Sequence[int]) -> str:
    return str(grades[0]) if len(grades) == 1 else f"{grades[0]}-{grades[-1]}"


def _by_value(recordings: Iterable[Recording], fact: str) -> dict[str, list[Recording]]:
    """Return recordings by the value of a fact, in rising order; those without it come last."""
    found: dict[str, list[Recording]] = {}
    for one in recordings:
        found.setdefault(value_of(one, fact) or NOT_GIVEN, []).append(one)
    return {value: found[value] for value in _ordered(found)}


def value_of(recording: Recording, fact: str) -> str | None:
    """Return a fact as it is printed; None if it is not given.

    Args:
        recording: The recording.
        fact: A field, or "state": medication and stimulation together (TSA, Table VI).
    """
    if fact == "state":
        states = recording.medication_state, recording.stimulation_state
        return None if None in states else "/".join(map(str, states))
    value = getattr(recording, fact)
    if value is not None and fact in _SPANS:
        if fact == "age" and value >= _OLDEST:
            return f"{_OLDEST}+"
        first = int(value // _SPANS[fact]) * _SPANS[fact]
        return f"{first} to {first + _SPANS[fact] - 1}"
    return f"{value:g}" if isinstance(value, float) else value


def _ordered(values: Iterable[str]) -> list[str]:
    """Return each value once, sorted by number at the start, then by text; "not given" last."""

    def rank(value: str) -> tuple[bool, float, str]:
        number = re.match("[0-9]+", value)
        return value == NOT_GIVEN, int(number[0]) if number else math.inf, value

    return sorted(set(values), key=rank)


def _ends(values: Sequence[float], members: Sequence[Recording]) -> Cell:
    """Return the smallest and largest known value; None if unknown, "-" without recordings."""
    if not values:
        return None if members else NONE
    return Ends(min(values), max(values))
