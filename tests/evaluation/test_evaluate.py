"""The numbers of an evaluation, and the report that is made of them."""

from collections.abc import Callable

import pandas as pd

from pdray.evaluation.evaluate import Evaluation, evaluate
from pdray.evaluation.evaluation_report import evaluation_text
from pdray.evaluation.metrics import metrics_for
from pdray.evaluation.numbers import COLUMNS
from pdray.evaluation.predictions import by_recording
from pdray.evaluation.settings import EvaluationConfig, ReportConfig
from pdray.evaluation.uncertainty import score_interval

TableMaker = Callable[..., pd.DataFrame]


def evaluated(table: pd.DataFrame) -> Evaluation:
    return evaluate(table, EvaluationConfig(), ReportConfig())


def text_of(found: Evaluation) -> str:
    return evaluation_text(found.head, found.numbers, found.notes)


def test_every_metric_is_that_of_recordings(make_table: TableMaker) -> None:
    table = make_table(num_subjects=30, num_snippets=2)
    frame = evaluated(table).frame
    assert tuple(frame.columns) == COLUMNS
    scores = frame[frame["table"] == "scores"].set_index("metric")
    assert tuple(scores.index) == metrics_for(2)
    found = score_interval(by_recording(table), "mcc")
    assert scores.loc["mcc", ["value", "low", "high"]].tolist() == [
        found.value,
        found.low,
        found.high,
    ]
    assert (scores["num_rows"] == 120).all()


def test_values_of_columns_are_scored_alone(make_table: TableMaker) -> None:
    table = make_table(num_subjects=30).assign(side=None, sex="female")
    table["site"] = table["recording_id"].str.replace("_", " ")
    table["visit_id"] = [None, "V1"] * 60
    found = evaluated(table)
    groups = set(found.frame["group"])
    assert groups == {"", "item=finger_tapping", "item=hand_opening", "visit_id=V1"}
    assert "site has 120 values, more than 12" in found.notes[-1]
    assert "60 recordings have no visit_id" in found.notes[0]


def test_the_best_constant_class_stands_beside_exact_hits(make_table: TableMaker) -> None:
    table = make_table(num_subjects=7, num_recordings=1, num_classes=3)
    frame = evaluated(table).frame
    constant = frame[frame["table"] == "constant"].set_index("metric")["value"]
    assert constant["accuracy"] == 3 / 7  # classes 0, 1, 2, 0, 1, 2, 0
    assert constant["within_one"] == 1.0
    assert constant["mae"] == 5 / 7


def test_what_is_not_there_says_why(make_table: TableMaker) -> None:
    table = make_table(num_subjects=4).assign(target=1)
    text = text_of(evaluated(table))
    assert "mcc                undefined" in text
    assert "only class 1 is present" in text
    assert "too few subjects for an interval: 4, 12 are needed" in text
    assert all(len(line) <= 80 for line in text.splitlines())
