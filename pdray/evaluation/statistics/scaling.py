"""Maps from class probabilities to calibrated ones: temperature, Platt, isotonic regression.

- Temperature (Guo et al. 2017, ICML, section 4.2): softmax(log p / T), T of least log loss.
- Platt (1999, with his targets (N1 + 1) / (N1 + 2) and 1 / (N0 + 2)), for two classes:
  1 / (1 + exp(-(a s + b))), s = log(p1 / p0).
- Isotonic regression, for two classes. It has as many free values as steps, so it asks for
  :data:`ISOTONIC_SUBJECTS` subjects, :data:`ISOTONIC_RARER` of the rarer class.

``scaled.py`` applies them. A probability of 0 counts as 1e-12. Axes: N row, K class.
"""

import numpy as np
from numpy.typing import NDArray

from pdray.errors import StudyError
from pdray.evaluation.settings import Calibration
from pdray.evaluation.statistics.scaled import log_odds, logs_of

Labels = NDArray[np.int64]
Numbers = NDArray[np.float64]
ISOTONIC_SUBJECTS, ISOTONIC_RARER = 200, 50
TEMPERATURES = (0.05, 20.0)
"""Lowest and highest temperature that is tried."""


def fit_scaling(
    kind: Calibration, y_true: Labels, shares: Numbers, subjects: NDArray[np.object_]
) -> tuple[float, ...]:
    """Return the numbers of a calibration.

    Args:
        kind: "none", "temperature", "platt" or "isotonic".
        y_true: (N,) classes, at least two different ones.
        shares: (N, K) probabilities; K is 2 for Platt and isotonic regression.
        subjects: (N,) subject of each row.

    Returns:
        temperature: T; platt: a, b; isotonic: the probabilities of its points, then their values.

    Raises:
        StudyError: If there are too few subjects for isotonic regression, or Platt's slope is not
            above 0: the scores rank the classes the wrong way round.
    """
    if kind == "temperature":
        return (temperature(y_true, shares),)
    if kind == "platt":
        return platt(y_true, shares)
    if kind == "isotonic":
        return _isotonic(y_true, shares, subjects)
    return ()


def temperature(y_true: Labels, shares: Numbers) -> float:
    """Return the temperature of least log loss, within :data:`TEMPERATURES`.

    Args:
        y_true: (N,) classes.
        shares: (N, K) probabilities.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    logs, rows = logs_of(shares), np.arange(len(y_true))

    def loss(log_temperature: float) -> float:
        values = logs / np.exp(log_temperature)
        return float((logsumexp(values, axis=1) - values[rows, y_true]).mean())

    bounds = tuple(np.log(TEMPERATURES))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    return float(np.exp(found.x))


def platt(y_true: Labels, shares: Numbers) -> tuple[float, float]:
    """Return slope a and intercept b of Platt's scaling with his targets.

    Args:
        y_true: (N,) classes 0 and 1.
        shares: (N, 2) probabilities.

    Raises:
        StudyError: If the slope is not above 0: the scores rank the classes the wrong way round.
    """
    from sklearn.linear_model import LogisticRegression

    num_one, num_zero = int(y_true.sum()), int((1 - y_true).sum())
    goal = np.where(y_true == 1, (num_one + 1) / (num_one + 2), 1 / (num_zero + 2))
    scores = np.tile(log_odds(shares), 2)[:, None]
    # A target between 0 and 1 is a row of each class, weighted.
    both = np.repeat([1, 0], len(y_true))
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    model.fit(scores, both, sample_weight=np.concatenate([goal, 1 - goal]))
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:
        raise StudyError(
            f"Platt scaling has slope {slope:.3g} on the inner predictions: they rank the classes "
            "the wrong way round or not at all; use no calibration"
        )
    return slope, intercept


def _isotonic(y_true: Labels, shares: Numbers, subjects: NDArray[np.object_]) -> tuple[float, ...]:
    from sklearn.isotonic import IsotonicRegression

    num_subjects = len(np.unique(subjects))
    rarer = min(len(np.unique(subjects[y_true == k])) for k in (0, 1))
    if num_subjects < ISOTONIC_SUBJECTS or rarer < ISOTONIC_RARER:
        raise StudyError(
            f"isotonic regression needs {ISOTONIC_SUBJECTS} subjects and {ISOTONIC_RARER} of the "
            f"rarer class, but the inner predictions have {num_subjects} and {rarer}; use platt or "
            "temperature"
        )
    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    model.fit(shares[:, 1], y_true)
    return (*model.X_thresholds_.tolist(), *model.y_thresholds_.tolist())
