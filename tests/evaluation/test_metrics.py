import math

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, roc_auc_score

from pdray.errors import SettingsError
from pdray.evaluation.metrics import (
    METRICS,
    absent_classes,
    compute_metrics,
    metric_named,
    metrics_for,
    score,
    undefined_reason,
)


def shares(y_pred: list[int], num_classes: int = 2) -> np.ndarray:
    return np.eye(num_classes)[y_pred] * 0.8 + 0.2 / num_classes


def test_ten_rows_by_hand() -> None:
    y_true = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    y_pred = [1, 1, 1, 0, 1, 0, 0, 0, 0, 0]  # 3 hits, 1 miss, 1 false alarm, 5 right rejections
    scores = compute_metrics(y_true, shares(y_pred))
    assert scores["accuracy"] == pytest.approx(8 / 10)
    assert scores["precision"] == pytest.approx(3 / 4)
    assert scores["recall"] == pytest.approx(3 / 4)
    assert scores["f1"] == pytest.approx(3 / 4)
    assert scores["f1_macro"] == pytest.approx((3 / 4 + 10 / 12) / 2)
    assert scores["f1_weighted"] == pytest.approx((4 * 3 / 4 + 6 * 10 / 12) / 10)
    assert scores["mcc"] == pytest.approx((3 * 5 - 1 * 1) / math.sqrt(4 * 4 * 6 * 6))
    assert scores["auroc"] == pytest.approx((3 * 5 + (3 * 1 + 1 * 5) / 2) / 24)


def test_three_classes_by_hand() -> None:
    y_true, y_pred = [0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 2, 0]
    scores = compute_metrics(y_true, shares(y_pred, 3))
    assert scores["mse"] == pytest.approx((1**2 + 2**2) / 6)
    assert scores["f1"] == scores["f1_macro"]
    assert scores["precision"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert scores["recall"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    assert scores["f1_macro"] == pytest.approx((2 / 4 + 4 / 5 + 2 / 3) / 3)


def test_a_tie_goes_to_the_lower_class() -> None:
    assert score("recall", [1], [[0.5, 0.5]]) == 0.0
    assert score("accuracy", [0], [[0.5, 0.5]]) == 1.0


def test_a_constant_prediction_has_mcc_zero_but_one_true_class_has_none() -> None:
    assert score("mcc", [0, 1, 1], shares([1, 1, 1])) == 0.0
    assert math.isnan(score("mcc", [1, 1], shares([1, 0])))
    reason = undefined_reason("mcc", [1, 1], shares([1, 0]))
    assert reason == "only class 1 is present"


def test_undefined_scores_are_nan_with_a_reason_and_never_zero() -> None:
    cases = {
        ("precision", (0, 1), (0, 0)): "no row is predicted as the positive class 1",
        ("recall", (0, 0), (0, 1)): "the positive class 1 is absent",
        ("f1", (0, 0), (0, 0)): "the positive class 1 neither occurs nor is predicted",
        ("auroc", (0, 0), (0, 1)): "only class 0 is present",
        ("auprc", (1, 1), (0, 1)): "only class 1 is present",
        ("kappa", (1, 1), (0, 1)): "only class 1 is present",
        ("balanced_accuracy", (1, 1), (0, 1)): "only class 1 is present",
        ("sensitivity", (0, 0), (0, 1)): "the positive class 1 is absent",
        ("specificity", (1, 1), (0, 1)): "the negative class 0 is absent",
        ("within_one", (0, 1), (0, 1)): "it is a score of three classes or more, here are 2",
    }
    for (name, y_true, y_pred), reason in cases.items():
        assert undefined_reason(name, y_true, shares(list(y_pred))) == reason
        assert math.isnan(score(name, y_true, shares(list(y_pred))))


def test_sensitivity_and_specificity_are_scores_of_two_classes_only() -> None:
    for name in ("sensitivity", "specificity"):
        assert name in metrics_for(2)
        assert name not in compute_metrics([0, 1], shares([0, 1], 3))
        reason = undefined_reason(name, [0, 1], shares([0, 1], 3))
        assert reason == "it is a score of two classes, here are 3"
        assert math.isnan(score(name, [0, 1], shares([0, 1], 3)))


def test_kappa_keeps_the_scale_where_a_grade_is_absent() -> None:
    y_true, y_pred = [0, 0, 1, 1, 4, 4], [0, 1, 1, 1, 4, 1]
    squares = np.subtract.outer(np.arange(5), np.arange(5)) ** 2
    found = np.mean([(t - p) ** 2 for t, p in zip(y_true, y_pred, strict=True)])
    by_chance = np.mean([squares[t, p] for t in y_true for p in y_pred])
    assert score("kappa", y_true, shares(y_pred, 5)) == pytest.approx(1 - found / by_chance)
    # As if grade 4 were next to grade 1:
    assert cohen_kappa_score(y_true, y_pred, weights="quadratic") > 1 - found / by_chance + 0.02


def test_no_rows_leave_every_metric_undefined() -> None:
    scores = compute_metrics([], np.zeros((0, 2)))
    assert all(math.isnan(value) for value in scores.values())
    assert undefined_reason("accuracy", [], np.zeros((0, 2))) == "there are no rows"


def test_absent_classes_are_left_out_of_auroc_and_recall() -> None:
    draws = np.random.default_rng(0)
    y_true = draws.integers(0, 3, size=40)  # class 3 of four is absent
    probability = draws.dirichlet(np.ones(4), size=40)
    areas = [roc_auc_score(y_true == k, probability[:, k]) for k in range(3)]
    assert score("auroc", y_true, probability) == pytest.approx(np.mean(areas))
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = balanced_accuracy_score(y_true, probability.argmax(axis=1))
    assert score("recall", y_true, probability) == pytest.approx(expected)
    assert absent_classes(y_true, 4) == (3,)
    assert absent_classes([0, 1], 2) == ()


def test_auroc_of_all_classes_is_that_of_scikit_learn() -> None:
    draws = np.random.default_rng(1)
    y_true = np.arange(60) % 5
    probability = draws.dirichlet(np.ones(5), size=60)
    expected = roc_auc_score(y_true, probability, multi_class="ovr", average="macro")
    assert score("auroc", y_true, probability) == pytest.approx(expected, abs=1e-12)


def test_ignoring_a_class_never_pays_in_macro_precision() -> None:
    y_true = [0, 0, 1, 1, 2, 2]
    assert score("precision", y_true, shares([0, 0, 1, 1, 1, 1], 3)) == pytest.approx(1.5 / 3)


def test_a_logged_name_finds_its_metric_and_a_misspelt_one_the_nearest() -> None:
    assert metric_named("val/mcc") is METRICS["mcc"]
    message = (
        r"unknown metric 'val/mmc'; did you mean 'mcc'\? use one of accuracy, precision, recall, "
        r"f1, "
        "f1_weighted, f1_macro, mcc, auroc, mse, balanced_accuracy, sensitivity, specificity, "
        "auprc, brier, kappa, mae, within_one"
    )
    with pytest.raises(SettingsError, match=f"^{message}$"):
        metric_named("val/mmc")


@pytest.mark.parametrize(
    ("y_true", "probability", "message"),
    [
        (
            [0, 1],
            shares([0, 1, 0]),
            r"expected classes \(N,\) and probabilities \(N, K\) .*, got \(2,\) and \(3, 2\)",
        ),
        ([0, 1], [0.2, 0.8], r"got \(2,\) and \(2,\)"),
        ([0, 0], [[1.0], [1.0]], r"got \(2,\) and \(2, 1\)"),
        ([0, 2], shares([0, 1]), r"a class of \[0 2\] is outside 0\.\.1"),
        ([-1, 1], shares([0, 1]), r"a class of \[-1  1\] is outside 0\.\.1"),
    ],
)
def test_wrong_shapes_and_classes_are_refused(
    y_true: list[int], probability: ArrayLike, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        score("mcc", y_true, probability)


def test_classes_may_come_as_whole_floats() -> None:
    assert score("auroc", [0.0, 1.0, 2.0], shares([0, 1, 2], 3)) == 1.0
