"""Ordered classes learnt together with the confusion of each rater.

Sources: Raykar et al. 2010, Learning from crowds (the likelihood and its EM algorithm); Lu et al.
2021, Quantifying Parkinson's disease motor severity under uncertainty (MDS-UPDRS gait with a
confusion matrix for each rater). The true class k of a row has the probability p(k | x) of an
ordered linear model; rater r then gives class j with the probability A_r[k, j]. Both are learnt by
maximising the likelihood of the raters' classes, with the penalty of the linear model and a prior.
Differs from Lu et al.: the model is linear, and in place of their penalty on the trace a prior
holds each A_r near agreement: ``prior`` imagined grades for each true class, of which
:data:`AGREES` agree and the others are spread over all classes. So a rater with few grades stays
near the prior. A row without raters counts with its consensus class.
Letters: N row, D column, K class, R rater.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator

from pdray.models.estimators.ordinal_linear import OrdinalLinear

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
AGREES = 0.8
"""Share of the prior's grades that agree with the true class."""
ABSENT = -1
"""Vote of a rater who did not rate."""
_ROUNDS = 200
_TOLERANCE = 1e-6  # of the log likelihood, as a share


class RaterConfusion(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An ordered linear model and the confusions of raters.

    Args:
        strength: C of the linear model.
        prior: Imagined grades of each rater for each true class.

    Attributes:
        classes_: (K,) classes that a rater gave in training.
        confusions: (R, K, K) probability of each given class (last axis) for each true class.
        objectives: Log likelihood with prior and penalty after each round; it never falls.
    """

    def __init__(self, *, strength: float = 1.0, prior: float = 10.0) -> None:
        self.strength, self.prior = strength, prior

    def fit(self, x: Floats, y: Labels, votes: Labels) -> Self:
        """Learn from rows.

        Args:
            x: (N, D) numbers without gaps, of similar scale.
            y: (N,) consensus class.
            votes: (N, R) class by each rater, :data:`ABSENT` where one did not rate.
        """
        rated = np.column_stack([votes, np.where((votes == ABSENT).all(axis=1), y, ABSENT)])
        self.classes_ = np.unique(rated[rated != ABSENT])
        given = _one_hot(rated, self.classes_)
        likely = given.sum(axis=1) / given.sum(axis=(1, 2))[:, None]
        self.model = OrdinalLinear(strength=self.strength)
        self.objectives: list[float] = []
        for _ in range(_ROUNDS):
            self.model.fit(x, likely)
            self.confusions = self._confusions(given, likely)
            logs = np.log(self._shares(x)) + np.einsum(
                "nrj,rkj->nk", given, np.log(self.confusions)
            )
            likely = softmax(logs, axis=1)
            self.objectives.append(self._objective(logs))
            if len(self.objectives) > 1 and self._has_settled():
                break
        self.confusions = self.confusions[:-1]  # the last one is the consensus
        return self

    def predict_proba(self, x: Floats) -> Floats:
        """Return (N, K) probabilities of the true class, in the order of ``classes_``."""
        return self._shares(x)

    def _shares(self, x: Floats) -> Floats:
        found = np.full((len(x), len(self.classes_)), np.finfo(np.float64).tiny)
        found[:, self.model.classes_] = self.model.predict_proba(x)
        return found

    def _confusions(self, given: Floats, likely: Floats) -> Floats:
        counts = np.einsum("nrj,nk->rkj", given, likely) + self._imagined()
        shares: Floats = counts / counts.sum(axis=2, keepdims=True)
        return shares

    def _imagined(self) -> Floats:
        """Return the (K, K) grades of the prior."""
        count = len(self.classes_)
        return self.prior * (AGREES * np.eye(count) + (1 - AGREES) / count)

    def _objective(self, logs: Floats) -> float:
        penalty = float(self.model.weights @ self.model.weights) / (2 * self.strength)
        prior = float((self._imagined() * np.log(self.confusions)).sum())
        return float(np.logaddexp.reduce(logs, axis=1).sum()) + prior - penalty

    def _has_settled(self) -> bool:
        before, now = self.objectives[-2:]
        return now - before <= _TOLERANCE * abs(now)


def _one_hot(votes: Labels, classes: Labels) -> Floats:
    """Return (N, R, K) which class each rater gave; all 0 where one did not rate."""
    return np.asarray(votes[:, :, None] == classes, np.float64)
