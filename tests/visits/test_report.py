import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from pdray.evaluation.metrics import score
from pdray.evaluation.predictions import Origin, predictions_table, probabilities, targets
from pdray.visits import report as assembled_report
from pdray.visits.report import (
    Row,
    baseline_ranks,
    baseline_table,
    methods_table,
    repeated_score,
    weights_picture,
)


def table(
    lean: float = 1.0, *, num_classes: int = 3, repeats: int = 3, folds: int = 2, visits: int = 9
) -> pd.DataFrame:
    """Random predictions that lean towards the truth."""
    draws = np.random.default_rng(0)
    parts = []
    for repeat in range(repeats):
        for fold in range(folds):
            target = np.arange(visits) % num_classes
            logits = draws.normal(size=(visits, num_classes))
            logits[np.arange(visits), target] += lean
            rows = {
                "recording_id": [f"S{fold}{n}/V1" for n in range(visits)],
                "snippet": [0] * visits,
                "subject_id": [f"S{fold}{n}" for n in range(visits)],
                "item": ["visit"] * visits,
                "grade": target.tolist(),
                "target": target.tolist(),
            }
            origin = Origin(
                study="t", trial=0, fold=-1, epoch=0, outer_fold=fold, repeat=repeat, split="test"
            )
            parts.append(predictions_table(origin, rows, logits))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("metric", ["accuracy", "precision", "recall", "mcc"])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_score_is_the_mean_over_folds_then_over_repeats(metric: str, num_classes: int) -> None:
    rows = table(num_classes=num_classes)
    values = np.array(
        [
            [
                score(metric, targets(part), probabilities(part))
                for fold in range(2)
                for part in [rows[(rows["repeat"] == repeat) & (rows["outer_fold"] == fold)]]
            ]
            for repeat in range(3)
        ]
    )
    found = repeated_score(rows, metric)
    assert found.mean == pytest.approx(values.mean(axis=1).mean())
    assert found.spread == pytest.approx(values.mean(axis=1).std(ddof=1))
    assert found.se == pytest.approx(values.mean(axis=0).std(ddof=1) / math.sqrt(2))
    assert (found.num_undefined, found.num_scores) == (0, 6)


def test_a_score_that_is_not_defined_is_left_out_and_counted() -> None:
    rows = table(lean=9.0)
    one_class = (rows["outer_fold"] == 1) & (rows["target"] != 0)
    found = repeated_score(rows[~one_class], "mcc")
    assert found.mean == pytest.approx(1.0)
    assert (found.num_undefined, found.num_scores) == (3, 6)
    assert math.isnan(found.se)
    nothing = repeated_score(rows[rows["target"] == 0], "mcc")
    assert math.isnan(nothing.mean)
    assert nothing.num_undefined == 6


def test_one_repeat_has_no_spread() -> None:
    assert math.isnan(repeated_score(table(repeats=1), "mcc").spread)


def baselines() -> list[Row]:
    return [
        Row(item, kind, table(lean))
        for item, lean in (("gait", 0.5), ("pronation", 9.0), ("toe_tapping", 1.5))
        for kind in ("avgpool", "layer4")
    ]


def test_items_are_ranked_by_the_mean_mcc_of_their_inputs() -> None:
    assert baseline_ranks(baselines()) == {"pronation": 1, "toe_tapping": 2, "gait": 3}
    lost = Row("leg_agility", "avgpool", table().query("target == 0"))
    assert baseline_ranks([*baselines(), lost])["leg_agility"] == 4


def test_table_seven_has_two_lines_an_item_and_its_rank() -> None:
    lines = baseline_table(baselines(), synthetic=True).splitlines()
    assert "Table VII of TSA" in lines[0]
    assert "SYNTHETIC" in lines[0]
    assert lines[1].split()[:2] == ["Item", "Input"]
    assert [line.split()[:2] for line in lines[2:8]] == [
        [item, kind]
        for item in ("gait", "pronation", "toe_tapping")
        for kind in ("avgpool", "layer4")
    ]
    assert [line.split()[-1] for line in lines[2:8]] == ["3", "3", "1", "1", "2", "2"]
    assert "100.0+-0.0" in lines[4]
    assert "1.00+-0.00" in lines[4]


def test_table_eight_begins_with_the_best_item_on_avgpool() -> None:
    methods = [Row("vector averaging", "avgpool", table(2.0))]
    text = methods_table("Visits", baselines(), methods, synthetic=False)
    lines = text.splitlines()
    assert "SYNTHETIC" not in text
    assert lines[2].startswith("best single item (pronation)  avgpool")
    assert lines[3].startswith("vector averaging")
    assert lines[3].split()[-1] == "18"  # visits
    assert len(lines) == 5
    assert lines[4] == (
        "MCC 95% of these predictions; training not included: best single item (pronation), "
        "avgpool, vector averaging, avgpool"
    )
    earlier = [replace(row, method="percentile") for row in [*baselines(), *methods]]
    text = methods_table("Visits", earlier[:-1], earlier[-1:], synthetic=False)
    assert len(text.splitlines()) == 4
    few = table(2.0)
    few = few[few["subject_id"].isin(few["subject_id"].unique()[:11])]
    text = methods_table("Visits", baselines(), [Row("few", "avgpool", few)], synthetic=False)
    assert text.endswith("few, avgpool: too few subjects for an interval: 11, 12 are needed")


def test_what_is_not_defined_stands_below_the_table() -> None:
    rows = table(lean=9.0)
    torn = rows[(rows["outer_fold"] == 0) | (rows["target"] == 0)]
    methods = [Row("vector averaging", "avgpool", torn)]
    text = methods_table("Visits", baselines(), methods, synthetic=False)
    expected = (
        "vector averaging, avgpool: mcc is undefined in 3 of 6 (fold, repeat) pairs, which are "
        "left out"
    )
    assert expected in text.splitlines()


def weights(values: dict[str, list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"outer_fold": number, "repeat": 0, "item": item, "weight": weight}
            for item, each in values.items()
            for number, weight in enumerate(each)
        ]
    )


def test_the_picture_has_a_bar_an_item_and_the_line_of_equal_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Figure] = []

    class Kept(Figure):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[arg-type]
            figures.append(self)

    monkeypatch.setattr(assembled_report, "Figure", Kept)
    found = weights({"gait": [0.2, 0.4], "pronation": [0.8, 0.6]})
    weights_picture(found, tmp_path / "w.png", synthetic=True)
    axes = figures[0].axes[0]
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([0.3, 0.7])  # type: ignore[attr-defined]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["gait", "pronation"]
    assert axes.get_title().startswith("SYNTHETIC data")
    assert "2 trainings" in axes.get_title()
    level = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"]  # type: ignore[index]
    assert level == [0.5]
    assert min(imread(tmp_path / "w.png").shape[:2]) > 300
    weights_picture(found, tmp_path / "w.png", synthetic=False)
    assert "SYNTHETIC" not in figures[1].axes[0].get_title()
