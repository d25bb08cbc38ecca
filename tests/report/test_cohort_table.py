import io
import re
from dataclasses import replace

import pandas as pd
import pytest

from pdray.report.case import read_case
from pdray.report.cohort_table import cohort_csv, cohort_table
from pdray.report.figures import confusion, reliability, roc, subjects
from pdray.report.flow import CASE_CONTROL, class_names, flow
from pdray.report.methods import outcome
from tests.report.fixture import make_study, sixty
from tests.report.recount import HIDDEN, Raw, expected, fault

STUDIES = {
    "two classes": {"people": 60},
    "few people": {"people": 18},
    "five classes": {"classes": 5, "protocol": "nested", "people": 40, "raters": 2, "states": True},
    "no facts": {"facts": False, "protocol": "nested"},
    "repeated": {"protocol": "repeated", "synthetic": False},
}


def table_of(study):
    text = cohort_csv(cohort_table(read_case(study)))
    return pd.read_csv(io.StringIO(text), dtype="str", keep_default_na=False)


@pytest.mark.parametrize("what", STUDIES.values(), ids=STUDIES)
def test_every_count_is_that_of_the_raw_files(tmp_path, what):
    study = make_study(tmp_path, **what)
    table = table_of(study)
    right = expected(Raw(study.folder), table)
    assert not fault(table, right)
    assert (table["fact"] == "data").any() == what.get("synthetic", True)
    # The recount notices a changed digit in any row.
    for place in table.index:
        for column in table.columns[2:]:
            cell = table.loc[place, column]
            if "<" not in cell and (match := re.search("[0-9]", cell)):
                changed = table.copy()
                other = "1" if match[0] != "1" else "2"
                changed.loc[place, column] = cell.replace(match[0], other, 1)
                assert fault(changed, right), (table.loc[place].to_dict(), column)
                break


def test_a_study_of_the_diagnosis_has_no_grades(tmp_path):
    case = read_case(make_study(tmp_path, people=60, protocol="nested"))
    data = {**case.settings["data"], "target": "diagnosis", "grade_cuts": [1]}
    ill = replace(case, settings={**case.settings, "data": data})
    graded, table = cohort_table(case), cohort_table(ill)
    assert {row[0] for row in graded.rows} - {row[0] for row in table.rows} == {"grade"}
    renamed = [
        one.replace("class 0", "healthy").replace("class 1", "ill") for one in graded.columns
    ]
    assert table.columns == tuple(renamed) != graded.columns
    assert outcome(ill) == (
        "The outcome was the diagnosis of the subject (finger tapping), in 2 classes: "
        "class 0 (healthy), class 1 (ill)."
    )
    # An earlier version kept no table of recordings.
    named = [class_names(replace(one, cohort=None)) for one in (case, ill)]
    assert named == [{0: "class 0", 1: "class 1"}, {0: "healthy", 1: "ill"}]
    assert roc.caption(ill).startswith("ROC curve of being ill; ")
    assert "its probability of being ill (point" in subjects.caption(ill)
    assert subjects.draw(ill).axes[0].get_ylabel() == "probability\nof being ill"
    assert reliability.draw(ill).axes[0].get_xlabel() == "probability of being ill"
    ticks = confusion.draw(ill).axes[0].get_yticklabels()
    assert [one.get_text() for one in ticks] == ["0: healthy", "1: ill"]


def test_grades_of_posed_expressions_are_called_a_proxy(tmp_path):
    posed, tapping = (
        outcome(read_case(make_study(tmp_path / item, item=item)))
        for item in ("expression_anger", "finger_tapping")
    )
    assert "MDS-UPDRS item 3.2, which is rated at rest and while talking, they are a pr" in posed
    assert "proxy" not in tapping


def test_values_of_a_manifest_run_nothing_and_break_no_line(tmp_path):
    study = sixty(tmp_path, "nested")
    path = study.folder / "private" / "recordings.parquet"
    rows = pd.read_parquet(path)
    rows["site"] = rows["site"].map(
        {"north": "=HYPERLINK(1)", "south": 'a,"b"\nc\u202e' + "d" * 99}
    )
    rows.to_parquet(path)
    cells = table_of(study).query("fact == 'site'")["value"].tolist()
    assert cells[0] == "'=HYPERLINK(1)"
    assert cells[1].startswith('a,"b" c d')
    assert len(cells[1]) == 60


def test_nobody_above_89_has_an_age(tmp_path):
    study = sixty(tmp_path, "nested")
    table = table_of(study)
    ages = table[(table["fact"] == "age [years]") & (table["value"] == "median (quartiles)")]
    assert "90+" in ages["analysed people"].item()
    assert not re.search(r"\b9[0-9](?!\+)|1[0-9][0-9]", ages.to_csv())


def test_a_study_of_an_earlier_version_says_that_nothing_was_kept(tmp_path):
    study = make_study(tmp_path, cohort=False)
    assert "earlier version" in table_of(study)["value"].item()
    assert flow(read_case(study)) is None


def counts(lines):
    return {line.strip().partition(":")[0]: line.partition(": ")[2] for line in lines}


def test_the_flow_adds_up_from_the_manifest_to_the_classes(tmp_path):
    study = sixty(tmp_path)
    path = study.folder / "private" / "recordings.parquet"
    rows = pd.read_parquet(path)
    lost = rows["subject_id"].isin([f"S{one:02}" for one in range(12)])
    rows.loc[lost, ["part", "reason"]] = ["left out", "damaged file"]
    rows.to_parquet(path)
    told, raw = counts(flow(read_case(study)).lines()), Raw(study.folder)
    analysed, left = raw.part("analysed"), raw.part("left out")
    assert told["listed in the manifest"] == f"60 people, {len(rows)} recordings"
    assert told["left out"] == f"{len(left)} recordings"
    assert told["people of whom nothing is left"] == str(60 - analysed["subject_id"].nunique())
    assert told["analysed"] == f"48 people, {len(analysed)} recordings"
    units = pd.read_parquet(study.winner.predictions_path)
    ill, called = units["target"] == 1, units["probability_1"] > units["probability_0"]
    assert told["recordings of ill"] == (
        f"{int((ill & called).sum())} called ill, {int((ill & ~called).sum())} called healthy"
    )


def test_reasons_of_few_people_are_joined_and_hidden(tmp_path):
    lines = flow(read_case(sixty(tmp_path, "nested"))).lines()
    told = counts(lines)
    assert told["damaged file, no grade, no video, other item, unable to rate"].startswith("<5")
    # The manifest's own count would tell how many are left out.
    assert told["listed in the manifest"] == HIDDEN
    assert told["analysed"] == "60 people, 120 recordings"


@pytest.mark.parametrize(
    ("what", "is_told"),
    [({"people": 60}, True), ({"facts": False}, False), ({"classes": 5, "people": 60}, False)],
)
def test_ill_against_healthy_is_said_to_overstate_accuracy(tmp_path, what, is_told):
    lines = flow(read_case(make_study(tmp_path, protocol="nested", **what))).lines()
    assert (CASE_CONTROL in lines) == is_told


def test_grades_and_classes_together_tell_no_small_count(tmp_path):
    study = sixty(tmp_path)
    path = study.folder / "private" / "recordings.parquet"
    rows = pd.read_parquet(path)
    person = rows["subject_id"].str[1:].astype(int)
    held = rows["part"] == "scored"
    # Of ten healthy people who are scored, three have grade 0; of ten ill ones five have grade 2.
    rows["grade"] = rows["class"] * 2 + (person % 4 // 2)
    rows.loc[held & (rows["class"] == 0), "grade"] = (person >= 18).astype(int)
    rows.loc[held & (rows["class"] == 1), "grade"] = 2 + (person >= 30).astype(int)
    rows.to_parquet(path)
    people = rows[held].groupby("grade")["subject_id"].nunique().to_dict()
    assert people == {0: 3, 1: 7, 2: 5, 3: 5}
    table, told = table_of(study), counts(flow(read_case(study)).lines())
    grades = table[table["fact"] == "grade"].set_index("value")["scored people"]
    assert grades["0"] in ("<5", HIDDEN)
    # Who has both numbers subtracts them.
    assert told["healthy"].startswith("10 people")
    assert grades["1"] == HIDDEN
