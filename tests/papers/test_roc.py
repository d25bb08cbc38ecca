import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from sklearn.metrics import roc_auc_score

from pdray.evaluation.predictions import probabilities
from pdray.papers import roc
from pdray.papers.roc import area_text, cell_panels, mean_curve, roc_figure, severity_panels

NUM, FOLDS = 60, 3


def made(seed: int, num_classes: int) -> pd.DataFrame:
    """Probabilities in tenths, so that there are ties."""
    draws = np.random.default_rng(seed)
    target = np.arange(NUM) // FOLDS % num_classes
    tenths = draws.integers(0, 6, (NUM, num_classes)) + 4 * np.eye(num_classes)[target] + 1
    shares = tenths / tenths.sum(axis=1, keepdims=True)
    columns = {f"probability_{k}": shares[:, k] for k in range(num_classes)}
    people = [f"s{i}" for i in range(NUM)]
    facts = {"recording_id": people, "subject_id": people, "target": target, "grade": target}
    return pd.DataFrame({"fold": np.arange(NUM) % FOLDS, **facts, **columns})


def folds_of(table: pd.DataFrame) -> list[pd.DataFrame]:
    return [rows for _, rows in table.groupby("fold")]


def slow_ends(is_class: np.ndarray, share: np.ndarray, rate: float) -> tuple[float, float]:
    """Return least and highest true positive rate at a false positive rate, by every threshold."""
    points = [(0.0, 0.0)]
    for threshold in sorted(set(share), reverse=True):
        taken = share >= threshold
        points.append(((taken & ~is_class).sum() / (~is_class).sum(),
                       (taken & is_class).sum() / is_class.sum()))  # fmt: skip
    here = [hit for at, hit in points if math.isclose(at, rate, abs_tol=1e-12)]
    if here:
        return min(here), max(here)
    left = max(point for point in points if point[0] < rate)
    right = min(point for point in points if point[0] > rate)
    between = left[1] + (right[1] - left[1]) * (rate - left[0]) / (right[0] - left[0])
    return between, between


@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_curve_is_the_mean_over_classes_and_folds_at_each_false_positive_rate(
    num_classes: int,
) -> None:
    table = made(1, num_classes)
    found = mean_curve([table])
    assert found is not None
    rates, hits = found
    classes = [1] if num_classes == 2 else range(num_classes)
    for place in range(0, len(rates), 2):
        ends = np.mean(
            [
                np.mean(
                    [
                        slow_ends(
                            (rows["target"] == k).to_numpy(),
                            probabilities(rows)[:, k],
                            rates[place],
                        )
                        for k in classes
                    ],
                    axis=0,
                )
                for rows in folds_of(table)
            ],
            axis=0,
        )
        assert (hits[place], hits[place + 1]) == pytest.approx(tuple(ends), abs=1e-12)
    areas = [
        np.mean([roc_auc_score(rows["target"] == k, probabilities(rows)[:, k]) for k in classes])
        for rows in folds_of(table)
    ]
    assert np.trapezoid(hits, rates) == pytest.approx(np.mean(areas), abs=1e-12)
    mean, se = np.mean(areas), np.std(areas, ddof=1) / math.sqrt(FOLDS)
    interval = f"[{mean - 1.96 * se:.2f}, {min(1, mean + 1.96 * se):.2f}]"
    assert area_text([table]) == f"AUC {mean:.2f} {interval}"


def test_seeds_have_equal_weight_and_folds_may_be_ranked_together() -> None:
    tables = [made(seed, 2) for seed in (1, 2)]
    for pooled in (True, False):
        areas = [
            np.mean([roc_auc_score(rows["target"], rows["probability_1"])
                     for rows in ([table] if pooled else folds_of(table))])
            for table in tables
        ]  # fmt: skip
        found = mean_curve(tables, pooled=pooled)
        assert found is not None
        assert np.trapezoid(found[1], found[0]) == pytest.approx(np.mean(areas), abs=1e-12)
        told = f"AUC {np.mean(areas):.2f}+-{np.std(areas, ddof=1):.2f}"
        assert area_text(tables, pooled=pooled) == told


def test_a_fold_of_one_class_is_left_out_and_told() -> None:
    table = made(1, 2)
    torn = table[(table["fold"] != 1) | (table["target"] == 0)]
    assert area_text([torn]).endswith(", 1 folds of one class left out")
    kept = mean_curve([table[table["fold"] != 1]])
    found = mean_curve([torn])
    assert found is not None
    assert kept is not None
    np.testing.assert_array_equal(found, kept)
    lower = table[table["target"] == 0]
    assert mean_curve([lower]) is None
    assert area_text([lower]) == "no AUC: one class only"


def test_every_setting_is_drawn_in_every_panel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(roc, "save_picture", lambda figure, path: drawn.append(figure))
    rows = {
        "I3D": {("gait", ""): made(1, 2), ("hand", ""): made(2, 2)},
        "TSA": {("gait", ""): made(3, 2)},
    }
    roc_figure("Table III", cell_panels(rows), tmp_path / "a.png", synthetic=True)
    seeds = [{"Ours": made(1, 3)}, {"Ours": made(2, 3)}]
    roc_figure("Table 2", severity_panels(seeds), tmp_path / "b.png", synthetic=False)
    shown = [{axes.get_title(): len(axes.lines) for axes in one.axes} for one in drawn]
    assert shown == [
        {"gait": 3, "hand": 2},  # with the line of chance
        {"healthy or ill": 2, "3 classes, mean of each versus the rest": 2},
    ]
    texts = [" ".join(text.get_text() for text in one.findobj(Text)) for one in drawn]
    assert "SYNTHETIC data: Table III" in texts[0]
    assert "SYNTHETIC" not in texts[1]
    assert f"TSA: {area_text([made(3, 2)])}" in texts[0]
    assert "mean over 3 folds; AUC [95% interval: -+1.96 SE over folds]" in texts[0]
    assert "AUC: mean+-SD over 2 seeds" in texts[1]
