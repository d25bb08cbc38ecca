import json
from pathlib import Path

import pandas as pd
import pytest

from pdray.tracking.address import ToldSubjects
from pdray.tracking.leaving import leaving
from pdray.tracking.run_log import StudyLog

PAIR = "2 pairs of copies across sides: Roe-1 and Roe 2 (pictures, 0.99), Roe-12 and 2 (sound, 0.9)"


@pytest.fixture
def cohort(study: StudyLog) -> StudyLog:
    ids = dict.fromkeys(["Roe-1", "Roe 2", "Roe-12", "2", "Roe"])
    (study.folder / "entries.json").write_text(json.dumps(ids))
    return study


def test_groups_of_few_people_and_dates_are_left_out_of_numbers(
    study: StudyLog, tmp_path: Path
) -> None:
    head = "table,group,metric,value,num_subjects,reason\n"
    kept = ["scores,,mcc,0.5,4,", 'groups,site=Ulm,mcc,0.1,5,"a, b"']
    # The subjects of Dorf would follow from those of Au, Ulm and all.
    gone = ["groups,site=Dorf,mcc,0.9,4,", "groups,visit_id=2023-05-01,mcc,0.2,30,",
            "groups,site=Au,mcc,0.3,5,", "constant,site=Au,accuracy,0.3,5,"]  # fmt: skip
    file = study.folder / "numbers.csv"
    file.write_text(head + "\n".join([kept[0], *gone, kept[1], ""]))
    copy = leaving(file, study, tmp_path)
    assert copy is not None
    assert copy.read_text() == head + "\n".join([*kept, ""])
    settings = study.read()["settings"] | {"report": {"small_cells": 6}}
    study.start(name="demo", settings=settings, tags={})
    leaving(file, study, tmp_path)
    assert "Ulm" not in copy.read_text()


def test_findings_and_reports_of_earlier_versions_get_numbers_for_ids(
    cohort: StudyLog, tmp_path: Path
) -> None:
    about = {"state": "warning", "advice": "keep one"}
    findings = [{"code": "PDR002", "found": PAIR, **about},
                {"code": "PDR009", "found": "2 subjects", **about}]  # fmt: skip
    (cohort.folder / "checks.json").write_text(json.dumps(findings))
    wrapped = PAIR.replace("Roe 2", "Roe\n    2")
    text = f"mcc 2\nPDR002 warning (copies)\n  found: {wrapped}\nPDR009 passed: 2\n"
    (cohort.folder / "report.txt").write_text(text)
    told = {}
    for name in ("checks.json", "report.txt"):
        copy = leaving(cohort.folder / name, cohort.outer("00"), tmp_path)
        assert copy is not None
        told[name] = copy.read_text()
        assert "Roe" not in told[name]
        assert told[name].count("R00") >= 4
    assert json.loads(told["checks.json"])[1] == findings[1]
    assert told["report.txt"].startswith("mcc 2\n")
    assert told["report.txt"].endswith("PDR009 passed: 2\n")


def test_what_names_nobody_is_sent_as_it_is_and_a_damaged_table_stays(
    cohort: StudyLog, tmp_path: Path
) -> None:
    plain = cohort.folder / "epochs.jsonl"
    assert leaving(plain, cohort, tmp_path) == plain
    told = {"code": "PDR002", "state": "warning", "found": "2 and R003",
            "advice": "see private/recordings.csv"}  # fmt: skip
    file = cohort.folder / "checks.json"
    file.write_text(json.dumps([told]))
    copy = leaving(file, cohort, tmp_path)
    assert copy is not None
    assert json.loads(copy.read_text()) == [told]
    (cohort.folder / "predictions.parquet").write_bytes(b"PAR1 Roe")
    pd.DataFrame({"subject_id": ["Roe"]}).to_csv(cohort.folder / "numbers.csv")
    for name in ("predictions.parquet", "numbers.csv"):
        assert leaving(cohort.folder / name, cohort, tmp_path) is None


def test_no_sentence_tells_how_many_people_a_small_class_has(
    study: StudyLog, tmp_path: Path
) -> None:
    few = {"code": "PDR009", "state": "warning", "advice": "collect more",
           "found": "scored: 3 subjects of class 1, 5 are needed; learnt from: 12 subjects of "
           "class 0, 1 subject of class 1",
           "numbers": {"scored": 23, "scored_0": 20, "scored_1": 3}}  # fmt: skip
    (study.folder / "checks.json").write_text(json.dumps([few]))
    reason = "too few subjects for an interval: 4 of class 0, 0 of class 2, 5 are needed"
    (study.folder / "numbers.csv").write_text(
        f'table,group,metric,value,num_subjects,reason\nscores,,mcc,0.5,24,"{reason}"\n'
    )
    (study.folder / "report.txt").write_text(
        f"mcc 0.5 (no interval: {reason})\nPDR009 passed: 27 subjects were scored (class 0: 24,\n"
        "  class 1: 3)\n"
    )
    told = {}
    for name in ("checks.json", "numbers.csv", "report.txt"):
        copy = leaving(study.folder / name, study, tmp_path)
        assert copy is not None
        told[name] = copy.read_text()
    (found,) = json.loads(told["checks.json"])
    assert found["found"] == (
        "scored: <5 subjects of class 1, 5 are needed; learnt from: 12 subjects of class 0, "
        "<5 subjects of class 1"
    )
    assert found["numbers"] == {"scored": 23}
    hidden = reason.replace("4 of", "<5 of")
    assert hidden in told["numbers.csv"]
    assert told["report.txt"] == (
        f"mcc 0.5 (no interval: {hidden})\nPDR009 passed: 27 subjects were scored\n"
    )


def test_predictions_name_people_as_the_settings_or_the_caller_say(
    study: StudyLog, tmp_path: Path
) -> None:
    names = [f"Roe-{number}" for number in range(9)]
    table = pd.DataFrame({"recording_id": names, "subject_id": names, "visit_id": "base"})
    table["probability_1"] = [number / 10 for number in (3, 1, 4, 0, 5, 9, 2, 6, 8)]
    path = study.folder / "predictions.parquet"
    table.to_parquet(path)

    def sent(subjects: ToldSubjects | None = None) -> pd.DataFrame:
        copy = leaving(path, study, tmp_path, subjects)
        assert copy is not None
        return pd.read_parquet(copy)

    numbered = sent()
    assert not numbered.astype(str).apply(lambda column: column.str.contains("Roe")).any(axis=None)
    # In the order of the numbers, which were drawn, not in that of the manifest.
    assert numbered["recording_id"].tolist() == sorted(numbered["recording_id"])
    assert sorted(numbered["probability_1"]) == sorted(table["probability_1"])
    pd.testing.assert_frame_equal(sent("as_is"), table)
    study.start(name="demo", settings={"tracking": {"subjects": "none"}}, tags={})
    nameless = sent()
    assert list(nameless) == ["probability_1"]
    assert nameless["probability_1"].is_monotonic_increasing
    pd.testing.assert_frame_equal(sent("numbers"), numbered)
