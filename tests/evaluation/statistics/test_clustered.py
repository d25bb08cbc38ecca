import math

import numpy as np
import pytest

from pdray.evaluation.statistics.clustered import (
    clustered_auroc_test,
    clustered_mcnemar,
    mcnemar,
)

# Order of the grade of the World Federation of Neurological Societies and of S100B of 41 patients
# with poor and 72 with good outcome (Turck et al. 2010), from the placements that the tests of R's
# pROC print for its data set aSAH. Equal letters are ties.
_POOR = (
    "21344441410143314441414134330331144114444",
    "85b7pus2j42nlrufuuu2uh04dufu3f856du9uiuup",
)
_GOOD = (
    "000040110110001010023030440013001101011000010100213103004311000201133000",
    "8951qc55131462c268c1b9k4tqb2oq63431859a114143b43j6g25i21em5a39521caqcatr",
)
_PLACES = "0123456789abcdefghijklmnopqrstuv"
WFNS, S100B = (
    np.array([_PLACES.index(letter) for letter in poor + good])
    for poor, good in zip(_POOR, _GOOD, strict=True)
)
IS_POOR = np.r_[np.ones(41, bool), np.zeros(72, bool)]


def slow_auroc_test(subjects, is_positive, first, second):
    """Compute the test with the sums of Obuchowski 1997, pair by pair."""
    people = sorted(set(subjects))
    pos = [i for i, one in enumerate(is_positive) if one]
    neg = [i for i, one in enumerate(is_positive) if not one]

    def wins(x: float, y: float) -> float:
        return 1.0 if x > y else 0.5 if x == y else 0.0

    areas, tens, ones = [], [], []
    for score in (first, second):
        above = {i: sum(wins(score[i], score[j]) for j in neg) / len(neg) for i in pos}
        below = {j: sum(wins(score[i], score[j]) for i in pos) / len(pos) for j in neg}
        area = sum(above.values()) / len(pos)
        areas.append(area)
        tens.append([sum(above[i] - area for i in pos if subjects[i] == one) for one in people])
        ones.append([sum(below[j] - area for j in neg if subjects[j] == one) for one in people])
    m, n, count = len(pos), len(neg), len(people)
    with_pos = len({subjects[i] for i in pos})
    with_neg = len({subjects[j] for j in neg})

    def covariance(r: int, s: int) -> float:
        s10 = (
            with_pos
            / ((with_pos - 1) * m)
            * sum(a * b for a, b in zip(tens[r], tens[s], strict=True))
        )
        s01 = (
            with_neg
            / ((with_neg - 1) * n)
            * sum(a * b for a, b in zip(ones[r], ones[s], strict=True))
        )
        s11 = count / (count - 1) * sum(a * b for a, b in zip(tens[r], ones[s], strict=True))
        s11 += count / (count - 1) * sum(a * b for a, b in zip(tens[s], ones[r], strict=True))
        return s10 / m + s01 / n + s11 / (m * n)

    variance = covariance(0, 0) + covariance(1, 1) - 2 * covariance(0, 1)
    return areas[0], areas[1], math.sqrt(variance)


def delong(is_positive, first, second):
    """Compute the variance of DeLong, DeLong and Clarke-Pearson 1988 from covariance matrices."""
    pos, neg = np.asarray(is_positive), ~np.asarray(is_positive)
    tens, ones = [], []
    for score in (first, second):
        wins = np.sign(score[pos][:, None] - score[neg][None, :]) / 2 + 0.5
        tens.append(wins.mean(axis=1))
        ones.append(wins.mean(axis=0))
    spread = np.cov(tens) / pos.sum() + np.cov(ones) / neg.sum()
    contrast = np.array([1, -1])
    return math.sqrt(contrast @ spread @ contrast)


def clustered_rows(seed: int, people: int = 12):
    draws = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(people), draws.integers(1, 7, people))
    own = draws.normal(size=people)[subjects]
    is_positive = draws.normal(size=len(subjects)) + own > 0
    first, second = (
        np.round(own + draws.normal(size=len(subjects)), 1) for _ in range(2)
    )  # rounded, so that some are tied
    return subjects, is_positive, first, second


def test_one_row_per_subject_is_the_test_of_delong_as_proc_prints_it() -> None:
    found = clustered_auroc_test(np.arange(113), IS_POOR, WFNS, S100B)
    assert (round(found.first, 7), round(found.second, 7)) == (0.8236789, 0.7313686)
    assert found.z == pytest.approx(2.20898359144091)
    assert found.p == pytest.approx(0.0271757822291882)
    half = 1.959963984540054 * found.error
    ends = (found.first - found.second - half, found.first - found.second + half)
    assert ends == pytest.approx((0.0104061769564846, 0.174214419249478))


@pytest.mark.parametrize("seed", range(5))
def test_the_two_published_tests_by_independent_sums(seed: int) -> None:
    subjects, is_positive, first, second = clustered_rows(seed)
    found = clustered_auroc_test(subjects, is_positive, first, second)
    expected = slow_auroc_test(subjects.tolist(), is_positive, first, second)
    assert (found.first, found.second, found.error) == pytest.approx(expected)
    alone = clustered_auroc_test(np.arange(len(first)), is_positive, first, second)
    assert alone.error == pytest.approx(delong(is_positive, first, second))


def test_rows_that_repeat_a_subject_add_nothing() -> None:
    subjects, is_positive, first, second = clustered_rows(8, people=40)
    once = clustered_auroc_test(subjects, is_positive, first, second)
    thrice = clustered_auroc_test(
        *(np.tile(one, 3) for one in (subjects, is_positive, first, second))
    )
    assert thrice.z == pytest.approx(once.z)


def test_models_that_rank_alike_do_not_differ_and_one_subject_of_a_class_has_no_p() -> None:
    subjects, is_positive, first, _ = clustered_rows(1)
    found = clustered_auroc_test(subjects, is_positive, first, 2 * first + 1)
    assert (found.z, found.p) == (0, 1)
    found = clustered_auroc_test(
        [0, 0, 1, 2], [True, True, False, False], [1, 2, 3, 4], [4, 3, 2, 1]
    )
    assert math.isnan(found.p)
    assert (found.first, found.second) == (0, 1)


def test_mcnemar_of_clusters_is_that_of_r() -> None:
    """R's clust.bin.pair prints 2.8571 and 0.09097 for 21 patients of Obuchowski 1998.

    It does not print their counts, but 2.8571 = 20/21 x 3. These have the same ratio, 6^2 / 12.
    """
    surplus = [2, 2, 1, 1, 1, -1] + [0] * 15
    subjects = np.repeat(np.arange(21), 2)
    first, second = np.ones(42, bool), np.ones(42, bool)
    for one, rows in enumerate(surplus):
        (second if rows > 0 else first)[2 * one : 2 * one + abs(rows)] = False
    found = clustered_mcnemar(subjects, first, second)
    assert (found.only_first, found.only_second) == (7, 1)
    assert (round(found.statistic, 4), round(found.p, 5)) == (2.8571, 0.09097)


def test_mcnemar_of_clusters_by_the_variances_of_its_paper() -> None:
    """Two shares of clusters, their variances and covariance under one common share."""
    draws = np.random.default_rng(3)
    subjects = np.repeat(np.arange(15), draws.integers(1, 5, 15))
    first, second = draws.random((2, len(subjects))) < [[0.8], [0.6]]
    people, total = 15, len(subjects)
    common = (first.mean() + second.mean()) / 2
    parts = np.array(
        [
            [right[subjects == one].sum() - common * (subjects == one).sum() for one in range(15)]
            for right in (first, second)
        ]
    )
    spread = people / (people - 1) * parts @ parts.T / total**2
    variance = spread[0, 0] + spread[1, 1] - 2 * spread[0, 1]
    expected = (first.mean() - second.mean()) ** 2 / variance
    assert clustered_mcnemar(subjects, first, second).statistic == pytest.approx(expected)


def test_plain_mcnemar_is_the_sign_test_of_scipy() -> None:
    from scipy.stats import binomtest

    first = np.r_[np.ones(9, bool), np.zeros(2, bool), np.ones(20, bool)]
    second = np.r_[np.zeros(9, bool), np.ones(2, bool), np.ones(20, bool)]
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (9, 2)
    assert found.p == pytest.approx(binomtest(2, 11).pvalue)


@pytest.mark.parametrize("test", [mcnemar, lambda a, b: clustered_mcnemar([1, 1, 2], a, b)])
def test_no_row_right_in_one_model_alone_is_no_difference(test) -> None:
    assert test([True, False, True], [True, False, True]).p == 1
