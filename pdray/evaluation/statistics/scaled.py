"""Calibrated probabilities by the numbers of a calibration; needs NumPy alone.

An exported model has this file whole. ``scaling.py`` says what the calibrations are, and fits them.
Axes: N row, K class.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
_LEAST = 1e-12


def softmax(logits: NDArray[np.floating[Any]]) -> Numbers:
    """Return (N, K) class probabilities of (N, K) logits, in float64."""
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True, initial=-np.inf))
    shares: Numbers = shifted / shifted.sum(axis=1, keepdims=True)
    return shares


def logs_of(shares: Numbers) -> Numbers:
    """Return the logs of probabilities; one of 0 counts as 1e-12."""
    logs: Numbers = np.log(np.maximum(shares, _LEAST))
    return logs


def log_odds(shares: Numbers) -> Numbers:
    """Return (N,) log(p1 / p0) of the probabilities of two classes."""
    logs = logs_of(shares)
    odds: Numbers = logs[:, 1] - logs[:, 0]
    return odds


def scaled(kind: str, numbers: Sequence[float], shares: Numbers) -> Numbers:
    """Return the (N, K) calibrated probabilities of (N, K) probabilities.

    Args:
        kind: "none", "temperature", "platt" or "isotonic".
        numbers: From :func:`pdray.evaluation.statistics.scaling.fit_scaling`.
        shares: (N, K) probabilities.
    """
    if kind == "temperature":
        return softmax(logs_of(shares) / numbers[0])
    if kind == "platt":
        ill = numbers[0] * log_odds(shares) + numbers[1]
        return softmax(np.stack([np.zeros_like(ill), ill], axis=1))
    if kind == "isotonic":
        half = len(numbers) // 2
        ill = np.interp(shares[:, 1], numbers[:half], numbers[half:])
        return np.stack([1 - ill, ill], axis=1)
    return shares
