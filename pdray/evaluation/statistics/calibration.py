"""Calibration of probabilities: recalibration, reliability, and the error that chance alone makes.

All functions are about one event and its probability. For two classes the event is class 1. Classes
are ordered, so for K > 2 each step of the scale is an event of its own, "class k or higher", whose
probability is the sum of those of the classes (:func:`events`). The probability of the predicted
class alone would not say in which direction grades are wrong.

Axes: W resample, N row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
NUM_BINS = 10
LEAST_SUBJECTS = 40
"""Subjects from which on a reliability diagram is drawn."""
_STEPS = 50


@dataclass(frozen=True)
class Event:
    """An event that a model gives a probability.

    Attributes:
        name: Such as "class 1", or "class 2 or higher".
        happened: (N,) whether the true class is of the event.
        share: (N,) its probability, 0..1.
    """

    name: str
    happened: Flags
    share: Numbers


@dataclass(frozen=True)
class Bin:
    """Rows of a reliability diagram whose probabilities are alike.

    Attributes:
        low: Lower end of the probabilities; it belongs to the bin.
        high: Upper end; it belongs to the next bin, but 1 to the last.
        num_rows: Rows.
        num_subjects: Subjects of the rows.
        mean_share: Mean probability of the event.
        observed: Share of the rows where it happened.
        chance: 2.5% and 97.5% of that share for a model whose probabilities are right (Brocker and
            Smith 2007), with outcomes of one subject as alike as possible.
    """

    low: float
    high: float
    num_rows: int
    num_subjects: int
    mean_share: float
    observed: float
    chance: tuple[float, float]


def events(y_true: NDArray[np.int64], probability: Numbers) -> Iterator[Event]:
    """Yield the events of K classes: class 1 for K = 2, else class k or higher for k = 1..K-1.

    Args:
        y_true: (N,) true classes.
        probability: (N, K) probabilities.
    """
    num_classes = probability.shape[1]
    for k in range(1, num_classes):
        name = f"class {k}" if k == num_classes - 1 else f"class {k} or higher"
        yield Event(name, y_true >= k, probability[:, k:].sum(axis=1).clip(0, 1))


def undefined_slope(event: Event) -> str:
    """Return why the calibration slope is undefined; empty if it is defined."""
    why = undefined_intercept(event)
    if why:
        return why
    yes, no = event.share[event.happened], event.share[~event.happened]
    if np.ptp(event.share) == 0:
        return f"all probabilities of {event.name} are {event.share[0]:.3g}"
    if yes.min() >= no.max() or yes.max() <= no.min():
        return f"the probabilities of {event.name} separate the rows perfectly; no slope is finite"
    return ""


def undefined_intercept(event: Event) -> str:
    """Return why the calibration intercept is undefined; empty if it is defined."""
    if not len(event.share):
        return "there are no rows"
    if event.happened.all() or not event.happened.any():
        return f"{event.name} is the class of {'every' if event.happened.all() else 'no'} row"
    certain = int(((event.share == 0) | (event.share == 1)).sum())
    if certain:
        return f"rows with a probability of 0 or 1, whose logit is infinite: {certain}"
    return ""


def intercepts(event: Event, weights: Numbers) -> Numbers:
    """Return the calibration intercept (in the large): a of logit P = a + logit p.

    0 is right on average; above 0, the event is more frequent than the model says (Cox 1958; Van
    Calster et al. 2019). It is the maximum of the likelihood, by Newton's method.

    Args:
        event: The event; :func:`undefined_intercept` finds nothing.
        weights: (W, N) number of times that a resample has a row.

    Returns:
        (W,) intercepts, in logits; nan where a resample has one class only.
    """
    found = _newton(event, weights, with_slope=False)[:, 0]
    happened, total = weights @ event.happened, weights.sum(axis=1)
    return np.where((happened > 0) & (happened < total), found, np.nan)


def gaps(event: Event, weights: Numbers) -> Numbers:
    """Return calibration in the large as a difference: observed minus expected share of the event.

    0 is right on average; above 0, the event is more frequent than the model says (Steyerberg et
    al. 2010, Epidemiology 21:128; Van Calster et al. 2019).

    Args:
        event: The event, with at least one row.
        weights: (W, N) number of times that a resample has a row.

    Returns:
        (W,) differences, -1..1.
    """
    found: Numbers = (weights @ (event.happened - event.share)) / weights.sum(axis=1)
    return found


def slopes(event: Event, weights: Numbers) -> Numbers:
    """Return the calibration slope: b of logit P = a + b logit p (Cox 1958).

    1 is right; below 1, probabilities are too extreme.

    Args:
        event: The event; :func:`undefined_slope` finds nothing.
        weights: (W, N) number of times that a resample has a row.

    Returns:
        (W,) slopes; nan where the probabilities of a resample separate its rows.
    """
    found = _newton(event, weights, with_slope=True)[:, 1]
    (low_yes, high_yes), (low_no, high_no) = (
        _ends(event.share, (weights > 0) & rows) for rows in (event.happened, ~event.happened)
    )
    return np.where((low_yes < high_no) & (low_no < high_yes), found, np.nan)


def _ends(share: Numbers, counted: Flags) -> tuple[Numbers, Numbers]:
    """Return the (W,) lowest and highest probability of the rows that are counted."""
    low = np.where(counted, share, np.inf).min(axis=1)
    return low, np.where(counted, share, -np.inf).max(axis=1)


def _newton(event: Event, weights: Numbers, *, with_slope: bool) -> Numbers:
    """Return (W, 1 or 2) coefficients of a logistic regression on the logit, fitted W times."""
    logit = np.log(event.share / (1 - event.share))
    columns = np.stack([np.ones_like(logit), logit], axis=1)[:, : 1 + with_slope]
    offset = np.zeros_like(logit) if with_slope else logit
    found = np.zeros((len(weights), columns.shape[1]))
    moved = np.full(len(weights), np.inf)
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            share = 1 / (1 + np.exp(-(offset + found @ columns.T)))
            slope = (weights * (event.happened - share)) @ columns
            curve = np.einsum("wn,ni,nj->wij", weights * share * (1 - share), columns, columns)
            curve += 1e-12 * np.eye(columns.shape[1])  # separated rows; their result is dropped
            step = np.linalg.solve(curve, slope[..., None])[..., 0].clip(-2, 2)
            found, moved = found + step, np.abs(step).max(axis=1)
            if not (moved > 1e-10).any():
                break
    found[~(moved < 1e-6)] = np.nan  # it did not converge
    return found


def calibration_error(event: Event, *, num_bins: int = NUM_BINS) -> float:
    """Return the expected calibration error: mean |observed - mean probability| over bins.

    Bins of equal width are weighted by their rows (Naeini, Cooper and Hauskrecht 2015). It is above
    0 by chance alone, so it is read only beside :func:`error_of_perfect`.

    Args:
        event: The event, with at least one row.
        num_bins: Bins of 0..1.

    Returns:
        0..1.
    """
    return float(_errors(event.share, event.happened[None], num_bins)[0])


def error_of_perfect(
    event: Event,
    subject_ids: ArrayLike | None = None,
    *,
    num_bins: int = NUM_BINS,
    num_draws: int = 2000,
    seed: int = 0,
) -> float:
    """Return the mean calibration error of a model whose probabilities are right.

    Outcomes are drawn from the event's own probabilities. With ten bins and evenly spread
    probabilities it is about 0.23 of 16 rows and 0.10 of 100.

    Args:
        event: The event, with at least one row.
        subject_ids: (N,) subject of each row: outcomes of one subject are drawn as alike as their
            probabilities allow. None: independent rows. The truth of several rows per subject lies
            between.
        num_bins: Bins of 0..1.
        num_draws: Simulated cohorts.
        seed: Seed of the draws.

    Returns:
        0..1.
    """
    units = np.arange(len(event.share)) if subject_ids is None else np.asarray(subject_ids)
    happened = _outcomes(event.share, units, num_draws, seed)
    return float(_errors(event.share, happened, num_bins).mean())


def _outcomes(share: Numbers, units: NDArray[Any], num_draws: int, seed: int) -> Flags:
    """Draw (D, N) outcomes of a model that is right; rows of one unit share their luck."""
    _, unit = np.unique(units, return_inverse=True)
    luck = np.random.default_rng(seed).random((num_draws, unit.max(initial=-1) + 1))
    return luck[:, unit] < share


def _errors(share: Numbers, happened: Flags, num_bins: int) -> Numbers:
    """Return the calibration error of each row of (D, N) outcomes."""
    in_bin = np.eye(num_bins)[_bin_of(share, num_bins)]
    gaps = np.abs((happened - share) @ in_bin).sum(axis=1)
    errors: Numbers = gaps / len(share)
    return errors


def _bin_of(share: Numbers, num_bins: int) -> NDArray[np.int64]:
    return np.minimum((share * num_bins).astype(np.int64), num_bins - 1)


def reliability(
    event: Event,
    subject_ids: ArrayLike,
    *,
    num_bins: int = NUM_BINS,
    num_draws: int = 2000,
    seed: int = 0,
) -> tuple[tuple[Bin, ...], str]:
    """Return the bins of a reliability diagram, or why there is none.

    Args:
        event: The event.
        subject_ids: (N,) subject of each row.
        num_bins: Bins of 0..1; those without a row are left out.
        num_draws: Simulated cohorts, for what chance alone makes.
        seed: Seed of the draws.

    Returns:
        The bins, and "" or the reason why there are none: below :data:`LEAST_SUBJECTS` subjects a
        bin holds so few people that the diagram shows chance.
    """
    subjects = np.asarray(subject_ids)
    number = len(np.unique(subjects))
    if number < LEAST_SUBJECTS:
        return (), (
            f"too few subjects for a reliability diagram: {number}, {LEAST_SUBJECTS} are needed"
        )
    bins, place = [], _bin_of(event.share, num_bins)
    outcomes = _outcomes(event.share, subjects, num_draws, seed)
    for k in np.unique(place):
        rows = place == k
        low, high = np.quantile(outcomes[:, rows].mean(axis=1), [0.025, 0.975])
        bins.append(
            Bin(
                low=float(k / num_bins),
                high=float((k + 1) / num_bins),
                num_rows=int(rows.sum()),
                num_subjects=len(np.unique(subjects[rows])),
                mean_share=float(event.share[rows].mean()),
                observed=float(event.happened[rows].mean()),
                chance=(float(low), float(high)),
            )
        )
    return tuple(bins), ""
