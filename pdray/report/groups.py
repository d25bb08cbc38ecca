"""Scores in groups of people, by sex, age band and site."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from pdray.evaluation.evaluation_report import number_text
from pdray.evaluation.numbers import numbers_frame, scored
from pdray.evaluation.printed_table import NOT_GIVEN, Count
from pdray.evaluation.score_intervals import Rows, rows_interval
from pdray.report.case import Reported
from pdray.report.cohort_table import labelled, value_order
from pdray.report.parts import Parts
from pdray.report.small_cells import HIDDEN, Shown, Sum, protect

FACTS = {"sex": "sex", "age band": "age", "site": "site"}
_ALL = ("", "")


class Group(NamedTuple):
    """Score of one group of people.

    Attributes:
        fact: "sex", "age" or "site".
        value: Such as "female".
        shown: Its people and recordings that were scored.
        score: The score with its interval, in words; of few people "too few people".
    """

    fact: str
    value: str
    shown: Shown
    score: str

    @property
    def text(self) -> str:
        """The group in one line."""
        people = "" if self.shown.people == HIDDEN else f" ({self.shown.people} people)"
        return f"{self.fact} {self.value}{people}: {self.score}"


def score_groups(case: Reported, parts: Parts | None) -> list[Group]:
    """Return the score that chose the winner, in each group of those who were scored."""
    if parts is None or not len(case.units):
        return []
    rows = parts.rows["scored"]
    labels = labelled(rows)
    found = []
    for column, fact in FACTS.items():
        groups = dict(list(rows.groupby(labels[column])))
        if set(groups) <= {NOT_GIVEN}:
            continue
        counts = {
            (fact, str(value)): Count(len(some), int(some["subject_id"].nunique()))
            for value, some in sorted(groups.items(), key=lambda pair: value_order(str(pair[0])))
        }
        shown = protect(
            {**counts, _ALL: parts.counts["scored"]},
            [Sum(_ALL, tuple(counts))],
            case.small_cells,
            {_ALL: parts.shown["scored"]},
        )
        numbers = _by_age(case, labels) if fact == "age" else case.numbers
        for (_, value), number in counts.items():
            is_small = number.subjects < case.small_cells
            words = "too few people" if is_small else _words(numbers, f"{fact}={value}", case)
            found.append(Group(fact, value, shown[fact, value], words))
    return found


def score_words(row: Mapping[Any, Any]) -> str:
    """Return a number and its interval, such as "mcc 0.710 (95% interval 0.412 to 0.873)"."""
    reason = row["undefined"] or row["reason"]
    told = f"{row['metric']} {number_text(row['value'])}"
    if reason:
        return f"{told} ({reason})"
    low, high = row["low"], row["high"]
    if row["sides"] == "lower":
        return f"{told} (95% interval: at least {low:.3f})"
    if row["sides"] == "upper":
        return f"{told} (95% interval: at most {high:.3f})"
    return f"{told} (95% interval {low:.3f} to {high:.3f})" if low == low else told


def _words(numbers: pd.DataFrame, group: str, case: Reported) -> str:
    rows = numbers[(numbers["table"] == "groups") & (numbers["group"] == group)]
    wanted = rows[rows["metric"] == case.metric]
    some = wanted if len(wanted) else rows
    return score_words(dict(some.iloc[0])) if len(some) else "no score is given"


def _by_age(case: Reported, labels: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of age bands, which a predictions table does not have."""
    names = case.cohort["recording_id"] if case.cohort is not None else pd.Series()
    bands = dict(zip(names[labels.index], labels["age band"], strict=True))
    of_unit = case.units["recording_id"].map(bands)
    several = "seed" in case.units and case.units["seed"].nunique() > 1
    found = []
    for band, units in case.units.groupby(of_unit):
        ends = rows_interval(case.metric, Rows.of(units, mean_of_runs=several))
        place = {"table": "groups", "group": f"age={band}", "level": "recording"}
        found.append(scored(ends, units, case.metric, **place))
    return numbers_frame(found)
