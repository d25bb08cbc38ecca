"""Distances of two sets of pictures, from features of a network.

- The Frechet distance of two normal distributions with the sets' means and covariances (Dowson and
  Landau 1982; on features of InceptionV3 it is FID, Heusel et al. 2017). The trace of the root of
  the product of both covariances is the nuclear norm of the product of the centred matrices, which
  is exact below full rank too, where a matrix square root loses digits.
- The kernel distance (KID, Binkowski et al. 2018): the unbiased squared maximum mean discrepancy
  with a cubic kernel. Unlike that of the Frechet distance, its expectation does not depend on the
  number of pictures.

Axes: N pictures of one set, M of the other, D features.
"""

import math

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
LEAST = 2  # pictures of a set


def frechet_distance(one: Numbers, other: Numbers) -> float:
    """Return the squared Frechet distance of two sets; 0 for a set and itself.

    With fewer pictures than features it is far above 0 for two sets of one law: compare it with
    that of two sets of real pictures, of the same numbers.

    Args:
        one: (N, D), N at least 2.
        other: (M, D), M at least 2.

    Raises:
        ValueError: If a set is too small, or the numbers of features differ.
    """
    _check(one, other)
    centred = [(x - x.mean(axis=0)) / math.sqrt(len(x) - 1) for x in (one, other)]
    shift = float(((one.mean(axis=0) - other.mean(axis=0)) ** 2).sum())
    spread = sum(float((x**2).sum()) for x in centred)
    joint = float(np.linalg.norm(centred[0] @ centred[1].T, "nuc"))
    return max(0.0, shift + spread - 2.0 * joint)


def kernel_distance(one: Numbers, other: Numbers) -> float:
    """Return the unbiased squared kernel distance of two sets; it may be below 0.

    Args:
        one: (N, D), N at least 2.
        other: (M, D), M at least 2.

    Raises:
        ValueError: As of :func:`frechet_distance`.
    """
    _check(one, other)
    width = one.shape[1]

    def kernel(x: Numbers, y: Numbers) -> Numbers:
        return np.asarray((x @ y.T / width + 1.0) ** 3)

    def among(x: Numbers) -> float:
        values = kernel(x, x)
        return float((values.sum() - np.trace(values)) / (len(x) * (len(x) - 1)))

    return among(one) + among(other) - 2.0 * float(kernel(one, other).mean())


def _check(one: Numbers, other: Numbers) -> None:
    for x in (one, other):
        if x.ndim != 2 or len(x) < LEAST:
            raise ValueError(f"a set needs at least {LEAST} pictures, got an array {x.shape}")
    if one.shape[1] != other.shape[1]:
        raise ValueError(f"{one.shape[1]} features in one set and {other.shape[1]} in the other")
