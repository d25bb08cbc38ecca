"""Several raters' grades of one recording as shares of the classes.

Raters disagree, and a class that one of three saw is not the class that all three saw. The shares
say so to the loss; what is scored stays the class of the consensus grade.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pdray.data.cohort.manifest import grade_class
from pdray.errors import ManifestError


def rater_shares(
    raters: Sequence[int | None], grade: int | None, cuts: Sequence[int]
) -> NDArray[np.float64]:
    """Return the share of raters that saw each class.

    Every rater who gave a grade has one vote; one who did not (None) has none. The consensus grade
    has no vote beside them: it was made from their grades, so it would count some of them twice.
    It speaks alone, for one class, where nobody else did.

    Args:
        raters: Grade by each rater, None where one did not rate.
        grade: The consensus grade; None where there is none.
        cuts: First grade of each class but the lowest, rising; K-1 of them.

    Returns:
        (K,) from 0 to 1 that sum to 1.

    Raises:
        ManifestError: If nobody gave a grade.
    """
    votes = [vote for vote in raters if vote is not None]
    if not votes and grade is not None:
        votes = [grade]
    if not votes:
        raise ManifestError(
            f"none of {len(raters)} raters gave a grade and there is no consensus grade; a soft "
            "target needs at least one of them"
        )
    counts = np.bincount([grade_class(vote, cuts) for vote in votes], minlength=len(cuts) + 1)
    return counts / len(votes)


def expected_counts(shares: Sequence[NDArray[np.float64]]) -> list[float]:
    """Return how many members each class has when every recording counts by its shares.

    A class with less than one whole vote counts as one member, so that a weight by rarity does not
    grow beyond that of a class seen once; a class that nobody saw keeps 0.

    Args:
        shares: (K,) from 0 to 1 of each recording, at least one.

    Returns:
        K counts.
    """
    totals = np.sum(shares, axis=0)
    counts: list[float] = np.where(totals > 0, np.maximum(totals, 1.0), 0.0).tolist()
    return counts
