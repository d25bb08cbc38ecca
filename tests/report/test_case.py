"""A finished study is read for its report without pseudonyms, whatever its protocol."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pdray.checks.finding import Finding
from pdray.checks.run import write_findings
from pdray.errors import StudyError
from pdray.report.case import read_case
from tests.report.fixture import make_study

KINDS: dict[str, dict[str, Any]] = {
    "two classes": {},
    "five classes, raters, states": {"classes": 5, "raters": 2, "states": True, "people": 30},
    "nested": {"protocol": "nested", "raters": 2, "states": True},
    "repeated": {"protocol": "repeated"},
    "without ages and sites": {"facts": False, "synthetic": False, "searched": False},
    "few people": {"people": 12},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_case_holds_running_numbers_and_no_path(kind: str, tmp_path: Path) -> None:
    what = KINDS[kind]
    case = read_case(make_study(tmp_path, **what))
    assert case.protocol == what.get("protocol", "holdout")
    assert case.chosen_epoch == 3
    assert case.cohort is not None
    assert case.inner is not None
    for table in (case.units, case.inner, case.cohort):
        assert table["subject_id"].str.fullmatch(r"P\d\d").all()
        assert table["recording_id"].str.fullmatch(r"R\d\d\d?").all()
    held = case.cohort[case.cohort["part"] == "scored"]
    assert set(case.units["recording_id"]) == set(held["recording_id"])
    told = " ".join(str(getattr(case, field.name)) for field in dataclasses.fields(case))
    assert "secret" not in told
    assert "S0" not in told
    assert "2024-01" not in told


def test_numbers_of_an_earlier_version_are_made_from_its_predictions(tmp_path: Path) -> None:
    study = make_study(tmp_path, cohort=False)
    numbers = read_case(study).numbers
    shutil.rmtree(study.evaluation)
    case = read_case(study)
    assert case.cohort is None
    assert case.numbers["metric"].tolist() == numbers["metric"].tolist()
    assert case.numbers["value"].round(9).equals(numbers["value"].round(9))


@pytest.mark.parametrize(
    ("state", "told"), [("running", "continue it with --resume"), ("failed", "start a new study")]
)
def test_a_study_without_a_winner_has_no_report(state: Any, told: str, tmp_path: Path) -> None:
    study = make_study(tmp_path)
    study.finish(state=state)
    with pytest.raises(StudyError, match=f"study made is {state}.*{told}"):
        read_case(study)


def test_findings_and_reasons_do_not_count_few_people(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    counts = {"scored": 23, "scored_0": 20, "scored_1": 3}
    told = "scored: 3 subjects of class 1, 5 are needed"
    finding = Finding(code="PDR009", title="few", state="warning", found=told, numbers=counts)
    write_findings(study.folder, [finding])
    path = study.evaluation / "numbers.csv"
    text = path.read_text(encoding="utf-8")
    text = text.replace("8, 12 are needed", "3 of class 1", 1)
    path.write_text(text, encoding="utf-8")
    case = read_case(study)
    (found,) = case.findings
    assert found.found == "scored: <5 subjects of class 1, 5 are needed"
    assert found.numbers == {"scored": 23}
    assert "<5 of class 1" in case.numbers["reason"].str.cat()
    assert "3 of class 1" not in case.numbers["reason"].str.cat()


def test_an_earlier_version_s_numbers_are_made_with_its_intervals(tmp_path: Path) -> None:
    study = make_study(tmp_path, people=60)
    given = read_case(study).numbers
    shutil.rmtree(study.evaluation)
    path = study.folder / "study.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    del facts["settings"]["evaluation"]
    path.write_text(json.dumps(facts), encoding="utf-8")
    made = read_case(study).numbers
    assert made["value"].equals(given["value"])
    assert not made["low"].equals(given["low"])
