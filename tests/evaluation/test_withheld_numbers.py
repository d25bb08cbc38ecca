import numpy as np
import pandas as pd
import pytest

from pdray.evaluation.withheld_numbers import given_scores, risk_at, withheld_numbers


def units(below: float) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    ill, y = rng.random(40), np.arange(40) % 2
    return pd.DataFrame({
        "subject_id": [f"S{n}" for n in range(40)], "target": y, "withheld_below": below,
        "probability_0": 1 - ill, "probability_1": ill,
    })  # fmt: skip


def test_coverage_and_risk_are_of_the_predictions_that_are_given() -> None:
    table = units(0.8)
    given = table[["probability_0", "probability_1"]].max(axis=1) >= 0.8
    wrong = (table["probability_1"] > 0.5).astype(int) != table["target"]
    expected = {"coverage": given.mean(), "risk": wrong[given].mean(), "risk_of_all": wrong.mean()}
    found = {one.metric: one for one in withheld_numbers(table)}
    assert {name: one.value for name, one in found.items()} == pytest.approx(expected)
    assert all(one.low < one.value < one.high for one in found.values())
    assert given_scores(table) == {
        name: pytest.approx(expected[name]) for name in ("coverage", "risk")
    }


def test_nothing_is_told_of_a_model_that_never_withholds_or_always_does() -> None:
    assert list(withheld_numbers(units(0.8).drop(columns="withheld_below"))) == []
    found = {one.metric: one for one in withheld_numbers(units(2.0))}
    assert (found["coverage"].value, found["risk"].undefined) == (
        0.0,
        "every prediction is withheld",
    )
    assert np.isnan(given_scores(units(2.0))["risk"])


def test_the_risk_at_a_coverage_counts_ties_in_part() -> None:
    confidence = np.array([0.9, 0.8, 0.8, 0.6])
    wrong = np.array([False, True, False, True])
    weights = np.array([[1.0, 1, 1, 1], [2, 1, 1, 0], [0, 0, 0, 2]])
    # A quarter: the first row alone. Half: and half of each of the two rows that tie.
    np.testing.assert_allclose(risk_at(confidence, wrong, weights, 0.25), [0, 0, 1])
    np.testing.assert_allclose(risk_at(confidence, wrong, weights, 0.5), [0.25, 0, 1])
    np.testing.assert_allclose(risk_at(confidence, wrong, weights, 1.0), [0.5, 0.25, 1])
