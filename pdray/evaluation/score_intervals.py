"""Scores of a predictions table with their intervals over subjects.

Where one network made all rows, an interval is "of this model on new people". Where the networks of
several folds did, each on subjects of its own, it is "of models trained this way" and wider, as far
as ``benchmarks/coverage.py`` shows that it covers; else it is "of these predictions; training not
included", and without a clear signal as wide as if nothing was learnt. Scores that rank rows count
pairs inside one network only: two networks may be shifted against each other.

Axes: N row, S subject, K class.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pdray.evaluation.metrics import Metric, metric_named, predicted, score, undefined_reason
from pdray.evaluation.predictions import probabilities, targets
from pdray.evaluation.settings import Method
from pdray.evaluation.statistics.intervals import (
    LEAST_OF_CLASS,
    LEAST_SUBJECTS,
    TOO_FEW,
    Interval,
    Sides,
    Transform,
    Truth,
    exact_share,
    jackknife_se,
    noise_share,
    t_interval,
    too_few,
    used_classes,
    widening,
    without_interval,
)
from pdray.evaluation.uncertainty import (
    COUNTED,
    RANKING,
    confusions,
    counted_scores,
    subject_bootstrap,
    weighted_scores,
)

Numbers = NDArray[np.float64]
Integers = NDArray[np.int64]

ONE_SUBJECT = (
    "each network scored one subject, and ranks of different networks do not compare: pooled, they "
    "score pure noise below one half, since the class that is left out is rarer in training"
)
"""Why scores that rank rows are undefined where one subject is left out at a time."""
_NETWORK = ("trial", "outer_fold", "fold", "seed", "repeat")
_RUN = ("seed", "repeat")
# Numbers that a model is taken to add up (D of noise_share). Scores of a predicted class also carry
# the noise of its threshold. Chosen by benchmarks/coverage.py, see docs/results/intervals.md.
_NUMBERS_RANKING, _NUMBERS = 5, 20
# Of pooled folds, these need so many subjects, and a model that ranks better than chance by two
# standard errors (sqrt(2) wider than those of the jackknife if there is nothing to learn).
_NEED_SIGNAL = {"mcc", "balanced_accuracy", "f1_macro", "precision"}
_LEAST_PROCEDURE, _LEAST_SIGNAL = 40, 2 * widening(1)
# Too often short of the truth of pooled folds: always "of these predictions".
_NEVER_PROCEDURE = {"mse"}
# Of pooled folds and fewer subjects, covers less than 93%: no interval.
_NEED_MANY = {"auprc"}
_CHUNK = 256  # deleted subjects at once


@dataclass(frozen=True)
class Rows:
    """Rows of a predictions table as arrays.

    Attributes:
        subject: (N,) number of the subject, 0..S-1.
        y_true: (N,) true class.
        probability: (N, K) class probabilities.
        network: (N,) number of the network that made the row.
        is_apart: Whether each subject was scored by one network only, in each run.
        num_runs: Runs, which differ in seed or repeat and score all subjects.
        run: (N,) number of the run; a score is then the mean over the runs. None: rows of all runs
            are scored together.
    """

    subject: Integers
    y_true: Integers
    probability: Numbers
    network: Integers
    is_apart: bool
    num_runs: int = 1
    run: Integers | None = None

    @classmethod
    def of(cls, table: pd.DataFrame, *, mean_of_runs: bool = False) -> "Rows":
        """Return the arrays of a table.

        Args:
            table: As :func:`score_interval` takes it.
            mean_of_runs: Whether a score is the mean over runs (seeds or repeats), each of which
                scored every subject.
        """
        named = [name for name in _NETWORK if name in table]
        runs = [name for name in _RUN if name in table]
        network: Integers = np.zeros(len(table), dtype=np.int64)
        is_apart, num_runs = True, 1
        if named and len(table):
            network = np.asarray(table.groupby(named).ngroup(), dtype=np.int64)
            of_subject = table.assign(network=network).groupby(["subject_id", *runs])["network"]
            is_apart = bool((of_subject.nunique() == 1).all())
            num_runs = len(table[runs].drop_duplicates()) if runs else 1
        subject = np.unique(table["subject_id"].to_numpy(), return_inverse=True)[1]
        return cls(
            subject=subject.astype(np.int64),
            y_true=targets(table),
            probability=probabilities(table),
            network=network,
            is_apart=is_apart,
            num_runs=num_runs,
            run=np.asarray(table.groupby(runs).ngroup(), np.int64)
            if mean_of_runs and num_runs > 1
            else None,
        )

    @property
    def num_subjects(self) -> int:
        """S."""
        return int(self.subject.max(initial=-1)) + 1

    @cached_property
    def num_networks(self) -> int:
        """Networks that made the rows."""
        return len(np.unique(self.network))

    def subjects_of(self, classes: Integers) -> dict[int, int]:
        """Return the number of subjects with a row of each class of 0..K-1."""
        count = self.probability.shape[1]
        return {k: len(np.unique(self.subject[classes == k])) for k in range(count)}

    @cached_property
    def leaves_one_out(self) -> bool:
        """Whether each of several networks scored one subject, so that it ranks no two of them."""
        if self.num_networks == 1:
            return False
        pairs = np.unique(np.stack([self.network, self.subject]), axis=1)
        return len(pairs[0]) == self.num_networks

    @cached_property
    def parts(self) -> "list[Rows]":
        """The rows of each run; the subjects keep their numbers."""
        assert self.run is not None, "they are asked for where runs are apart"
        return [
            replace(self, subject=self.subject[some], y_true=self.y_true[some],
                    probability=self.probability[some], network=self.network[some], num_runs=1,
                    run=None)
            for some in (self.run == one for one in np.unique(self.run))
        ]  # fmt: skip

    def value(self, name: str) -> float:
        """Return a score of all rows, or its mean over the runs; nan if undefined."""
        if self.run is not None:
            return float(np.mean([part.value(name) for part in self.parts]))
        if name in RANKING and self.leaves_one_out:
            return float("nan")
        if name not in RANKING or self.num_networks == 1:
            return score(name, self.y_true, self.probability)
        return float(self._weighted(name, np.ones((1, len(self.y_true))))[0])

    def without(self, name: str) -> Numbers:
        """Return the (S,) scores without each subject; nan where undefined."""
        if self.run is not None:
            found: Numbers = np.mean([part.without(name) for part in self.parts], axis=0)
            return found
        if name in COUNTED:
            return counted_scores(name, self.counts.sum(axis=0) - self.counts)
        return _without(self.subject, lambda weights: self._weighted(name, weights))

    @cached_property
    def counts(self) -> Numbers:
        """(S, K, K) rows of each true and predicted class, of each subject."""
        of_subject = np.eye(self.num_subjects)[:, self.subject]
        return confusions(self.y_true, self.probability, of_subject)

    def _weighted(self, name: str, weights: Numbers) -> Numbers:
        network = self.network if self.num_networks > 1 else None
        return weighted_scores(name, self.y_true, self.probability, weights, network)

    @cached_property
    def ranking(self) -> tuple[float, Numbers]:
        """AUROC of pairs inside one network, and the same without each subject."""
        return self.value("auroc"), self.without("auroc")


def score_interval(
    table: pd.DataFrame,
    metric: str,
    *,
    num_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    method: Method = "transformed",
) -> Interval:
    """Compute a score and its interval over subjects.

    Args:
        table: One row per unit that is scored, such as the result of
            :func:`~pdray.evaluation.predictions.by_recording`: ``subject_id``, ``target``,
            ``probability_0..K-1`` and, where there are several networks, ``outer_fold``, ``fold``,
            ``repeat``, ``seed`` and ``trial``.
        metric: "mcc" or "test/mcc".
        num_resamples: Resamples of the percentile interval.
        level: Share of cohorts whose interval is to contain the truth, 0..1.
        seed: Seed of the percentile interval.
        method: "transformed", or "percentile" as earlier versions did: percentiles of resampled
            scores, which are too narrow for few subjects.

    Returns:
        The score, with its interval or the reason why there is none.

    Raises:
        SettingsError: If there is no such metric.
    """
    rows = Rows.of(table)
    if method == "percentile" and table["subject_id"].nunique() > 1:
        found = subject_bootstrap(
            table, metric, num_resamples=num_resamples, level=level, seed=seed
        )
        # It is not widened for the training of several networks.
        return found if rows.num_networks == 1 else replace(found, truth="predictions")
    metric_named(metric)
    return rows_interval(metric.rpartition("/")[2], rows, level=level)


def rows_interval(name: str, rows: Rows, *, level: float = 0.95) -> Interval:
    """Compute a score and its interval from arrays.

    Args:
        name: A metric.
        rows: One row per unit that is scored.
        level: Share of cohorts whose interval is to contain the truth, 0..1.
    """
    one = metric_named(name)
    value, num_subjects = rows.value(name), rows.num_subjects
    undefined = undefined_reason(name, rows.y_true, rows.probability)
    if undefined or np.isnan(value):
        reason = undefined or "no fold has two rows to compare"
        if not undefined and rows.leaves_one_out:
            reason = ONE_SUBJECT
        return without_interval(value, num_subjects, level, f"the score is undefined: {reason}")
    truth, factor = _truth(name, rows)
    subjects_of_class = rows.subjects_of(rows.y_true)
    reason = too_few(subjects_of_class, num_subjects, one.classes)
    if name in _NEED_MANY and rows.num_networks > 1 and num_subjects < _LEAST_PROCEDURE:
        reason = f"{TOO_FEW}{num_subjects}, {_LEAST_PROCEDURE} are needed for several models"
    if not reason:
        used = used_classes(tuple(subjects_of_class), one.classes)
        fewest = min([subjects_of_class[k] for k in used], default=num_subjects)
        found = _at_end(value, fewest, _ends(name, one, rows), level)
        if found is not None:
            low, high, sides = found
            return Interval(value, low, high, num_subjects, 0, 0, level, sides=sides, truth=truth)
        without = rows.without(name)
        reason = _degenerate(without)
    if reason:
        return without_interval(value, num_subjects, level, reason, truth)
    low, high = t_interval(value, without, level=level, transform=one.transform, factor=factor)
    return Interval(value, low, high, num_subjects, 0, 0, level, truth=truth)


def interval_of(
    subject_ids: ArrayLike,
    value: float,
    weighted: Callable[[Numbers], Numbers],
    *,
    level: float = 0.95,
    transform: Transform = "none",
    factor: float = 1.0,
) -> Interval:
    """Return the interval of any number of at least :data:`LEAST_SUBJECTS` subjects.

    Args:
        subject_ids: (N,) subject of each row.
        value: The number, of all rows.
        weighted: Computes (R,) numbers, nan where undefined, from (R, N) float: how often each row
            counts, 0 or 1.
        level: Share of cohorts whose interval is to contain the truth, 0..1.
        transform: Scale on which the interval is symmetric. A value at the end of its scale has no
            interval.
        factor: Factor of the standard error, see :func:`.statistics.intervals.widening`.
    """
    subject = np.unique(np.asarray(subject_ids), return_inverse=True)[1].astype(np.int64)
    num = int(subject.max(initial=-1)) + 1
    if np.isnan(value):
        return without_interval(value, num, level, "the number is undefined")
    if num < LEAST_SUBJECTS:
        return without_interval(value, num, level, too_few({0: num}, num, "each"))
    without = _without(subject, weighted)
    ends = {"fisher": (-1.0, 1.0), "logit": (0.0, 1.0), "log": (0.0, np.inf)}.get(transform)
    reason = _degenerate(without)
    if ends is not None and not ends[0] < value < ends[1]:
        reason = f"{TOO_FEW}the number is at the end of its scale"
    if reason:
        return without_interval(value, num, level, reason)
    low, high = t_interval(value, without, level=level, transform=transform, factor=factor)
    return Interval(value, low, high, num, 0, 0, level)


def _without(subject: Integers, weighted: Callable[[Numbers], Numbers]) -> Numbers:
    num = int(subject.max(initial=-1)) + 1
    chunks = [np.arange(start, min(start + _CHUNK, num)) for start in range(0, num, _CHUNK)]
    return np.concatenate(
        [weighted((subject != some[:, None]).astype(np.float64)) for some in chunks]
    )


def _degenerate(without: Numbers) -> str:
    """Return why the scores without each subject give no interval; empty if they do."""
    if np.isnan(without).any():
        return f"{TOO_FEW}without one of them the score is undefined"
    if np.ptp(without) <= 1e-12:
        return f"{TOO_FEW}without any one of them the score is the same"
    return ""


def _ends(name: str, one: Metric, rows: Rows) -> tuple[float, float] | None:
    """Return the lowest and the highest possible score."""
    if one.transform == "log":
        last = rows.probability.shape[1] - 1
        farthest = np.where(2 * rows.y_true >= last, 0, last)
        return 0.0, score(name, rows.y_true, np.eye(last + 1)[farthest])
    return {"fisher": (-1.0, 1.0), "logit": (0.0, 1.0)}.get(one.transform)


def _at_end(
    value: float, fewest: int, ends: tuple[float, float] | None, level: float
) -> tuple[float, float, Sides] | None:
    """Return the one-sided exact interval of a score at an end of its range; None elsewhere.

    The bound is that of the share of subjects without an error, among the subjects of the rarest
    class that the score uses, laid on the range of the score.
    """
    if ends is None:
        return None
    bottom, top = ends
    room = (top - bottom) * (1 - exact_share(fewest, level))
    if value >= top - 1e-12:
        return top - room, value, "lower"
    if value <= bottom + 1e-12:
        return value, bottom + room, "upper"
    return None


def _truth(name: str, rows: Rows) -> tuple[Truth, float]:
    """Return what an interval covers, and the factor of its standard error."""
    if rows.num_networks == 1:
        return "model", 1.0
    if not rows.is_apart or name in _NEVER_PROCEDURE:
        return "predictions", 1.0
    auroc, without = rows.ranking
    num_folds = round(rows.num_networks / rows.num_runs)
    if num_folds < 2:
        return "predictions", 1.0
    if np.isnan(auroc) or np.isnan(without).any():
        return "predictions", widening(1)
    if name in RANKING:
        return "procedure", widening(noise_share(auroc, without, num_folds, _NUMBERS_RANKING))
    chosen = rows.subjects_of(predicted(rows.probability))
    several = sum(count >= LEAST_OF_CLASS for count in chosen.values()) >= 2
    seen = auroc - 0.5 >= _LEAST_SIGNAL * jackknife_se(without)
    if not several or (name in _NEED_SIGNAL and not seen):
        # As wide as if nothing was learnt: it must contain chance then (benchmarks/null_cohorts).
        return "predictions", widening(1)
    few = name in _NEED_SIGNAL and rows.num_subjects < _LEAST_PROCEDURE
    factor = widening(noise_share(auroc, without, num_folds, _NUMBERS))
    return "predictions" if few else "procedure", factor
