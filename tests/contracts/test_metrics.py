from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pytest

from pdray.evaluation.metrics import METRICS, metrics_for, score
from pdray.testing.metrics import CLASSES, METRIC_CHECKS


def test_there_are_metrics() -> None:
    wanted = {"accuracy", "precision", "recall", "f1", "f1_weighted", "f1_macro", "mcc", "auroc"}
    assert set(METRICS) >= wanted | {"mse"}


@pytest.mark.parametrize("check", METRIC_CHECKS)
@pytest.mark.parametrize("num_classes", CLASSES)
@pytest.mark.parametrize("name", METRICS)
def test_every_metric(name: str, num_classes: int, check: Callable[[str, int], None]) -> None:
    check(name, num_classes)


Row = tuple[int, int, Sequence[float]]  # true class, predicted class, probabilities


def recall(rows: Sequence[Row], k: int) -> float:
    hits = [pred == k for true, pred, _ in rows if true == k]
    return sum(hits) / len(hits)


def one_versus_rest(rows: Sequence[Row], num_classes: int, area: Callable[..., float]) -> float:
    areas = []
    for k in [1] if num_classes == 2 else sorted({true for true, _, _ in rows}):
        areas.append(area([(shares[k], true == k) for true, _, shares in rows]))
    return sum(areas) / len(areas)


def auroc(ranked: Sequence[tuple[float, bool]]) -> float:
    wins = [
        (a > b) + (a == b) / 2 for (a, ill), (b, other) in product(ranked, ranked) if ill > other
    ]
    return sum(wins) / len(wins)


def average_precision(ranked: Sequence[tuple[float, bool]]) -> float:
    precision = []
    for threshold, ill in ranked:
        if ill:
            above = [positive for share, positive in ranked if share >= threshold]
            precision.append(sum(above) / len(above))
    return sum(precision) / len(precision)


def kappa(rows: Sequence[Row], num_classes: int) -> float:
    found = sum((true - pred) ** 2 for true, pred, _ in rows) / len(rows)
    chance = sum((a[0] - b[1]) ** 2 for a, b in product(rows, rows)) / len(rows) ** 2
    return 1 - found / chance


def brier(rows: Sequence[Row], num_classes: int) -> float:
    classes = [1] if num_classes == 2 else range(num_classes)
    return sum((s[k] - (true == k)) ** 2 for true, _, s in rows for k in classes) / len(rows)


def mean_recall(rows: Sequence[Row], num_classes: int) -> float:
    present = {true for true, _, _ in rows}
    return sum(recall(rows, k) for k in present) / len(present)


REFERENCES: dict[str, Callable[[Sequence[Row], int], float]] = {
    "accuracy": lambda rows, _: sum(true == pred for true, pred, _ in rows) / len(rows),
    "mse": lambda rows, _: sum((true - pred) ** 2 for true, pred, _ in rows) / len(rows),
    "mae": lambda rows, _: sum(abs(true - pred) for true, pred, _ in rows) / len(rows),
    "within_one": lambda rows, _: sum(abs(t - pred) <= 1 for t, pred, _ in rows) / len(rows),
    "balanced_accuracy": mean_recall,
    "sensitivity": lambda rows, _: recall(rows, 1),
    "specificity": lambda rows, _: recall(rows, 0),
    "auroc": lambda rows, num_classes: one_versus_rest(rows, num_classes, auroc),
    "auprc": lambda rows, num_classes: one_versus_rest(rows, num_classes, average_precision),
    "brier": brier,
    "kappa": kappa,
}


@pytest.mark.parametrize("num_classes", CLASSES)
@pytest.mark.parametrize("name", REFERENCES)
def test_a_metric_equals_its_definition_counted_row_by_row(name: str, num_classes: int) -> None:
    if name not in metrics_for(num_classes):
        pytest.skip("no score of so many classes")
    draws = np.random.default_rng(7)
    for num_present in (num_classes, 2):  # all classes, and the upper ones absent
        y_true = draws.permutation(np.arange(40) % num_present)
        probability = draws.integers(1, 5, size=(40, num_classes)).astype(float)  # with ties
        probability /= probability.sum(axis=1, keepdims=True)
        rows = [
            (int(true), int(np.argmax(shares)), shares.tolist())
            for true, shares in zip(y_true, probability, strict=True)
        ]
        expected = REFERENCES[name](rows, num_classes)
        assert score(name, y_true, probability) == pytest.approx(expected, abs=1e-12)
