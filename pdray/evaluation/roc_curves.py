"""ROC curves of one class against the rest: inside each network, with a band over subjects.

Rows that different networks scored are never ranked together, since two networks may be shifted
against each other. The curve of several networks is the mean of their true positive rates at each
false positive rate (vertical averaging, Fawcett 2006, section 8.1), each weighted by its pairs of
rows. So the area under it is the AUROC that is printed.

The band is the percentile interval of the true positive rate at each false positive rate, by
resampling subjects, each with all of its rows (Platt, Hanley and Yang 2000; Rutter 2000). It covers
single points, not the whole curve. Where the curve is at 1 or 0, resamples do not differ: there the
band reaches to the exact bound of Clopper and Pearson (1934) over subjects of the class.

In 200 simulated cohorts each (8 to 60 subjects of either class, three recordings each, AUROC 0.75
to 0.98) it covered 92 to 100% of the true rates from a false positive rate of 0.1 on. Further left,
with 8 subjects of each class, it covered 84%.

Axes: R resample, N row, G false positive rate of the band, P point of a curve, V distinct value.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdray.evaluation.score_intervals import ONE_SUBJECT, Rows
from pdray.evaluation.statistics.intervals import exact_share, too_few
from pdray.evaluation.uncertainty import by_value

Numbers = NDArray[np.float64]
Points = tuple[Numbers, Numbers]
"""False and true positive rates, both (P,), from (0, 0) to (1, 1)."""

ONE_CLASS = "only one class is present"
_NUM_RATES, _NUM_RESAMPLES, _CHUNK = 51, 1000, 250
_SAME = 1e-9  # rates that are nearer than this are equal


@dataclass(frozen=True)
class RocCurve:
    """A ROC curve.

    Attributes:
        points: Its points.
        area: The area under it, 0..1: the AUROC of pairs inside one network.
        num_networks: Networks with rows of both classes.
        num_left_out: Networks with rows of one class, which have no curve.
    """

    points: Points
    area: float
    num_networks: int
    num_left_out: int


@dataclass(frozen=True)
class RocBand:
    """The band of a curve.

    Attributes:
        rates: (G,) false positive rates, ascending.
        low: (G,) lower ends of the true positive rate.
        high: (G,) upper ends.
    """

    rates: Numbers
    low: Numbers
    high: Numbers


def roc_curve_of(rows: Rows, positive: int) -> RocCurve | str:
    """Return the ROC curve of a class against the rest, or why there is none."""
    if rows.leaves_one_out:
        return ONE_SUBJECT
    curves, pairs, runs = [], [], []
    for run, hits, alarms in _counted(rows, positive, np.ones((1, len(rows.y_true)))):
        if hits[0, -1] and alarms[0, -1]:
            curves.append((alarms[0] / alarms[0, -1], hits[0] / hits[0, -1]))
            pairs.append(hits[0, -1] * alarms[0, -1])
            runs.append(run)
    if not curves:
        return ONE_CLASS if rows.num_networks == 1 else f"in each fold {ONE_CLASS}"
    of_run = np.bincount(runs, pairs)
    weights = [size / of_run[run] for size, run in zip(pairs, runs, strict=True)]
    points = vertical_mean(curves, weights)
    area = float(np.trapezoid(points[1], points[0]))
    return RocCurve(points, area, len(curves), rows.num_networks - len(curves))


def no_band(rows: Rows, positive: int) -> str:
    """Return why the curve of a class has no band; empty if it has one."""
    is_class = (rows.y_true == positive).astype(np.int64)
    counts = {k: len(np.unique(rows.subject[is_class == k])) for k in (1, 0)}
    reason = too_few(counts, rows.num_subjects, "each")
    if rows.probability.shape[1] == 2:
        return reason
    # 0 is the rest here, and 1 the class.
    told = reason.replace("of class 0", "of the other classes")
    return told.replace("of class 1", f"of class {positive}")


def roc_band(
    rows: Rows, positive: int, *, level: float = 0.95, num_resamples: int = _NUM_RESAMPLES
) -> RocBand:
    """Return the band of a curve.

    Args:
        rows: One row per unit; there is a curve, and :func:`no_band` finds nothing.
        positive: The class.
        level: Share of cohorts in which the band is to cover a point, 0..1.
        num_resamples: R, drawn with a fixed seed. Those without rows of both classes in a
            network are left out.
    """
    draws, num = np.random.default_rng(0), rows.num_subjects
    rates = np.linspace(0, 1, _NUM_RATES)
    found = []
    for start in range(0, num_resamples, _CHUNK):
        size = min(_CHUNK, num_resamples - start)
        times = draws.multinomial(num, np.full(num, 1 / num), size=size)
        found.append(_resampled(rows, positive, times[:, rows.subject].astype(np.float64), rates))
    every = np.concatenate(found)
    tail = (1 - level) / 2
    low, high = np.quantile(every[~np.isnan(every[:, 0])], [tail, 1 - tail], axis=0)
    there = _resampled(rows, positive, np.ones((1, len(rows.y_true))), rates)[0]
    exact = exact_share(len(np.unique(rows.subject[rows.y_true == positive])), level)
    low = np.where(there >= 1 - _SAME, np.minimum(low, exact), low)
    high = np.where(there <= _SAME, np.maximum(high, 1 - exact), high)
    return RocBand(rates, np.minimum.accumulate(low[::-1])[::-1], np.maximum.accumulate(high))


def vertical_mean(curves: Sequence[Points], weights: Sequence[float]) -> Points:
    """Return the weighted mean of the true positive rates at each false positive rate.

    Args:
        curves: At least one; straight between two points.
        weights: Weight of each.
    """
    grid = np.unique(np.concatenate([rates for rates, _ in curves]))
    # Values below and above each step; between two points of the grid each curve is straight.
    below = [np.interp(-grid, -rates[::-1], hits[::-1]) for rates, hits in curves]
    above = [np.interp(grid, rates, hits) for rates, hits in curves]
    means = np.average([below, above], axis=1, weights=weights)
    return np.repeat(grid, 2), means.T.ravel()


def _counted(rows: Rows, positive: int, weights: Numbers) -> Iterator[tuple[int, Numbers, Numbers]]:
    """Yield, of each network, its run and (R, V + 1) rows of the class and of the rest.

    Those are counted whose share of the class is at least each value, from none to all.
    """
    is_class, share = rows.y_true == positive, rows.probability[:, positive]
    run = np.zeros_like(rows.network) if rows.run is None else rows.run
    for one in np.unique(rows.network):
        some = np.flatnonzero(rows.network == one)
        counts = by_value(is_class[some], -share[some], weights[:, some])
        hits, alarms = (np.pad(np.cumsum(each, axis=1), ((0, 0), (1, 0))) for each in counts)
        yield int(run[some[0]]), hits, alarms


def _resampled(rows: Rows, positive: int, weights: Numbers, rates: Numbers) -> Numbers:
    """Return (R, G) true positive rates at false positive rates; nan where undefined."""
    num = len(weights)
    sums, sizes = np.zeros((rows.num_runs, num, len(rates))), np.zeros((rows.num_runs, num, 1))
    # One interpolation for all resamples: each has an interval of its own on the line.
    place = 2.0 * np.arange(num)[:, None]
    for run, hits, alarms in _counted(rows, positive, weights):
        pairs = hits[:, -1:] * alarms[:, -1:]
        from_rest = alarms / np.maximum(alarms[:, -1:], 1) + place
        from_class = hits / np.maximum(hits[:, -1:], 1)
        at = np.interp(rates + place + _SAME, from_rest.ravel(), from_class.ravel())
        sums[run] += pairs * at
        sizes[run] += pairs
    with np.errstate(invalid="ignore"):
        means: Numbers = (sums / sizes).mean(axis=0)
    return means
