import os
import stat
from pathlib import Path

import pandas as pd
import pytest

from pdray.errors import StudyError
from pdray.tracking.numbering import (
    number_recordings,
    number_subjects,
    visit_date,
    without_ids,
    writing_private,
)
from pdray.tracking.run_log import StudyLog


def _table(**columns: object) -> pd.DataFrame:
    people = [f"S{number}" for number in range(6)]
    return pd.DataFrame({"recording_id": [f"{one}_tap" for one in people], "subject_id": people,
                         "score": 0.5, **columns})  # fmt: skip


def test_numbers_stay_and_new_subjects_get_the_next_ones(study: StudyLog) -> None:
    people = [f"Jane {number}" for number in range(40)]
    first = number_subjects(study, people)
    assert sorted(first.values()) == [f"P{number:02d}" for number in range(1, 41)]
    drawn = [first[one] for one in people]
    assert drawn != sorted(drawn), "the order of the manifest would show who is who"
    later = number_subjects(study, ["Jim", *people])
    assert later == {**first, "Jim": "P41"}
    assert number_recordings(study, {"Jim_tap.mp4": "Jim"}) == {"Jim_tap.mp4": "R001"}


def test_the_key_is_for_its_owner_only_whatever_the_umask(study: StudyLog) -> None:
    before = os.umask(0)
    try:
        number_subjects(study, ["a"])
        with writing_private(study, "more.parquet") as path:
            path.write_bytes(b"as pandas writes it")
    finally:
        os.umask(before)
    folder = study.folder / "private"
    rights = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert rights["subjects.csv"] == rights["more.parquet"] == 0o600
    assert (folder / "subjects.csv").read_text() == "number,subject_id\nP01,a\n"


def test_searches_in_outer_folds_use_the_numbers_of_the_whole_study(study: StudyLog) -> None:
    numbers = number_subjects(study, ["a", "b", "c"])
    inner = study.permuted(1).outer("0-00")
    assert number_subjects(inner, ["b"]) == numbers
    assert not inner.folder.exists()


def test_a_damaged_or_unwritable_key_is_refused(study: StudyLog) -> None:
    number_subjects(study, ["a", "b"])
    key = study.folder / "private" / "subjects.csv"
    key.write_text("number,subject_id\nP01,a\nP01,b\n")
    with pytest.raises(StudyError, match=r"subjects.csv: the key.*damaged; restore it"):
        number_subjects(study, ["a"])
    with pytest.raises(StudyError, match="cannot be written: No such file"):
        number_subjects(StudyLog(Path("/nowhere/study")), ["a"])


def test_a_table_without_ids_keeps_its_numbers_and_who_is_whose(study: StudyLog) -> None:
    table = pd.concat([_table(), _table(recording_id=[f"{n}.mp4" for n in range(6)])])
    found = without_ids(table, study)
    assert list(found["score"]) == list(table["score"])
    assert table["subject_id"].iloc[0] == "S0", "the table itself is not changed"
    texts = found[["subject_id", "recording_id"]].to_csv()
    assert "S0" not in texts
    assert "mp4" not in texts
    assert found.groupby("subject_id")["recording_id"].nunique().tolist() == [2] * 6
    assert without_ids(table, study).equals(found)
    assert without_ids(table.iloc[:0], study).empty


def test_recordings_that_stand_for_subjects_still_do(study: StudyLog) -> None:
    found = without_ids(_table(recording_id=[f"S{number}" for number in range(6)]), study)
    assert (found["recording_id"] == found["subject_id"]).all()


def test_dates_become_days_and_few_peoples_facts_are_not_told(study: StudyLog) -> None:
    visits = ["2023-05-01", "01.05.2023", None, "baseline", "Jane2", "P5_20230510"]
    table = _table(visit_id=visits, age=[93, 89, 70, None, 50, 60], site=[*["Ulm"] * 5, "Dorf"])
    again = table.assign(recording_id=table["recording_id"] + "2", visit_id="2023-05-11")
    found = without_ids(pd.concat([table, again], ignore_index=True), study)
    told = found["visit_id"].tolist()
    assert told[:2] == ["day 0", "day 0"]
    assert pd.isna(told[2])
    assert told[3:6] == ["visit 1", "visit 1", "day 0"]
    assert told[6:] == ["day 10", "day 10", "day 0", "day 0", "day 0", "day 1"]
    assert found["age"].tolist()[:3] == [90, 89, 70]
    assert found["site"].tolist()[:6] == [*["Ulm"] * 5, "rare"]


def test_days_and_rare_facts_are_counted_over_the_kept_cohort(study: StudyLog) -> None:
    table = _table(visit_id="2024-01-31", site="Ulm")
    with writing_private(study, "recordings.parquet") as path:
        table.to_parquet(path)
    part = table.iloc[:1].assign(recording_id="late", visit_id="2024-03-01")
    found = without_ids(part, study)
    assert found["visit_id"].tolist() == ["day 30"]
    assert found["site"].tolist() == ["Ulm"]


@pytest.mark.parametrize(
    ("visit", "expected"),
    [("2023-05-01", "2023-05-01"), ("P01_20230501_b", "2023-05-01"), ("1.5.2023", "2023-05-01"),
     ("2023/5/1", "2023-05-01"), ("V2", None), ("2023-13-01", None), ("120230501", None)],
)  # fmt: skip
def test_dates_in_names_of_visits(visit: str, expected: str | None) -> None:
    found = visit_date(visit)
    assert (None if found is None else str(found)) == expected
