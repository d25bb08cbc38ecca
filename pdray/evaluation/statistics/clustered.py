"""Tests of two models for subjects with several rows each: AUROC, and share of right classes.

Axes: N row, S subject.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class AurocTest:
    """Result of the test of two AUROCs.

    Attributes:
        first: AUROC of the first model.
        second: AUROC of the second model.
        error: Standard error of their difference.
        z: Difference / standard error; 0 where the two always rank alike; nan if the variance
            cannot be estimated.
        p: Two-sided p of the normal distribution; 1 and nan likewise.
    """

    first: float
    second: float
    error: float
    z: float
    p: float


def clustered_auroc_test(
    subject_ids: ArrayLike, is_positive: ArrayLike, first: ArrayLike, second: ArrayLike
) -> AurocTest:
    """Test two AUROCs on the same rows, several per subject (Obuchowski 1997, section 3).

    The placement of a positive row is the share of negative rows that rank below it, ties half, and
    vice versa. The variance follows from their sums within subjects. With one row per subject the
    test is that of DeLong, DeLong and Clarke-Pearson 1988.

    Args:
        subject_ids: (N,) subject of each row.
        is_positive: (N,) bool, with rows of both classes.
        first: (N,) numbers by which the first model ranks the rows.
        second: (N,) likewise of the second model.
    """
    from scipy.stats import norm

    positive = np.asarray(is_positive, dtype=bool)
    _, subject = np.unique(np.asarray(subject_ids), return_inverse=True)
    num_subjects, num_positive = int(subject.max()) + 1, int(positive.sum())
    num_negative = len(positive) - num_positive
    areas = []
    of_positive, of_negative = np.zeros(num_subjects), np.zeros(num_subjects)
    for sign, ranked_by in ((1, first), (-1, second)):
        above, below = _placements(positive, np.asarray(ranked_by, dtype=np.float64))
        area = float(above.mean())
        areas.append(area)
        for total, rows, placed in (
            (of_positive, positive, above),
            (of_negative, ~positive, below),
        ):
            total += sign * np.bincount(subject[rows], placed - area, minlength=num_subjects)
    with_positive = len(np.unique(subject[positive]))
    with_negative = len(np.unique(subject[~positive]))
    if min(with_positive, with_negative) < 2:
        return AurocTest(areas[0], areas[1], math.nan, math.nan, math.nan)
    variance = (
        _corrected(with_positive) * (of_positive**2).sum() / num_positive**2
        + _corrected(with_negative) * (of_negative**2).sum() / num_negative**2
        + 2 * _corrected(num_subjects) * (of_positive * of_negative).sum()
        / (num_positive * num_negative)
    )  # fmt: skip
    difference = areas[0] - areas[1]
    if variance <= 1e-20:  # rounding: the two rank alike, or the covariance takes all of it
        z = 0.0 if abs(difference) < 1e-10 else math.nan
        return AurocTest(areas[0], areas[1], 0.0 if z == 0 else math.nan, z, 1.0 if z == 0 else z)
    z = difference / math.sqrt(variance)
    return AurocTest(areas[0], areas[1], math.sqrt(variance), z, 2 * float(norm.sf(abs(z))))


@dataclass(frozen=True)
class McNemarTest:
    """Result of a test of two shares of right classes.

    Attributes:
        only_first: Rows that only the first model has right.
        only_second: Rows that only the second model has right.
        statistic: Chi-squared of one degree of freedom; nan for the exact test.
        p: Two-sided p, 0..1; 1 if no row is right in one model alone.
    """

    only_first: int
    only_second: int
    statistic: float
    p: float


def clustered_mcnemar(
    subject_ids: ArrayLike, first_right: ArrayLike, second_right: ArrayLike
) -> McNemarTest:
    """Test two shares of right classes on the same rows, several per subject (Obuchowski 1998).

    With d the rows of a subject that only the first model has right, less those that only the
    second has right: chi-squared = (S - 1)/S (sum of d)^2 / (sum of d^2), as simplified by Yang,
    Sun and Hardin 2010.

    Args:
        subject_ids: (N,) subject of each row; at least two subjects.
        first_right: (N,) bool, whether the first model has the row right.
        second_right: (N,) likewise of the second model.
    """
    from scipy.stats import chi2

    first, second = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    _, subject = np.unique(np.asarray(subject_ids), return_inverse=True)
    surplus = np.bincount(subject, first.astype(np.float64) - second)
    counts = int((first & ~second).sum()), int((second & ~first).sum())
    squares = float((surplus**2).sum())
    if squares == 0:
        return McNemarTest(*counts, 0.0, 1.0)
    statistic = (len(surplus) - 1) / len(surplus) * float(surplus.sum()) ** 2 / squares
    return McNemarTest(*counts, statistic, float(chi2.sf(statistic, 1)))


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> McNemarTest:
    """Test two shares of right classes on the same rows of independent subjects (McNemar 1947).

    The exact binomial test. It is wrong where a subject has several rows: at six per subject it
    rejects a true null hypothesis three times too often. Use :func:`clustered_mcnemar` there.

    Args:
        first_right: (N,) bool, whether the first model has the row right.
        second_right: (N,) likewise of the second model.
    """
    from statsmodels.stats.contingency_tables import mcnemar as exact

    first, second = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    found = exact([[0, only_first], [only_second, 0]], exact=True)
    return McNemarTest(only_first, only_second, math.nan, float(found.pvalue))


def _placements(positive: NDArray[np.bool_], ranked_by: Numbers) -> tuple[Numbers, Numbers]:
    """Return the share of negative rows below each positive one, and of positive ones above."""
    from scipy.stats import rankdata

    ranks = rankdata(ranked_by)
    below = ranks[positive] - rankdata(ranked_by[positive])
    above = ranks[~positive] - rankdata(ranked_by[~positive])
    num_positive = positive.sum()
    return below / (len(positive) - num_positive), 1 - above / num_positive


def _corrected(count: int) -> float:
    return count / (count - 1)
