"""The numbers of an evaluation, and the report that is made of them."""

from collections.abc import Callable

import pandas as pd
import pytest

from pdray.evaluation.decision import choose
from pdray.evaluation.evaluate import Evaluation, evaluate
from pdray.evaluation.evaluation_report import evaluation_text
from pdray.evaluation.metrics import metrics_for
from pdray.evaluation.numbers import COLUMNS
from pdray.evaluation.predictions import by_recording
from pdray.evaluation.score_intervals import score_interval
from pdray.evaluation.settings import (
    DecisionConfig,
    EvaluationConfig,
    EvaluationSettings,
    ReportConfig,
)
from pdray.evaluation.uncertainty import subject_bootstrap

TableMaker = Callable[..., pd.DataFrame]


def evaluated(table: pd.DataFrame) -> Evaluation:
    return evaluate(table, EvaluationSettings())


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


def test_a_study_of_before_keeps_its_percentile_intervals(make_table: TableMaker) -> None:
    table = make_table(num_subjects=8)
    how = EvaluationSettings(evaluation=EvaluationConfig(interval="percentile"))
    found = evaluate(table, how)
    (mcc,) = (one for one in found.numbers if (one.table, one.metric) == ("scores", "mcc"))
    before = subject_bootstrap(by_recording(table), "mcc")
    assert (mcc.low, mcc.high) == (before.low, before.high)
    assert "2000 resamples" in text_of(found)


def test_values_of_columns_are_scored_alone(make_table: TableMaker) -> None:
    table = make_table(num_subjects=30).assign(side=None, sex="female")
    table["site"] = table["recording_id"].str.replace("_", " ")
    table["visit_id"] = [None, "V1"] * 60
    found = evaluated(table)
    groups = set(found.frame.loc[found.frame["table"] == "groups", "group"])
    assert groups == {"item=finger_tapping", "item=hand_opening", "visit_id=V1"}
    told = " ".join(found.notes)
    assert "site has 120 values, more than 12" in told
    assert "60 recordings have no visit_id" in told


def test_the_best_constant_class_stands_beside_exact_hits(make_table: TableMaker) -> None:
    table = make_table(num_subjects=7, num_recordings=1, num_classes=3)
    frame = evaluated(table).frame
    constant = frame[frame["table"] == "constant"].set_index("metric")["value"]
    assert constant["accuracy"] == 3 / 7  # classes 0, 1, 2, 0, 1, 2, 0
    assert constant["within_one"] == 1.0
    assert constant["mae"] == 5 / 7


def test_scores_of_rare_grades_stand_beside_those_of_joined_ones(make_table: TableMaker) -> None:
    table = make_table(num_subjects=40, num_classes=4)
    table = table[(table["target"] != 3) | table["subject_id"].isin(["s3", "s7"])]
    frame = evaluated(table).frame
    alone = frame[frame["table"] == "scores"].set_index("metric")
    assert "2 of class 3, 5 are needed" in alone.loc["mcc", "reason"]
    assert alone.loc["kappa", "reason"] == ""
    joined = frame[frame["table"] == "joined"].set_index("metric")
    assert set(joined["group"]) == {"classes 0, 1, 2+3"}
    assert "kappa" not in joined.index
    assert joined.loc["mcc", ["low", "high"]].notna().all()


def test_units_that_are_joined_are_scored_and_explained(make_table: TableMaker) -> None:
    table = make_table(num_subjects=30, num_snippets=2)
    table = table.assign(visit_id="V1", side=table["recording_id"].str[-1].map({"0": "left"}))
    table["side"] = table["side"].fillna("right")
    sizes = levels_of(evaluated(table))
    assert sizes == {("snippet", ""): 240, ("visit", ""): 90}
    report = {"levels": ("subject",), "over": ("side",)}
    found = evaluate(table, EvaluationSettings(report=ReportConfig(**report)))
    assert levels_of(found) == {("subject", ""): 60, ("visit", "averaged over sides"): 60}
    assert any(note.startswith("level: subject: 60 units") for note in found.notes)
    assert any("also over sides;" in note for note in found.notes)


def levels_of(found: Evaluation) -> dict[tuple[str, str], int]:
    """Return the number of units by level and group."""
    frame = found.frame[found.frame["table"] == "levels"]
    return {(one.level, one.group): one.num_rows for one in frame.itertuples()}


def test_a_table_that_names_no_subjects_says_what_its_intervals_are_over(
    make_table: TableMaker,
) -> None:
    table = make_table(num_subjects=14)
    assert not any("stand for subjects" in note for note in evaluated(table).notes)
    unnamed = evaluated(table.assign(subject_id=table["recording_id"]))
    assert any("recordings stand for subjects" in note for note in unnamed.notes)


def test_calibration_of_several_networks_leaves_training_out(make_table: TableMaker) -> None:
    table = make_table(num_subjects=40)
    fold = table["subject_id"].str.removeprefix("s").astype(int) % 4
    frame = evaluated(table.assign(outer_fold=fold)).frame
    truths = frame.loc[frame["truth"] != "", ["table", "truth"]]
    assert "procedure" in set(truths.loc[truths["table"] == "scores", "truth"])
    assert set(truths.loc[truths["table"] == "calibration", "truth"]) == {"predictions"}


def test_two_classes_are_never_more_than_one_apart(make_table: TableMaker) -> None:
    table = make_table(num_subjects=14).assign(rater_1=1.0, rater_2=0.0)
    table["grade"] = table["target"]
    frame = evaluated(table).frame
    others = frame[frame["group"].str.contains("against the mean of the others")]
    assert set(others["metric"]) == {"mae", "exact", "kappa"}


def test_raters_and_model_are_compared_with_the_other_raters(make_table: TableMaker) -> None:
    table = make_table(num_subjects=30, num_classes=3).assign(item="gait")
    grades = table["target"].astype(float)
    table = table.assign(grade=table["target"], rater_1=grades, rater_2=grades, rater_3=None)
    frame = evaluated(table).frame
    raters = frame[frame["table"] == "raters"]
    assert raters.iloc[0]["group"] == "2 raters, 0 incomplete recordings left out"
    assert raters.iloc[0]["value"] == 1.0
    groups = dict(tuple(raters.groupby("group")))
    alike = groups["rater_1 against the mean of the others"].set_index("metric")["value"]
    assert alike.to_dict() == {"mae": 0.0, "exact": 1.0, "within_one": 1.0, "kappa": 1.0}
    model = groups["model, rows of rater_1, against the mean of the others"].set_index("metric")
    scores = frame[frame["table"] == "scores"].set_index("metric")["value"]
    for metric, same in (("mae", "mae"), ("exact", "accuracy"), ("kappa", "kappa")):
        assert model.loc[metric, "value"] == pytest.approx(scores[same])


def test_raters_are_compared_with_the_reference_alone(make_table: TableMaker) -> None:
    table = make_table(num_subjects=20).assign(item="gait")
    grade = table["target"]
    table = table.assign(grade=grade, rater_1=grade, rater_2=grade, rater_3=1 - grade)
    how = EvaluationSettings(report=ReportConfig(reference_raters=(1, 2)))
    frame = evaluate(table, how).frame.query("table == 'raters' and metric == 'mae'")
    found = frame.set_index("group")["value"]
    assert found["rater_1 against the mean of rater_2"] == 0
    assert found["rater_3 against the mean of rater_1, rater_2"] == 1
    assert found["rater_3 against the grade"] == 1
    assert found["model, rows of rater_3, against the grade"] == pytest.approx(
        found["model, rows of rater_1, against the mean of rater_2"]
    )
    assert "rater_1 against the grade" not in found


def test_a_model_of_open_classes_is_not_compared_with_raters(make_table: TableMaker) -> None:
    table = make_table(num_subjects=20).assign(rater_1=2.0, rater_2=2.0)  # grades 0 and 2 only
    found = evaluated(table)
    assert any("the grades at which classes begin" in note for note in found.notes)
    raters = found.frame[found.frame["table"] == "raters"]
    assert not raters["group"].str.contains("model").any()
    assert "all grades are 2" in set(raters["undefined"])


def test_a_threshold_of_fixed_specificity_is_chosen_on_other_subjects(
    make_table: TableMaker,
) -> None:
    table = make_table(num_subjects=40)
    inner = make_table(num_subjects=40, seed=1)
    inner = inner.assign(split="val", subject_id="dev_" + inner["subject_id"])
    found = evaluate(table, EvaluationSettings(), inner)
    alone = found.frame[found.frame["table"] == "decision"].set_index("metric")
    chosen = choose(inner, DecisionConfig(threshold="specificity"))
    healthy = table[table["target"] == 0]
    right = (healthy["probability_1"] <= chosen.threshold).mean()
    assert alone.loc["specificity", "value"] == pytest.approx(right)
    stray = evaluate(table, EvaluationSettings(), inner.assign(trial=9))  # another model's
    assert "decision" not in set(stray.frame["table"])
    assert any("wanted: nothing was chosen" in note for note in stray.notes)
    alone_note = "specificity 0.9 wanted: no threshold or calibration was chosen"
    # Networks of several seeds that scored one test set know no other subjects either.
    seeds = pd.concat([table.assign(seed=0), table.assign(seed=1)], ignore_index=True)
    for alone in (table, seeds):
        assert any(note.startswith(alone_note) for note in evaluated(alone).notes)
    folds = table.assign(fold=table["subject_id"].str.len())
    assert any("for each fold on the" in note for note in evaluated(folds).notes)


def test_what_is_not_there_says_why(make_table: TableMaker) -> None:
    table = make_table(num_subjects=4).assign(target=1)
    text = text_of(evaluated(table))
    assert "mcc                undefined" in text
    assert "only class 1 is present" in text
    assert "too few subjects for an interval: 4, 12 are needed" in text
    assert all(len(line) <= 80 for line in text.splitlines())
