"""Scores of many weighted or resampled subjects at once, and standard errors of Table V of TSA.

The percentile interval (Efron and Tibshirani 1993, chapter 13) is that of studies that were begun
before ``evaluation.interval``: a resample draws subjects with replacement, each with all of its
rows. For few subjects it is too narrow; ``score_intervals.py`` has the intervals of new studies.
Resamples with an undefined score (see ``metrics.py``) are left out and counted.

Axes: R resample, N row, S subject, K class.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pdray.errors import StudyError
from pdray.evaluation.metrics import OWN, metric_named, predicted, score
from pdray.evaluation.predictions import probabilities, targets
from pdray.evaluation.statistics.intervals import Interval

Numbers = NDArray[np.float64]
_CHUNK = 256  # resamples at once: 256 x 10,000 rows x 8 bytes = 20 MB


def subject_bootstrap(
    table: pd.DataFrame,
    metric: str,
    *,
    num_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Compute a score and its interval by resampling subjects.

    Args:
        table: Rows with ``subject_id``, ``target`` and ``probability_0..K-1``: a predictions table
            or, to weight recordings equally, the result of
            :func:`~pdray.evaluation.predictions.by_recording`.
        metric: "mcc" or "test/mcc".
        num_resamples: Number of resamples.
        level: Share of the resampled scores inside the interval, 0..1.
        seed: Seed of the draws; the same seed draws the same subjects.

    Returns:
        The interval.

    Raises:
        StudyError: If there are fewer than two subjects.
        SettingsError: If there is no such metric.
    """
    metric_named(metric)
    name = metric.rpartition("/")[2]
    y_true, probability = targets(table), probabilities(table)
    num_subjects = table["subject_id"].nunique()
    if num_subjects < 2:
        raise StudyError(
            f"{name} has no interval, because its {len(table)} rows have {num_subjects} subject; "
            "use two subjects or more"
        )
    return percentile_interval(
        table["subject_id"],
        score(name, y_true, probability),
        partial(weighted_scores, name, y_true, probability),
        num_resamples=num_resamples,
        level=level,
        seed=seed,
    )


def percentile_interval(
    subject_ids: ArrayLike,
    value: float,
    resampled: Callable[[Numbers], Numbers],
    *,
    num_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the percentile interval of any score by resampling subjects.

    Args:
        subject_ids: (N,) subject of each row; at least two subjects.
        value: The score of all rows.
        resampled: Computes (R,) scores, nan where undefined, from (R, N) float: how often each of R
            resamples has a row.
        num_resamples: As in :func:`subject_bootstrap`.
        level: As in :func:`subject_bootstrap`.
        seed: As in :func:`subject_bootstrap`.
    """
    subjects, subject_of_row = np.unique(np.asarray(subject_ids), return_inverse=True)
    num_subjects = len(subjects)
    draws = np.random.default_rng(seed)
    shares = np.full(num_subjects, 1 / num_subjects)
    scores = []
    for start in range(0, num_resamples, _CHUNK):
        size = min(_CHUNK, num_resamples - start)
        times = draws.multinomial(num_subjects, shares, size=size)
        weights = times[:, subject_of_row].astype(np.float64)
        scores.append(resampled(weights))
    all_scores = np.concatenate(scores)
    defined = all_scores[~np.isnan(all_scores)]
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(defined, [tail, 100 - tail]) if len(defined) else (np.nan, np.nan)
    return Interval(
        value=value,
        low=float(low),
        high=float(high),
        num_subjects=num_subjects,
        num_undefined=num_resamples - len(defined),
        num_resamples=num_resamples,
        level=level,
    )


def weighted_scores(
    name: str,
    y_true: NDArray[np.int64],
    probability: Numbers,
    weights: Numbers,
    network: NDArray[np.int64] | None = None,
) -> Numbers:
    """Compute one score for many resamples at once.

    Args:
        name: A metric of :data:`~pdray.evaluation.metrics.METRICS`.
        y_true: (N,) int64 true classes.
        probability: (N, K) class probabilities.
        weights: (R, N) float, number of times that a resample has a row: 0, 1, 2, ...
        network: (N,) number of the network that made a row; a metric of :data:`RANKING` then
            compares rows of one network only. None: compare all rows.

    Returns:
        (R,) the result of ``score`` for the repeated rows; nan where it is undefined.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        if name in _FROM_PROBABILITIES:
            return _FROM_PROBABILITIES[name](y_true, probability, weights)
        if name in _RANKED:
            return _one_versus_rest(_RANKED[name], (y_true, probability), weights, network)
        if name in COUNTED:
            return counted_scores(name, confusions(y_true, probability, weights))
    # A plug-in's: nobody knows whether counts are enough for it.
    repeated = (np.repeat(np.arange(len(y_true)), times) for times in weights.astype(np.int64))
    return np.array([score(name, y_true[rows], probability[rows]) for rows in repeated])


def counted_scores(name: str, counts: Numbers) -> Numbers:
    """Compute one score of :data:`COUNTED` from (R, K, K) rows of each true, predicted class."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return COUNTED[name](counts)


def mean_se(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard error (sample SD / sqrt(n)) over folds, as in Table V of TSA.

    Args:
        values: One score per fold, none of them nan.

    Returns:
        Mean and standard error; the latter is nan for fewer than two folds.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.nan
    return mean, float(np.std(values, ddof=1) / math.sqrt(len(values)))


def normal_interval(mean: float, se: float) -> tuple[float, float]:
    """Return mean -+ 1.96 SE, the 95% interval of Table V of TSA."""
    return mean - 1.96 * se, mean + 1.96 * se


def confusions(y_true: NDArray[np.int64], probability: Numbers, weights: Numbers) -> Numbers:
    """Return (R, K, K) counts, true class by predicted class."""
    num_classes = probability.shape[1]
    cells = y_true * num_classes + predicted(probability)
    flat = weights @ np.eye(num_classes * num_classes)[cells]
    reshaped: Numbers = flat.reshape(-1, num_classes, num_classes)
    return reshaped


def _accuracy(counts: Numbers) -> Numbers:
    share: Numbers = np.trace(counts, axis1=1, axis2=2) / counts.sum(axis=(1, 2))
    return share


def _precision(counts: Numbers) -> Numbers:
    hits, trues, preds = _margins(counts)
    if counts.shape[1] == 2:
        return hits[:, 1] / preds[:, 1]
    each = np.where(preds > 0, hits / preds, 0.0)
    return _mean_where(each, (trues > 0) | (preds > 0))


def _recall(counts: Numbers) -> Numbers:
    hits, trues, _ = _margins(counts)
    if counts.shape[1] == 2:
        return hits[:, 1] / trues[:, 1]
    return _mean_where(hits / trues, trues > 0)


def _balanced(counts: Numbers) -> Numbers:
    hits, trues, _ = _margins(counts)
    return np.where(_two_true(trues), _mean_where(hits / trues, trues > 0), np.nan)


def _class_recall(counts: Numbers, of: int) -> Numbers:
    hits, trues, _ = _margins(counts)
    if counts.shape[1] > 2:
        return np.full(len(counts), np.nan)
    return hits[:, of] / trues[:, of]


def _f1_weighted(counts: Numbers) -> Numbers:
    hits, trues, preds = _margins(counts)
    each = np.where(trues > 0, 2 * hits / (trues + preds), 0.0)
    mean: Numbers = (each * trues).sum(axis=1) / trues.sum(axis=1)
    return mean


def _f1_macro(counts: Numbers) -> Numbers:
    hits, trues, preds = _margins(counts)
    return _mean_where(2 * hits / (trues + preds), trues + preds > 0)


def _f1(counts: Numbers) -> Numbers:
    hits, trues, preds = _margins(counts)
    if counts.shape[1] == 2:
        return 2 * hits[:, 1] / (trues + preds)[:, 1]
    return _f1_macro(counts)


def _mean_distance(counts: Numbers, distance: Callable[[Numbers], Any]) -> Numbers:
    """Return the mean of a function of (predicted - true class)."""
    mean: Numbers = (counts * distance(_steps(counts))).sum(axis=(1, 2)) / counts.sum(axis=(1, 2))
    return mean


def _within_one(counts: Numbers) -> Numbers:
    if counts.shape[1] == 2:
        return np.full(len(counts), np.nan)
    return _mean_distance(counts, lambda steps: np.abs(steps) <= 1)


def _steps(counts: Numbers) -> Numbers:
    """Return (K, K) predicted class (column) less true class (row)."""
    classes = np.arange(counts.shape[1], dtype=np.float64)
    return classes - classes[:, None]


def _kappa(counts: Numbers) -> Numbers:
    _, trues, preds = _margins(counts)
    by_chance = trues[:, :, None] * preds[:, None, :] / trues.sum(axis=1)[:, None, None]
    found, expected = (_mean_distance(cells, np.square) for cells in (counts, by_chance))
    return np.where(_two_true(trues), 1 - found / expected, np.nan)


def _two_true(trues: Numbers) -> NDArray[np.bool_]:
    several: NDArray[np.bool_] = (trues > 0).sum(axis=1) > 1
    return several


def _mcc(counts: Numbers) -> Numbers:
    """Return MCC for K classes (Gorodkin 2004, eq. 8); 0 for a constant prediction."""
    hits, trues, preds = _margins(counts)
    total = trues.sum(axis=1)
    covariance = hits.sum(axis=1) * total - (trues * preds).sum(axis=1)
    spread_true = total**2 - (trues**2).sum(axis=1)
    spread_pred = total**2 - (preds**2).sum(axis=1)
    mcc = np.where(spread_pred > 0, covariance / np.sqrt(spread_true * spread_pred), 0.0)
    return np.where(spread_true > 0, mcc, np.nan)


def _one_versus_rest(
    one: Callable[[NDArray[np.bool_], Numbers, Numbers], tuple[Numbers, Numbers]],
    rows: tuple[NDArray[np.int64], Numbers],
    weights: Numbers,
    network: NDArray[np.int64] | None,
) -> Numbers:
    y_true, probability = rows
    found = np.zeros(len(y_true), np.int64) if network is None else network
    parts = [np.flatnonzero(found == one_network) for one_network in np.unique(found)]
    areas = []
    for k in [1] if probability.shape[1] == 2 else range(probability.shape[1]):
        sums = [one(y_true[some] == k, probability[some, k], weights[:, some]) for some in parts]
        area, size = np.sum(sums, axis=0)
        areas.append(area / size)
    each = np.stack(areas, axis=1)
    return _mean_where(each, ~np.isnan(each))


def _one_auroc(
    is_class: NDArray[np.bool_], ranked_by: Numbers, weights: Numbers
) -> tuple[Numbers, Numbers]:
    """Return (class, rest) pairs in the right order, a tie counts one half, and all pairs."""
    of_class, of_rest = by_value(is_class, ranked_by, weights)
    below = np.cumsum(of_rest, axis=1) - of_rest
    won: Numbers = (of_class * (below + of_rest / 2)).sum(axis=1)
    return won, of_class.sum(axis=1) * of_rest.sum(axis=1)


def _one_auprc(
    is_class: NDArray[np.bool_], ranked_by: Numbers, weights: Numbers
) -> tuple[Numbers, Numbers]:
    """Return the sum of the precision at each row of the class, and their number.

    Both are 0 where there is no other row.
    """
    of_class, of_rest = by_value(is_class, -ranked_by, weights)
    hits, alarms = np.cumsum(of_class, axis=1), np.cumsum(of_rest, axis=1)
    precision = np.where(of_class > 0, hits / (hits + alarms), 0.0)
    counts = alarms[:, -1] > 0
    return (precision * of_class).sum(axis=1) * counts, hits[:, -1] * counts


def by_value(
    is_class: NDArray[np.bool_], ranked_by: Numbers, weights: Numbers
) -> tuple[Numbers, Numbers]:
    """Return the rows of the class and of the rest at each distinct value.

    Args:
        is_class: (N,) bool.
        ranked_by: (N,) numbers.
        weights: (R, N) number of times that a resample has a row.

    Returns:
        Two arrays (R, V), one column for each of V distinct values, ascending.
    """
    order = np.argsort(ranked_by)
    _, starts = np.unique(ranked_by[order], return_index=True)
    ordered = weights[:, order]
    of_class = ordered * is_class[order]
    of_rest = ordered - of_class
    if len(starts) < len(order):
        of_class, of_rest = (np.add.reduceat(one, starts, axis=1) for one in (of_class, of_rest))
    return of_class, of_rest


def _brier(y_true: NDArray[np.int64], probability: Numbers, weights: Numbers) -> Numbers:
    num_classes = probability.shape[1]
    squares = ((np.eye(num_classes)[y_true] - probability) ** 2).sum(axis=1)
    mean: Numbers = weights @ squares / weights.sum(axis=1)
    return mean / 2 if num_classes == 2 else mean


def _margins(counts: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return (R, K) right, true and predicted counts per class."""
    hits = np.diagonal(counts, axis1=1, axis2=2)
    return hits, counts.sum(axis=2), counts.sum(axis=1)


def _mean_where(values: Numbers, counted: NDArray[np.bool_]) -> Numbers:
    """Return the (R,) mean over the classes that are counted; nan if none is."""
    means: Numbers = np.where(counted, values, 0.0).sum(axis=1) / counted.sum(axis=1)
    return means


COUNTED: dict[str, Callable[[Numbers], Numbers]] = {
    "accuracy": _accuracy,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "f1_weighted": _f1_weighted,
    "f1_macro": _f1_macro,
    "mcc": _mcc,
    "mse": partial(_mean_distance, distance=np.square),
    "balanced_accuracy": _balanced,
    "sensitivity": partial(_class_recall, of=1),
    "specificity": partial(_class_recall, of=0),
    "kappa": _kappa,
    "mae": partial(_mean_distance, distance=np.abs),
    "within_one": _within_one,
}
"""Metrics that depend on the counts of true and predicted classes alone."""
_FROM_PROBABILITIES: dict[str, Callable[[NDArray[np.int64], Numbers, Numbers], Numbers]] = {
    "brier": _brier,
}
_RANKED = {"auroc": _one_auroc, "auprc": _one_auprc}
RANKING = tuple(_RANKED)
"""Metrics that compare the probabilities of rows with each other."""
assert {*COUNTED, *_FROM_PROBABILITIES, *_RANKED} == set(OWN)
