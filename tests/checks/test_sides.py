import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from pdray.checks.case import Split
from pdray.checks.sides import run
from pdray.data.cohort.provenance import Provenance, Source, write_provenance
from pdray.data.cohort.rated import RatedRecording, StoredRecording
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
        assert (found.state, found.numbers) == (state, {"unnamed": 24, "made": 0})


def made_of(subject: str, *learnt: str) -> RatedRecording:
    return RatedRecording(f"M{subject}", subject, "finger_tapping", 4, 1, Path("made.mp4"),
                          carries=frozenset({subject, *learnt}))  # fmt: skip


def test_made_recordings_are_counted_and_those_that_carry_a_scored_subject_named(
    tmp_path: Path,
) -> None:
    made = (made_of("S005"), made_of("S006", "S000", "S001"), made_of("S007", "S000"))
    case = replace(make_case(tmp_path, COHORT, splits=split()), made=made)
    (one,) = case.splits
    kept = run(replace(case, splits=(one._replace(made=(0,)),)))
    assert (kept.state, kept.numbers["made"]) == ("passed", 3)
    assert kept.found.endswith("; 3 made recordings, learnt from: test set 1; none is scored")
    broken = run(replace(case, splits=(one._replace(made=(0, 1, 2)),)))
    assert broken.state == "warning"
    assert (
        "test set: 2 made recordings that were learnt from carry 2 scored subjects" in broken.found
    )


@pytest.mark.parametrize(("number", "side"), [(3, "scored"), (20, "learnt from")])
@pytest.mark.parametrize("where", ["videos", "output/synthesis/film"])
def test_a_made_file_under_the_row_of_a_real_recording_is_named(
    tmp_path: Path, number: int, side: str, where: str
) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    rows = [replace(one, video=folder / f"{one.recording_id}.mp4") for one in COHORT]
    for one in rows:
        (folder / f"{one.recording_id}.mp4").write_bytes(one.recording_id.encode())
    case = make_case(tmp_path / "output", rows, splits=split())
    (folder / "other.json").write_text('{"version": 1}')
    assert run(case).state == "passed"
    (tmp_path / where).mkdir(parents=True, exist_ok=True)
    content = hashlib.sha256(rows[number].recording_id.encode()).hexdigest()
    made = {content: Source(recording_id="R1", target_class=1, strength=1.0)}
    write_provenance(tmp_path / where / "film.json", Provenance(method="cut", made=made))
    found = run(case)
    assert found.state == "warning"
    assert f"test set: 1 made recording {side} as if real ({case.number_of(number)})" in found.found
