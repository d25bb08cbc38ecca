import numpy as np
import pytest

from pdray.evaluation.metrics import METRICS, score, undefined_reason


def test_there_are_metrics() -> None:
    wanted = {"accuracy", "precision", "recall", "f1", "f1_weighted", "f1_macro", "mcc", "auroc"}
    assert set(METRICS) >= wanted | {"mse"}


@pytest.mark.parametrize("num_classes", [2, 3, 5])
@pytest.mark.parametrize("name", METRICS)
class TestEveryMetric:
    def test_order_does_not_matter(self, name: str, num_classes: int) -> None:
        draws = np.random.default_rng(0)
        y_true = draws.integers(0, num_classes, size=50)
        probability = draws.dirichlet(np.ones(num_classes), size=50)
        order = draws.permutation(50)
        there = score(name, y_true, probability)
        back = score(name, y_true[order], probability[order])
        assert back == pytest.approx(there, abs=1e-12)  # sums of floats in another order

    def test_perfect_is_best(self, name: str, num_classes: int) -> None:
        draws = np.random.default_rng(1)
        y_true = np.arange(30) % num_classes
        best = score(name, y_true, np.eye(num_classes)[y_true])
        assert best == pytest.approx(float(METRICS[name].greater_is_better))
        for _ in range(8):
            other = score(name, y_true, draws.dirichlet(np.ones(num_classes), size=30))
            assert other < best if METRICS[name].greater_is_better else other > best

    def test_it_has_a_value_or_a_reason_for_every_input(self, name: str, num_classes: int) -> None:
        draws = np.random.default_rng(2)
        for size in range(8):
            for _ in range(8):
                y_true = draws.integers(0, num_classes, size=size)
                probability = draws.dirichlet(np.full(num_classes, 0.2), size=size)
                reason = undefined_reason(name, y_true, probability)
                assert np.isnan(score(name, y_true, probability)) == (reason is not None)
