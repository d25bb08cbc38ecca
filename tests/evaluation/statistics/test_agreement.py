import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa, to_table

from pdray.evaluation.statistics.agreement import (
    CLOSENESS,
    constant_of,
    icc_a1,
    pairs,
    targets_without,
    weighted_icc,
)

# Shrout and Fleiss 1979, table 2: six targets, four judges.
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
# R's package irr, data set "anxiety": 20 subjects, three raters.
ANXIETY = np.array(
    [
        [3, 3, 3, 4, 5, 5, 2, 3, 5, 2, 2, 6, 1, 5, 2, 2, 1, 2, 4, 3],
        [3, 6, 4, 6, 2, 4, 2, 4, 3, 3, 2, 3, 3, 3, 2, 2, 1, 3, 3, 4],
        [2, 1, 4, 4, 3, 2, 1, 6, 1, 1, 1, 2, 3, 3, 1, 1, 3, 3, 2, 2],
    ],
    dtype=float,
).T


@pytest.mark.parametrize(
    ("ratings", "printed"),
    [
        (JUDGES, "0.29"),  # Shrout and Fleiss 1979, table 4: ICC(2,1)
        (ANXIETY, "0.198"),  # irr: icc(anxiety, model="twoway", type="agreement"): ICC(A,1)
    ],
)
def test_icc_is_the_printed_one(ratings: np.ndarray, printed: str) -> None:
    found = icc_a1(ratings)
    assert f"{found.value:.{len(printed) - 2}f}" == printed
    assert (found.num_complete, found.num_incomplete, found.undefined) == (len(ratings), 0, "")


def test_icc_sees_a_shift_between_raters_and_leaves_incomplete_rows_out() -> None:
    ratings = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [math.nan, 4], [2, math.nan]])
    found = icc_a1(ratings)
    assert (found.num_raters, found.num_complete, found.num_incomplete) == (2, 4, 2)
    # MSR 10/3, MSC 2, MSE 0 of four rows: 10/3 / (10/3 + 2/4 * 2).
    assert found.value == pytest.approx((10 / 3) / (10 / 3 + 1))
    assert icc_a1(ratings[:4] * [1, 0] + ratings[:4] * [0, 1] - [0, 1]).value == pytest.approx(1)


@pytest.mark.parametrize(
    ("ratings", "reason"),
    [
        ([[1.0], [2.0]], "1 rater; two are needed"),
        ([[1, math.nan], [1, 2]], "rows with a grade by every rater: 1; two are needed"),
        ([[2, 2], [2, 2], [2, 2]], "all grades are 2"),
    ],
)
def test_icc_says_why_it_is_undefined(ratings: list[list[float]], reason: str) -> None:
    found = icc_a1(ratings)
    assert math.isnan(found.value)
    assert found.undefined == reason


def test_weights_equal_repeated_rows() -> None:
    draws = np.random.default_rng(0)
    weights = draws.integers(0, 3, size=(40, 20)).astype(float)
    weights[0] = 0
    weights[1] = np.arange(20) == 3  # one row
    first, second = ANXIETY[:, 0], ANXIETY[:, 1:].mean(axis=1)
    iccs = weighted_icc(ANXIETY, weights)
    every = {name: score(first, second, weights) for name, score in CLOSENESS.items()}
    assert math.isnan(iccs[0])
    assert math.isnan(iccs[1])
    for row in range(2, 40):
        taken = np.repeat(np.arange(20), weights[row].astype(int))
        assert iccs[row] == pytest.approx(icc_a1(ANXIETY[taken]).value, abs=1e-12)
        ones = np.ones((1, len(taken)))
        for name, values in every.items():
            slow = CLOSENESS[name](first[taken], second[taken], ones)[0]
            assert values[row] == pytest.approx(slow, abs=1e-12)


def test_kappa_is_that_of_other_programs_and_of_the_whole_scale() -> None:
    ones = np.ones((1, 20))
    found = CLOSENESS["kappa"](ANXIETY[:, 0], ANXIETY[:, 1], ones)[0]
    assert f"{found:.3f}" == "0.297"  # irr: kappa2(anxiety[, 1:2], "squared")
    table, _ = to_table(ANXIETY[:, :2].astype(int), bins=np.arange(0.5, 7.5))
    assert found == pytest.approx(cohens_kappa(table, wt="quadratic").kappa)
    one, other = np.array([0, 0, 1, 1, 4, 4.0]), np.array([0, 1, 1, 1, 4, 1.0])  # 2 and 3 absent
    whole = cohen_kappa_score(one, other, labels=range(5), weights="quadratic")
    assert CLOSENESS["kappa"](one, other, ones[:, :6])[0] == pytest.approx(whole)
    assert cohen_kappa_score(one, other, weights="quadratic") != pytest.approx(whole)


def test_kappa_of_a_constant_is_zero_and_of_two_constants_undefined() -> None:
    grades, always, ones = np.array([0.0, 1, 2]), np.full(3, 0.1), np.ones((1, 3))
    assert CLOSENESS["kappa"](grades, always, ones)[0] == 0
    assert math.isnan(CLOSENESS["kappa"](always, always, ones)[0])


def test_a_rater_is_compared_with_the_mean_of_the_others_only() -> None:
    nan = math.nan
    ratings = np.array([[0, 1, 2], [3, nan, 1], [nan, nan, 4], [2, 2, 2]])
    by_rater = {one.rater: one for one in targets_without(ratings)}
    assert by_rater[0].rows.tolist() == [0, 1, 3]
    assert by_rater[0].target.tolist() == [1.5, 1, 2]
    assert by_rater[0].grade.tolist() == [0, 3, 2]
    assert by_rater[1].rows.tolist() == [0, 3]
    assert by_rater[2].target.tolist() == [0.5, 3, 2]  # row 2 has no other rater
    ones = np.ones((1, 3))
    score = {n: f(by_rater[0].grade, by_rater[0].target, ones)[0] for n, f in CLOSENESS.items()}
    assert score["mae"] == pytest.approx((1.5 + 2 + 0) / 3)
    assert score["exact"] == pytest.approx(1 / 3)
    assert score["within_one"] == pytest.approx(1 / 3)
    assert [(one, other, rows.tolist()) for one, other, rows in pairs(ratings)] == [
        (0, 1, [0, 3]),
        (0, 2, [0, 1, 3]),
        (1, 2, [0, 3]),
    ]


def test_a_grade_half_way_between_two_is_exact_for_both() -> None:
    target, ones = np.array([1.5]), np.ones((1, 1))
    exact = [CLOSENESS["exact"](np.array([float(grade)]), target, ones)[0] for grade in range(4)]
    assert exact == [0, 1, 1, 0]


def test_the_best_constant_is_found_for_each_score_alone() -> None:
    target = np.array([0, 0, 0, 2, 3, 3.5, 4, 4])
    found = {name: constant_of(name, target, 4) for name in ("exact", "within_one", "mae")}
    assert {name: grade for name, (grade, _) in found.items()} == {
        "exact": 0,
        "within_one": 3,
        "mae": 2,
    }
    scores = [score for _, score in found.values()]
    assert scores == pytest.approx([3 / 8, 5 / 8, (6 + 0 + 1 + 1.5 + 2 + 2) / 8])
