"""Tests of two models that were scored on the same people: exchanges, Holm, corrected t.

Axes: R exchange, N row, S subject, J repeat.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]
Swaps = NDArray[np.bool_]
MOST_SUBJECTS = 14
"""Up to so many subjects all exchanges are counted: 2^14 = 16,384."""
RANDOM_EXCHANGES = 9_999
_CHUNK = 256  # exchanges at once
_TIE = 1e-9  # scores that differ by rounding only; a score is a sum of at most some million terms


@dataclass(frozen=True)
class ExchangeTest:
    """Result of a test by exchanges.

    Attributes:
        p: Two-sided p, 0..1.
        num_exchanges: Exchanges that were counted, with the observed assignment among them.
        is_complete: Whether these are all exchanges, so that p is exact.
        num_undefined: Exchanges without a defined difference; they count against the null
            hypothesis being refuted, as if their difference were as large as the observed one.
    """

    p: float
    num_exchanges: int
    is_complete: bool
    num_undefined: int


def exchange_test(
    subject_ids: ArrayLike,
    difference: float,
    exchanged: Callable[[Swaps], Numbers],
    *,
    num_exchanges: int = RANDOM_EXCHANGES,
    seed: int = 0,
) -> ExchangeTest:
    """Test whether two models differ, by exchanging their predictions of whole subjects.

    If the models are equally good, it does not matter which of them made which of the two
    predictions of a subject. So all rows of a subject are exchanged together, and p is the share of
    exchanges whose difference is at least as far from 0 as the observed one (Fisher 1935). Above
    :data:`MOST_SUBJECTS` subjects, exchanges are drawn at random, and the observed assignment
    counts as one of them (Phipson and Smyth 2010), so that p is never 0.

    Args:
        subject_ids: (N,) subject of each row.
        difference: The observed difference of the two scores.
        exchanged: Computes (R,) differences, nan where undefined, from (R, N) bool: whether the
            two predictions of a row are exchanged.
        num_exchanges: Random exchanges, if not all are counted.
        seed: Seed of the random exchanges.
    """
    subjects, subject_of_row = np.unique(np.asarray(subject_ids), return_inverse=True)
    is_complete = len(subjects) <= MOST_SUBJECTS
    # To exchange the subjects that stayed, in place of the others, only turns the sign. So the
    # first subject stays, and every exchange stands for two.
    total = 2 ** (len(subjects) - 1) if is_complete else num_exchanges
    draws = np.random.default_rng(seed)
    reached = undefined = 0
    for start in range(0, total, _CHUNK):
        size = min(_CHUNK, total - start)
        if is_complete:
            numbers = np.arange(start, start + size)[:, None]
            swaps = (numbers >> np.arange(len(subjects))) & 1 == 1
        else:
            swaps = draws.random((size, len(subjects))) < 0.5
        found = exchanged(swaps[:, subject_of_row])
        undefined += int(np.isnan(found).sum())
        limit = abs(difference) - _TIE * max(1.0, abs(difference))
        reached += int((~(np.abs(found) < limit)).sum())
    if is_complete:
        return ExchangeTest(reached / total, 2 * total, True, 2 * undefined)
    return ExchangeTest((reached + 1) / (total + 1), total + 1, False, undefined)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p adjusted for several tests (Holm 1979); nan stays nan and is no test."""
    from statsmodels.stats.multitest import multipletests

    given = [p for p in p_values if not math.isnan(p)]
    found = iter(multipletests(given, method="holm")[1].tolist() if given else [])
    return [p if math.isnan(p) else next(found) for p in p_values]


@dataclass(frozen=True)
class CorrectedT:
    """Result of the corrected t test of repeats.

    Attributes:
        mean: Mean difference over the repeats.
        low: Lower end of its interval.
        high: Upper end.
        t: Its t; nan if all differences are equal.
        degrees: Degrees of freedom, J - 1.
        p: Two-sided p; nan likewise.
    """

    mean: float
    low: float
    high: float
    t: float
    degrees: int
    p: float


def corrected_t(
    differences: Sequence[float], num_test: float, num_train: float, *, level: float = 0.95
) -> CorrectedT:
    """Test the mean difference over repeated folds (Nadeau and Bengio 2003, eq. 20 and 21).

    Repeats share most of their training subjects, so their differences are not independent. The
    variance of the mean is (1/J + num_test/num_train) s^2 in place of s^2/J.

    Args:
        differences: J differences, one per fold and repetition; at least two.
        num_test: Subjects in the test set of a repeat, mean over the repeats.
        num_train: Subjects in its training set, likewise.
        level: Level of the interval, 0..1.
    """
    from scipy.stats import t as student

    values = np.asarray(differences, dtype=np.float64)
    degrees, mean = len(values) - 1, float(values.mean())
    error = math.sqrt((1 / len(values) + num_test / num_train) * values.var(ddof=1))
    if error < _TIE * max(1.0, abs(mean)):
        return CorrectedT(mean, math.nan, math.nan, math.nan, degrees, math.nan)
    half = error * float(student.ppf((1 + level) / 2, degrees))
    p = 2 * float(student.sf(abs(mean / error), degrees))
    return CorrectedT(mean, mean - half, mean + half, mean / error, degrees, p)
