import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from pdray.errors import FoldsError
from pdray.training.estimators.fusion_stack import Stack


def spread(num: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (2, N, 3): the first modality knows the class, the second one little."""
    rng = np.random.default_rng(seed)
    y = np.arange(num) % 3
    logits = rng.normal(0, 1, (2, num, 3))
    logits[0, np.arange(num), y] += 3.0
    logits[1, np.arange(num), y] += 0.3
    return logits, y


def slow_regression(x: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
    """Log probabilities of the penalised multinomial regression, by a general optimiser."""

    def scores(flat: np.ndarray) -> np.ndarray:
        table = flat.reshape(3, x.shape[1] + 1)
        return log_softmax(x @ table[:, :-1].T + table[:, -1], axis=1)

    def loss(flat: np.ndarray) -> float:
        penalty = 0.5 * (flat.reshape(3, -1)[:, :-1] ** 2).sum() / strength
        return float(penalty - scores(flat)[np.arange(len(y)), y].sum())

    found = minimize(loss, np.zeros(3 * (x.shape[1] + 1)), method="BFGS", options={"gtol": 1e-6})
    return scores(found.x)


def test_the_regression_is_the_penalised_optimum() -> None:
    logits, y = spread(30)
    stack = Stack(("a", "b"), num_classes=3, strength=0.5).fit(logits, y)
    shares = np.maximum(log_softmax(logits, axis=2), np.log(1e-6))
    expected = slow_regression(np.concatenate(list(shares), axis=1), y, 0.5)
    np.testing.assert_allclose(stack.logits(logits), expected, atol=1e-3)


def test_a_recording_is_judged_by_a_regression_on_what_it_has() -> None:
    logits, y = spread()
    taught = logits.copy()
    taught[1, :6] = np.nan  # six learnt from lack the second modality
    stack = Stack(("a", "b"), num_classes=3, strength=1.0).fit(taught, y)
    asked = logits[:, :2].copy()
    asked[1, 0] = np.nan
    found = stack.logits(asked)
    alone = Stack(("a",), num_classes=3, strength=1.0).fit(taught[:1], y)
    np.testing.assert_allclose(found[0], alone.logits(asked[:1, :1])[0])
    both = Stack(("a", "b"), num_classes=3, strength=1.0).fit(taught[:, 6:], y[6:])
    np.testing.assert_allclose(found[1], both.logits(asked[:, 1:])[0])
    np.testing.assert_allclose(softmax(found, axis=1).sum(axis=1), 1.0)


def test_a_class_that_was_never_met_is_all_but_impossible() -> None:
    logits, y = spread()
    taught = y != 2
    stack = Stack(("a", "b"), num_classes=3, strength=1.0).fit(logits[:, taught], y[taught])
    assert softmax(stack.logits(logits), axis=1)[:, 2].max() < 1e-5


def test_what_knows_the_class_contributes_more() -> None:
    logits, y = spread()
    parts = Stack(("a", "b"), num_classes=3, strength=1.0).fit(logits, y).contributions()
    moves = {name: np.abs(part - part.mean(axis=0)).mean() for name, part in parts.items()}
    assert moves["a"] > 3 * moves["b"]


def test_a_pattern_that_nobody_taught_is_refused_with_its_modalities() -> None:
    logits, y = spread(12)
    taught = logits.copy()
    taught[0, :6], taught[1, 6:] = np.nan, np.nan
    stack = Stack(("rgb", "mfcc"), num_classes=3, strength=1.0).fit(taught, y)
    with pytest.raises(
        FoldsError, match=r"the 0 training recordings that have rgb, mfcc are of 0 classes"
    ):
        stack.logits(logits)
