import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from pdray.losses.ordinal import coral_loss, cumulative_link_loss
from pdray.models.estimators.ordinal_linear import OrdinalLinear

LOSSES = {"cumulative": cumulative_link_loss, "coral": coral_loss}


def drawn(num: int = 120, num_classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Return two numbers per row, and classes by the thresholds of a noisy sum."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(num, 2))
    noisy = 1.5 * x[:, 0] - x[:, 1] + rng.logistic(size=num)
    return x, np.searchsorted([-1.5, 0.5, 2.5][: num_classes - 1], noisy)


@pytest.mark.parametrize("has_shares", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_optimum_is_that_of_the_losses_of_networks(loss: str, has_shares: bool) -> None:
    x, y = drawn()
    shares = np.eye(4)[y]
    if has_shares:
        shares = (shares + np.roll(shares, 1, axis=0)) / 2
    fitted = OrdinalLinear(loss, strength=0.7).fit(x, shares if has_shares else y)
    w, t = (torch.tensor(a, requires_grad=True) for a in (fitted.weights, fitted.thresholds))
    z = (torch.from_numpy(x) @ w)[:, None] - t
    value = LOSSES[loss](z, torch.from_numpy(shares)).sum() + w.square().sum() / (2 * 0.7)
    value.backward()
    assert max(w.grad.abs().max(), t.grad.abs().max()) < 1e-6
    above = torch.sigmoid(z).detach().numpy()
    wanted = -np.diff(np.pad(above, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0))), axis=1)
    np.testing.assert_allclose(fitted.predict_proba(x), wanted, atol=1e-12)


@pytest.mark.parametrize("is_balanced", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_two_classes_are_a_logistic_regression(loss: str, is_balanced: bool) -> None:
    x, y = drawn(num_classes=2)
    weights = "balanced" if is_balanced else None
    plain = LogisticRegression(C=0.5, class_weight=weights, tol=1e-10, max_iter=1000).fit(x, y)
    got = OrdinalLinear(loss, strength=0.5, is_balanced=is_balanced).fit(x, y)
    np.testing.assert_allclose(got.predict_proba(x), plain.predict_proba(x), atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_separated_classes_and_an_absent_one_stay_finite(loss: str) -> None:
    y = np.repeat([0, 1, 3], 20)
    fitted = OrdinalLinear(loss, strength=1e6).fit(100.0 * y[:, None] + np.zeros((60, 3)), y)
    assert fitted.classes_.tolist() == [0, 1, 3]
    assert (np.diff(fitted.thresholds) > 0).all()
    p = fitted.predict_proba(100.0 * y[:, None] + np.zeros((60, 3)))
    assert (fitted.classes_[p.argmax(axis=1)] == y).all()
    assert np.isfinite(fitted.predict_proba(np.full((1, 3), -1e9))).all()
