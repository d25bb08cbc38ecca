import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, matthews_corrcoef

from pdray.evaluation.aggregate import by_recording
from pdray.evaluation.paper_tables import detail_table, fold_score, matrix_table
from pdray.evaluation.predictions import probabilities, targets

TableMaker = Callable[..., pd.DataFrame]


@pytest.fixture
def folds(make_table: TableMaker) -> pd.DataFrame:
    """Return one row a recording of three folds."""
    tables = [make_table(seed=seed).assign(fold=seed) for seed in range(3)]
    return by_recording(pd.concat(tables, ignore_index=True))


def by_hand(table: pd.DataFrame, metric: Callable[..., float]) -> tuple[float, float]:
    values = [
        metric(targets(rows), probabilities(rows).argmax(axis=1))
        for _, rows in table.groupby("fold")
    ]
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))


def test_a_score_is_taken_in_each_fold(folds: pd.DataFrame) -> None:
    found = fold_score(folds, "mcc")
    assert (found.mean, found.se) == pytest.approx(by_hand(folds, matthews_corrcoef), abs=1e-12)
    assert found.num_undefined == 0


def test_a_fold_in_which_a_score_is_undefined_is_left_out_and_told(folds: pd.DataFrame) -> None:
    torn = folds[(folds["fold"] != 1) | (folds["target"] == 0)]
    found = fold_score(torn, "auroc")
    assert found.num_undefined == 1
    whole = fold_score(folds[folds["fold"] != 1], "auroc")
    assert (found.mean, found.se) == (whole.mean, whole.se)
    text = matrix_table("T", {"row": {"gait": torn}}, ["auroc"], synthetic=False)
    assert "row, gait: auroc is not defined in 1 folds, left out" in text


def test_a_matrix_has_rows_columns_and_their_mean(folds: pd.DataFrame) -> None:
    other = folds.assign(target=1 - folds["target"])
    cells = {"I3D": {"gait": folds, "hand": other}, "TSA": {"gait": folds}}
    lines = matrix_table("Table 2", cells, ["f1_macro", "mcc"], synthetic=True).splitlines()
    assert lines[0] == "Table 2 (SYNTHETIC data: a rendered cohort, not patients)"
    assert [line.split() for line in lines if line.endswith("average")] == [
        ["gait", "hand", "average"]
    ] * 2
    row = next(line.split() for line in lines if line.startswith("I3D"))
    macro = [
        by_hand(table, lambda y, p: float(f1_score(y, p, average="macro")))
        for table in (folds, other)
    ]
    assert row[1:3] == [f"{100 * mean:.1f}+-{100 * se:.1f}" for mean, se in macro]
    assert row[3] == f"{100 * (macro[0][0] + macro[1][0]) / 2:.1f}"
    absent = next(line.split() for line in lines if line.startswith("TSA"))
    assert absent[2:] == ["-", "-"]


def test_details_have_mcc_interval_and_p(folds: pd.DataFrame) -> None:
    text = detail_table("Table V", {"TSA": {"toe": folds, "leg": folds}}, synthetic=False)
    lines = text.splitlines()
    assert lines[0] == "Table V"
    mean, se = by_hand(folds, matthews_corrcoef)
    z = mean / se
    p = math.exp(-0.717 * z - 0.416 * z * z)
    line = next(line for line in lines if line.startswith("leg"))
    assert f"{mean:.2f}+-{se:.2f}" in line
    assert f"[{mean - 1.96 * se:.2f}, {mean + 1.96 * se:.2f}]" in line
    assert line.endswith(f"{p:.1e}")
    assert f"{mean:.2f}+-0.00 (SD over 2)" in lines[-1]


def test_a_p_that_underflows_is_told_as_less(make_table: TableMaker) -> None:
    right = [make_table(seed=seed, lean=9.0).assign(fold=seed) for seed in range(3)]
    table = by_recording(pd.concat(right, ignore_index=True))
    nudged = table[~((table["fold"] == 0) & (table["recording_id"] == "s0_r0"))].copy()
    nudged.loc[nudged.index[0], "target"] = 1 - nudged["target"].iloc[0]
    scores = fold_score(nudged, "mcc")
    lines = detail_table("T", {"TSA": {"toe": nudged}}, synthetic=False).splitlines()
    z = scores.mean / scores.se
    assert -0.717 * z - 0.416 * z * z < math.log(1e-99)
    assert lines[3].endswith("<1e-99")
