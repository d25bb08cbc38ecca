"""Progression: the visits of one SYNTHETIC person rise from grade 0 to a grade of its own."""

from collections.abc import Mapping, Sequence

import numpy as np

Stages = list[list[int]]  # grade by subject and visit


def draw_stages(
    severities: Sequence[float], num_visits: int, shares: Mapping[int, Sequence[float]]
) -> dict[int, Stages]:
    """Return the grade of each visit of each subject.

    The last grade of a subject is given by the rank of its severity, by the shares of the grades
    from 1 on; the visits between are evenly spaced and rounded.

    Args:
        severities: Of each subject, any numbers.
        num_visits: Visits of each subject, at least 2.
        shares: Shares of the grades, by the highest grade of a scale.

    Returns:
        By the highest grade: the grades by subject and visit, never falling.
    """
    rank = np.argsort(np.argsort(severities))
    position = (rank + 0.5) / len(rank)
    passed = np.arange(num_visits) / (num_visits - 1)
    found = {}
    for highest, all_shares in shares.items():
        ill = np.cumsum(all_shares[1:]) / sum(all_shares[1:])
        last = 1 + np.searchsorted(ill[:-1], position)
        found[highest] = np.floor(last[:, None] * passed + 0.5).astype(int).tolist()
    return found
