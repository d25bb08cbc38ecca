"""Stacking: a regression that joins what the branches of a fusion say, learnt from their errors.

It learns from predictions of recordings that the branches did not learn from. Its inputs are the
logarithms of the branches' probabilities; it is multinomial and has an L2 penalty. A recording that
lacks modalities is judged by a regression of its own on those that it has, learnt from every
recording that has them all: nothing is filled in.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from pdray.errors import FoldsError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_LEAST = 1e-6  # of a probability: beyond it a branch is as sure as it can be
_STEPS = 200
_TOLERANCE = 1e-6  # of the gradient


class Stack:
    """One regression for each pattern of modalities that is met.

    Args:
        names: Of the M modalities, for messages.
        num_classes: Classes K, at least 2.
        strength: C, the inverse of the penalty.
    """

    def __init__(self, names: tuple[str, ...], *, num_classes: int, strength: float) -> None:
        self.names, self.num_classes, self.strength = names, num_classes, strength
        self._fitted: dict[bytes, LogisticRegression] = {}

    def fit(self, logits: Floats, y: NDArray[np.int64]) -> Self:
        """Take what is learnt from.

        Args:
            logits: (M, N, K) out-of-fold logits, NaN where a recording lacks the modality.
            y: (N,) class, 0 to K-1.
        """
        self._x, self._y = _log_shares(logits), y
        self._fitted.clear()
        return self

    def logits(self, logits: Floats) -> Floats:
        """Return (N, K) log probabilities of (M, N, K) logits, NaN where absent.

        Raises:
            FoldsError: If a recording has a pattern of modalities that too few recordings taught.
        """
        x, present = _log_shares(logits), _present(logits)
        found = np.full((logits.shape[1], self.num_classes), np.log(_LEAST))
        for pattern in np.unique(present, axis=1).T:
            rows = (present == pattern[:, None]).all(axis=0)
            model = self._regression(pattern)
            shares = model.predict_proba(_flat(x[pattern][:, rows]))
            found[np.ix_(rows, model.classes_)] = np.log(shares.clip(_LEAST))
        return found

    def contributions(self) -> dict[str, Floats]:
        """Return what each modality adds to the scores of the recordings that have all, (N, k)."""
        pattern = np.ones(len(self.names), np.bool_)
        model = self._regression(pattern)
        x = self._x[:, _present(self._x).all(axis=0)]
        parts = np.split(model.coef_, len(self.names), axis=1)
        return {name: x[m] @ parts[m].T for m, name in enumerate(self.names)}

    def _regression(self, pattern: Flags) -> LogisticRegression:
        """Return the regression on the modalities of a pattern (M,), learnt when first asked."""
        key = pattern.tobytes()
        if key not in self._fitted:
            rows = _present(self._x)[pattern].all(axis=0)
            classes = set(self._y[rows].tolist())
            if len(classes) < 2:
                told = ", ".join(name for name, has in zip(self.names, pattern, strict=True) if has)
                raise FoldsError(
                    f"{rows.sum()} recordings of {len(classes)} classes to learn from have {told} "
                    "together; stacking needs two classes: use model.rule l1 or mean, or fewer "
                    "model.branches"
                )
            # Few inputs that lie far from zero: Newton's steps are few, those of lbfgs hundreds.
            model = LogisticRegression(
                C=self.strength, solver="newton-cholesky", tol=_TOLERANCE, max_iter=_STEPS
            )
            self._fitted[key] = model.fit(_flat(self._x[pattern][:, rows]), self._y[rows])
        return self._fitted[key]


def _log_shares(logits: Floats) -> Floats:
    shares: Floats = np.maximum(log_softmax(logits, axis=2), np.log(_LEAST))
    return shares


def _present(logits: Floats) -> Flags:
    present: Flags = np.asarray(np.isfinite(logits).all(axis=2), np.bool_)
    return present


def _flat(x: Floats) -> Floats:
    """Return (N, M K) of (M, N, K)."""
    return x.swapaxes(0, 1).reshape(x.shape[1], -1)
