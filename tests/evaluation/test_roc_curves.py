from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pdray.evaluation.roc_curves import RocCurve, no_band, roc_band, roc_curve_of
from pdray.evaluation.score_intervals import Rows

CASES = {
    "one network": (20, 2, 1, 1),
    "three outer folds": (24, 2, 3, 1),
    "two repeats of three outer folds": (24, 2, 3, 2),
    "five classes": (40, 5, 1, 1),
}


def made(people: int, classes: int, folds: int, repeats: int) -> pd.DataFrame:
    """Recordings with tied probabilities, one to three of each subject; folds are shifted."""
    draws = np.random.default_rng(people + folds)
    rows: list[dict[str, Any]] = []
    for repeat in range(repeats):
        for person in range(people):
            fold = (person // classes + repeat) % folds
            for _ in range(1 + person % 3):
                logits = draws.integers(0, 4, classes) + 2.0 * np.eye(classes)[person % classes]
                logits[-1] += 3 * fold
                shares = np.exp(logits) / np.exp(logits).sum()
                rows.append({"subject_id": f"s{person}", "target": person % classes,
                             "outer_fold": repeat * folds + fold, "seed": repeat}
                            | {f"probability_{k}": shares[k] for k in range(classes)})  # fmt: skip
    return pd.DataFrame(rows)


def slow_rate(table: pd.DataFrame, times: dict[str, int], positive: int, rate: float) -> float:
    """Return the true positive rate at a false positive rate, by every threshold of every fold."""
    runs = []
    for _, run in table.groupby("seed"):
        total = pairs = 0.0
        for _, rows in run.groupby("outer_fold"):
            columns = (rows[name] for name in ("subject_id", "target", f"probability_{positive}"))
            each = [
                (share, target == positive)
                for person, target, share in zip(*columns, strict=True)
                for _ in range(times[person])
            ]
            num = sum(is_class for _, is_class in each)
            rest = len(each) - num
            if not num or not rest:
                continue
            points = [(0.0, 0.0)]
            for threshold in sorted({share for share, _ in each}, reverse=True):
                taken = [is_class for share, is_class in each if share >= threshold]
                points.append(((len(taken) - sum(taken)) / rest, sum(taken) / num))
            left = max(point for point in points if point[0] <= rate + 1e-9)
            right = min([point for point in points if point[0] > rate + 1e-9], default=left)
            step = (rate - left[0]) / (right[0] - left[0]) if right != left else 0.0
            total += num * rest * (left[1] + step * (right[1] - left[1]))
            pairs += num * rest
        runs.append(total / pairs if pairs else np.nan)
    return float(np.mean(runs))


@pytest.mark.parametrize("case", CASES)
def test_the_area_under_the_curve_is_the_auroc_that_is_printed(case: str) -> None:
    table = made(*CASES[case])
    rows = Rows.of(table, mean_of_runs=True)
    classes = [1] if CASES[case][1] == 2 else range(CASES[case][1])
    found = [roc_curve_of(rows, k) for k in classes]
    assert all(isinstance(one, RocCurve) for one in found)
    areas = [one.area for one in found if isinstance(one, RocCurve)]
    assert np.mean(areas) == pytest.approx(rows.value("auroc"), abs=1e-12)
    if rows.num_networks > 1:  # the shifts of the folds count for nothing
        together = roc_auc_score(table["target"], table["probability_1"])
        assert abs(areas[0] - together) > 0.02


@pytest.mark.parametrize("case", CASES)
def test_the_band_is_that_of_a_slow_bootstrap_of_subjects(case: str) -> None:
    table = made(*CASES[case])
    rows, positive = Rows.of(table, mean_of_runs=True), CASES[case][1] - 1
    band = roc_band(rows, positive, num_resamples=25)
    people, draws = sorted(set(table["subject_id"])), np.random.default_rng(0)
    shares = np.full(len(people), 1 / len(people))
    drawn = [dict(zip(people, draws.multinomial(len(people), shares), strict=True))
             for _ in range(25)]  # fmt: skip
    once = dict.fromkeys(people, 1)
    places = [0, 10, 50]
    end = 0.025 ** (1 / table.loc[table["target"] == positive, "subject_id"].nunique())
    ends = []
    for rate in band.rates[places]:
        every = [slow_rate(table, times, positive, float(rate)) for times in drawn]
        low, high = np.nanquantile(every, [0.025, 0.975])
        at = slow_rate(table, once, positive, float(rate))
        ends.append((min(low, end) if at == 1 else low, max(high, 1 - end) if at == 0 else high))
    low = [min(one for one, _ in ends[place:]) for place in range(len(ends))]
    assert band.low[places] == pytest.approx(low, abs=1e-7)
    assert band.high[places] == pytest.approx([high for _, high in ends], abs=1e-7)
    assert (np.diff(band.low) >= 0).all()
    assert (np.diff(band.high) >= 0).all()


def test_a_perfect_ranking_has_a_band_down_to_the_exact_bound_of_its_subjects() -> None:
    table = made(24, 2, 1, 1)
    table["probability_1"] = 0.2 + 0.6 * table["target"]
    table["probability_0"] = 1 - table["probability_1"]
    band = roc_band(Rows.of(table), 1)
    assert band.low == pytest.approx(np.full(51, 0.025 ** (1 / 12)))
    assert (band.high == 1).all()


def test_why_there_is_no_curve_and_no_band() -> None:
    table = made(24, 2, 3, 1)
    alone = table.assign(outer_fold=table["subject_id"].str[1:].astype(int))
    assert "each network scored one subject" in str(roc_curve_of(Rows.of(alone), 1))
    healthy = table[table["target"] == 0]
    assert roc_curve_of(Rows.of(healthy), 1) == "in each fold only one class is present"
    few = Rows.of(made(8, 2, 1, 1))
    assert no_band(few, 1) == "too few subjects for an interval: 8, 12 are needed"
    assert no_band(Rows.of(table), 1) == ""
    rare = table["subject_id"].isin(table["subject_id"].unique()[:2])
    three = table.assign(probability_2=0.0, target=table["target"].mask(rare, 2))
    assert (
        no_band(Rows.of(three), 2) == "too few subjects for an interval: 2 of class 2, 5 are needed"
    )
