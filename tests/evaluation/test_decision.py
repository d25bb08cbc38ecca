from typing import Any

import numpy as np
import pandas as pd
import pytest

from pdray.errors import StudyError
from pdray.evaluation.decision import as_classes, choose, decide
from pdray.evaluation.levels import at_level
from pdray.evaluation.predictions import probabilities, targets
from pdray.evaluation.settings import DecisionConfig
from pdray.evaluation.statistics.scaled import scaled
from pdray.evaluation.statistics.scaling import temperature
from pdray.evaluation.statistics.threshold import best_threshold


@pytest.fixture
def inner(make_table: Any) -> pd.DataFrame:
    """Return validation predictions of one trial of 30 subjects."""
    table = make_table(num_subjects=30, num_snippets=2, lean=2.0)
    table["fold"] = table["subject_id"].str[1:].astype(int) % 3
    return table


@pytest.fixture
def scored(make_table: Any) -> pd.DataFrame:
    """Return test predictions of the same trial's refit, of 12 other subjects."""
    table = make_table(num_subjects=12, num_snippets=2, lean=2.0, seed=1)
    return table.assign(subject_id="t" + table["subject_id"], split="test", fold=-1)


def config(**settings: Any) -> DecisionConfig:
    return DecisionConfig(**settings)


def test_by_default_no_number_changes(inner: pd.DataFrame, scored: pd.DataFrame) -> None:
    found = decide(inner, scored, config())
    plain = at_level(scored, "recording")
    pd.testing.assert_frame_equal(found.units[plain.columns], plain)
    assert (found.units["predicted"] == probabilities(plain).argmax(axis=1)).all()
    assert (found.decisions, found.words) == ({}, ())


def test_all_is_chosen_on_inner_rows_and_applied_to_others(
    inner: pd.DataFrame, scored: pd.DataFrame
) -> None:
    asked = config(calibration="temperature", threshold="specificity", specificity=0.8)
    found = decide(inner, scored, asked)
    units = at_level(inner, "recording")
    warm = temperature(targets(units), probabilities(units))
    soft = scaled("temperature", (warm,), probabilities(units))[:, 1]
    cut = best_threshold(targets(units), soft, "specificity", 0.8)
    ill = scaled("temperature", (warm,), probabilities(at_level(scored, "recording")))[:, 1]
    np.testing.assert_allclose(found.units["probability_1"], ill)
    np.testing.assert_array_equal(found.units["predicted"], ill > cut)
    assert 0 < (ill > cut).sum() < len(ill)
    assert found.words == (
        "chosen on inner out-of-fold predictions of 30 subjects (120 units): rows are joined by "
        f"the mean of the class probabilities; temperature {warm:.3g}; class 1 above {cut:.3g} "
        "(the lowest of the wanted specificity)",
    )
    sure = as_classes(found.units)
    np.testing.assert_array_equal(sure["probability_1"], ill > cut)
    np.testing.assert_array_equal(probabilities(sure).sum(axis=1), 1)


def test_each_trial_and_outer_fold_has_its_own_decision(
    inner: pd.DataFrame, scored: pd.DataFrame
) -> None:
    other = inner.assign(outer_fold=1)
    other[["probability_0", "probability_1"]] = inner[["probability_1", "probability_0"]].to_numpy()
    # Of another trial: it must not count.
    stray = inner.assign(trial=9)
    both = pd.concat([scored, scored.assign(outer_fold=1)], ignore_index=True)
    asked = config(threshold="balanced_accuracy")
    found = decide(pd.concat([inner, other, stray], ignore_index=True), both, asked)
    assert list(found.decisions) == [(3, 0), (3, 1)]
    assert found.decisions[3, 0] == choose(inner, asked)
    assert found.decisions[3, 1] == choose(other, asked)
    assert found.words[1].startswith("trial 3, outer fold 1: chosen on inner")
    with pytest.raises(StudyError, match="trial 3, outer fold 1: there are no inner predictions"):
        decide(inner, both, asked)


def test_without_inner_predictions_nothing_is_chosen_and_it_is_said(
    inner: pd.DataFrame, scored: pd.DataFrame
) -> None:
    asked = config(threshold="mcc", calibration="temperature")
    for none in (None, inner.assign(split="test"), inner.assign(trial=4)):
        found = decide(none, scored, asked)
        pd.testing.assert_frame_equal(found.units, decide(None, scored, config()).units)
        assert found.words[0].startswith("nothing was chosen: these predictions have no inner")


def test_nobody_is_scored_with_a_decision_that_her_rows_chose(
    inner: pd.DataFrame, scored: pd.DataFrame
) -> None:
    leak = inner.assign(subject_id=inner["subject_id"].where(inner["subject_id"] != "s4", "ts4"))
    with pytest.raises(StudyError, match=r"rows of 1 subjects that it would score, .* ts4"):
        decide(leak, scored, config(threshold="mcc"))


def test_the_best_rule_is_the_one_of_highest_mcc(inner: pd.DataFrame) -> None:
    assert choose(inner, config(rule="best")).rule in ("mean", "logit", "median", "vote", "max")
    # One snippet of each pair is surely wrong: only the maximum sees the ill.
    inner["probability_1"] = np.where(inner["snippet"] == 0, 0.001, 0.1 + 0.8 * inner["target"])
    inner["probability_0"] = 1 - inner["probability_1"]
    assert choose(inner, config(rule="best")).rule == "max"


def test_what_cannot_be_chosen_says_why(inner: pd.DataFrame, make_table: Any) -> None:
    three = make_table(num_classes=3)
    with pytest.raises(StudyError, match="calibration 'platt' and threshold 'mcc' need 2 classes"):
        choose(three, config(calibration="platt", threshold="mcc"))
    assert choose(three, config(calibration="temperature", rule="best")).numbers[0] > 0
    with pytest.raises(StudyError, match="isotonic regression needs 200 subjects and 50"):
        choose(inner, config(calibration="isotonic"))
    with pytest.raises(StudyError, match="the 60 units of the inner predictions are all of class"):
        choose(inner[inner["target"] == 0], config(threshold="mcc"))
