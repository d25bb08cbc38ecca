"""Tests models that were scored on the same rows; each result is a number with its interval."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pdray.evaluation.metrics import metric_named, predicted, score, undefined_reason
from pdray.evaluation.numbers import Number, scored
from pdray.evaluation.pairing import Paired
from pdray.evaluation.score_intervals import interval_of, score_interval
from pdray.evaluation.settings import CompareConfig
from pdray.evaluation.statistics.clustered import (
    clustered_auroc_test,
    clustered_mcnemar,
    mcnemar,
)
from pdray.evaluation.statistics.intervals import Classes, too_few
from pdray.evaluation.statistics.paired import corrected_t, exchange_test, holm
from pdray.evaluation.uncertainty import weighted_scores

Numbers = NDArray[np.float64]
LEAST_FOR_OBUCHOWSKI = 30
"""Subjects from which the normal distribution is near enough."""
LEAST_REPEATS = 3
_EXACT = 1e-12  # 1 - 0.95 is not 0.05 in binary numbers


@dataclass(frozen=True, kw_only=True)
class Compared(Number):
    """A score of one model, or a test of two.

    ``table`` is "score", "difference" (the primary test, first - second), "no worse" or a secondary
    test; ``group`` is the model or the pair. NaN is a number that does not belong to the test, or
    that ``undefined`` or ``reason`` explain.

    Attributes:
        first: Name of the first model.
        second: Name of the second model; empty of a score.
        statistic: z, chi-squared or t of a secondary test.
        p: Two-sided p.
        p_holm: p of the primary test, adjusted over all ``num_tests`` of them.
        num_tests: Primary tests that have a p.
        num_exchanges: Exchanges of subjects that were counted.
        margin: By how much a model may be worse.
        only_first: Rows that only the first model has right, in a test of right classes.
        only_second: Rows that only the second model has right.
        num_folds: Folds and repetitions of the corrected t.
        num_test: Mean number of test subjects in them.
        num_train: Mean number of training subjects in them.
        verdict: "shown" or "not shown"; empty if it was not tested.
    """

    first: str
    second: str = ""
    statistic: float = math.nan
    p: float = math.nan
    p_holm: float = math.nan
    num_tests: float = math.nan
    num_exchanges: float = math.nan
    margin: float = math.nan
    only_first: float = math.nan
    only_second: float = math.nan
    num_folds: float = math.nan
    num_test: float = math.nan
    num_train: float = math.nan
    verdict: str = ""


def comparison_frame(numbers: Sequence[Compared]) -> pd.DataFrame:
    """Return numbers as a data frame, one row each, with the fields of :class:`Compared`."""
    names = [field.name for field in fields(Compared)]
    return pd.DataFrame([asdict(one) for one in numbers], columns=names)


@dataclass(frozen=True)
class _Pair:
    """Two models on the same rows."""

    paired: Paired
    first: str
    second: str

    @property
    def subjects(self) -> "pd.Series[str]":
        return self.paired.rows["subject_id"]

    @property
    def y_true(self) -> NDArray[np.int64]:
        return self.paired.rows["target"].to_numpy(dtype=np.int64)

    @property
    def shares(self) -> tuple[Numbers, Numbers]:
        return self.paired.shares[self.first], self.paired.shares[self.second]

    def scores(self, metric: str, rows: Any = slice(None)) -> tuple[float, float]:
        """Return the scores of both models on some rows."""
        first, second = (score(metric, self.y_true[rows], one[rows]) for one in self.shares)
        return first, second

    def undefined(self, metric: str) -> str:
        """Return why one of the scores is undefined; empty if both are defined."""
        reasons = (undefined_reason(metric, self.y_true, one) for one in self.shares)
        return next(filter(None, reasons), "")

    def too_few(self, classes: Classes) -> str:
        """Return why there are too few subjects for an interval or p; empty if enough."""
        counts = self.paired.rows.groupby("target")["subject_id"].nunique()
        of_class = {k: int(counts.get(k, 0)) for k in range(self.shares[0].shape[1])}
        return too_few(of_class, self.subjects.nunique(), classes)

    def number(self, table: str, metric: str, **found: Any) -> Compared:
        """Return a number of this pair."""
        has_interval = not math.isnan(found.get("low", math.nan))
        truth = "model" if self.paired.num_groups == 1 else "predictions"
        told = {"truth": truth if has_interval else "", "value": math.nan, **found}
        return Compared(
            table=table, group=f"{self.first} - {self.second}", metric=metric, first=self.first,
            second=self.second, num_subjects=self.subjects.nunique(),
            num_rows=len(self.paired.rows), **told,
        )  # fmt: skip


def comparison_numbers(
    paired: Paired, config: CompareConfig, metrics: Sequence[str]
) -> list[Compared]:
    """Score and test all models.

    Args:
        paired: Their predictions on the same rows.
        config: What is tested.
        metrics: Names such as mcc.

    Returns:
        A score per model and metric; a difference per pair and metric, with its interval, p, and p
        adjusted by Holm over all of them; with a margin, two numbers "no worse" for each
        difference; then the secondary tests.
    """
    scores = [_score(paired, name, metric, config) for metric in metrics for name in paired.shares]
    pairs = [_Pair(paired, a, b) for a, b in combinations(paired.shares, 2)]
    found = [_difference(pair, metric, config) for metric in metrics for pair in pairs]
    adjusted = holm([one.p for one in found])
    count = sum(not math.isnan(p) for p in adjusted)
    differences = [
        replace(one, p_holm=p, num_tests=count, verdict=_verdict(p, config))
        for one, p in zip(found, adjusted, strict=True)
    ]
    margins = [one for difference in differences for one in _margins(difference, config.margin)]
    secondary = [
        one
        for test in dict.fromkeys(config.secondary)
        for metric in (_METRICS[test] or metrics)
        for pair in pairs
        for one in [_SECONDARY[test](pair, metric, config)]
    ]
    return [*scores, *differences, *margins, *secondary]


def _verdict(p: float, config: CompareConfig) -> str:
    if math.isnan(p):
        return ""
    return "shown" if p <= 1 - config.level + _EXACT else "not shown"


def _score(paired: Paired, name: str, metric: str, config: CompareConfig) -> Compared:
    units = paired.table(name)
    found = score_interval(units, metric, level=config.level)
    one = scored(found, units, metric, table="score", group=name, level="recording")
    return Compared(**asdict(one), first=name)


def _difference(pair: _Pair, metric: str, config: CompareConfig) -> Compared:
    """Return the primary test: the difference, its interval, and p by exchanging subjects."""
    undefined = pair.undefined(metric)
    if undefined:
        return pair.number("difference", metric, undefined=undefined)
    network = pair.paired.rows["group"].to_numpy(dtype=np.int64)
    weighted, exchanged = difference_functions(metric, pair.y_true, pair.shares, network)
    value = float(weighted(np.ones((1, len(network))))[0])
    if math.isnan(value):
        return pair.number("difference", metric, undefined="no fold has rows of both classes")
    reason = pair.too_few(metric_named(metric).classes)
    if reason:
        return pair.number("difference", metric, value=value, reason=reason)
    interval = interval_of(pair.subjects, value, weighted, level=config.level)
    test = exchange_test(pair.subjects, value, exchanged, seed=config.seed)
    return pair.number(
        "difference", metric, value=value, low=interval.low, high=interval.high,
        reason=interval.reason, p=test.p, num_exchanges=test.num_exchanges,
    )  # fmt: skip


def difference_functions(
    metric: str,
    y_true: NDArray[np.int64],
    both: tuple[Numbers, Numbers],
    network: NDArray[np.int64],
) -> tuple[Callable[[Numbers], Numbers], Callable[[NDArray[np.bool_]], Numbers]]:
    """Return what computes many differences of two models at once.

    Args:
        metric: Name of the score.
        y_true: (N,) true classes.
        both: (N, K) probabilities of the first and of the second model.
        network: (N,) number of the networks that made a row; scores that rank rows compare those of
            one network only.

    Returns:
        A function from (R, N) weights of the rows, and one from (R, N) bool, whether the two
        predictions of a row are exchanged; both to (R,) differences, nan where undefined.
    """
    several = network if len(np.unique(network)) > 1 else None
    twice = np.tile(y_true, 2), np.concatenate(both)
    several_twice = None if several is None else np.tile(several, 2)

    def weighted(weights: Numbers) -> Numbers:
        of_first, of_second = (
            weighted_scores(metric, y_true, shares, weights, several) for shares in both
        )
        return of_first - of_second

    def exchanged(swaps: NDArray[np.bool_]) -> Numbers:
        stay, swap = (~swaps).astype(np.float64), swaps.astype(np.float64)
        of_first, of_second = (
            weighted_scores(metric, *twice, np.concatenate(weights, axis=1), several_twice)
            for weights in ([stay, swap], [swap, stay])
        )
        return of_first - of_second

    return weighted, exchanged


def _margins(difference: Compared, margin: float | None) -> list[Compared]:
    """Return whether each of two models is no worse than the other by more than the margin."""
    if margin is None:
        return []
    is_better = metric_named(difference.metric).greater_is_better
    found = []
    for turned in (False, True):
        # By how much the first one is better at least; the interval turns round with the models.
        least = difference.low if turned != is_better else -difference.high
        names = (difference.first, difference.second)[:: -1 if turned else 1]
        verdict = "" if math.isnan(least) else "shown" if least > -margin else "not shown"
        found.append(
            replace(
                difference, table="no worse", group=" than ".join(names), first=names[0],
                second=names[1], value=math.nan, low=least, high=math.nan, sides="lower",
                p=math.nan, p_holm=math.nan, num_tests=math.nan, num_exchanges=math.nan,
                margin=margin, verdict=verdict,
            )
        )  # fmt: skip
    return found


def _obuchowski(pair: _Pair, metric: str, config: CompareConfig) -> Compared:
    from scipy.stats import norm

    undefined = _no_obuchowski(pair) or pair.undefined(metric)
    reason = undefined or pair.too_few("each")
    if reason:
        return pair.number("obuchowski", metric, undefined=undefined, reason=reason)
    ranked = [shares[:, 1] for shares in pair.shares]
    test = clustered_auroc_test(pair.subjects, pair.y_true == 1, *ranked)
    value = test.first - test.second
    half = float(norm.ppf((1 + config.level) / 2)) * test.error
    return pair.number(
        "obuchowski", metric, value=value, low=value - half, high=value + half, statistic=test.z,
        p=test.p, verdict=_verdict(test.p, config),
        reason="no variance can be estimated" if math.isnan(test.p) else "",
    )  # fmt: skip


def _no_obuchowski(pair: _Pair) -> str:
    num_subjects, num_classes = pair.subjects.nunique(), pair.shares[0].shape[1]
    if num_classes > 2:
        return f"the test is for two classes, not {num_classes}"
    if pair.paired.num_groups > 1:
        return (
            "the test is for one held-out set: ranks of different networks do not compare, and "
            f"there are {pair.paired.num_groups} networks"
        )
    if num_subjects < LEAST_FOR_OBUCHOWSKI:
        return f"too few subjects for the test: {num_subjects}, {LEAST_FOR_OBUCHOWSKI} are needed"
    return ""


def _mcnemar(test: str, pair: _Pair, metric: str, config: CompareConfig) -> Compared:
    most = int(pair.subjects.value_counts().max())
    undefined = ""
    if test == "mcnemar" and most > 1:
        undefined = (
            f"refused: subjects have up to {most} rows, so the test would reject true null "
            "hypotheses too often; use compare.secondary=[clustered_mcnemar]"
        )
    reason = undefined or pair.too_few("scale")
    if reason:
        return pair.number(test, metric, undefined=undefined, reason=reason)
    right = [predicted(shares) == pair.y_true for shares in pair.shares]
    done = mcnemar(*right) if test == "mcnemar" else clustered_mcnemar(pair.subjects, *right)
    value = (done.only_first - done.only_second) / len(pair.y_true)
    return pair.number(
        test, metric, value=value, statistic=done.statistic, p=done.p,
        verdict=_verdict(done.p, config), only_first=done.only_first, only_second=done.only_second,
    )  # fmt: skip


def _corrected_t(pair: _Pair, metric: str, config: CompareConfig) -> Compared:
    """Return the corrected t test over the groups, which have different test subjects."""
    group = pair.paired.rows["group"].to_numpy()
    num_test = float(pair.subjects.groupby(group).nunique().mean())
    num_train = pair.subjects.nunique() - num_test
    scores = [pair.scores(metric, group == one) for one in np.unique(group)]
    gaps = [first - second for first, second in scores]
    lost = sum(map(math.isnan, gaps))
    undefined = ""
    if len(gaps) < LEAST_REPEATS or num_train == 0:
        undefined = f"the test is for {LEAST_REPEATS} folds or more, with different test subjects"
    elif not pair.paired.same_folds:
        undefined = "the models have different folds"
    elif lost:
        undefined = f"{metric} is undefined in {lost} of {len(gaps)} folds"
    reason = undefined or pair.too_few(metric_named(metric).classes)
    if reason:
        return pair.number("corrected_t", metric, undefined=undefined, reason=reason)
    done = corrected_t(gaps, num_test, num_train, level=config.level)
    return pair.number(
        "corrected_t", metric, num_folds=len(gaps), num_test=num_test, num_train=num_train,
        value=done.mean, low=done.low, high=done.high, truth="procedure",
        statistic=done.t, p=done.p, verdict=_verdict(done.p, config),
        reason="all differences are equal" if math.isnan(done.p) else "",
    )  # fmt: skip


_SECONDARY: dict[str, Callable[[_Pair, str, CompareConfig], Compared]] = {
    "obuchowski": _obuchowski,
    "clustered_mcnemar": partial(_mcnemar, "clustered_mcnemar"),
    "mcnemar": partial(_mcnemar, "mcnemar"),
    "corrected_t": _corrected_t,
}
# The score that a test is of; None: of any.
_METRICS: dict[str, tuple[str, ...] | None] = {
    "obuchowski": ("auroc",),
    "clustered_mcnemar": ("accuracy",),
    "mcnemar": ("accuracy",),
    "corrected_t": None,
}
