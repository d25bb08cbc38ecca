from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdray.config import build
from pdray.data.cohort.manifest import Recording
from pdray.errors import ManifestError, SettingsError, StudyError
from pdray.visits.settings import LevelsConfig
from pdray.visits.visits import (
    Visit,
    level_cuts,
    level_of,
    make_visits,
    visit_class,
)


def recording(subject: str, visit: str | None, item: str, **facts: Any) -> Recording:
    side = facts.get("side")
    name = f"{subject}_{visit}_{item}_{side}_{facts.pop('take', 0)}"
    return Recording(name, subject, item, visit_id=visit, **facts)


def levels(**settings: Any) -> LevelsConfig:
    return build(LevelsConfig, settings)


SIDES = ("left", "right")


def examined(subject: str, visit: str, grades: dict[tuple[str, str], int]) -> list[Recording]:
    return [
        recording(subject, visit, item, side=side, grade=grade)
        for (item, side), grade in grades.items()
    ]


def full(left: int, right: int, toes: int) -> dict[tuple[str, str], int]:
    return {
        ("finger_tapping", "left"): left,
        ("finger_tapping", "right"): right,
        ("toe_tapping", "left"): toes,
    }


def test_a_visit_has_the_score_that_any_of_its_rows_tells() -> None:
    rows = [
        recording("S1", "V1", "gait", visit_score=12.5),
        recording("S1", "V1", "pronation", side="left"),
        recording("S1", "V2", "gait", visit_score=20.0),
    ]
    visits, notes = make_visits(rows, levels())
    assert [(visit.name, visit.score) for visit in visits] == [("S1/V1", 12.5), ("S1/V2", 20.0)]
    assert visits[0].recordings == {
        "gait": ("S1_V1_gait_None_0",),
        "pronation": ("S1_V1_pronation_left_0",),
    }
    assert notes == []


def test_visits_of_one_name_of_two_subjects_are_two_visits() -> None:
    rows = [recording(name, "V1", "gait", visit_score=1.0) for name in ("S1", "S2")]
    assert [visit.name for visit in make_visits(rows, levels())[0]] == ["S1/V1", "S2/V1"]


def test_two_scores_of_one_visit_are_refused_by_name() -> None:
    rows = [
        recording("S1", "V1", "gait", visit_score=12.5),
        recording("S1", "V1", "pronation", visit_score=13.0),
    ]
    expected = (
        r"visit S1/V1 has several visit scores: 12.5 in recording S1_V1_gait_None_0, 13 in "
        r"recording S1_V1_pronation_None_0"
    )
    with pytest.raises(ManifestError, match=expected):
        make_visits(rows, levels())


def test_a_visit_has_the_facts_in_which_all_its_recordings_agree() -> None:
    given: dict[str, Any] = {"visit_score": 9.0, "site": "A"}
    rows = [
        recording("S1", "V1", "gait", medication_state="on", sex="f", **given),
        recording("S1", "V1", "finger_tapping", medication_state="off", **given),
    ]
    (visit,), _ = make_visits(rows, levels())
    assert visit.facts == {"site": "A"}


def test_what_has_no_visit_or_no_score_is_left_out_and_listed() -> None:
    rows = [
        recording("S1", "V1", "gait", visit_score=0.0),
        recording("S1", "V2", "gait"),
        recording("S2", None, "gait", visit_score=3.0),
    ]
    visits, notes = make_visits(rows, levels())
    assert [(visit.name, visit.score) for visit in visits] == [("S1/V1", 0.0)]
    assert notes == [
        "1 recordings without a visit_id are left out: S2_None_gait_None_0",
        "1 visits without a visit_score are left out: S1/V2",
    ]


def test_grades_are_summed_over_items_and_sides_and_an_absent_one_is_not_zero() -> None:
    rows = [
        *examined("S1", "V1", full(1, 2, 3)),
        *examined("S1", "V2", {("finger_tapping", "left"): 4}),
        *examined("S2", "V1", full(0, 0, 0)),
    ]
    visits, notes = make_visits(rows, levels(score="grades"))
    assert {visit.name: visit.score for visit in visits} == {"S1/V1": 6.0, "S2/V1": 0.0}
    assert notes == ["1 visits with more than 0 missing grades are left out: S1/V2"]


def test_an_allowed_gap_is_filled_by_proportion() -> None:
    rows = [
        *examined("S1", "V1", full(1, 2, 3)),
        *examined("S1", "V2", {("finger_tapping", "left"): 4, ("finger_tapping", "right"): 2}),
        *examined("S2", "V1", {("finger_tapping", "left"): 4}),
    ]
    visits, _ = make_visits(rows, levels(score="grades", max_missing=1))
    assert {visit.name: visit.score for visit in visits} == {"S1/V1": 6.0, "S1/V2": 6 * 3 / 2}


def test_two_recordings_of_one_side_count_once_and_an_ungraded_one_not_at_all() -> None:
    rows = [
        recording("S1", "V1", "pronation", side="left", grade=1),
        recording("S1", "V1", "pronation", side="left", grade=2, take=1),
        recording("S1", "V1", "gait"),
    ]
    (visit,), _ = make_visits(rows, levels(score="grades"))
    assert visit.score == 1.5
    assert visit.recordings["pronation"] == (
        "S1_V1_pronation_left_0",
        "S1_V1_pronation_left_1",
    )


@pytest.mark.parametrize(
    ("rows", "config", "message"),
    [
        ([recording("S1", None, "gait")], levels(), "no recording has a visit_id"),
        (
            [recording("S1", "V1", "gait", grade=1)],
            levels(),
            r"none of 1 visits has a visit_score; .* levels.score=grades",
        ),
        (
            [recording("S1", "V1", "gait")],
            levels(score="grades"),
            "each of 1 visits has more than 0 missing grades",
        ),
    ],
)
def test_a_cohort_without_scores_is_told_what_would_give_them(
    rows: list[Recording], config: LevelsConfig, message: str
) -> None:
    with pytest.raises(ManifestError, match=message):
        make_visits(rows, config)


def test_a_gap_is_allowed_in_sums_only() -> None:
    with pytest.raises(SettingsError, match="max_missing 2 has no effect with score visit_score"):
        levels(max_missing=2)


def test_the_papers_cuts_give_the_papers_levels() -> None:
    cuts = (23.0, 40.0)
    assert [level_of(score, cuts) for score in (0, 23, 23.5, 40, 41)] == [0, 0, 1, 1, 2]
    assert [visit_class(score, cuts, 3) for score in (23, 40, 41)] == [0, 1, 2]
    assert [visit_class(score, cuts, 2) for score in (23, 40, 41)] == [0, None, 1]


def test_thirds_are_equal_where_scores_differ() -> None:
    scores = list(np.random.default_rng(0).permutation(30))
    cuts = level_cuts(scores)
    assert cuts == (9, 19)
    counts = [sum(level_of(score, cuts) == level for score in scores) for level in range(3)]
    assert counts == [10, 10, 10]


@settings(max_examples=40)
@given(st.lists(st.integers(0, 12), min_size=3, max_size=40))
def test_every_level_has_a_training_visit_and_no_other_cuts_are_more_equal(
    scores: list[int],
) -> None:
    values = sorted(set(scores))
    if len(values) < 3:
        with pytest.raises(StudyError, match=f"have {len(values)} different scores"):
            level_cuts(scores)
        return
    first, second = level_cuts(scores)
    assert first < second < values[-1]

    def misfit(cut: float, share: float) -> float:
        return abs(sum(score <= cut for score in scores) - len(scores) * share)

    assert misfit(first, 1 / 3) == pytest.approx(min(misfit(v, 1 / 3) for v in values[:-2]))
    others = [v for v in values[:-1] if v > first]
    assert misfit(second, 2 / 3) == pytest.approx(min(misfit(v, 2 / 3) for v in others))


def test_a_visit_is_named_by_subject_and_visit() -> None:
    assert Visit("S1", "V1", 1.0, {}).name == "S1/V1"
