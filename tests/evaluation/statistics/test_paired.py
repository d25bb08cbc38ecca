import itertools
import math

import numpy as np
import pytest

from pdray.evaluation.statistics.paired import corrected_t, exchange_test, holm

DRAWS = np.random.default_rng(5)


def mean_difference(first, second):
    """Return the statistic of a mean: exchanging a row turns its sign."""
    gap = np.asarray(first, dtype=np.float64) - second
    return gap.mean(), lambda swaps: (np.where(swaps, -gap, gap)).mean(axis=1)


def test_all_exchanges_of_subjects_are_those_of_scipy() -> None:
    from scipy.stats import permutation_test

    first, second = DRAWS.normal(size=(2, 9))
    found = exchange_test(np.arange(9), *mean_difference(first, second))
    expected = permutation_test(
        (first, second), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=512
    )
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.num_exchanges, found.is_complete) == (512, True)


def test_rows_of_a_subject_are_exchanged_together() -> None:
    subjects = ["b", "a", "b", "c", "a", "b", "d"]
    first, second = DRAWS.integers(0, 2, (2, 7))
    observed, exchanged = mean_difference(first, second)
    reached = 0
    for exchange in itertools.product([False, True], repeat=4):
        chosen = dict(zip("abcd", exchange, strict=True))
        total = sum(
            (b - a) if chosen[s] else (a - b)
            for s, a, b in zip(subjects, first, second, strict=True)
        )
        reached += abs(total / 7) >= abs(observed) - 1e-9
    assert exchange_test(subjects, observed, exchanged).p == reached / 16


def test_ties_that_differ_by_rounding_count() -> None:
    # 0.1 + 0.2 - 0.3 is not 0, so without a tolerance exact ties are lost.
    gaps = np.array([0.1, 0.2, 0.3, -0.3, -0.2, -0.1])
    found = exchange_test(np.arange(6), 0.0, lambda swaps: np.where(swaps, -gaps, gaps).sum(axis=1))
    assert found.p == 1


def test_random_exchanges_come_near_to_the_exact_p_and_are_never_0() -> None:
    from scipy.stats import binomtest

    right = np.ones(20)
    found = exchange_test(np.arange(20), *mean_difference(right, 0 * right), num_exchanges=999)
    assert (found.p, found.num_exchanges, found.is_complete) == (1 / 1000, 1000, False)
    some = np.r_[np.ones(15), np.zeros(5)]
    found = exchange_test(np.arange(20), *mean_difference(some, 1 - some), num_exchanges=20_000)
    assert found.p == pytest.approx(binomtest(15, 20).pvalue, abs=0.004)


def test_an_undefined_exchange_counts_for_the_null_hypothesis() -> None:
    found = exchange_test(np.arange(3), 1.0, lambda swaps: np.where(swaps.any(axis=1), np.nan, 1.0))
    assert (found.p, found.num_undefined, found.num_exchanges) == (1, 6, 8)


def test_the_same_predictions_do_not_differ() -> None:
    same = DRAWS.normal(size=30)
    assert exchange_test(np.arange(30), *mean_difference(same, same)).p == 1


def test_holm_of_several_tests_leaves_out_those_without_p() -> None:
    # Holm 1979 by hand: 3 x 0.01, then 2 x 0.03, then 1 x 0.04, never below the one before.
    assert holm([0.04, math.nan, 0.01, 0.03]) == pytest.approx(
        [0.06, math.nan, 0.03, 0.06], nan_ok=True
    )
    assert holm([]) == []


def test_corrected_t_is_that_of_scikit_learn() -> None:
    """The page "Statistical comparison of models using grid search" prints 0.750 and 0.227."""
    from sklearn.datasets import make_moons
    from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
    from sklearn.svm import SVC

    points, classes = make_moons(noise=0.352, random_state=1, n_samples=100)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    curved, straight = (
        cross_val_score(SVC(kernel=kernel), points, classes, cv=folds, scoring="roc_auc")
        for kernel in ("rbf", "linear")
    )
    found = corrected_t(curved - straight, 10, 90)
    assert round(found.t, 3) == 0.750
    assert round(found.p / 2, 3) == 0.227  # the page has the one-sided p
    assert found.degrees == 99


def test_corrected_t_without_shared_training_subjects_is_the_plain_one() -> None:
    from scipy.stats import ttest_1samp

    values = DRAWS.normal(0.3, 1, 8)
    found, plain = corrected_t(values, 1, math.inf), ttest_1samp(values, 0)
    assert (found.t, found.p) == pytest.approx((plain.statistic, plain.pvalue))
    assert (found.low, found.high) == pytest.approx(tuple(plain.confidence_interval()))


def test_equal_differences_have_no_p() -> None:
    assert math.isnan(corrected_t([0.1, 0.1, 0.1], 10, 40).p)
