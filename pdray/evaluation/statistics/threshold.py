"""The probability of class 1 above which class 1 is predicted.

Axes: N row.
"""

import numpy as np
from numpy.typing import NDArray

from pdray.evaluation.settings import Cut

Labels = NDArray[np.int64]
Numbers = NDArray[np.float64]


def best_threshold(y_true: Labels, share: Numbers, cut: Cut, specificity: float) -> float:
    """Return the threshold that is best on given rows.

    Args:
        y_true: (N,) classes 0 and 1, both present.
        share: (N,) probability of class 1.
        cut: "mcc" or "balanced_accuracy": the highest score; of equal ones, the threshold nearest
            to 0.5. "specificity": the lowest threshold with at least the wanted specificity.
        specificity: The wanted one, 0..1.

    Returns:
        A number half-way between two probabilities, or half the lowest one (all are of class 1), or
        1 (none is).
    """
    values = np.unique(share)
    cuts = np.append(np.append(values[0] / 2, (values[1:] + values[:-1]) / 2), 1.0)
    # At most so many probabilities of each class are no higher than the threshold.
    missed, right = (np.sort(share[y_true == k]).searchsorted(cuts, "right") for k in (1, 0))
    hit, false = (y_true == 1).sum() - missed, (y_true == 0).sum() - right
    if cut == "specificity":
        # 0.9 of 10 is 9, not 9.000000000000001.
        return float(cuts[right / (right + false) >= specificity - 1e-12].min())
    if cut == "mcc":
        product = 1.0 * (hit + false) * (hit + missed) * (right + false) * (right + missed)
        scores = (hit * right - false * missed) / np.sqrt(np.where(product == 0, 1, product))
    else:
        scores = (hit / (hit + missed) + right / (right + false)) / 2
    best = cuts[scores >= scores.max() - 1e-12]
    return float(min(best, key=lambda one: (abs(one - 0.5), one)))
