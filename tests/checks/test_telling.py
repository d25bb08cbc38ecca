"""Tables of SYNTHETIC numbers, in which one column was made from the grade."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pdray.checks import duplicates, identity
from pdray.checks.case import Case
from pdray.checks.telling import run
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rated import StoredRecording
from pdray.data.store.entry import EntryWriter
from pdray.data.store.settings import StoreConfig
from tests.checks.cases import cohort_of, make_case

Values = NDArray[np.float64]
NAMES = ("speed", "size", "pause")


def _graded(cohort: list[Recording]) -> list[Recording]:
    """Give each recording a grade of 0 to 4, and two raters of whom one agrees with it."""
    return [
        replace(one, grade=n % 5, raters=(n % 5, n // 5 % 5), diagnosis="pd", video=None)
        for n, one in enumerate(cohort)
    ]


def _case(folder: Path, cohort: list[Recording], values: Values, **settings: object) -> Case:
    stored = {}
    for number, (one, row) in enumerate(zip(cohort, values, strict=True)):
        path = folder / f"{number}.arrow"
        with EntryWriter(path, StoreConfig(codec="raw")) as entry:
            entry.append(0.0, row, NAMES)
        stored[one.recording_id] = StoredRecording(one.recording_id, {"features": path})
    return make_case(folder, cohort, stored=stored, **settings)  # type: ignore[arg-type]


def _numbers(cohort: list[Recording]) -> Values:
    return np.random.default_rng(0).normal(size=(len(cohort), len(NAMES)))


def _nearly(grades: Values) -> Values:
    return grades + np.random.default_rng(1).normal(0, 0.7, len(grades))


def _absent(grades: Values) -> Values:
    return np.where(grades == 0, np.nan, np.random.default_rng(1).normal(size=len(grades)))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (None, ""),
        (lambda grades: grades, "features: size is equal to the label"),
        (lambda grades: 9 - grades**2, "features: size is another way to write the label"),
        (_nearly, "features: size nearly tells the label"),
        (_absent, "features: whether size is absent tells the diagnosis"),
    ],
)
def test_a_column_made_from_the_grade_is_named(
    tmp_path: Path, make: Callable[[Values], Values] | None, told: str
) -> None:
    cohort = _graded(cohort_of(40, 2))
    grades = np.array([one.grade for one in cohort], np.float64)
    cohort = [replace(one, diagnosis="pd" if one.grade else "healthy") for one in cohort]
    values = _numbers(cohort)
    if make is not None:
        values[:, 1] = make(grades)
    found = run(_case(tmp_path, cohort, values))
    assert found.state == ("warning" if told else "passed"), found.found
    assert found.found.startswith(told)
    assert found.numbers == {"columns": 3, "telling": float(bool(told))}


def test_the_grade_of_one_rater_is_found_too(tmp_path: Path) -> None:
    cohort = _graded(cohort_of(40, 2))
    values = _numbers(cohort)
    values[:, 2] = [one.raters[1] for one in cohort]
    assert "pause is equal to rater_2" in run(_case(tmp_path, cohort, values)).found


def test_interpolated_total_scores_are_counted(tmp_path: Path) -> None:
    cohort = [replace(one, visit_score=20 + n / 7) for n, one in enumerate(cohort_of(40, 2))]
    found = run(make_case(tmp_path, cohort))
    assert (found.state, found.found.split(" total")[0]) == ("warning", "68 of 80")
    whole = [replace(one, visit_score=20.5) for one in cohort]
    assert run(make_case(tmp_path / "whole", whole)).state == "passed"


def test_equal_features_across_sides_are_copies(tmp_path: Path) -> None:
    cohort = _graded(cohort_of(16, 1))
    values = _numbers(cohort)
    assert duplicates.run(_case(tmp_path, cohort, values)).state == "passed"
    values[0] = values[12]  # S000 is held out, S012 is not
    values[[1, 13]] = np.nan
    found = duplicates.run(_case(tmp_path, cohort, values))
    assert (found.state, found.numbers["copies"]) == ("warning", 2)
    assert "(features, 1.00)" in found.found
    assert "(features, all absent, 1.00)" in found.found


def test_a_person_is_recognised_by_features(tmp_path: Path) -> None:
    cohort = [replace(one, video=None) for one in cohort_of(16, 2)]
    rng = np.random.default_rng(0)
    people = rng.normal(size=(16, len(NAMES)))
    people[0] = people[5] + 0.01  # S000 is held out, S005 is not
    values = people.repeat(2, axis=0) + rng.normal(0, 0.01, (32, len(NAMES)))
    found = identity.run(_case(tmp_path, cohort, values))
    assert (found.state, found.numbers["links"]) == ("warning", 1), found.found
    assert found.looked_at == "features of 16 persons"
