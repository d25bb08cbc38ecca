from dataclasses import replace

import pytest

from pdray.search.cluster import Reservation
from pdray.search.course import Course, Work, last_end, work_of
from pdray.search.plan import plan_study
from pdray.training.loop.launch import Workers

WORK = Work(num_trials=6, steps=10, num_whole=2, share=0.4, at_once=2, refit_steps=5.0)


def test_a_trial_starts_as_soon_as_another_has_ended() -> None:
    assert last_end([], [3, 3, 3], 2) == 6
    assert last_end([1, 8], [3, 3], 2) == 8
    assert last_end([], [4], 3) == 4


def test_before_the_first_result_the_forecast_counts_pruned_trials_concurrency_and_refit() -> None:
    # Two whole trials of 10 steps at once, then four of 4 steps, two at once, then the refit.
    course = Course(WORK, step_seconds=2.0, start_seconds=3.0)
    assert course.seconds_left(0.0) == 2.0 * (10 + 4 + 4 + 5) + 3.0
    assert Course(WORK).seconds_left(0.0) is None


def test_a_refit_takes_whole_epochs_where_the_folds_of_a_trial_train_at_once() -> None:
    plan = plan_study({"data": {"manifest": "m.csv"}, "search": {"name": "a"}})
    one = Reservation(Workers(1, 1, 0), concurrent_trials=1, cpus_per_trial=1)
    alone, both = (work_of(plan, replace(one, folds_at_once=num), num_folds=4) for num in (1, 2))
    assert both.steps == alone.steps
    assert both.refit_steps == 2 * alone.refit_steps == 2 * plan.epochs
    assert both.fold_steps == 2 * alone.fold_steps == 2 * 4 * plan.epochs


def test_measured_steps_outweigh_the_forecast_and_lost_time_counts() -> None:
    course = Course(WORK, step_seconds=1.0)
    for step in range(1, 11):
        course.take(0, step, 3.0 * step, is_last=step == 10)
    # Ten forecast steps of 1 s, nine measured ones of 3 s: the first one has no beginning.
    assert course.step_seconds == pytest.approx((10 * 1 + 9 * 3) / 19)
    course.take(1, 1, 34.0, is_last=False)  # it began when trial 0 ended
    assert course.step_seconds == pytest.approx((10 * 1 + 9 * 3 + 4) / 20)


def test_the_lengths_of_ended_trials_change_those_that_are_expected() -> None:
    course = Course(Work(20, 10, 0, 0.5, 1, 0.0), step_seconds=1.0)
    before = course.seconds_left(0.0)
    for trial in range(4):
        course.take(trial, 1, float(trial + 1), is_last=True)
    # The forecast of 5 counts as two trials, and a weight fades by a tenth with each later trial.
    weights = [2 * 0.9**4, 0.9**3, 0.9**2, 0.9, 1.0]
    expected = (5 * weights[0] + sum(weights[1:])) / sum(weights)
    assert (before, course.seconds_left(4.0)) == (100.0, pytest.approx(16 * expected))


def test_a_running_trial_is_expected_to_go_as_far_as_those_that_came_as_far() -> None:
    course = Course(Work(4, 10, 0, 0.5, 1, 0.0), step_seconds=1.0)
    for trial, length in enumerate((2, 6, 6)):
        for step in range(1, length + 1):
            course.take(trial, step, 0.0, is_last=step == length)
    course.take(3, 4, 0.0, is_last=False)
    # 2, 2 more steps as trials 1 and 2, or 6 as one that nothing ends; steps took no time.
    assert course.seconds_left(0.0) == pytest.approx(course.step_seconds * 10 / 3)


def test_a_lost_trial_frees_its_place() -> None:
    course = Course(Work(2, 4, 2, 1.0, 1, 0.0), step_seconds=1.0)
    course.take(0, 1, 1.0, is_last=False)
    course.end(0, 2.0)
    assert course.seconds_left(2.0) == 4.0
