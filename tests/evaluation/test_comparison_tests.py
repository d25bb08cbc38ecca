"""Numbers of a comparison, against slow computations of their own."""

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pdray.evaluation.comparison_tests import comparison_frame, comparison_numbers
from pdray.evaluation.pairing import Paired, Predicted, pair
from pdray.evaluation.settings import CompareConfig
from tests.fixtures.compared import predictions


def pairs_in_order(y: Any, p: Any) -> float:
    gaps = p[y == 1][:, None] - p[y == 0]
    return ((gaps > 0) + (gaps == 0) / 2).mean()


# Of two classes, MCC is the correlation of 0 and 1.
SCORES = {
    "mcc": lambda y, p: np.corrcoef(y, p > 0.5)[0, 1],
    "mae": lambda y, p: np.abs(y - (p > 0.5)).mean(),
    "auroc": pairs_in_order,
}


def models(*skills: float, **columns: Any) -> Paired:
    return pair(
        [
            Predicted(f"m{place}", predictions(skill, seed=place, **columns))
            for place, skill in enumerate(skills)
        ]
    )


def numbers(paired: Paired, *metrics: str, **said: Any) -> pd.DataFrame:
    return comparison_frame(comparison_numbers(paired, CompareConfig(**said), metrics))


@pytest.mark.parametrize("metric", SCORES)
def test_the_primary_test_by_every_exchange_of_subjects(metric: str) -> None:
    paired = models(2.0, 0.5, people=12)
    found = numbers(paired, metric).set_index("table").loc["difference"]
    y, subjects = (paired.rows[name].to_numpy() for name in ("target", "subject_id"))
    a, b = paired.shares["m0"][:, 1], paired.shares["m1"][:, 1]
    gap = SCORES[metric](y, a) - SCORES[metric](y, b)
    reached = 0
    for exchange in itertools.product([False, True], repeat=12):
        swapped = dict(zip(sorted(set(subjects)), exchange, strict=True))
        swap = np.array([swapped[one] for one in subjects])
        c, d = np.where(swap, b, a), np.where(swap, a, b)
        reached += abs(SCORES[metric](y, c) - SCORES[metric](y, d)) >= abs(gap) - 1e-9
    assert found["value"] == pytest.approx(gap)
    assert found["p"] == reached / 4096
    assert found["num_exchanges"] == 4096
    assert found["low"] < gap < found["high"]


def test_p_is_adjusted_over_all_pairs_and_scores() -> None:
    from statsmodels.stats.multitest import multipletests

    found = numbers(models(3.0, 1.0, 0.9), "mcc", "auroc")
    differences = found[found["table"] == "difference"]
    assert differences["group"].tolist() == ["m0 - m1", "m0 - m2", "m1 - m2"] * 2
    expected = multipletests(differences["p"], method="holm")[1]
    assert differences["p_holm"].tolist() == pytest.approx(expected.tolist())
    shown = np.where(expected <= 0.05, "shown", "not shown")
    assert differences["verdict"].tolist() == shown.tolist()
    assert set(shown) == {"shown", "not shown"}


@pytest.mark.parametrize(("metric", "sign"), [("mcc", 1), ("mae", -1)])
def test_no_worse_by_more_than_a_margin_follows_the_interval(metric: str, sign: int) -> None:
    found = numbers(models(1.5, 1.4, people=40), metric, margin=0.2).set_index("table")
    gap, sides = found.loc["difference"], found.loc["no worse"]
    ends = [gap["low"], -gap["high"]] if sign > 0 else [-gap["high"], gap["low"]]
    assert sides["low"].tolist() == pytest.approx(ends)
    assert sides["verdict"].tolist() == ["shown" if e > -0.2 else "not shown" for e in ends]
    assert sides["group"].tolist() == ["m0 than m1", "m1 than m0"]


@pytest.mark.parametrize(
    ("people", "target", "reason"),
    [
        (11, None, "too few subjects for an interval: 11, 12 are needed"),
        (20, np.arange(60) < 12, "too few subjects for an interval: 4 of class 1, 5 are needed"),
        (20, 0, "only class 0 is present"),
    ],
)
def test_too_few_subjects_have_no_interval_and_no_p(people: int, target: Any, reason: str) -> None:
    columns = {} if target is None else {"target": np.asarray(target).astype(int)}
    paired = models(2.0, 1.0, people=people, **columns)
    found = numbers(paired, "mcc", margin=0.1, secondary=("clustered_mcnemar", "corrected_t"))
    assert found[["low", "p", "p_holm"]].isna().all(axis=None)
    first = found.set_index("table").loc["difference"]
    assert first[["reason", "undefined"]].str.cat() == reason
    assert math.isnan(first["value"]) == (first["undefined"] != "")
    assert set(found.loc[found["table"] != "score", "verdict"]) == {""}


def test_the_same_models_do_not_differ() -> None:
    table = predictions()
    found = numbers(pair([Predicted("a", table), Predicted("b", table)]), "mcc")
    gap = found.set_index("table").loc["difference"]
    assert (gap["value"], gap["p"], gap["verdict"]) == (0, 1, "not shown")


def test_secondary_tests_say_when_they_are_not_for_these_rows() -> None:
    asked = ("obuchowski", "mcnemar", "clustered_mcnemar", "corrected_t")
    one_set = numbers(models(2.0, 1.0, people=28), "auroc", secondary=asked).set_index("table")
    assert (
        one_set.loc["obuchowski", "undefined"] == "too few subjects for the test: 28, 30 are needed"
    )
    assert "subjects have up to 3 rows" in one_set.loc["mcnemar", "undefined"]
    assert "3 folds or more" in one_set.loc["corrected_t", "undefined"]
    assert one_set.loc["clustered_mcnemar", "p"] > 0
    folds = numbers(models(2.0, 1.0, people=40, folds=5), "auroc", secondary=asked)
    folds = folds.set_index("table")
    assert "ranks of different networks" in folds.loc["obuchowski", "undefined"]
    assert folds.loc["corrected_t", "p"] > 0
    single = numbers(models(2.0, 1.0, people=40, each=1), "auroc", secondary=asked)
    single = single.set_index("table")
    assert (single.loc[["mcnemar", "obuchowski"], "p"] > 0).all()


def test_corrected_t_counts_subjects_of_each_fold() -> None:
    paired = models(2.0, 0.5, people=40, folds=5)
    found = numbers(paired, "mcc", secondary=("corrected_t",)).set_index("table").loc["corrected_t"]
    y, group = paired.rows["target"].to_numpy(), paired.rows["group"].to_numpy()
    gaps = [
        np.subtract(*(SCORES["mcc"](y[group == one], share[group == one, 1])
                      for share in paired.shares.values()))
        for one in range(5)
    ]  # fmt: skip
    t = np.mean(gaps) / math.sqrt((1 / 5 + 8 / 32) * np.var(gaps, ddof=1))
    assert found["statistic"] == pytest.approx(t)
    assert found["truth"] == "procedure"
