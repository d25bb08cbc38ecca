import math

import numpy as np
import pytest
import statsmodels.api as sm

from pdray.evaluation.statistics.calibration import (
    Event,
    calibration_error,
    error_of_perfect,
    events,
    gaps,
    intercepts,
    reliability,
    slopes,
    undefined_intercept,
    undefined_slope,
)
from pdray.evaluation.statistics.predictive import Ends, predictive_values


def drawn(num_rows: int, *, intercept: float = 0.0, slope: float = 1.0, seed: int = 0) -> Event:
    """Return probabilities, and outcomes whose logit is intercept + slope x theirs."""
    draws = np.random.default_rng(seed)
    logit = draws.normal(size=num_rows) * 1.5
    truth = 1 / (1 + np.exp(-(intercept + slope * logit)))
    return Event("class 1", draws.random(num_rows) < truth, 1 / (1 + np.exp(-logit)))


def test_recalibration_is_the_regression_of_statsmodels_in_every_resample() -> None:
    event = drawn(60, intercept=0.4, slope=0.5)
    weights = np.random.default_rng(1).multinomial(60, np.full(60, 1 / 60), size=20).astype(float)
    logit, family = np.log(event.share / (1 - event.share)), sm.families.Binomial()
    happened = event.happened.astype(float)
    for row, intercept, slope in zip(
        weights, intercepts(event, weights), slopes(event, weights), strict=True
    ):
        ones = np.ones(60)
        large = sm.GLM(happened, ones, family, offset=logit, freq_weights=row).fit()
        both = sm.GLM(happened, sm.add_constant(logit), family, freq_weights=row).fit()
        assert intercept == pytest.approx(large.params[0], abs=1e-6)
        assert slope == pytest.approx(both.params[1], abs=1e-6)


def test_recalibration_finds_what_was_drawn() -> None:
    ones = np.ones((1, 200_000))
    assert slopes(drawn(200_000, slope=0.6), ones)[0] == pytest.approx(0.6, abs=0.02)
    assert intercepts(drawn(200_000, intercept=-0.7), ones)[0] == pytest.approx(-0.7, abs=0.03)


@pytest.mark.parametrize(
    ("happened", "share", "of_intercept", "of_slope"),
    [
        ([1, 1], [0.2, 0.8], "class 1 is the class of every row", None),
        ([0, 0], [0.2, 0.8], "class 1 is the class of no row", None),
        (
            [0, 1, 0],
            [0.0, 1.0, 0.5],
            "rows with a probability of 0 or 1, whose logit is infinite: 2",
            None,
        ),
        ([0, 1, 0], [0.3, 0.3, 0.3], "", "all probabilities of class 1 are 0.3"),
        ([0, 1, 1], [0.3, 0.3, 0.9], "", "the probabilities of class 1 separate the rows"),
        ([1, 0, 0], [0.3, 0.4, 0.9], "", "the probabilities of class 1 separate the rows"),
        ([1, 0, 1], [0.3, 0.4, 0.9], "", ""),
        ([], [], "there are no rows", None),
    ],
)
def test_an_undefined_recalibration_says_why(
    happened: list[int], share: list[float], of_intercept: str, of_slope: str | None
) -> None:
    event = Event("class 1", np.array(happened, dtype=bool), np.array(share, dtype=float))
    assert undefined_intercept(event).startswith(of_intercept)
    assert bool(undefined_intercept(event)) == bool(of_intercept)
    expected = of_intercept if of_slope is None else of_slope
    assert undefined_slope(event).startswith(expected)
    assert bool(undefined_slope(event)) == bool(expected)


def test_a_resample_that_is_separated_or_of_one_class_is_nan() -> None:
    event = Event("class 1", np.array([0, 1, 0, 1], dtype=bool), np.array([0.2, 0.4, 0.6, 0.8]))
    weights = np.array([[1, 1, 1, 1], [1, 1, 0, 1], [2, 0, 2, 0], [0, 0, 0, 0]], dtype=float)
    assert np.isnan(slopes(event, weights)).tolist() == [False, True, True, True]
    assert np.isnan(intercepts(event, weights)).tolist() == [False, False, True, True]


def test_events_of_more_than_two_classes_are_the_steps_of_the_scale() -> None:
    shares = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    steps = list(events(np.array([1, 2]), shares))
    assert [event.name for event in steps] == ["class 1 or higher", "class 2"]
    assert [event.happened.tolist() for event in steps] == [[True, True], [False, True]]
    assert np.stack([event.share for event in steps]) == pytest.approx(
        np.array([[0.5, 0.9], [0.2, 0.7]])
    )
    (only,) = events(np.array([0, 1]), shares[:, :2] / shares[:, :2].sum(axis=1, keepdims=True))
    assert only.name == "class 1"


def test_calibration_error_by_hand() -> None:
    event = Event("class 1", np.array([1, 0, 1, 1], dtype=bool), np.array([0.95, 1.0, 0.1, 0.19]))
    # Last bin: 2 rows, mean 0.975, observed 0.5; second bin: 2 rows, mean 0.145, observed 1.
    assert calibration_error(event) == pytest.approx((2 * 0.475 + 2 * 0.855) / 4)


@pytest.mark.parametrize(("num_rows", "expected"), [(16, 0.23), (100, 0.10)])
def test_a_perfect_model_has_a_calibration_error_too(num_rows: int, expected: float) -> None:
    found = [error_of_perfect(drawn(num_rows, seed=seed), num_draws=200) for seed in range(20)]
    assert np.mean(found) == pytest.approx(expected, abs=0.012)
    event = drawn(num_rows)
    assert error_of_perfect(event) == error_of_perfect(event)
    alike = error_of_perfect(event, np.repeat(np.arange(num_rows // 4), 4))
    assert alike > 1.05 * error_of_perfect(event)


def test_a_reliability_diagram_needs_forty_subjects() -> None:
    event = drawn(80)
    bins, reason = reliability(event, np.arange(80) // 2)
    assert reason == ""
    assert sum(one.num_rows for one in bins) == 80
    assert all(one.low <= one.mean_share <= one.high for one in bins)
    gaps = [one.num_rows * abs(one.observed - one.mean_share) for one in bins]
    assert sum(gaps) / 80 == pytest.approx(calibration_error(event))
    assert all(one.num_subjects <= one.num_rows for one in bins)
    assert all(one.chance[0] < one.mean_share < one.chance[1] for one in bins)
    none, reason = reliability(event, np.arange(80) % 39)
    assert none == ()
    assert reason == "too few subjects for a reliability diagram: 39, 40 are needed"


def test_predictive_values_are_those_of_a_count_of_people() -> None:
    sensitivity, specificity = Ends(0.9, 0.8, 0.95), Ends(0.8, 0.7, 0.9)
    positive, negative = predictive_values(sensitivity, specificity, 0.1)
    # Of 1000 people 100 are ill: 90 found, 10 missed; of 900 others 180 are called ill.
    assert positive.value == pytest.approx(90 / 270)
    assert negative.value == pytest.approx(720 / 730)
    assert positive.low == pytest.approx(80 / (80 + 270))
    assert negative.high == pytest.approx(810 / (810 + 5))
    assert positive.low < positive.value < positive.high
    assert negative.low < negative.value < negative.high


def test_a_predictive_value_of_nobody_or_without_interval_is_nan() -> None:
    nan = math.nan
    positive, negative = predictive_values(Ends(0.0, nan, nan), Ends(1.0, nan, nan), 0.5)
    assert math.isnan(positive.value)
    assert negative.value == 0.5
    assert math.isnan(negative.low)


def test_calibration_in_the_large_is_the_observed_minus_the_expected_share() -> None:
    event = drawn(40, intercept=0.8)
    weights = np.random.default_rng(2).multinomial(40, np.full(40, 1 / 40), size=5).astype(float)
    for row, gap in zip(weights, gaps(event, weights), strict=True):
        each = [
            times * (float(happened) - share)
            for times, happened, share in zip(row, event.happened, event.share, strict=True)
        ]
        assert gap == pytest.approx(math.fsum(each) / math.fsum(row), abs=1e-15)
