import numpy as np
import pytest
from scipy.optimize import minimize

from pdray.models.estimators.rater_confusion import AGREES, RaterConfusion

TRUE = np.array([
    [[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.2, 0.8]],
    [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]],  # often one grade too high
])  # fmt: skip


def drawn(num: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a number per row that tells its true class, these classes, and two raters' votes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(num, 1))
    y = np.searchsorted([-1.5, 1.5], 3 * x[:, 0] + rng.logistic(size=num))
    votes = np.array([[rng.choice(3, p=of[one]) for of in TRUE] for one in y])
    return x, y, votes


def test_confusions_of_raters_are_found_again() -> None:
    x, y, votes = drawn(1500)
    votes[::3, 1] = -1
    model = RaterConfusion(prior=1.0).fit(x, y, votes)
    np.testing.assert_allclose(model.confusions, TRUE, atol=0.09)
    assert (np.diff(model.objectives) > -1e-8).all()
    assert (model.predict_proba(x).argmax(axis=1) == y).mean() > 0.7


def test_no_other_parameters_are_likelier() -> None:
    """The whole likelihood in one formula, climbed from where EM ended."""
    x, y, votes = drawn(60)
    model = RaterConfusion(strength=0.5, prior=4.0).fit(x, y, votes)
    prior = 4.0 * (AGREES * np.eye(3) + (1 - AGREES) / 3)

    def loss(values: np.ndarray) -> float:
        w, t = values[0], np.cumsum([values[1], np.exp(values[2])])
        above = 1 / (1 + np.exp(-(w * x - t)))
        true = np.column_stack([1 - above[:, 0], above[:, 0] - above[:, 1], above[:, 1]])
        a = np.exp(values[3:].reshape(2, 3, 3))
        a /= a.sum(axis=2, keepdims=True)
        both = true * a[0][:, votes[:, 0]].T * a[1][:, votes[:, 1]].T
        held = np.sum(prior * np.log(a))
        return float(w**2 / (2 * 0.5) - np.log(both.sum(axis=1)).sum() - held)

    t = model.model.thresholds
    logs = np.log(model.confusions).ravel()
    start = np.concatenate([model.model.weights, [t[0], np.log(t[1] - t[0])], logs])
    found = minimize(loss, start)
    assert loss(start) - found.fun < 0.01


def test_few_grades_leave_a_rater_near_the_prior_and_nobody_else_changes() -> None:
    x, y, votes = drawn(300)
    few = np.full(300, -1)
    few[:5] = 2 - y[:5]
    alone = RaterConfusion().fit(x, y, votes)
    model = RaterConfusion().fit(x, y, np.column_stack([votes, few]))
    assert (model.confusions[2].diagonal() > 0.6).all()
    np.testing.assert_allclose(model.confusions[:2], alone.confusions, atol=0.05)


def test_a_row_without_raters_counts_with_its_consensus() -> None:
    x, y, _ = drawn(300)
    model = RaterConfusion().fit(x, y, np.full((300, 1), -1))
    assert (model.predict_proba(x).argmax(axis=1) == y).mean() > 0.75
    np.testing.assert_allclose(
        model.confusions[0].diagonal(), AGREES + (1 - AGREES) / 3, atol=1e-12
    )


@pytest.mark.parametrize("most", [(1, 2), (2, 1)])
def test_a_class_that_only_raters_or_only_the_consensus_has(most: tuple[int, int]) -> None:
    x, y, votes = drawn(100)
    model = RaterConfusion().fit(x, np.minimum(y, most[0]), np.minimum(votes, most[1]))
    p = model.predict_proba(x)
    assert model.classes_.tolist() == [*range(most[1] + 1)]
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-9)
