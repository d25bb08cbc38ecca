"""Agreement of raters, and of a model with raters: ICC(A,1), weighted kappa, distance of grades.

A rater is never compared with a consensus that contains the rater's own grade: the target of rater
r is the mean of the *other* raters, and the model is compared with the same target on the same
rows.

Grades are numbers on the scale of the item, so that a grade which nobody gave does not move the
others together. Each score is computed for many resamples at once from the number of times that
each of them has a row.

Axes: W resample, N row, R rater.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]
ICC = "ICC(A,1), two-way, absolute agreement, single rating (McGraw and Wong 1996)"


@dataclass(frozen=True)
class Icc:
    """Intraclass correlation of raters.

    Attributes:
        value: At most 1; nan if undefined.
        num_raters: Raters.
        num_complete: Rows with a grade by every rater; only they are counted.
        num_incomplete: Rows that lack a grade and are left out.
        undefined: Why there is no value; empty if there is one.
        formula: Name and source of the formula.
    """

    value: float
    num_raters: int
    num_complete: int
    num_incomplete: int
    undefined: str
    formula: str = ICC


@dataclass(frozen=True, eq=False)
class Target:
    """Rows on which one rater, and the model, are compared with the other raters.

    Attributes:
        rater: Number of the rater who is left out, from 0.
        rows: (M,) numbers of the rows with a grade by this rater and by another one.
        target: (M,) mean grade of the other raters.
        grade: (M,) grade by the rater who is left out.
    """

    rater: int
    rows: NDArray[np.int64]
    target: Numbers
    grade: Numbers


def icc_a1(ratings: ArrayLike) -> Icc:
    """Return ICC(A,1) of the rows with a grade by every rater.

    Args:
        ratings: (N, R) grades; nan where a rater gave none.

    Returns:
        The correlation, or the reason why it is undefined.
    """
    values = np.asarray(ratings, dtype=np.float64)
    complete = values[~np.isnan(values).any(axis=1)]
    counts = (values.shape[1], len(complete), len(values) - len(complete))
    undefined = ""
    if values.shape[1] < 2:
        undefined = f"{values.shape[1]} rater; two are needed"
    elif len(complete) < 2:
        undefined = f"rows with a grade by every rater: {len(complete)}; two are needed"
    elif np.ptp(complete) == 0:
        undefined = f"all grades are {complete[0, 0]:g}"
    if undefined:
        return Icc(float("nan"), *counts, undefined)
    return Icc(float(weighted_icc(complete, np.ones((1, len(complete))))[0]), *counts, "")


def weighted_icc(ratings: Numbers, weights: Numbers) -> Numbers:
    """Return ICC(A,1) of many resamples, from mean squares (McGraw and Wong 1996, table 4).

    Args:
        ratings: (N, R) grades, none of them nan, R of at least 2.
        weights: (W, N) number of times that a resample has a row.

    Returns:
        (W,) correlations; nan where all grades are equal or there are fewer than two rows.
    """
    num_raters = ratings.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        num_rows = weights.sum(axis=1)
        of_rater = weights @ ratings / num_rows[:, None]
        mean = of_rater.mean(axis=1)
        total = _sum_of_squares(weights, ratings, mean[:, None, None]).sum(axis=1)
        means = ratings.mean(axis=1, keepdims=True)
        between_rows = num_raters * _sum_of_squares(weights, means, mean[:, None, None])[:, 0]
        between_raters = num_rows * ((of_rater - mean[:, None]) ** 2).sum(axis=1)
        rest = (total - between_rows - between_raters).clip(0)  # rounding may leave less than 0
        rows = between_rows / (num_rows - 1)
        raters = between_raters / (num_raters - 1)
        error = rest / ((num_rows - 1) * (num_raters - 1))
        spread = rows + (num_raters - 1) * error + num_raters / num_rows * (raters - error)
        icc: Numbers = np.where(spread > 1e-12, (rows - error) / spread, np.nan)
    return icc


def _sum_of_squares(weights: Numbers, values: Numbers, center: Numbers) -> Numbers:
    """Return (W, C) weighted sums of (values - center)^2 over the rows."""
    squares: Numbers = np.einsum("wn,wnc->wc", weights, (values[None] - center) ** 2)
    return squares


def kappa(first: Numbers, second: Numbers, weights: Numbers) -> Numbers:
    """Return Cohen's kappa with quadratic weights (Cohen 1968) of numbers on one scale.

    It is 1 - mean (x - y)^2 / mean over all pairs of rows of (x - y)^2. For grades it equals the
    weighted kappa of the table of the whole scale, whichever grades occur; means of grades need not
    be rounded for it.

    Args:
        first: (N,) numbers.
        second: (N,) numbers.
        weights: (W, N) number of times that a resample has a row.

    Returns:
        (W,) kappa: 0 where one side is constant; nan where both are the same constant.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        share = weights / weights.sum(axis=1, keepdims=True)
        x, y = share @ first, share @ second
        spread_x, spread_y = share @ first**2 - x**2, share @ second**2 - y**2
        found = share @ (first - second) ** 2
        by_chance = spread_x + spread_y + (x - y) ** 2
        value: Numbers = np.where(by_chance > 1e-12, 1 - found / by_chance, np.nan)
    return value


def _mean_of(
    values: Callable[[Numbers], Numbers],
) -> Callable[[Numbers, Numbers, Numbers], Numbers]:
    """Return the weighted mean of a function of the distance of two grades."""

    def mean(first: Numbers, second: Numbers, weights: Numbers) -> Numbers:
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Numbers = weights @ values(np.abs(first - second)) / weights.sum(axis=1)
        return found

    return mean


CLOSENESS: Mapping[str, Callable[[Numbers, Numbers, Numbers], Numbers]] = {
    "mae": _mean_of(lambda distance: distance),
    "exact": _mean_of(lambda distance: (distance <= 0.5).astype(np.float64)),
    "within_one": _mean_of(lambda distance: (distance <= 1).astype(np.float64)),
    "kappa": kappa,
}
"""Scores of (N,) grades against (N,) targets with (W, N) weights; "exact" is the share of rows
where no other whole grade is nearer to the target, for a whole target that of equal grades."""


def constant_of(metric: str, target: Numbers, highest: int) -> tuple[int, float]:
    """Return the grade that scores best where every row gets it, and its score.

    It is chosen on the very target, so a score beside it is not flattered.

    Args:
        metric: "mae", "exact" or "within_one".
        target: (N,) grades or means of grades, at least one.
        highest: Highest grade of the scale, from 0.

    Returns:
        The grade (the lower one on a tie) and its score.
    """
    ones = np.ones((1, len(target)))
    found = [
        float(CLOSENESS[metric](np.full(len(target), float(grade)), target, ones)[0])
        for grade in range(highest + 1)
    ]
    best = int(np.argmin(found) if metric == "mae" else np.argmax(found))
    return best, found[best]


def targets_without(ratings: ArrayLike, reference: Collection[int] = ()) -> Iterator[Target]:
    """Yield, for each rater, the mean of the others on the rows that this rater graded.

    Args:
        ratings: (N, R) grades; nan where a rater gave none.
        reference: Raters whose means are the targets, from 0; empty: all raters.

    Yields:
        One target per rater who shares a row with another one.
    """
    values = np.asarray(ratings, dtype=np.float64)
    given = ~np.isnan(values)
    for rater in range(values.shape[1]):
        others = values[:, [one for one in reference or range(values.shape[1]) if one != rater]]
        counts = (~np.isnan(others)).sum(axis=1)
        rows = np.flatnonzero(given[:, rater] & (counts > 0))
        if len(rows):
            mean = np.nansum(others[rows], axis=1) / counts[rows]
            yield Target(rater, rows, mean, values[rows, rater])


def pairs(ratings: ArrayLike) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Yield every two raters, and the rows that both graded; without rows they are left out."""
    given = ~np.isnan(np.asarray(ratings, dtype=np.float64))
    for first in range(given.shape[1]):
        for second in range(first + 1, given.shape[1]):
            rows = np.flatnonzero(given[:, first] & given[:, second])
            if len(rows):
                yield first, second, rows
