"""Chooses from which confidence on a prediction is given; less confident ones are withheld.

Confidence is the highest class probability. The threshold is chosen on out-of-fold predictions of
the training subjects, so that the share of wrong predictions among those that are given stays
below a set risk. Thresholds are tested one after the other, from few predictions (a quarter) to
all of them, and the last one before the first failure is taken: so no correction for the number of
tests is needed (fixed sequence testing, as in Learn then Test, Angelopoulos et al. 2021). A
threshold fails if the upper end of the Clopper-Pearson interval of its risk exceeds the set risk
(selection with a guaranteed risk, Geifman and El-Yaniv 2017). UFNet (Islam et al. 2025) withholds
predictions whose interval over passes with dropout contains 0.5, which sets no risk.
Subjects are counted, not recordings; exact for one recording per subject.
"""

from math import ceil, log

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from pdray.errors import FoldsError

ERROR = 0.05
"""Probability that the risk of predictions of the training side's kind exceeds the set risk."""
NONE_GIVEN = 2.0
"""Threshold with which every prediction is withheld."""
_COVERAGES = np.arange(25, 101, 5) / 100


def withheld_below(
    shares: NDArray[np.float64],
    y: NDArray[np.int64],
    subjects: NDArray[np.str_],
    *,
    risk: float,
) -> float:
    """Return the confidence below which predictions are withheld.

    Args:
        shares: (N, K) out-of-fold class probabilities.
        y: (N,) class, 0 to K-1.
        subjects: (N,) subject of each recording.
        risk: Largest share of wrong predictions among those that are given, above 0 and below 1.

    Returns:
        A threshold; :data:`NONE_GIVEN` if even the most confident quarter is too often wrong.

    Raises:
        FoldsError: If there are too few subjects to show so small a risk.
    """
    least = ceil(log(ERROR) / log(1 - risk))
    if (count := len(set(subjects.tolist()))) < least:
        raise FoldsError(
            f"model.abstain_risk {risk} needs {least} training subjects or more, even if none is "
            f"classified wrongly, but there are {count}; raise it, or set it to null"
        )
    confidence, is_wrong = shares.max(axis=1), shares.argmax(axis=1) != y
    falling = np.sort(confidence)[::-1]
    found = NONE_GIVEN
    for coverage in _COVERAGES:
        threshold = float(falling[ceil(coverage * len(y)) - 1])
        given = confidence >= threshold
        people, index = np.unique(subjects[given], return_inverse=True)
        if len(people) < least:
            continue
        wrong = np.bincount(index, is_wrong[given]) / np.bincount(index)
        if _highest_risk(float(wrong.sum()), len(people)) > risk:
            break
        found = threshold
    return found


def _highest_risk(wrong: float, count: int) -> float:
    """Return the upper end of the one-sided Clopper-Pearson interval of wrong / count."""
    whole = ceil(wrong - 1e-9)
    return 1.0 if whole >= count else float(beta.ppf(1 - ERROR, whole + 1, count - whole))
