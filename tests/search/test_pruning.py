import math

import numpy as np
import pytest

from pdray.errors import StudyError
from pdray.search.pruning import (
    CAUTION,
    FoldRule,
    QuantileRule,
    choose_epoch,
    mean_over_folds,
)

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


def up_to(step, value, num_epochs=5):
    """Return the scores of a trial whose every score is ``value``, up to a step."""
    fold, epoch = divmod(step, num_epochs)
    return [[value] * num_epochs] * fold + [[value] * (epoch + 1)]


def with_values(made, step, values):
    for trial, value in enumerate(values):
        made.observe(trial, up_to(step, value))
    return made


def test_a_trial_below_the_quantile_ends_and_the_reason_has_the_numbers():
    made = with_values(rule(), 4, [0.1, 0.2, 0.3, 0.4, 0.5])
    assert made.decide(9, up_to(4, 0.25)) is None
    reason = made.decide(10, up_to(4, 0.15))
    # Of 0.1 0.2 0.25 0.3 0.4 0.5 the first quartile is 0.2125, shown rounded.
    assert reason == (
        "value 0.150 at step 4 is worse than 0.213, the limit of the worst 25% of 6 other trials "
        "at this step"
    )


def test_a_value_at_the_limit_goes_on():
    made = with_values(rule(), 0, [0.5, 0.5, 0.5, 0.5])
    assert made.decide(9, up_to(0, 0.5)) is None
    assert made.decide(9, up_to(0, 0.4999)) is not None


def test_only_trials_at_the_same_step_are_compared():
    made = with_values(rule(), 0, [0.9] * 8)
    assert made.decide(9, up_to(1, 0.1)) is None
    for trial, value in enumerate([0.0, 0.05, 0.05]):
        made.observe(trial, [[0.9, 2 * value - 0.9]])  # epoch 1 counts by itself
    assert made.decide(9, [[0.0, 0.1]]) is None
    assert made.decide(9, [[0.1]]) is not None


def test_the_value_is_the_mean_over_the_folds_so_far():
    made = rule()
    for trial, second in enumerate([0.2, 0.4, 0.6]):  # means 0.5, 0.6, 0.7
        made.observe(trial, [[0.8] * 5, [second]])
    assert made.decide(9, [[0.6] * 5, [0.48]]) is not None  # mean 0.54, limit 0.55
    assert made.decide(10, [[0.6] * 5, [0.52]]) is None


def test_nothing_ends_before_enough_others_were_there():
    made = with_values(rule(num_trials=3), 0, [0.8, 0.9])
    assert made.decide(2, up_to(0, 0.1)) is None
    assert made.decide(3, up_to(0, 0.0)) is not None


def test_a_trial_is_not_its_own_other():
    made = with_values(rule(num_trials=2), 0, [0.8, 0.9])
    assert made.decide(0, up_to(0, 0.1)) is None


def test_scores_seen_again_replace_the_earlier_ones():
    made = with_values(rule(num_trials=1, quantile=0.5), 0, [0.9])
    made.observe(0, up_to(0, 0.1))
    assert made.decide(5, up_to(0, 0.2)) is None


def test_nan_never_ends_a_trial_and_never_counts():
    made = with_values(rule(num_trials=2), 0, [NAN, NAN, 0.9])
    assert made.decide(5, up_to(0, NAN)) is None
    assert made.decide(6, up_to(0, 0.1)) is None
    made.observe(7, up_to(0, 0.8))
    assert made.decide(6, up_to(0, 0.1)) is not None


def test_where_less_is_better_the_high_end():
    made = with_values(rule(greater_is_better=False), 2, [0.1, 0.2, 0.3, 0.4])
    assert made.decide(8, up_to(2, 0.05)) is None
    assert "value 0.390 at step 2 is worse than 0.3" in made.decide(9, up_to(2, 0.39))


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_no_trial_ends_in_the_early_epochs_of_any_fold(fold):
    made = with_values(rule(first_epoch=3), 14, [0.9] * 8)
    ended = [made.decide(9, up_to(5 * fold + epoch, 0.1)) is not None for epoch in range(5)]
    assert ended == [False, False, False, True, True]


def test_a_quantile_of_zero_ends_none():
    assert with_values(rule(quantile=0.0), 0, [0.9] * 9).decide(9, up_to(0, -1.0)) is None


def fold_rule(**changes):
    settings = {
        "num_trials": 3,
        "num_folds": 3,
        "num_epochs": 4,
        "first_epoch": 0,
        "greater_is_better": True,
    }
    return FoldRule(**{**settings, **changes})


def flat(*folds):
    """Return the scores of a trial that stay the same in each fold."""
    return [[score] * 4 for score in folds]


# The best is trial 2, mean 0.7. Differences of 1: 0.2 0.1 0.3, of 0: 0.6 0.5 0.4; both have
# the variance 0.01.
COMPLETE = (flat(0.2, 0.1, 0.3), flat(0.6, 0.5, 0.4), flat(0.8, 0.6, 0.7))


def ready(**changes):
    made = fold_rule(**changes)
    for trial, scores in enumerate(COMPLETE):
        made.observe(trial, scores)
    return made


def test_a_trial_clearly_worse_on_the_same_folds_ends_after_a_fold():
    made = ready()
    # After one of three folds, 1.4 standard deviations of 0.1 times sqrt(2/3) are 0.114.
    assert made.decide(7, flat(0.71)) is None
    reason = made.decide(8, flat(0.68))
    assert reason == (
        "its mean 0.680 after fold 1 is worse by 0.120 than that of trial 2, the best so far, on "
        "the same folds; the other folds are not expected to change more than 0.114"
    )
    # After two folds, sqrt(1/6): 0.057; the mean of the best over these two is 0.7.
    assert made.decide(9, flat(0.73, 0.58)) is None
    assert made.decide(10, flat(0.73, 0.54)) is not None


def test_few_trials_end_where_scores_differ_by_chance():
    made = fold_rule()
    for trial, scores in enumerate([(0.8, 0.2, 0.5), (0.2, 0.5, 0.8), (0.5, 0.8, 0.25)]):
        made.observe(trial, flat(*scores))
    assert made.decide(9, flat(0.1)) is None  # 0.4 below, differences of one fold go up to 0.6


def test_no_trial_ends_before_enough_others_are_complete():
    made = ready(num_trials=4)
    assert made.decide(9, flat(0.0)) is None
    made.observe(3, flat(0.1, 0.1, 0.1)[:2])  # not complete
    assert made.decide(9, flat(0.0)) is None
    made.observe(3, flat(0.1, 0.1, 0.1))
    assert made.decide(9, flat(0.0)) is not None


def test_inside_a_fold_only_in_the_first_one_after_a_quarter():
    made = fold_rule(num_epochs=8)
    for trial, scores in enumerate(COMPLETE):
        made.observe(trial, [row * 2 for row in scores])
    ended = [made.decide(9, [[0.0] * (epoch + 1)]) is not None for epoch in range(8)]
    assert ended == [False] + [True] * 7
    ended = [made.decide(9, [[0.75] * 8, [0.0] * (e + 1)]) is not None for e in range(8)]
    assert ended == [False] * 7 + [True]
    late = ready(first_epoch=2)
    ended = [late.decide(9, [[0.0] * (epoch + 1)]) is not None for epoch in range(4)]
    assert ended == [False, False, True, True]


def test_the_limit_is_wider_early_in_the_first_fold():
    made = ready()
    # After two of four epochs the 0.114 of the first fold is sqrt(2) times as large.
    assert made.decide(8, [[0.65] * 2]) is None
    reason = made.decide(9, [[0.63] * 2])
    assert "its mean 0.630 at epoch 1 of the first fold is worse by 0.170" in str(reason)


def test_inside_the_first_fold_the_best_tenth_goes_on():
    made = ready()
    for trial in range(3, 10):
        made.observe(trial, [[0.1] * 3])
    # Nine tenths of seven times 0.1, of 0.2, 0.6 and 0.8 are below 0.62.
    assert made.decide(20, [[0.63] * 3]) is None
    assert made.decide(20, [[0.61] * 3]) is not None


def test_where_less_is_better_a_fold_rule_ends_the_high_ones():
    made = ready(greater_is_better=False)  # now trial 0 is the best
    assert made.decide(8, flat(0.1)) is None
    assert "its mean 0.900 after fold 1 is worse by 0.700" in made.decide(9, flat(0.9))


def test_undefined_scores_end_no_trial():
    made = ready()
    assert made.decide(7, flat(NAN)) is None
    assert made.decide(7, [[NAN, NAN]]) is None
    assert made.decide(7, [[NAN] * 3 + [0.1]]) is not None
    only_undefined = fold_rule()
    for trial in range(5):
        only_undefined.observe(trial, flat(NAN, NAN, NAN))
    assert only_undefined.decide(7, flat(0.1)) is None
    one_fold = fold_rule()  # which does not tell how much folds differ
    two_folds = fold_rule()
    for trial, scores in enumerate([(0.2, 0.1), (0.6, 0.5), (0.8, 0.6)]):
        one_fold.observe(trial, flat(scores[0], NAN, NAN))
        two_folds.observe(trial, flat(*scores, NAN))
    assert one_fold.decide(7, flat(0.1)) is None
    # Differences of trial 2 to 0: 0.6 0.5, to 1: 0.2 0.1; both have the variance 0.005.
    assert two_folds.decide(7, flat(0.8 - 1.39 * math.sqrt(0.005 * 2 / 3))) is None
    assert two_folds.decide(7, flat(0.8 - 1.41 * math.sqrt(0.005 * 2 / 3))) is not None


def slow_fold_rule(trials, scores, *, num_trials, first_epoch):
    """Decide as :class:`FoldRule` in plain numbers, without NaN; ``trials`` are all others."""
    num, epoch = len(scores), len(scores[-1]) - 1

    def at_best(rows):
        means = [sum(row[e] for row in rows) / len(rows) for e in range(len(rows[0]))]
        return [row[means.index(max(means))] for row in rows]

    complete = [at_best(rows) for rows in trials if len(rows) == 3 and len(rows[-1]) == 4]
    if len(complete) < num_trials:
        return False
    best = max(complete, key=sum)
    if epoch == 3:
        gaps = [one - own for one, own in zip(best, at_best(scores), strict=False)]
    elif num == 1 and epoch >= first_epoch:
        reached = sorted(max(rows[0][: epoch + 1]) for rows in trials if len(rows[0]) > epoch)
        place = 0.9 * (len(reached) - 1)
        low, high = reached[math.floor(place)], reached[math.ceil(place)]
        own = max(scores[0])
        if own >= low + (place - math.floor(place)) * (high - low):
            return False
        (first,) = [rows[0] for rows in trials if len(rows) == 3 and at_best(rows) == best]
        gaps = [max(first[: epoch + 1]) - own]
    else:
        return False
    squares = []
    for other in complete:
        if other is not best:
            differences = [one - two for one, two in zip(best, other, strict=True)]
            mean = sum(differences) / 3
            squares.append(sum((one - mean) ** 2 for one in differences) / 2)
    spread = math.sqrt(sum(squares) / len(squares))
    margin = CAUTION * spread * math.sqrt((1 / num - 1 / 3) * 4 / (epoch + 1))
    return sum(gaps) / num > margin


@pytest.mark.parametrize("greater_is_better", [True, False])
def test_a_search_agrees_with_a_slow_reference(greater_is_better):
    draw, sign = np.random.default_rng(3), 1 if greater_is_better else -1
    ends = []
    for _ in range(20):
        made = fold_rule(first_epoch=1, greater_is_better=greater_is_better)
        trials = []
        for trial in range(16):
            level = draw.normal(0, 0.3)
            whole = (level + draw.normal(0, 0.1, (3, 4))).tolist()
            for step in range(12):
                rows = [row[: max(0, step + 1 - 4 * fold)] for fold, row in enumerate(whole)]
                rows = [row for row in rows if row]
                signed = [[sign * score for score in row] for row in rows]
                expected = slow_fold_rule(trials, rows, num_trials=3, first_epoch=1)
                assert (made.decide(trial, signed) is not None) == expected
                if expected:
                    ends.append(step)
                    break
            trials.append(rows)
    assert {1, 2, 3, 7} <= set(ends)  # every kind of end took place


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
