import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from pdray.evaluation.predictions import by_recording, probabilities, targets
from pdray.papers.detail_tables import Cells, detail_table, fold_score, matrix_table

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


def without_positives(folds: pd.DataFrame, fold: int) -> pd.DataFrame:
    """Return the folds with one that holds, and is predicted to hold, the lower class alone."""
    inside = folds["fold"] == fold
    lower = folds[inside & (folds["target"] == 0)].assign(probability_0=0.9, probability_1=0.1)
    return pd.concat([folds[~inside], lower], ignore_index=True)


def test_a_fold_in_which_a_score_is_undefined_is_left_out_and_told(folds: pd.DataFrame) -> None:
    torn = folds[(folds["fold"] != 1) | (folds["target"] == 0)]
    found = fold_score(torn, "auroc")
    assert (found.num_undefined, found.num_folds) == (1, 3)
    whole = fold_score(folds[folds["fold"] != 1], "auroc")
    assert (found.mean, found.se) == (whole.mean, whole.se)
    text = matrix_table("T", {"row": {("gait", ""): torn}}, ["auroc"], synthetic=False)
    assert "row, gait: auroc is undefined in 1 of 3 folds, which are left out" in text


def test_a_matrix_has_rows_columns_and_their_mean(folds: pd.DataFrame) -> None:
    other = folds.assign(target=1 - folds["target"])
    cells: Cells = {
        "I3D": {("gait", ""): folds, ("hand", ""): other},
        "TSA": {("gait", ""): folds},
    }
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
    assert lines[-2:] == ["", "24 recordings of 6 subjects in 3 folds"]


def test_each_column_has_its_own_mean_over_the_items(folds: pd.DataFrame) -> None:
    def turned(*folds_turned: int) -> pd.DataFrame:
        wrong = folds["fold"].isin(folds_turned)
        return folds.assign(target=folds["target"].where(~wrong, 1 - folds["target"]))

    tables = {
        ("gait", "+a"): folds,
        ("gait", "-a"): turned(0),
        ("hand", "+a"): turned(1),
        ("hand", "-a"): turned(0, 1),
    }
    # The columns of an item stand together, though the second item begins with the first column.
    order = [("gait", "+a"), ("hand", "+a"), ("gait", "-a"), ("hand", "-a")]
    cells: Cells = {"RGB": {place: tables[place] for place in order}}
    lines = matrix_table("T", cells, ["accuracy"], synthetic=False).splitlines()
    header = [cell.strip() for cell in lines[3].split("  ") if cell.strip()]
    assert header == ["gait +a", "gait -a", "hand +a", "hand -a", "average +a", "average -a"]
    told = lines[4].split()
    share = {place: by_hand(table, accuracy_score)[0] for place, table in tables.items()}
    assert told[5:] == [
        f"{50 * (share['gait', column] + share['hand', column]):.1f}" for column in ("+a", "-a")
    ]
    assert told[5] != told[6]


def test_columns_of_one_item_have_no_mean(folds: pd.DataFrame) -> None:
    cells: Cells = {"RGB": {("", "+a"): folds, ("", "-a"): folds}, "Flow": {("", ""): folds}}
    text = matrix_table("T", cells, ["accuracy"], synthetic=False)
    assert text.splitlines()[3].split() == ["+a", "-a", "all", "items"]
    assert "average" not in text


def test_one_split_has_no_spread(folds: pd.DataFrame) -> None:
    split = folds[folds["fold"] == 0]
    cells: Cells = {"I3D": {("action", ""): split}}
    text = matrix_table("T", cells, ["accuracy"], synthetic=False)
    assert text.splitlines()[2] == "accuracy [%], one split"
    assert text.endswith("24 recordings of 6 subjects in one split")
    assert "+-" not in text
    mcc = matthews_corrcoef(targets(split), probabilities(split).argmax(axis=1))
    lines = detail_table("T", cells, synthetic=False).splitlines()
    assert lines[3].split()[-2:] == [f"{mcc:.2f}", "-"]
    assert lines[4] == "one split: there is no SE and no 95% CI"


def test_recordings_of_unnamed_people_are_not_counted_as_people(folds: pd.DataFrame) -> None:
    unnamed = folds.assign(subject_id=folds["recording_id"])
    text = matrix_table("T", {"I3D": {("", ""): unnamed}}, ["accuracy"], synthetic=False)
    assert text.endswith("24 recordings without subjects, each counted as a subject, in 3 folds")


def test_details_have_mcc_and_its_interval_and_no_p(folds: pd.DataFrame) -> None:
    fewer = folds[folds["recording_id"] != "s0_r0"]
    cells: Cells = {"TSA": {("toe", ""): fewer, ("leg", ""): folds, ("gait", ""): folds}}
    text = detail_table("Table V", cells, synthetic=False)
    lines = text.splitlines()
    assert lines[0] == "Table V"
    mean, se = by_hand(folds, matthews_corrcoef)
    line = next(line for line in lines if line.startswith("leg"))
    assert f"{mean:.2f}+-{se:.2f}" in line
    assert f"[{mean - 1.96 * se:.2f}, {mean + 1.96 * se:.2f}]" in line
    assert line.endswith("]")
    means = [by_hand(fewer, matthews_corrcoef)[0], mean, mean]
    average = f"{np.mean(means):.2f}+-{np.std(means, ddof=1):.2f} (SD over 3)"
    assert average in next(line for line in lines if line.startswith("average"))
    assert lines[-2:] == [
        "MCC: mean +- SE over the folds; 95% CI: mean +- 1.96 SE, as in TSA; its p is left out: "
        "predictions of folds depend on each other",
        "toe: 23 recordings of 6 subjects in 3 folds; "
        "leg, gait: 24 recordings of 6 subjects in 3 folds",
    ]


def test_details_average_each_column_over_the_items(folds: pd.DataFrame) -> None:
    other = folds.assign(target=1 - folds["target"])
    cells: Cells = {
        "RGB": {
            ("gait", "+a"): folds,
            ("gait", "-a"): other,
            ("hand", "+a"): folds,
            ("hand", "-a"): folds,
        }
    }
    lines = detail_table("T", cells, synthetic=False).splitlines()
    mean, _ = by_hand(folds, matthews_corrcoef)
    first, second = [line for line in lines if line.startswith("average")]
    assert first.startswith("average +a")
    assert f"{mean:.2f}+-0.00 (SD over 2)" in first
    spread = float(np.std([mean, -mean], ddof=1))
    assert second.startswith("average -a")
    assert f"0.00+-{spread:.2f} (SD over 2)" in second


def test_details_tell_every_score_that_leaves_folds_out(folds: pd.DataFrame) -> None:
    cells: Cells = {"TSA": {("toe", ""): without_positives(folds, 1)}}
    lines = detail_table("T", cells, synthetic=False).splitlines()
    assert lines[-3:] == [
        f"TSA, toe: {metric} is undefined in 1 of 3 folds, which are left out"
        for metric in ("precision", "recall", "mcc")
    ]
    assert "accuracy is not" not in "".join(lines)


def test_a_score_without_any_fold_is_undefined_not_nan(folds: pd.DataFrame) -> None:
    none = without_positives(without_positives(without_positives(folds, 0), 1), 2)
    text = detail_table("T", {"TSA": {("toe", ""): none}}, synthetic=False)
    line = text.splitlines()[3].split()
    assert line == ["toe", "TSA", "100.0", "undefined", "undefined", "undefined", "-"]
    assert "TSA, toe: mcc is undefined in 3 of 3 folds, which are left out" in text
    assert "nan" not in text


@pytest.mark.parametrize("lean", [1.0, 9.0])
def test_folds_that_agree_have_no_interval(make_table: TableMaker, lean: float) -> None:
    one = make_table(lean=lean)
    table = by_recording(pd.concat([one.assign(fold=fold) for fold in range(3)]))
    line = detail_table("T", {"TSA": {("toe", ""): table}}, synthetic=False).splitlines()[3]
    mean, _ = by_hand(table, matthews_corrcoef)
    assert line.split()[-2:] == [f"{mean:.2f}+-0.00", "-"]
