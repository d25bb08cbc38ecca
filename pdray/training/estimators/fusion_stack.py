"""Stacking: a logistic regression on the predictions of a fusion's branches.

It learns from out-of-fold predictions. Its inputs are the logarithms of the branches'
probabilities; it is multinomial with an L2 penalty. For each set of available modalities there is
one regression, fitted on all recordings that have these modalities, so nothing is imputed.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from pdray.errors import FoldsError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_LEAST = 1e-6  # smallest probability, so that logarithms are finite
_STEPS = 200
_TOLERANCE = 1e-6  # of the gradient


class Stack:
    """One regression for each set of available modalities.

    Args:
        names: Names of the M modalities, for messages.
        num_classes: Classes K, at least 2.
        strength: C, the inverse of the penalty.
    """

    def __init__(self, names: tuple[str, ...], *, num_classes: int, strength: float) -> None:
        self.names, self.num_classes, self.strength = names, num_classes, strength
        self._fitted: dict[bytes, LogisticRegression] = {}

    def fit(self, logits: Floats, y: NDArray[np.int64]) -> Self:
        """Keep the training data; regressions are fitted when needed.

        Args:
            logits: (M, N, K) out-of-fold logits, NaN where a recording lacks the modality.
            y: (N,) class, 0 to K-1.
        """
        self._x, self._y = _log_shares(logits), y
        self._fitted.clear()
        return self

    def logits(self, logits: Floats) -> Floats:
        """Return (N, K) log probabilities of (M, N, K) logits, which are NaN where absent.

        Raises:
            FoldsError: If too few training recordings have the modalities of a recording.
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
        """Return the (N, k) contribution of each modality, for recordings that have them all."""
        pattern = np.ones(len(self.names), np.bool_)
        model = self._regression(pattern)
        x = self._x[:, _present(self._x).all(axis=0)]
        parts = np.split(model.coef_, len(self.names), axis=1)
        return {name: x[m] @ parts[m].T for m, name in enumerate(self.names)}

    def _regression(self, pattern: Flags) -> LogisticRegression:
        """Return the regression on the modalities of a pattern (M,); fit it at first use."""
        key = pattern.tobytes()
        if key not in self._fitted:
            rows = _present(self._x)[pattern].all(axis=0)
            classes = set(self._y[rows].tolist())
            if len(classes) < 2:
                told = ", ".join(name for name, has in zip(self.names, pattern, strict=True) if has)
                raise FoldsError(
                    f"the {rows.sum()} training recordings that have {told} are of {len(classes)} "
                    "classes, but stacking needs two; set model.rule to l1 or mean, or use fewer "
                    "model.branches"
                )
            # With few inputs far from zero, Newton needs few steps and lbfgs hundreds.
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
    """Return (M, N, K) as (N, M K)."""
    return x.swapaxes(0, 1).reshape(x.shape[1], -1)
