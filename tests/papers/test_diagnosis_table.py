import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from pdray.data.cohort.settings import DataConfig
from pdray.evaluation.controls import Known
from pdray.evaluation.predictions import probabilities
from pdray.papers.diagnosis_table import diagnosis_table, line_scores
from pdray.papers.severity_table import Printed, Seed
from pdray.papers.table import DIAGNOSIS_COLUMNS
from tests.papers.test_severity_table import SITES, predicted

PAPER = {"SVM, original": {"accuracy": "0.749", "P healthy": "0.709"}}
DATA = DataConfig(manifest=Path("m.csv"), target="diagnosis")


def two_classes(seed: int) -> pd.DataFrame:
    table = predicted(seed, num_folds=4)
    probability = table["probability_0"].to_numpy()
    return table.drop(columns="probability_2").assign(
        target=(table["target"] > 0).astype("int64"), probability_1=1 - probability
    )


def printed(sites: dict[str, str] | None = None, data: DataConfig = DATA) -> str:
    tables = {"SVM, original": two_classes(0), "LSTM, processed": two_classes(1)}
    learnt = {fold: [Known(0, "A"), Known(1, "A"), Known(1, "B")] for fold in range(4)}
    seed = Seed(tables, learnt, dict.fromkeys(SITES, "A") if sites is None else sites)
    return diagnosis_table(Printed("Table 9", PAPER, frozenset(), True), seed, data)


def test_a_line_has_both_averages_and_the_recall_of_the_ill() -> None:
    table = two_classes(0)
    y_true, y_pred = table["target"], probabilities(table).argmax(1)
    found = line_scores(table)
    each = reference.precision_recall_fscore_support(y_true, y_pred)
    weighted = reference.precision_recall_fscore_support(y_true, y_pred, average="weighted")
    for right, kind in ((weighted, "w"), ([one[0] for one in each], "healthy")):
        names = [f"{one} {kind}" for one in ("P", "R", "F1")]
        assert [found[name] for name in names] == pytest.approx(list(right[:3]))
    assert found["R ill"] == pytest.approx(each[1][1])
    assert found["R w"] == pytest.approx(np.mean(y_true == y_pred))


def test_figures_of_the_paper_and_baselines_stand_below() -> None:
    lines = printed().splitlines()
    assert lines[0].startswith("Table 9 (SYNTHETIC")
    rows = [line.split("  ")[0] or line.split()[0] for line in lines[3:7]]
    assert rows == ["SVM, original", "paper", "LSTM, processed", "baseline: frequencies"]
    paper = re.split(r"\s{2,}", lines[4].strip())[1:]
    assert dict(zip(DIAGNOSIS_COLUMNS, paper, strict=True)) == {
        **dict.fromkeys(DIAGNOSIS_COLUMNS, "-"), **PAPER["SVM, original"]
    }  # fmt: skip
    text = "\n".join(lines)
    assert "60 recordings of 60 subjects in 4 folds: 20 healthy, 40 ill" in text
    # Training knows the ill as the majority: nobody is called healthy, so that it has no precision.
    frequencies = dict(zip(DIAGNOSIS_COLUMNS, re.split(r"\s{2,}", lines[6])[1:], strict=True))
    assert (frequencies["accuracy"], frequencies["AUROC"]) == ("0.667", "0.500")
    assert [frequencies[f"{one} healthy"] for one in ("P", "R", "F1")] == ["-", "0.000", "0.000"]
    assert "baseline: site only" in printed(SITES)


def test_classes_of_grades_are_named_by_their_cut() -> None:
    graded = DataConfig(manifest=Path("m.csv"), grade_cuts=(2,))
    assert "ill: grade 2 and above; healthy: below" in printed(data=graded)
    assert "grade" not in printed()
