"""Which class is decided for: the likeliest, or two questions one after the other.

A model that shares the probability of disease among its grades rarely gives one of them more than
health has, so the likeliest class is mostly 0. Asked one after the other - is there disease, and
which grade then? - it names grades as often as it finds disease.
"""

import numpy as np
import pandas as pd

from pdray.evaluation.predictions import num_classes, probabilities


def in_two_steps(table: pd.DataFrame) -> pd.DataFrame:
    """Give the decided class all probability: disease from ``1 - p_0`` = 0.5 on, then its grade.

    The grade is the likeliest of those above 0, the lower one on a tie.

    Args:
        table: Predictions with ``probability_0..K-1``.

    Returns:
        The same rows; scores that rank probabilities, such as AUROC, are those of the decision.
    """
    shares = probabilities(table)
    grade = 1 + shares[:, 1:].argmax(axis=1)
    decided = np.where(1 - shares[:, 0] >= 0.5, grade, 0)
    given = np.eye(num_classes(table))[decided]
    return table.assign(**{f"probability_{k}": given[:, k] for k in range(given.shape[1])})
