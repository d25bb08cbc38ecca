import os
from pathlib import Path

import pandas as pd
import pytest

from pdray.data.cohort.folds import Folds, folds_to_json
from pdray.tracking.run_log import StudyLog
from pdray.tracking.scorings import (
    Scoring,
    note_scoring,
    note_study,
    read_scorings,
    subject_marks,
)

ONE = Scoring("tsa.table5", "tapping", 3, "abc", "cohort.csv", "a; b, c")
NEW = ONE._replace(digest="d" * 64, study_id="f00", subjects=subject_marks(["S1", "S2"]))
EARLIER = (
    "time,table,study,seed,source,manifest,runs\n"
    '2026-01-01T00:00:00+0000,tsa.table5,tapping,3,abc,cohort.csv,"a; b, c"\n'
)


def test_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert read_scorings(tmp_path) == []
    other = NEW._replace(study='of "two"\nlines')
    for one in (ONE, NEW, other):
        note_scoring(tmp_path, one)
    assert read_scorings(tmp_path) == [ONE, NEW, other]
    assert "S1" not in (tmp_path / "tables" / "scorings.csv").read_text()


def test_a_damaged_line_is_left_out(tmp_path: Path) -> None:
    note_scoring(tmp_path, ONE)
    with (tmp_path / "tables" / "scorings.csv").open("a") as file:
        file.write("2026,cut\n")
    assert read_scorings(tmp_path) == [ONE]


@pytest.mark.parametrize("links", [True, False])
def test_a_list_of_an_earlier_version_is_kept_and_read(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("this disk has no links")

    table = tmp_path / "tables" / "scorings.csv"
    table.parent.mkdir()
    table.write_text(EARLIER)
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    assert read_scorings(tmp_path) == [ONE]
    note_scoring(tmp_path, NEW)
    note_scoring(tmp_path, NEW)
    assert read_scorings(tmp_path) == [ONE, NEW, NEW]
    if links:
        assert table.with_name("scorings.earlier.csv").read_text() == EARLIER
        assert len(pd.read_csv(table)) == 2


@pytest.mark.parametrize(
    ("folds", "tested"),
    [
        (Folds(frozenset("ab"), (frozenset("cd"), frozenset("ef"))), "ab"),
        (Folds(frozenset(), (frozenset("cd"), frozenset("ef"))), "cdef"),
    ],
)
def test_a_line_of_a_study_says_which_subjects_are_scored(
    tmp_path: Path, folds: Folds, tested: str
) -> None:
    log = StudyLog(tmp_path / "studies" / "one")
    settings = {"data": {"manifest": "/secret/cohort.csv"}}
    log.start(name="one", settings=settings, tags={"manifest_digest": "d" * 64})
    note_study(tmp_path, log, job="search", model="winner")
    log.folds_path.write_text(folds_to_json(folds))
    note_study(tmp_path, log, job="evaluate", model="winner")
    before, after = read_scorings(tmp_path)
    assert before.subjects == frozenset()
    assert after.subjects == subject_marks(tested)
    assert (after.manifest, after.digest, after.seed) == ("cohort.csv", "d" * 64, 0)
    assert after.study_id == log.read()["study_id"]
