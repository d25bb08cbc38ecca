import hashlib
from collections import Counter, defaultdict

import numpy as np
import pytest

from pdray.data.cohort.settings import ITEMS
from pdray.demo.illness.severity import (
    DEMO_ITEMS,
    FIRST_ITEMS,
    POSED_ITEMS,
    SLIP_CHANCE,
    DemoConfig,
    DemoRecording,
    Purpose,
    plan_cohort,
    rate_cohort,
    rater_grades,
    stream,
    visit_scores,
)

EVERY_SEED = pytest.mark.parametrize("seed", [0, 1, 2])
WHOLE = DemoConfig(items=DEMO_ITEMS)


def test_the_default_plan_is_what_it_always_was() -> None:
    plan = plan_cohort(DemoConfig())
    text = "".join(f"{one.recording_id}{one.is_on}{one.grade}" for one in plan)
    # Of the code that planned two items only; every figure measured on the demo rests on it.
    digest = "1eba59d3afae64649f87cdad1c9d9eef2cea2d6888e7c7eff0539c3cb198902f"
    assert hashlib.sha256(text.encode()).hexdigest() == digest


@pytest.mark.parametrize("item", DEMO_ITEMS)
def test_an_items_recordings_do_not_depend_on_the_items_beside_it(item: str) -> None:
    alone = plan_cohort(DemoConfig(items=(item,)))
    among = [one for one in plan_cohort(WHOLE) if one.item == item]
    assert alone == among
    assert len(alone) > 40


def test_items_that_are_drawn_are_of_the_manifest_and_in_one_order() -> None:
    assert set(DEMO_ITEMS) < set(ITEMS)
    assert DemoConfig().items == FIRST_ITEMS == ("finger_tapping", "hand_opening")
    plan = plan_cohort(WHOLE)
    assert [one.key for one in plan] == sorted(one.key for one in plan)
    assert {one.item for one in plan} == set(DEMO_ITEMS)


def test_gait_and_faces_have_no_side_and_everything_else_has_two() -> None:
    sides = defaultdict(set)
    for one in plan_cohort(WHOLE):
        sides[one.item].add(one.side)
    assert all(sides.pop(item) == {""} for item in ("gait", "face_interview", *POSED_ITEMS))
    assert all(found == {"left", "right"} for found in sides.values())


def test_ids_and_paths_of_a_recording() -> None:
    hand = DemoRecording(6, 0, "finger_tapping", "left", is_on=True)
    face = DemoRecording(6, 1, "face_interview", "", is_on=True)
    assert hand.recording_id == "S007_V1_finger_tapping_left"
    assert hand.video == "videos/S007_V1_finger_tapping_left.mp4"
    assert hand.track("landmarks") == ""
    assert face.recording_id == "S007_V2_face_interview"
    assert face.track("regions") == "tracks/S007_V2_face_interview_regions.npz"
    assert face.key == (6, 1, 8, 0)


@EVERY_SEED
def test_every_grade_is_there_and_the_cut_is_nearly_even(seed: int) -> None:
    plan = plan_cohort(DemoConfig(seed=seed))
    grades = Counter(one.grade for one in plan)
    assert 160 <= len(plan) <= 320
    assert len({one.recording_id for one in plan}) == len(plan)
    assert min(grades[grade] for grade in range(5)) >= 20
    assert 0.42 < (grades[0] + grades[1]) / len(plan) < 0.5


@pytest.mark.parametrize("item", DEMO_ITEMS[2:])
def test_the_other_items_have_these_shares_too(item: str) -> None:
    plan = plan_cohort(DemoConfig(items=(item,)))
    grades = Counter(one.grade for one in plan)
    assert sorted(grades) == list(range(ITEMS[item] + 1))
    assert 0.42 < (grades[0] + grades[1]) / len(plan) < 0.5


@EVERY_SEED
def test_severity_varies_within_subjects_and_is_worse_off_medication(seed: int) -> None:
    by_subject = defaultdict(set)
    by_state = defaultdict(list)
    for one in plan_cohort(DemoConfig(seed=seed)):
        by_subject[one.subject].add(one.grade >= 2)
        by_state[one.is_on].append(one.grade)
    assert np.mean([len(both) == 2 for both in by_subject.values()]) > 0.7
    assert np.mean(by_state[False]) > np.mean(by_state[True]) + 0.3


@EVERY_SEED
def test_items_of_a_visit_agree_and_their_sum_is_told_better_by_several(seed: int) -> None:
    rated = [one.recording for one in rate_cohort(DemoConfig(items=DEMO_ITEMS[:8], seed=seed))]
    visits = sorted({(one.subject, one.visit) for one in rated})
    table = np.array(
        [
            [
                np.mean(
                    [
                        one.grade
                        for one in rated
                        if (one.subject, one.visit, one.item) == (*visit, item)
                    ]
                )
                for item in DEMO_ITEMS[:8]
            ]
            for visit in visits
        ]
    )
    agreement = np.corrcoef(table.T)[np.triu_indices(8, 1)]
    total = table.sum(axis=1)
    alone = [np.corrcoef(column, total)[0, 1] for column in table.T]
    together = np.corrcoef(table[:, :4].sum(axis=1), total)[0, 1]
    assert 0.3 < agreement.mean() < 0.9
    assert np.mean(alone) + 0.05 < together


def test_absent_recordings_are_rated_by_the_same_cuts() -> None:
    rated = rate_cohort(WHOLE)
    assert len(rated) == 40 * 2 * (7 * 2 + 2 + 4)
    assert 0.74 < np.mean([one.is_kept for one in rated]) < 0.76
    kept, lost = (
        np.array([one.recording.grade for one in rated if one.is_kept == is_kept])
        for is_kept in (True, False)
    )
    assert abs(kept.mean() - lost.mean()) < 0.2
    assert set(lost) <= set(kept)


def test_a_visits_score_sums_both_sides_of_its_motor_items_absent_recordings_too() -> None:
    rated = rate_cohort(WHOLE)
    scores = visit_scores(rated)
    assert len(scores) == 80
    by_hand = sum(
        one.recording.grade
        for one in rated
        if (one.recording.subject, one.recording.visit) == (3, 1)
        and one.recording.item not in ("face_interview", *POSED_ITEMS)
    )
    assert scores[3, 1] == by_hand
    assert 0 <= min(scores.values()) < max(scores.values()) <= 15 * 4
    assert np.std(list(scores.values())) > 5


def test_without_a_motor_item_there_is_no_score() -> None:
    assert visit_scores(rate_cohort(DemoConfig(items=("face_interview",)))) == {}


def test_raters_mostly_say_the_grade_and_never_leave_the_scale() -> None:
    plan = plan_cohort(WHOLE)
    said = np.array([rater_grades(one, WHOLE) for one in plan])
    grades = np.array([one.grade for one in plan])
    highest = np.array([ITEMS[one.item] for one in plan])
    assert said.shape == (len(plan), 3)
    assert (said >= 0).all()
    assert (said <= highest[:, None]).all()
    assert np.abs(said - grades[:, None]).max() == 1
    inside = (grades > 0) & (grades < highest)
    slips = (said != grades[:, None])[inside].mean(axis=0)
    assert slips == pytest.approx(SLIP_CHANCE, abs=0.05)
    assert rater_grades(plan[0], WHOLE) == rater_grades(plan[0], WHOLE)


def test_streams_of_two_purposes_differ() -> None:
    config = DemoConfig()
    drawn = {stream(config, purpose, 1).integers(2**60) for purpose in Purpose}
    assert len(drawn) == len(Purpose)
    assert [purpose.value for purpose in Purpose] == list(range(17))


def test_the_order_of_items_says_nothing() -> None:
    assert DemoConfig(items=("gait", "pronation")) == DemoConfig(items=("pronation", "gait"))


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (
            ("gaits",),
            r"item 'gaits' is not drawn: did you mean 'gait'\? choose from finger_tapping, ",
        ),
        (("gait", "gait"), r"item 'gait' is listed twice; list it once"),
        ((), r"at least 1 item"),
    ],
)
def test_items_that_cannot_be_drawn_are_refused(items: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DemoConfig(items=items)


def test_shortest_above_longest_is_refused() -> None:
    with pytest.raises(ValueError, match=r"min_seconds 5\.0 is above max_seconds 4\.0"):
        DemoConfig(min_seconds=5.0, max_seconds=4.0)
