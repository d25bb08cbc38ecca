import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pdray.errors import StudyError
from pdray.evaluation.statistics.scaled import scaled
from pdray.evaluation.statistics.scaling import (
    TEMPERATURES,
    fit_scaling,
    platt,
    temperature,
)


def drawn(num_rows: int, num_classes: int, *, sure: float, seed: int = 0):
    """Return classes, and probabilities that are ``sure`` times too sure of them."""
    draws = np.random.default_rng(seed)
    logits = 1.5 * draws.normal(size=(num_rows, num_classes))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = np.array([draws.choice(num_classes, p=row) for row in shares])
    powers = shares**sure
    return classes, powers / powers.sum(axis=1, keepdims=True)


def log_loss(classes, shares) -> float:
    return -sum(np.log(row[k]) for k, row in zip(classes, shares, strict=True)) / len(classes)


def test_the_temperature_is_that_of_least_log_loss():
    classes, shares = drawn(400, 4, sure=3.0)
    grid = np.exp(np.linspace(np.log(0.5), np.log(10), 4001))
    losses = [log_loss(classes, scaled("temperature", (one,), shares)) for one in grid[::20]]
    near = 20 * int(np.argmin(losses))
    fine = grid[max(near - 20, 0) : near + 20]
    slow = min(fine, key=lambda one: log_loss(classes, scaled("temperature", (one,), shares)))
    found = temperature(classes, shares)
    assert found == pytest.approx(slow, rel=1e-3)
    assert found == pytest.approx(3, rel=0.2)  # the rows are three times too sure


def test_a_temperature_changes_no_decision_and_ends_at_a_limit():
    classes, shares = drawn(100, 3, sure=1.0)
    soft = scaled("temperature", (7.0,), shares)
    assert (soft.argmax(axis=1) == shares.argmax(axis=1)).all()
    np.testing.assert_allclose(soft.sum(axis=1), 1)
    # Classes that are told apart without an error have no temperature of least loss.
    right = np.full((100, 3), 0.2)
    right[np.arange(100), classes] = 0.6
    assert temperature(classes, right) == pytest.approx(TEMPERATURES[0], rel=1e-3)


def newton(scores, goal):
    """Minimise Platt's loss by Newton's steps, in float64."""
    beta = np.zeros(2)
    x = np.stack([scores, np.ones_like(scores)], axis=1)
    for _ in range(200):
        p = 1 / (1 + np.exp(-x @ beta))
        hessian = (x * (p * (1 - p))[:, None]).T @ x
        beta -= np.linalg.solve(hessian, x.T @ (p - goal))
    return beta


def test_platts_scaling_has_his_targets():
    classes, shares = drawn(60, 2, sure=2.0, seed=3)
    ones = classes.sum()
    goal = np.where(classes == 1, (ones + 1) / (ones + 2), 1 / (60 - ones + 2))
    scores = np.log(shares[:, 1] / shares[:, 0])
    assert platt(classes, shares) == pytest.approx(newton(scores, goal), abs=1e-6)
    # Without his targets it is logistic regression, which is another slope.
    plain = LogisticRegression(C=np.inf).fit(scores[:, None], classes)
    assert abs(plain.coef_[0, 0] - platt(classes, shares)[0]) > 0.01
    found = scaled("platt", platt(classes, shares), shares)
    slope, intercept = newton(scores, goal)
    np.testing.assert_allclose(
        found[:, 1], 1 / (1 + np.exp(-(slope * scores + intercept))), atol=1e-6
    )


def test_platts_scaling_never_turns_a_model_round():
    classes, shares = drawn(60, 2, sure=2.0)
    with pytest.raises(StudyError, match="rank the classes the wrong way round"):
        platt(1 - classes, shares)


def pooled(classes, shares):
    """Pool adjacent violators, one pair at a time."""
    order = np.argsort(shares)
    blocks = [[float(classes[i])] for i in order]
    k = 0
    while k < len(blocks) - 1:
        if np.mean(blocks[k]) > np.mean(blocks[k + 1]):
            blocks[k : k + 2] = [blocks[k] + blocks[k + 1]]
            k = max(k - 1, 0)
        else:
            k += 1
    values = np.concatenate([[np.mean(block)] * len(block) for block in blocks])
    found = np.empty(len(classes))
    found[order] = values
    return found


def test_isotonic_regression_pools_violators_and_needs_subjects():
    classes, shares = drawn(200, 2, sure=2.0)
    subjects = np.array([f"S{k}" for k in range(200)], dtype=object)
    numbers = fit_scaling("isotonic", classes, shares, subjects)
    np.testing.assert_allclose(
        scaled("isotonic", numbers, shares)[:, 1], pooled(classes, shares[:, 1]), atol=1e-9
    )
    with pytest.raises(StudyError, match=r"200 subjects and 50 .* have 199 and"):
        fit_scaling("isotonic", classes[1:], shares[1:], subjects[1:])
    # Fifty rows are not fifty subjects.
    rare = np.zeros(250, dtype=np.int64)
    rare[:51] = 1
    people = np.array([f"S{max(k, 11)}" for k in range(250)], dtype=object)
    with pytest.raises(StudyError, match="have 239 and 40"):
        fit_scaling("isotonic", rare, np.tile(shares, (2, 1))[:250], people)


def test_no_calibration_leaves_the_probabilities():
    classes, shares = drawn(10, 3, sure=1.0)
    numbers = fit_scaling("none", classes, shares, np.arange(10).astype(object))
    assert scaled("none", numbers, shares) is shares
