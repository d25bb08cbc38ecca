import math

import numpy as np
import pytest

from pdray.errors import StudyError
from pdray.search.pruning import QuantileRule, choose_epoch, mean_over_folds

NAN = math.nan


def rule(**changes):
    settings = {
        "quantile": 0.25,
        "num_trials": 3,
        "num_epochs": 5,
        "first_epoch": 0,
        "greater_is_better": True,
    }
    return QuantileRule(**{**settings, **changes})


def with_values(made, step, values):
    for trial, value in enumerate(values):
        made.observe(trial, step, value)
    return made


def test_a_trial_below_the_quantile_ends_and_the_reason_has_the_numbers():
    made = with_values(rule(), 4, [0.1, 0.2, 0.3, 0.4, 0.5])
    assert made.decide(9, 4, 0.25) is None
    reason = made.decide(10, 4, 0.15)
    # Of 0.1 0.2 0.25 0.3 0.4 0.5 the first quartile is 0.2125, shown rounded.
    assert reason == (
        "value 0.150 at step 4 is worse than 0.213, the limit of the worst 25% of 6 other trials "
        "at this step"
    )


def test_a_value_at_the_limit_goes_on():
    made = with_values(rule(), 0, [0.5, 0.5, 0.5, 0.5])
    assert made.decide(9, 0, 0.5) is None
    assert made.decide(9, 0, 0.4999) is not None


def test_only_trials_at_the_same_step_are_compared():
    made = with_values(rule(), 0, [0.9] * 8)
    assert made.decide(9, 1, 0.1) is None
    with_values(made, 1, [0.0, 0.05, 0.05])
    assert made.decide(9, 1, 0.1) is None
    assert made.decide(9, 0, 0.1) is not None


def test_nothing_ends_before_enough_others_were_there():
    made = with_values(rule(num_trials=3), 0, [0.8, 0.9])
    assert made.decide(2, 0, 0.1) is None
    assert made.decide(3, 0, 0.0) is not None


def test_a_trial_is_not_its_own_other():
    made = with_values(rule(num_trials=2), 0, [0.8, 0.9])
    assert made.decide(0, 0, 0.1) is None


def test_a_step_seen_again_replaces_its_value():
    made = with_values(rule(num_trials=1, quantile=0.5), 0, [0.9])
    made.observe(0, 0, 0.1)
    assert made.decide(5, 0, 0.2) is None


def test_nan_never_ends_a_trial_and_never_counts():
    made = with_values(rule(num_trials=2), 0, [NAN, NAN, 0.9])
    assert made.decide(5, 0, NAN) is None
    assert made.decide(6, 0, 0.1) is None
    made.observe(7, 0, 0.8)
    assert made.decide(6, 0, 0.1) is not None


def test_where_less_is_better_the_high_end():
    made = with_values(rule(greater_is_better=False), 2, [0.1, 0.2, 0.3, 0.4])
    assert made.decide(8, 2, 0.05) is None
    assert "value 0.390 at step 2 is worse than 0.3" in made.decide(9, 2, 0.39)


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_no_trial_ends_in_the_early_epochs_of_any_fold(fold):
    made = rule(first_epoch=3)
    for step in range(15):
        with_values(made, step, [0.9] * 8)
    ended = [made.decide(9, 5 * fold + epoch, 0.1) is not None for epoch in range(5)]
    assert ended == [False, False, False, True, True]


def test_a_quantile_of_zero_ends_none():
    assert with_values(rule(quantile=0.0), 0, [0.9] * 9).decide(9, 0, -1.0) is None


def slow_mean(scores, fold, epoch):
    column = np.array([row[epoch] for row in scores])[: fold + 1]
    column = column[~np.isnan(column)]
    return column.mean() if column.size else NAN


@pytest.mark.parametrize("greater_is_better", [True, False])
def test_means_and_choice_agree_with_a_slow_reference(greater_is_better):
    draw = np.random.default_rng(0)
    for _ in range(100):
        scores = draw.integers(0, 5, (3, 4)) / 4
        scores[draw.random((3, 4)) < 0.2] = NAN
        rows = scores.tolist()
        curve = [slow_mean(rows, 2, epoch) for epoch in range(4)]
        if np.isnan(curve).all():
            continue
        # Only epochs with the most folds are candidates.
        folds = [sum(not math.isnan(row[epoch]) for row in rows) for epoch in range(4)]
        curve = [curve[e] if folds[e] == max(folds) else NAN for e in range(4)]
        best = np.nanmax(curve) if greater_is_better else np.nanmin(curve)
        first = next(e for e in range(4) if curve[e] == pytest.approx(best, abs=1e-12))
        epoch, value = choose_epoch(rows, greater_is_better=greater_is_better)
        assert (epoch, value) == (first, pytest.approx(best))
        for fold in range(3):
            found = mean_over_folds(rows, fold, 1)
            assert found == pytest.approx(slow_mean(rows, fold, 1), nan_ok=True)


def test_a_running_trial_has_a_mean_at_its_last_epoch():
    assert mean_over_folds([[0.2, 0.4], [0.6]], 1, 0) == pytest.approx(0.4)


def test_the_earliest_of_equal_epochs_is_chosen():
    assert choose_epoch([[0.5, 0.7, 0.7]], greater_is_better=True) == (1, 0.7)
    assert choose_epoch([[0.5, 0.2, 0.2]], greater_is_better=False) == (1, 0.2)


def test_a_score_that_is_defined_nowhere_is_refused():
    message = "^the score is undefined in every fold and epoch, because a class is absent; use few"
    with pytest.raises(StudyError, match=message):
        choose_epoch([[NAN, NAN], [NAN, NAN]], greater_is_better=True)
