import math

import numpy as np
import pytest

from pdray.evaluation.statistics.change import (
    detectable_change,
    mean_change,
    measurement_error,
    response_mean,
    right_sign,
)


def resampled(subjects, change, weights):
    """Return the mean change of each drawn subject, as often as it was drawn, one by one."""
    return [
        np.mean([c for s, c in zip(subjects, change, strict=True) if s == name])
        for name in sorted(set(subjects))
        for _ in range(int(weights[list(subjects).index(name)]))
    ]


@pytest.fixture
def drawn():
    """Return changes of four subjects with 1 to 4 rows each, and weights of ten resamples."""
    draws = np.random.default_rng(0)
    subjects = np.array(["S1", "S3", "S2", "S2", "S3", "S4", "S3", "S4", "S3", "S2"], dtype=object)
    names, place = np.unique(subjects, return_inverse=True)
    weights = draws.multinomial(len(names), [0.25] * 4, size=10)[:, place].astype(float)
    return subjects, draws.normal(1, 1, size=len(subjects)), weights


def test_subjects_weigh_equally(drawn):
    subjects, change, weights = drawn
    slow = [np.mean(resampled(subjects, change, row)) for row in weights]
    assert mean_change(subjects, change, weights) == pytest.approx(slow)


def test_the_response_mean_is_the_mean_in_standard_deviations(drawn):
    subjects, change, weights = drawn
    for row, found in zip(weights, response_mean(subjects, change, weights), strict=True):
        each = resampled(subjects, change, row)
        assert found == pytest.approx(np.mean(each) / np.std(each, ddof=1))
    # One subject has no spread, and equal changes have none either.
    only = np.where(subjects == "S2", 1.0, 0.0)[None]
    assert math.isnan(response_mean(subjects, change, only)[0])
    assert math.isnan(response_mean(subjects, np.full(10, 2.0), np.ones((1, 10)))[0])


def test_a_change_of_the_model_by_nothing_has_the_wrong_sign():
    model, rater = np.array([0.4, -0.1, 0.0, 0.3]), np.array([1.0, -2.0, 1.0, -1.0])
    assert right_sign(model, rater).tolist() == [1, 1, 0, 0]


def test_the_error_of_measurement_is_the_spread_inside_pairs():
    # Bland and Altman 1996 (BMJ 312:1654): within-subject SD is the root of the mean variance.
    draws = np.random.default_rng(0)
    repeats = draws.normal(size=(9, 2)) + np.arange(9)[:, None]
    weights = draws.integers(0, 3, size=(5, 9)).astype(float)
    for row, found in zip(weights, measurement_error(repeats, weights), strict=True):
        variances = [
            np.var(pair, ddof=1)
            for pair, times in zip(repeats, row, strict=True)
            for _ in range(int(times))
        ]
        assert found == pytest.approx(math.sqrt(np.mean(variances)))
    one = np.ones((1, 9))
    assert detectable_change(repeats, one) == pytest.approx(
        2.771859 * measurement_error(repeats, one), rel=1e-6
    )
    # A shift of all second values is an error, too; another place on the scale is none.
    shifted = np.stack([np.arange(9.0), np.arange(9.0) + 0.5], axis=1)
    assert measurement_error(shifted, one)[0] == pytest.approx(0.5 / math.sqrt(2))
