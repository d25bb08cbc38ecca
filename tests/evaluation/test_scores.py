import math
from collections.abc import Callable

import pandas as pd
import pytest

from pdray.errors import SettingsError, StudyError
from pdray.evaluation.predictions import by_recording
from pdray.evaluation.score_intervals import score_interval
from pdray.evaluation.scores import score_predictions

TableMaker = Callable[..., pd.DataFrame]


def test_scores_are_those_of_recordings_with_intervals_of_subjects(make_table: TableMaker) -> None:
    table = make_table(num_subjects=14, num_snippets=3)
    scores = score_predictions(table, ["mcc", "auroc"]).set_index("metric")
    for metric in ("mcc", "auroc"):
        found = score_interval(by_recording(table), metric)
        row = scores.loc[metric]
        assert (row["value"], row["low"], row["high"]) == (found.value, found.low, found.high)
        assert (row["truth"], row["reason"]) == ("model", "")
    assert scores[["num_subjects", "num_recordings"]].to_numpy().tolist() == [[14, 56]] * 2
    assert (scores["trial"] == 3).all()


def test_each_network_is_scored_alone_unless_they_are_pooled(make_table: TableMaker) -> None:
    second = make_table(seed=1).assign(fold=2)
    both = pd.concat([make_table(), second])
    assert score_predictions(both, ["mcc"])["fold"].tolist() == [1, 2]
    (alone,) = score_predictions(second, ["mcc"])["value"]
    assert score_predictions(both, ["mcc"])["value"].iloc[1] == alone
    (pooled,) = score_predictions(both, ["mcc"], by=())["num_recordings"]
    assert pooled == 48
    assert score_predictions(both, ["mcc"], by=["item"])["item"].nunique() == 2


def test_a_single_subject_has_a_score_and_no_interval(make_table: TableMaker) -> None:
    (row,) = score_predictions(make_table(num_subjects=1), ["accuracy"]).to_dict("records")
    assert 0 <= row["value"] <= 1
    assert math.isnan(row["low"])
    assert math.isnan(row["high"])
    assert row["reason"] == "too few subjects for an interval: 1, 12 are needed"


def test_what_cannot_be_scored_is_refused(make_table: TableMaker) -> None:
    table = make_table()
    with pytest.raises(SettingsError, match="unknown metric 'mc'; did you mean 'mcc'"):
        score_predictions(table, ["mc"])
    with pytest.raises(StudyError, match="by: no column 'site'"):
        score_predictions(table, by=["site"])
    with pytest.raises(StudyError, match="no row"):
        score_predictions(table.iloc[:0])
    with pytest.raises(StudyError, match="column 'subject_id' is missing"):
        score_predictions(table.drop(columns="subject_id"))
