import math
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from pdray.errors import SettingsError, StudyError
from pdray.evaluation.metrics import METRICS, score
from pdray.evaluation.predictions import probabilities, targets
from pdray.evaluation.uncertainty import (
    mean_se,
    normal_interval,
    subject_bootstrap,
    weighted_scores,
)

TableMaker = Callable[..., pd.DataFrame]


@pytest.mark.parametrize("num_classes", [2, 3, 5])
@pytest.mark.parametrize("name", METRICS)
def test_weights_equal_repeated_rows_scored_one_resample_at_a_time(
    name: str, num_classes: int
) -> None:
    draws = np.random.default_rng(0)
    y_true = draws.integers(0, num_classes, size=25)
    probability = draws.dirichlet(np.ones(num_classes), size=25).round(1) + 1e-3  # with ties
    weights = draws.integers(0, 3, size=(60, 25)) * draws.integers(0, 2, size=(60, 25))
    weights[0] = 0
    weights[1] = y_true == 0  # one class only
    fast = weighted_scores(name, y_true, probability, weights.astype(float))
    for row, value in zip(weights, fast, strict=True):
        taken = np.repeat(np.arange(25), row)
        slow = score(name, y_true[taken], probability[taken])
        assert value == pytest.approx(slow, abs=1e-12, nan_ok=True)


def test_the_interval_is_that_of_a_slow_resampling_of_whole_subjects(
    make_table: TableMaker,
) -> None:
    table = make_table(num_subjects=5, num_recordings=3, seed=4).sample(frac=1, random_state=0)
    interval = subject_bootstrap(table, "val/mcc", num_resamples=300, level=0.6, seed=3)
    y_true, probability = targets(table), probabilities(table)
    rows = [np.flatnonzero(table["subject_id"] == f"s{subject}") for subject in range(5)]
    slow = []
    for times in np.random.default_rng(3).multinomial(5, np.full(5, 1 / 5), size=300):
        taken = np.concatenate([np.tile(rows[s], count) for s, count in enumerate(times)])
        slow.append(score("mcc", y_true[taken], probability[taken]))
    defined = np.array([value for value in slow if not math.isnan(value)])
    assert interval.num_undefined == 300 - len(defined)
    assert interval.low == pytest.approx(np.percentile(defined, 20))
    assert interval.high == pytest.approx(np.percentile(defined, 80))
    assert interval.value == score("mcc", targets(table), probabilities(table))
    assert interval.num_subjects == 5


def test_the_interval_covers_the_truth_about_as_often_as_it_says(make_table: TableMaker) -> None:
    truth = norm.cdf(1 / math.sqrt(2))  # the right logit leads by 1, both have SD 1
    hits = 0
    for seed in range(200):
        table = make_table(num_subjects=40, num_recordings=2, seed=seed)
        interval = subject_bootstrap(table, "accuracy", num_resamples=200, seed=seed)
        hits += interval.low <= truth <= interval.high
    # Binomial(200, 0.95) is inside 181..199 with probability 0.999; the percentile interval of a
    # proportion of 80 rows is a little short.
    assert 178 <= hits <= 199


def test_correlated_rows_of_a_subject_widen_the_interval(make_table: TableMaker) -> None:
    few = make_table(num_subjects=10, num_recordings=1, seed=1)
    copied = few.loc[few.index.repeat(20)].reset_index(drop=True)
    copied["snippet"] = np.tile(np.arange(20), len(few))
    one = subject_bootstrap(few, "accuracy")
    many = subject_bootstrap(copied, "accuracy")
    assert (many.low, many.high) == pytest.approx((one.low, one.high))


def test_the_same_seed_gives_the_same_interval(make_table: TableMaker) -> None:
    table = make_table(num_subjects=9, lean=0.2)
    first = subject_bootstrap(table, "auroc")
    assert first == subject_bootstrap(table, "auroc", num_resamples=2000, level=0.95, seed=0)
    assert first != subject_bootstrap(table, "auroc", seed=1)
    assert (first.num_resamples, first.level) == (2000, 0.95)


def test_two_thousand_resamples_of_fifty_rows_take_less_than_two_seconds(
    make_table: TableMaker,
) -> None:
    table = make_table(num_subjects=10, num_recordings=5)
    start = time.process_time()
    for name in ("mcc", "auroc"):
        subject_bootstrap(table, name, num_resamples=2000)
    assert time.process_time() - start < 2


def test_a_score_that_is_never_defined_has_no_interval(make_table: TableMaker) -> None:
    table = make_table(num_subjects=3)
    interval = subject_bootstrap(table[table["target"] == 1], "mcc", num_resamples=10)
    assert interval.num_undefined == 10
    assert math.isnan(interval.value)
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


def test_one_subject_and_unknown_metrics_are_refused(make_table: TableMaker) -> None:
    message = "mcc has no interval, because its 4 rows have 1 subject; use two subjects or more"
    with pytest.raises(StudyError, match=f"^{message}$"):
        subject_bootstrap(make_table(num_subjects=1), "test/mcc")
    assert subject_bootstrap(make_table(num_subjects=2), "test/mcc").num_subjects == 2
    with pytest.raises(SettingsError, match="unknown metric 'test/mc'"):
        subject_bootstrap(make_table(), "test/mc")


def test_standard_error_over_folds_by_hand() -> None:
    assert mean_se([0.2, 0.6]) == pytest.approx((0.4, 0.2))
    mean, se = mean_se([0.2, 0.4, 0.6])
    assert mean == pytest.approx(0.4)
    assert se == pytest.approx(0.2 / math.sqrt(3))
    assert normal_interval(mean, se) == pytest.approx((0.4 - 1.96 * se, 0.4 + 1.96 * se))
    assert math.isnan(mean_se([0.5])[1])
