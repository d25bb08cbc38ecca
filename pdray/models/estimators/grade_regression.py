"""Regression of the class as a number, turned into probabilities of the classes.

A regression has no probabilities. Its number m becomes ``p_k ~ exp(-(k - m)^2 / (2 s^2))`` over
the classes of training, so the likeliest class is the one nearest to m. s is :data:`SPREAD` for all
classifiers, so that the mean of several has its mode near the mean of their numbers.
Letters: N row, D column, K class.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator

Floats = NDArray[np.float64]
SPREAD = 0.6
"""Standard deviation s of the likely classes around the number [classes]."""


class GradeRegression(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier made of a regression.

    Args:
        regression: A regression of scikit-learn that is not fitted yet.
    """

    def __init__(self, regression: Any) -> None:
        self.regression = regression

    def fit(self, x: Floats, y: NDArray[np.int64]) -> Self:
        """Learn from (N, D) numbers without gaps and (N,) classes."""
        self.classes_ = np.unique(y)
        self.regression.fit(x, y.astype(np.float64))
        return self

    def predict_proba(self, x: Floats) -> Floats:
        """Return (N, K) probabilities of (N, D) numbers, in the order of ``classes_``."""
        return around(self.regression.predict(x), self.classes_)


def around(numbers: Floats, classes: NDArray[np.int64]) -> Floats:
    """Return (N, K) probabilities of classes around (N,) numbers."""
    shares: Floats = softmax(-((classes - numbers[:, None]) ** 2) / (2 * SPREAD**2), axis=1)
    return shares


def median_decided(shares: Floats) -> Floats:
    """Return (N, K) probabilities whose largest is that of the median class of given ones.

    The median has the smallest expected distance to the true class. The probabilities are those
    around the median of the distribution, with class k spread evenly from k - 1/2 to k + 1/2.
    """
    rows = np.arange(len(shares))
    sums = shares.cumsum(axis=1)
    # A sum may miss 1 by a rounding error.
    place = np.minimum((sums < 0.5).sum(axis=1), shares.shape[1] - 1)
    here = shares[rows, place]
    inside = (0.5 - (sums[rows, place] - here)) / np.where(here > 0, here, 1.0)
    return around(place - 0.5 + inside.clip(0.001, 0.999), np.arange(shares.shape[1]))
