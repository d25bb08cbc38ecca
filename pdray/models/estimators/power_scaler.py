"""Scaler that makes the distribution of each column more normal.

Source: Yeo and Johnson 2000, A new family of power transformations. Each column is divided by its
standard deviation, so that its unit does not matter; it is transformed with the exponent of largest
likelihood; then it gets mean 0 and standard deviation 1, and values beyond 5 become 5.
scikit-learn's PowerTransformer finds the same exponents one column after the other (a test compares
them); here all columns are searched at once: 116 columns of 489 rows in 0.05 s in place of 0.7 s.
Letters: N row, D column.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

Floats = NDArray[np.float64]
_LOWEST, _HIGHEST = -10.0, 12.0  # exponents; 1 changes nothing
_ROUNDS = 30  # each divides the interval of exponents by 1.6
_GOLDEN = (5**0.5 - 1) / 2
_FARTHEST = 5.0  # [standard deviations]


class PowerScaler(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # no types
    """Yeo-Johnson transformation, standardised and limited; a constant column becomes 0.

    Attributes:
        exponents: (D,) of the columns, from -10 to 12.
    """

    def fit(self, x: Floats, y: object = None) -> Self:
        """Learn the exponents and scales of (N, D) numbers without gaps."""
        del y
        with np.errstate(over="ignore", invalid="ignore"):  # an exponent that overflows is not best
            spread = x.std(axis=0)
            has_unit = np.isfinite(spread) & (spread > 0)
            self.unit = np.where(has_unit, spread, 1.0)
            self.exponents = _likeliest(x / self.unit)
            moved = _moved(x / self.unit, self.exponents)
            self.mean, deviation = moved.mean(axis=0), moved.std(axis=0)
        usable = np.isfinite(deviation) & (deviation > 1e-12 * np.maximum(1, np.abs(self.mean)))
        self.mean = np.where(usable, self.mean, 0.0)
        self.scale = np.where(usable, 1 / np.where(usable, deviation, 1.0), 0.0)
        return self

    def transform(self, x: Floats) -> Floats:
        """Return (N, D) scaled numbers, from -5 to 5."""
        with np.errstate(over="ignore", invalid="ignore"):
            moved = (_moved(x / self.unit, self.exponents) - self.mean) * self.scale
        scaled: Floats = np.nan_to_num(moved, nan=0.0).clip(-_FARTHEST, _FARTHEST)
        return scaled


def _moved(x: Floats, exponents: Floats) -> Floats:
    """Return the transformation of each column by its exponent."""
    size = np.log1p(np.abs(x))
    power = np.where(x >= 0, exponents, 2 - exponents)
    safe = np.where(np.abs(power) < 1e-8, 1.0, power)
    raised = np.where(np.abs(power) < 1e-8, size, np.expm1(safe * size) / safe)
    moved: Floats = np.copysign(raised, x)
    return moved


def _likeliest(x: Floats) -> Floats:
    """Return the (D,) exponents of largest likelihood, by golden-section search."""
    tilt = (np.sign(x) * np.log1p(np.abs(x))).sum(axis=0)

    def worth(exponents: Floats) -> Floats:
        spread = _moved(x, exponents).var(axis=0)
        logs = np.log(spread, where=spread > 0, out=np.full(len(spread), np.inf))
        found = (exponents - 1) * tilt - len(x) / 2 * logs
        return np.where(np.isfinite(found), found, -np.inf)

    low, high = np.full(x.shape[1], _LOWEST), np.full(x.shape[1], _HIGHEST)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = worth(left), worth(right)
    for _ in range(_ROUNDS):
        goes_left = at_left >= at_right
        low, high = np.where(goes_left, low, left), np.where(goes_left, right, high)
        new = np.where(goes_left, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        at_new = worth(new)
        left, right = np.where(goes_left, new, right), np.where(goes_left, left, new)
        at_left, at_right = (
            np.where(goes_left, at_new, at_right),
            np.where(goes_left, at_left, at_new),
        )
    found: Floats = (low + high) / 2
    return found
