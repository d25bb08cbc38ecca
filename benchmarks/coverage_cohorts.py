"""Draws SYNTHETIC cohorts of known truth for benchmarks/coverage.py: predictions, not recordings.

Each subject has 1 to 11 recordings, equally likely. What a recording shows is the sum of a part of
its subject and a part of its own; the intraclass correlation is the share of the subject's
variance. An illness is that of a subject; a grade is that of a recording.

- ``illness``: one number leads by :data:`LEAD` SD in the ill (AUROC 0.86); the model knows the
  prevalence.
- ``grades``: five grades cut the severity; the model's severity correlates with it by
  :data:`AGREEMENT`.
- ``illness_folds``, ``noise_folds``: five numbers, of which one leads (by nothing in
  ``noise_folds``); linear discriminant analysis on the other four of five folds.
- ``grades_folds``: five numbers, of which one follows the severity; ridge regression on the grade.

The truth is exact, by the normal distribution: the score of the model, or the mean score of the
models of the folds, on new people without number.

Axes: B cohort, S subject, M recording, D number, K class.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr
from scipy.stats import norm

Numbers = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_RECORDINGS = 11
LEAD, AGREEMENT, FOLLOWS = 1.5, 0.75, 1.2
NUM_NUMBERS, NUM_FOLDS = 5, 5
_STEPS = {0.5: (-1.0, 0.0, 0.8, 1.6), 0.25: (-0.9, 0.0, 0.6, 1.2)}
_SD = 0.25  # of a grade's probabilities; small, so that the likeliest grade is the nearest
_Z = np.linspace(-6, 6, 601)
_WEIGHT = norm.pdf(_Z) / norm.pdf(_Z).sum()


@dataclass(frozen=True)
class Cell:
    """Circumstances of a cohort.

    Attributes:
        kind: Key of :data:`KINDS`.
        num_subjects: S.
        correlation: Intraclass correlation, 0..1.
        prevalence: Share of ill subjects, or of recordings of grade 2 and more: 1/2 or 1/4.
    """

    kind: str
    num_subjects: int
    correlation: float
    prevalence: float


@dataclass(frozen=True)
class Cohorts:
    """Predictions of many cohorts.

    Attributes:
        is_there: (B, S, M) bool, whether a subject has the recording.
        y_true: (B, S, M) true class.
        probability: (B, S, M, K) class probabilities.
        fold: (B, S) fold of the subject; all 0 if one model scores everybody.
        cells: (B, F, K, K) or (F, K, K) probability of each true and predicted class, by model.
        auroc: (B, F) or (F,) AUROC of the models; None if it is not computed.
    """

    is_there: NDArray[np.bool_]
    y_true: Integers
    probability: Numbers
    fold: Integers
    cells: Numbers
    auroc: Numbers | None


def draw(cell: Cell, size: int, seed: int) -> Cohorts:
    """Draw cohorts.

    Args:
        cell: Their circumstances.
        size: B.
        seed: Seed of the draws.
    """
    return KINDS[cell.kind](_Draws(cell, size, seed))


class _Draws:
    """Random parts of the cohorts of a cell."""

    def __init__(self, cell: Cell, size: int, seed: int) -> None:
        key = [seed, cell.num_subjects, round(100 * cell.correlation), round(4 * cell.prevalence)]
        self.cell, self.size = cell, size
        self.rng = np.random.default_rng([*key, sorted(KINDS).index(cell.kind)])
        self.shape = (size, cell.num_subjects)
        counts = self.rng.integers(1, MOST_RECORDINGS + 1, size=self.shape)
        self.is_there = np.arange(MOST_RECORDINGS) < counts[..., None]

    def mixed(self, *more: int) -> Numbers:
        """Return (B, S, M, *more) of variance 1, correlated within a subject."""
        own = self.rng.standard_normal((*self.shape, 1, *more))
        rest = self.rng.standard_normal((*self.shape, MOST_RECORDINGS, *more))
        share = self.cell.correlation
        mixed: Numbers = np.sqrt(share) * own + np.sqrt(1 - share) * rest
        return mixed

    def ill(self) -> Integers:
        """Return (B, S) whether a subject is ill, 0 or 1."""
        return (self.rng.random(self.shape) < self.cell.prevalence).astype(np.int64)

    def folds(self, order: Numbers) -> Integers:
        """Return (B, S) folds in which subjects of each order are spread evenly."""
        key = self.rng.random(self.shape) + 10 * order
        ranks = key.argsort(axis=1).argsort(axis=1)
        return ranks % NUM_FOLDS

    @property
    def cuts(self) -> Numbers:
        """(4,) severity at which the grades 1, 2, 3 and 4 begin."""
        prevalence = self.cell.prevalence
        cuts: Numbers = norm.isf(prevalence) + np.array(_STEPS[prevalence])
        return cuts


def _illness(draws: _Draws) -> Cohorts:
    ill = draws.ill()
    shown = draws.mixed() + LEAD * ill[..., None]
    odds = np.log(draws.cell.prevalence / (1 - draws.cell.prevalence))
    right = expit(LEAD * shown - LEAD**2 / 2 + odds)
    threshold = LEAD / 2 - odds / LEAD
    rates = ndtr(LEAD - threshold), ndtr(threshold)
    return Cohorts(
        draws.is_there,
        np.broadcast_to(ill[..., None], shown.shape),
        np.stack([1 - right, right], axis=-1),
        np.zeros_like(ill),
        _two_by_two(*rates, draws.cell.prevalence)[None],
        np.array([ndtr(LEAD / np.sqrt(2))]),
    )


def _grades(draws: _Draws) -> Cohorts:
    severity, other = draws.mixed(), draws.mixed()
    found = AGREEMENT * severity + np.sqrt(1 - AGREEMENT**2) * other
    grade = np.searchsorted(draws.cuts, severity)
    # Likeliest where the model's severity lies between the cuts of a grade.
    rank = np.interp(found, draws.cuts, [0.5, 1.5, 2.5, 3.5])
    rank = np.where(found < draws.cuts[0], 0.0, np.where(found > draws.cuts[-1], 4.0, rank))
    spread = np.sqrt(1 - AGREEMENT**2)
    below = ndtr((draws.cuts[:, None] - AGREEMENT * _Z) / spread)
    return Cohorts(
        draws.is_there,
        grade,
        _grade_shares(rank),
        np.zeros(draws.shape, dtype=np.int64),
        _grade_cells(draws.cuts, below)[None],
        None,
    )


def _illness_folds(draws: _Draws, lead: float = LEAD) -> Cohorts:
    ill = draws.ill()
    means = np.zeros(NUM_NUMBERS)
    means[0] = lead
    x = draws.mixed(NUM_NUMBERS) + ill[..., None, None] * means
    there = draws.is_there.astype(np.float64)
    fold = draws.folds(ill.astype(np.float64))
    sums = np.einsum("bsm,bsmd->bsd", there, x)
    squares = np.einsum("bsm,bsmd,bsme->bsde", there, x, x)
    right = np.zeros(x.shape[:3])
    cells, areas = [], []
    for k in range(NUM_FOLDS):
        known = fold != k
        slope, offset = _discriminant(there.sum(axis=2), sums, squares, (ill, known))
        shown = np.einsum("bsmd,bd->bsm", x, slope) + offset[:, None, None]
        right = np.where(known[..., None], right, expit(shown))
        size = np.linalg.norm(slope, axis=1)
        rates = ndtr((slope @ means + offset) / size), ndtr(-offset / size)
        cells.append(_two_by_two(*rates, draws.cell.prevalence))
        areas.append(ndtr(slope @ means / size / np.sqrt(2)))
    y_true = np.broadcast_to(ill[..., None], right.shape)
    shares = np.stack([1 - right, right], axis=-1)
    every, area = np.stack(cells, axis=1), np.stack(areas, axis=1)
    return Cohorts(draws.is_there, y_true, shares, fold, every, area)


def _discriminant(
    num: Numbers, sums: Numbers, squares: Numbers, chosen: tuple[Integers, NDArray[np.bool_]]
) -> tuple[Numbers, Numbers]:
    """Return (B, D) slopes and (B,) offsets of linear discriminant analysis of recordings.

    The covariance is shrunk by a tenth towards the identity.
    """
    ill, known = chosen
    sides = [(known & (ill == k)).astype(np.float64) for k in (0, 1)]
    counts = [np.maximum((side * num).sum(axis=1), 1) for side in sides]
    means = [
        np.einsum("bs,bsd->bd", side, sums) / count[:, None]
        for side, count in zip(sides, counts, strict=True)
    ]
    within = np.einsum("bs,bsde->bde", known.astype(np.float64), squares)
    for mean, count in zip(means, counts, strict=True):
        within -= count[:, None, None] * mean[:, :, None] * mean[:, None, :]
    within /= np.maximum(sum(counts) - 2, 1)[:, None, None]
    shrunk = 0.9 * within + 0.1 * np.eye(sums.shape[2])
    slope = np.linalg.solve(shrunk, (means[1] - means[0])[..., None])[..., 0]
    middle = (slope * (means[0] + means[1])).sum(axis=1) / 2
    return slope, np.log(counts[1] / counts[0]) - middle


def _grades_folds(draws: _Draws) -> Cohorts:
    severity, x = draws.mixed(), draws.mixed(NUM_NUMBERS)
    x[..., 0] += FOLLOWS * severity
    grade = np.searchsorted(draws.cuts, severity)
    there = draws.is_there.astype(np.float64)
    fold = draws.folds((grade * there).sum(axis=2) / there.sum(axis=2))
    full = np.concatenate([np.ones((*x.shape[:3], 1)), x], axis=-1)
    products = np.einsum("bsm,bsmd,bsme->bsde", there, full, full)
    targets = np.einsum("bsm,bsmd,bsm->bsd", there, full, grade.astype(np.float64))
    penalty = np.diag([0.0] + [1.0] * NUM_NUMBERS)
    rank = np.zeros(x.shape[:3])
    cells = []
    for k in range(NUM_FOLDS):
        known = (fold != k).astype(np.float64)
        left = np.einsum("bs,bsde->bde", known, products) + penalty
        weight = np.linalg.solve(left, np.einsum("bs,bsd->bd", known, targets)[..., None])[..., 0]
        shown = np.einsum("bsmd,bd->bsm", full, weight)
        rank = np.where((fold == k)[..., None], shown, rank)
        mean = weight[:, 0, None] + weight[:, 1, None] * FOLLOWS * _Z
        spread = np.linalg.norm(weight[:, 1:], axis=1)[:, None]
        below = np.stack([ndtr((cut - mean) / spread) for cut in (0.5, 1.5, 2.5, 3.5)], axis=1)
        cells.append(_grade_cells(draws.cuts, below))
    return Cohorts(draws.is_there, grade, _grade_shares(rank), fold, np.stack(cells, axis=1), None)


def auprc_of(auroc: Numbers, prevalence: float) -> Numbers:
    """Return the area under precision and recall of scores that are normal in both classes.

    Args:
        auroc: Their AUROC, any shape.
        prevalence: Share of ill people.
    """
    lead = np.sqrt(2) * norm.ppf(auroc)[..., None]
    found = prevalence * ndtr(-_Z)  # share of people who are ill and score above
    wrong = (1 - prevalence) * ndtr(-(_Z + lead))
    area: Numbers = (found / (found + wrong)) @ _WEIGHT
    return area


def _two_by_two(sensitivity: Any, specificity: Any, prevalence: float) -> Numbers:
    """Return (..., 2, 2) probability of each true (row) and predicted class."""
    healthy = np.stack([specificity, 1 - specificity], axis=-1) * (1 - prevalence)
    ill = np.stack([1 - np.asarray(sensitivity), sensitivity], axis=-1) * prevalence
    return np.stack([healthy, ill], axis=-2)


def _grade_shares(rank: Numbers) -> Numbers:
    """Return (..., 5) probabilities of grades around a number of 0..4."""
    ends = ndtr((np.array([0.5, 1.5, 2.5, 3.5]) - rank[..., None]) / _SD)
    full = np.concatenate([np.zeros((*rank.shape, 1)), ends, np.ones((*rank.shape, 1))], axis=-1)
    return np.diff(full, axis=-1)


def _grade_cells(cuts: Numbers, below: Numbers) -> Numbers:
    """Return (..., 5, 5) probability of each true and predicted grade.

    Args:
        cuts: (4,) severity at which the true grades begin.
        below: (..., 4, Z) probability of a predicted grade below 1, 2, 3 and 4 at each severity.
    """
    shape = (*below.shape[:-2], 1, below.shape[-1])
    shares = np.diff(np.concatenate([np.zeros(shape), below, np.ones(shape)], axis=-2), axis=-2)
    grade = np.searchsorted(cuts, _Z)
    return np.stack([shares[..., grade == k] @ _WEIGHT[grade == k] for k in range(5)], axis=-2)


KINDS: dict[str, Callable[[_Draws], Cohorts]] = {
    "illness": _illness,
    "grades": _grades,
    "illness_folds": _illness_folds,
    "noise_folds": lambda draws: _illness_folds(draws, 0.0),
    "grades_folds": _grades_folds,
}
