from dataclasses import replace
from pathlib import Path

import pytest

from pdray.checks.case import Split
from pdray.checks.sides import run
from pdray.data.cohort.rated import StoredRecording
from tests.checks.cases import cohort_of, make_case

COHORT = cohort_of(12, 2)
ALL = tuple(range(24))


def split(*moved: int) -> tuple[Split, ...]:
    """Hold the first six recordings out, and others too that stay in the training side."""
    return (Split("test set", ALL[6:], (*ALL[:6], *moved)),)


def test_a_clean_split_passes(tmp_path: Path) -> None:
    found = run(make_case(tmp_path, COHORT, splits=split()))
    assert (found.state, found.found) == ("passed", "each person and each file is on one side")


@pytest.mark.parametrize("number", [6, 23])
def test_a_subject_on_both_sides_is_named(tmp_path: Path, number: int) -> None:
    found = run(make_case(tmp_path, COHORT, splits=split(number)))
    assert found.state == "warning"
    assert "test set: on both sides: 1 subject, 1 file" in found.found


def test_people_of_one_file_and_files_of_two_people_are_seen(tmp_path: Path) -> None:
    tape = frozenset({"S000", "S003"})
    shared = [
        replace(one, video=Path("tape.mp4"), together=tape) if one.subject_id in tape else one
        for one in COHORT
    ]
    allowed = {"data": {"shared_files": ["tape.mp4"]}}
    found = run(make_case(tmp_path, shared, splits=split(), settings=allowed))
    assert found.state == "warning"
    assert "1 group of people who share a file, 1 file" in found.found
    assert "data.shared_files allows 1 file " in found.found
    together = (Split("test set", ALL[8:], ALL[:8]),)
    assert run(make_case(tmp_path, shared, splits=together, settings=allowed)).state == "passed"


def test_the_same_content_under_two_names_is_seen(tmp_path: Path) -> None:
    stems = {one.recording_id: f"e{n}" for n, one in enumerate(COHORT)}
    stems[COHORT[0].recording_id] = stems[COHORT[20].recording_id]
    stored = {name: StoredRecording(name, {"rgb": Path(f"{stem}.pdr")}) for name, stem in
              stems.items()}  # fmt: skip
    found = run(make_case(tmp_path, COHORT, splits=split(), stored=stored))
    assert found.found == "test set: on both sides: 1 entry of the frame store"


def test_ids_that_the_settings_call_different_people_are_reported(tmp_path: Path) -> None:
    names = {"S000": "P1", "S004": "P01", "S005": "1"}
    alike = [replace(one, subject_id=names.get(one.subject_id, one.subject_id)) for one in COHORT]
    settings = {"data": {"different_subjects": [["P1", "P01"]]}}
    found = run(make_case(tmp_path, alike, splits=split(), settings=settings))
    assert found.state == "warning"
    assert "1 number as an id with and without letters" in found.found
    assert "1 group of ids that look alike that they are different people; on both sides: 1" in (
        found.found
    )


def test_one_number_with_two_kinds_of_letters_is_two_people(tmp_path: Path) -> None:
    names = {"S000": "PD1", "S004": "HC1"}
    groups = [replace(one, subject_id=names.get(one.subject_id, one.subject_id)) for one in COHORT]
    assert run(make_case(tmp_path, groups, splits=split())).state == "passed"


def test_recordings_without_a_subject_are_a_warning_or_unknown(tmp_path: Path) -> None:
    unnamed = [
        replace(one, subject_id=one.recording_id, item="face_interview", split="train")
        for one in COHORT
    ]
    data = {"subjects": "none", "items": ["face_interview"]}
    for folds, state in (({"of_recordings": True}, "warning"), ({"from_split": True}, "unknown")):
        settings = {"data": data, "folds": folds}
        held = [[f"S{s:03d}_R0" for s in range(4)]]
        found = run(make_case(tmp_path, unnamed, held=held, settings=settings))
        assert (found.state, found.numbers) == (state, {"unnamed": 24})
