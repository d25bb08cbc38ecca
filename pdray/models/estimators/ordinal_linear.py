"""Linear models of ordered classes: the cumulative link, and CORAL.

Sources: McCullagh 1980, Regression models for ordinal data (proportional odds): ``P(class > j) =
sigmoid(z_j)``, ``z_j = w x - t_j``, with rising thresholds t; Cao, Mirjalili and Raschka 2020
(CORAL), who learn the same numbers by K-1 binary cross-entropies. An L2 penalty ``|w|^2 / (2 C)``
is added to the sum over rows, as in scikit-learn's logistic regression, to which both are equal for
two classes; thresholds have no penalty. The optimum is unique, and Newton's method finds it.
The target of a row may be shares of the classes, such as those of several raters.
:mod:`pdray.losses.ordinal` has the same losses for networks.
Letters: N row, D column, K class, J threshold (K-1).
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit
from sklearn.base import BaseEstimator

Floats = NDArray[np.float64]
_STEPS, _HALVES = 100, 40
_LEAST = 1e-9  # mean share of a class that counts as present
_TOLERANCE = 1e-12  # of the expected decrease, as a share of the loss


class OrdinalLinear(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Ordered classes from numbers of similar scale.

    Args:
        loss: ``cumulative``, the likelihood of the class, or ``coral``.
        strength: C, the inverse of the penalty on the weights.
        is_balanced: Whether classes weigh equally, whatever their number.

    Attributes:
        classes_: (K,) classes of training; others get no probability.
        weights: (D,) weights w of the columns.
        thresholds: (J,) rising thresholds t.
    """

    def __init__(
        self,
        loss: Literal["cumulative", "coral"] = "cumulative",
        *,
        strength: float = 1.0,
        is_balanced: bool = False,
    ) -> None:
        self.loss, self.strength, self.is_balanced = loss, strength, is_balanced

    def fit(self, x: Floats, y: NDArray[Any]) -> Self:
        """Learn from rows.

        Args:
            x: (N, D) numbers without gaps.
            y: (N,) int64 class, at least two different ones; or (N, K) shares that sum to 1.
        """
        shares = np.asarray(y, np.float64) if y.ndim == 2 else np.eye(int(y.max()) + 1)[y]
        totals = shares.sum(axis=0)
        self.classes_ = np.flatnonzero(totals > _LEAST * len(x))
        shares, totals = shares[:, self.classes_], totals[self.classes_]
        if self.is_balanced:
            shares = shares * (len(x) / (len(totals) * totals))
        above = np.cumsum(totals[::-1])[::-1][1:] / totals.sum()
        start = np.concatenate([np.zeros(x.shape[1]), np.log((1 - above) / above)])
        rows = _LOSSES[self.loss]
        found = _minimum(lambda both: self._objective(both, x, shares, rows), start)
        self.weights, self.thresholds = found[: x.shape[1]], found[x.shape[1] :]
        return self

    def predict_proba(self, x: Floats) -> Floats:
        """Return (N, K) probabilities of (N, D) numbers, in the order of ``classes_``."""
        logs = _log_likelihood((x @ self.weights)[:, None] - self.thresholds)
        return np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))

    def _objective(
        self, both: Floats, x: Floats, shares: Floats, rows: Callable[[Floats, Floats], "_Rows"]
    ) -> tuple[float, Floats, Floats] | None:
        """Return the loss of weights and thresholds, its gradient and its second derivatives.

        None where thresholds do not rise, which no optimum has.
        """
        width = x.shape[1]
        w, thresholds = both[:width], both[width:]
        if (np.diff(thresholds) <= 0).any():
            return None
        value, first, second = rows((x @ w)[:, None] - thresholds, shares)
        gradient = np.concatenate([x.T @ first.sum(axis=1) + w / self.strength, -first.sum(axis=0)])
        hessian = np.empty((len(both), len(both)))
        hessian[:width, :width] = (x * second.sum(axis=(1, 2))[:, None]).T @ x
        hessian[np.arange(width), np.arange(width)] += 1 / self.strength
        hessian[:width, width:] = -x.T @ second.sum(axis=1)
        hessian[width:, :width] = hessian[:width, width:].T
        hessian[width:, width:] = second.sum(axis=0)
        return value + float(w @ w) / (2 * self.strength), gradient, hessian


class _Rows(NamedTuple):
    """Loss of all rows; derivatives (N, J) and (N, J, J) of each row by its logits."""

    value: float
    first: Floats
    second: Floats


def _log_likelihood(z: Floats) -> Floats:
    """Return (N, K) log P(class) of falling logits (N, J), from log-sigmoids.

    ``sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a))``.
    """
    inner = log_expit(z[:, :-1]) + log_expit(-z[:, 1:]) + np.log(-np.expm1(z[:, 1:] - z[:, :-1]))
    return np.concatenate([log_expit(-z[:, :1]), inner, log_expit(z[:, -1:])], axis=1)


def _cumulative(z: Floats, shares: Floats) -> _Rows:
    logs, above = _log_likelihood(z), expit(z)
    slope = above * expit(-z)
    with np.errstate(divide="ignore", over="ignore"):  # a share of 0 has no part
        ratio = np.where(shares > 0, shares / np.exp(logs), 0.0)
        square = np.where(shares > 0, shares / np.exp(2 * logs), 0.0)
    change = ratio[:, 1:] - ratio[:, :-1]
    second = np.zeros((*z.shape, z.shape[1]))
    place = np.arange(z.shape[1])
    second[:, place, place] = (square[:, 1:] + square[:, :-1]) * slope**2
    second[:, place, place] -= change * slope * (1 - 2 * above)
    beside = -square[:, 1:-1] * slope[:, :-1] * slope[:, 1:]
    second[:, place[:-1], place[1:]] = second[:, place[1:], place[:-1]] = beside
    return _Rows(-float((shares * logs).sum()), -change * slope, second)


def _coral(z: Floats, shares: Floats) -> _Rows:
    over = np.cumsum(shares[:, ::-1], axis=1)[:, ::-1][:, 1:]
    every = shares.sum(axis=1, keepdims=True)
    value = -float((over * log_expit(z) + (every - over) * log_expit(-z)).sum())
    second = np.zeros((*z.shape, z.shape[1]))
    place = np.arange(z.shape[1])
    second[:, place, place] = every * expit(z) * expit(-z)
    return _Rows(value, every * expit(z) - over, second)


def _minimum(
    compute: Callable[[Floats], tuple[float, Floats, Floats] | None], start: Floats
) -> Floats:
    """Return where a convex function is smallest, by Newton's method with halved steps."""
    place, now = start, compute(start)
    for _ in range(_STEPS):
        assert now is not None, "the start and every step have rising thresholds"
        value, gradient, hessian = now
        step = np.linalg.solve(hessian, gradient)
        falls = float(gradient @ step)
        for size in 0.5 ** np.arange(_HALVES):
            tried = compute(place - size * step)
            if tried is not None and tried[0] <= value - 1e-4 * size * falls:
                place, now = place - size * step, tried
                break
        else:  # no step is lower: this is the minimum, as far as rounding shows it
            break
        if falls <= _TOLERANCE * max(1.0, value):
            break
    return place


_LOSSES = {"cumulative": _cumulative, "coral": _coral}
