import math
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, norm
from scipy.stats import t as student
from sklearn.metrics import average_precision_score, roc_auc_score

from pdray.evaluation.metrics import METRICS, score
from pdray.evaluation.predictions import probabilities, targets
from pdray.evaluation.score_intervals import interval_of, score_interval
from pdray.evaluation.uncertainty import subject_bootstrap

TableMaker = Callable[..., pd.DataFrame]


def slow_interval(value: float, without: list[float], transform: str) -> tuple[float, float]:
    """The jackknife by its formulas, with the derivative of the transform by difference."""
    forward = {
        "fisher": math.atanh, "logit": lambda x: math.log(x / (1 - x)),
        "log": math.log, "none": lambda x: x,
    }[transform]  # fmt: skip
    back = {
        "fisher": math.tanh, "logit": lambda x: 1 / (1 + math.exp(-x)),
        "log": math.exp, "none": lambda x: x,
    }[transform]  # fmt: skip
    num = len(without)
    mean = sum(without) / num
    fourth = sum((one - mean) ** 4 for one in without)
    second = sum((one - mean) ** 2 for one in without)
    freedom = min(num - 1, max(1.0, 2 / (fourth / second**2 - 1 / num)))
    slope = (forward(value + 1e-7) - forward(value - 1e-7)) / 2e-7
    half = student.ppf(0.975, freedom) * math.sqrt((num - 1) / num * second) * slope
    return back(forward(value) - half), back(forward(value) + half)


def several_folds(table: pd.DataFrame, num_folds: int = 3) -> pd.DataFrame:
    numbers = table["subject_id"].str.removeprefix("s").astype(int)
    return table.assign(outer_fold=numbers % num_folds)


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("name", METRICS)
def test_the_interval_is_that_of_a_slow_jackknife_of_whole_subjects(
    make_table: TableMaker, name: str, num_classes: int
) -> None:
    table = make_table(num_subjects=24, num_recordings=4, num_classes=num_classes, seed=3)
    table = table.sample(frac=1, random_state=0)
    found = score_interval(table, f"test/{name}")
    y_true, probability = targets(table), probabilities(table)
    subjects = table["subject_id"].to_numpy()
    assert found.value == pytest.approx(score(name, y_true, probability), nan_ok=True)
    if METRICS[name].num_classes not in ("any", "two" if num_classes == 2 else "more"):
        assert found.reason.startswith("the score is undefined: it is a score of")
        return
    without = [
        score(name, y_true[subjects != one], probability[subjects != one])
        for one in np.unique(subjects)
    ]
    expected = slow_interval(found.value, without, METRICS[name].transform)
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-5)
    assert (found.reason, found.sides, found.truth, found.num_subjects) == ("", "both", "model", 24)


def test_few_subjects_with_all_errors_give_few_degrees_of_freedom(make_table: TableMaker) -> None:
    table = make_table(num_subjects=30, num_recordings=4, lean=40)
    spread = table.copy()
    names = [f"probability_{k}" for k in range(2)]
    wrong = spread.groupby("subject_id").head(1).index[:8]
    spread.loc[wrong, names] = spread.loc[wrong, names[::-1]].to_numpy()
    lumped = table.copy()
    wrong = lumped.index[lumped["subject_id"].isin(["s1", "s2"])]
    lumped.loc[wrong, names] = lumped.loc[wrong, names[::-1]].to_numpy()
    wide, narrow = (score_interval(one, "accuracy") for one in (lumped, spread))
    assert wide.value == narrow.value == pytest.approx(1 - 8 / 120)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


@pytest.mark.parametrize(
    ("name", "good", "sides", "low", "high", "fewest"),
    [
        ("accuracy", True, "lower", 0, 1, 20),
        ("accuracy", False, "upper", 0, 1, 20),
        ("sensitivity", True, "lower", 0, 1, 10),
        ("mcc", True, "lower", -1, 1, 10),
        ("mcc", False, "upper", -1, 1, 10),
        ("auroc", True, "lower", 0, 1, 10),
        ("mae", True, "upper", 0, 1, 20),
        ("mae", False, "lower", 0, 1, 20),
    ],
)
def test_a_score_at_the_end_of_its_range_has_the_exact_bound_of_clopper_and_pearson(
    name: str, good: bool, sides: str, low: float, high: float, fewest: int
) -> None:
    y_true = np.repeat([0, 1], 30)
    shares = np.where(y_true == 1, 0.9, 0.1) if good else np.where(y_true == 1, 0.1, 0.9)
    table = pd.DataFrame({
        "subject_id": np.repeat([f"s{n}" for n in range(20)], 3), "target": y_true,
        "probability_0": 1 - shares, "probability_1": shares,
    })  # fmt: skip
    found = score_interval(table, name)
    bound = beta.ppf(0.025, fewest, 1)  # lower end for n of n
    assert found.sides == sides
    if sides == "lower":
        assert found.high == found.value == high
        assert found.low == pytest.approx(high - (high - low) * (1 - bound))
    else:
        assert found.low == found.value == low
        assert found.high == pytest.approx(low + (high - low) * (1 - bound))


def test_no_interval_says_why(make_table: TableMaker) -> None:
    few = "too few subjects for an interval: "
    table = make_table(num_subjects=11, num_recordings=3)
    assert score_interval(table, "mae").reason == f"{few}11, 12 are needed"
    # Classes of whole subjects: 8 and 4.
    rare = make_table(num_subjects=12, num_recordings=3)
    rare["target"] = rare["subject_id"].isin(["s0", "s1", "s2", "s3"]).astype(int)
    found = score_interval(rare, "mcc")
    assert found.reason == f"{few}4 of class 1, 5 are needed"
    assert (found.exists, math.isnan(found.value)) == (False, False)
    assert score_interval(rare, "specificity").exists
    assert score_interval(rare, "kappa").reason == f"{few}4 of class 1, 5 of two classes are needed"
    constant = make_table(num_subjects=20, num_recordings=3)
    constant["probability_0"], constant["probability_1"] = 0.9, 0.1
    same = f"{few}without any one of them the score is the same"
    assert score_interval(constant, "mcc").reason == same
    assert score_interval(constant, "accuracy").exists
    ill = make_table(num_subjects=20, num_recordings=3).assign(target=1)
    assert score_interval(ill, "mcc").reason == "the score is undefined: only class 1 is present"
    # Precision hangs on the only subject who is predicted as ill.
    constant.loc[constant["subject_id"] == "s3", ["probability_0", "probability_1"]] = 0.1, 0.9
    lone = f"{few}without one of them the score is undefined"
    assert score_interval(constant, "precision").reason == lone


def test_scores_that_rank_compare_rows_of_one_network_only(make_table: TableMaker) -> None:
    table = several_folds(make_table(num_subjects=30, num_recordings=4, seed=1))
    shifted = table["probability_1"] ** (1 + 4 * table["outer_fold"])
    table = table.assign(probability_1=shifted, probability_0=1 - shifted)
    won = pairs = precise = 0.0
    for _, rows in table.groupby("outer_fold"):
        is_ill, ranked = rows["target"] == 1, rows["probability_1"]
        size = is_ill.sum() * (~is_ill).sum()
        won, pairs = won + roc_auc_score(is_ill, ranked) * size, pairs + size
        precise += average_precision_score(is_ill, ranked) * is_ill.sum()
    assert score_interval(table, "auroc").value == pytest.approx(won / pairs)
    expected = precise / (table["target"] == 1).sum()
    assert score_interval(table, "auprc").value == pytest.approx(expected)
    assert score_interval(table, "auroc").value != score(
        "auroc", targets(table), probabilities(table)
    )


def test_what_an_interval_covers_and_how_much_wider_pooled_folds_are(
    make_table: TableMaker,
) -> None:
    table = make_table(num_subjects=45, num_recordings=4, seed=1)
    pooled = several_folds(table)
    one, several = score_interval(table, "mcc"), score_interval(pooled, "mcc")
    assert (one.truth, several.truth) == ("model", "procedure")
    # The noise of a model of 20 numbers, whose AUROC leads chance by z standard errors.
    auroc = score_interval(pooled, "auroc")
    without = [
        score_interval(pooled[pooled["subject_id"] != name], "auroc").value
        for name in pooled["subject_id"].unique()
    ]
    z = (auroc.value - 0.5) / math.sqrt(44 / 45 * np.sum((without - np.mean(without)) ** 2))
    shares = np.linspace(1e-6, 1, 1_000_001)
    noise = shares[np.argmin(np.abs(3 / 2 * 20 * (1 - shares) ** 2 / shares - z**2))]
    width = [math.atanh(one.high) - math.atanh(one.low) for one in (one, several)]
    assert width[1] / width[0] == pytest.approx(math.sqrt(1 + noise), rel=1e-4)
    assert score_interval(pooled, "mse").truth == "predictions"
    fewer = pooled[~pooled["subject_id"].isin([f"s{n}" for n in range(6)])]
    assert score_interval(fewer, "mcc").truth == "predictions"
    assert score_interval(fewer, "kappa").truth == "procedure"
    # Two networks scored each subject: the rows of two inner folds.
    twice = pd.concat([pooled.assign(fold=0), pooled.assign(fold=1)])
    assert score_interval(twice, "mcc").truth == "predictions"
    repeats = pd.concat([pooled.assign(seed=0), pooled.assign(seed=1)])
    assert score_interval(repeats, "mcc").truth == "procedure"
    noise_only = pooled.assign(target=np.random.default_rng(0).permutation(pooled["target"]))
    assert score_interval(noise_only, "mcc").truth == "predictions"
    assert score_interval(noise_only, "auroc").truth == "procedure"


def test_earlier_studies_keep_the_percentile_interval(make_table: TableMaker) -> None:
    table = make_table(num_subjects=8)
    earlier = score_interval(table, "mcc", method="percentile", seed=2)
    assert earlier == subject_bootstrap(table, "mcc", seed=2)
    assert earlier.truth == "model"
    assert score_interval(several_folds(table), "mcc", method="percentile").truth == "predictions"


def test_the_interval_covers_the_truth_about_as_often_as_it_says(make_table: TableMaker) -> None:
    truth = norm.cdf(1 / math.sqrt(2))  # the right logit leads by 1, both have SD 1
    found = [
        score_interval(make_table(num_subjects=16, num_recordings=2, seed=seed), "accuracy")
        for seed in range(200)
    ]
    hits = sum(one.low <= truth <= one.high for one in found)
    assert 181 <= hits <= 199  # Binomial(200, 0.95) with probability 0.999


def test_an_interval_of_any_number_is_over_subjects() -> None:
    draws = np.random.default_rng(0)
    subjects, x = np.repeat(np.arange(14), 3), draws.normal(size=42)
    weighted = lambda weights: weights @ x / weights.sum(axis=1)  # noqa: E731
    found = interval_of(subjects, x.mean(), weighted)
    without = [x[subjects != one].mean() for one in range(14)]
    assert (found.low, found.high) == pytest.approx(slow_interval(x.mean(), without, "none"))
    few = interval_of(subjects[:33], x[:33].mean(), lambda w: w @ x[:33] / w.sum(axis=1))
    assert few.reason == "too few subjects for an interval: 11, 12 are needed"
    top = interval_of(subjects, 1.0, lambda w: 1 - 0 * w.sum(axis=1), transform="fisher")
    assert top.reason == "too few subjects for an interval: the number is at the end of its scale"


def test_ten_thousand_resamples_and_all_deletions_of_a_thousand_recordings_are_quick(
    make_table: TableMaker,
) -> None:
    table = make_table(num_subjects=200, num_recordings=5)
    start = time.process_time()
    for name in ("mcc", "auroc"):
        score_interval(table, name)
    subject_bootstrap(table, "mcc", num_resamples=10_000)
    assert time.process_time() - start < 5
