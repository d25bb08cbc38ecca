"""Weights files of studies in one output folder, followed back to who was trained on."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pdray.checks.case import Case
from pdray.checks.weights import run
from pdray.data.cohort.folds import Folds, folds_to_json
from pdray.data.cohort.rated import StoredRecording
from pdray.tracking.run_log import StudyLog
from tests.checks.cases import cohort_of, make_case

COHORT = cohort_of(24, 1)
HELD = [f"S{s:03d}" for s in (0, 1, 8, 9, 16, 17)]


def start_from(log: StudyLog, file: Path | None) -> None:
    pretrained = None if file is None else str(file)
    log.winner.start(
        number=0, num_epochs=1, params={}, settings={"pretrained": pretrained}, role="winner"
    )


def case_from(output: Path, file: Path | None) -> Case:
    stored = {
        one.recording_id: StoredRecording(one.recording_id, {"rgb": Path(f"e{n}.pdr")})
        for n, one in enumerate(COHORT)
    }
    case = make_case(output, COHORT, held=[HELD], stored=stored)
    start_from(case.study, file)
    return case


def pretrain(
    output: Path,
    learnt: list[str],
    *,
    digest: str = "d" * 64,
    name: str = "before",
    start: Path | None = None,
    frames: dict[str, list[str]] | None = None,
) -> Path:
    """Leave a study that learnt from these subjects; return its weights."""
    log = StudyLog(output / "studies" / name)
    log.start(name=name, settings={}, tags={"manifest_digest": digest})
    folds = Folds(frozenset({"other"}), (frozenset(learnt),))
    log.folds_path.write_text(folds_to_json(folds))
    (log.folder / "entries.json").write_text(json.dumps(frames or {}))
    start_from(log, start)
    log.winner.model_path.write_bytes(name.encode())
    return log.winner.model_path


def test_random_weights_pass(tmp_path: Path) -> None:
    found = run(case_from(tmp_path, None))
    assert (found.state, found.numbers["files"]) == ("passed", 0)


def test_weights_trained_on_scored_subjects_are_named_and_others_are_not(tmp_path: Path) -> None:
    found = run(case_from(tmp_path, pretrain(tmp_path, [*HELD[:2], "S002"])))
    assert found.state == "warning"
    assert found.found == "weights were trained on 2 of 6 scored subjects"
    clean = pretrain(tmp_path, ["S002", "S003"], name="clean")
    assert run(case_from(tmp_path, clean)).state == "passed"


def test_a_copy_of_a_winner_is_recognised_and_a_file_of_others_is_unknown(tmp_path: Path) -> None:
    copy = tmp_path / "weights.pt"
    shutil.copy(pretrain(tmp_path, HELD[:1]), copy)
    assert run(case_from(tmp_path, copy)).state == "warning"
    copy.write_bytes(b"foreig")  # of the same size
    found = run(case_from(tmp_path, copy))
    assert found.state == "unknown"
    assert "of another program" in found.found


def test_weights_are_followed_through_the_studies_before(tmp_path: Path) -> None:
    first = pretrain(tmp_path, HELD[:3], name="first")
    second = pretrain(tmp_path, ["S002"], name="second", start=first)
    start_from(StudyLog(first.parents[1]), second)  # a circle ends
    assert run(case_from(tmp_path, second)).numbers["seen"] == 3


@pytest.mark.parametrize(
    ("frames", "state"), [({"x": ["e0"]}, "warning"), ({"x": ["e2"]}, "unknown")]
)
def test_another_manifest_counts_by_its_frames(
    tmp_path: Path, frames: dict[str, list[str]], state: str
) -> None:
    file = pretrain(tmp_path, ["S000", "S500"], digest="e" * 64, frames=frames)
    found = run(case_from(tmp_path, file))
    assert found.state == state
    assert ("also stand in another manifest" in found.found) == (state == "unknown")
    far = pretrain(tmp_path, ["S500"], digest="e" * 64, frames={"x": ["e2"]}, name="far")
    assert run(case_from(tmp_path, far)).state == "passed"


def learn_from_made(log: StudyLog, people: dict[str, list[str]]) -> None:
    """Note that a study had one made recording, which carries these subjects."""
    group = {"method": "cut", "study": "t", "recordings": ["M1"], "people": people}
    log.write("made.json", json.dumps([group]))


def test_people_in_made_recordings_that_weights_learnt_from_are_named(tmp_path: Path) -> None:
    file = pretrain(tmp_path, [*HELD[:3], "S002"])
    learn_from_made(StudyLog(tmp_path / "studies" / "before"), {HELD[0]: [], "S002": [], "": []})
    found = run(case_from(tmp_path, file))
    assert found.found == (
        "weights were trained on 3 of 6 scored subjects, 1 of whom are carried by made recordings "
        "that they learnt from"
    )
    assert (found.numbers["seen"], found.numbers["made"]) == (3, 1)


def test_people_in_made_recordings_of_another_manifest_are_told_by_content(tmp_path: Path) -> None:
    video = tmp_path / "S001.mp4"
    video.write_bytes(b"a held-out person")
    rows = [replace(one, video=video) if one.recording_id == "S001_R0" else one for one in COHORT]
    content = hashlib.sha256(b"a held-out person").hexdigest()
    file = pretrain(tmp_path, ["X77", "X78"], digest="e" * 64)
    log = StudyLog(file.parents[1])
    case = make_case(tmp_path, rows, held=[HELD])
    start_from(case.study, file)
    assert run(case).state == "passed"  # not known without the list
    learn_from_made(log, {"X77": [content], "X78": []})
    found = run(case)
    assert (found.state, found.numbers["seen"], found.numbers["made"]) == ("warning", 1, 1)
    learn_from_made(log, {"X77": [content], "X99": []})  # no fold could learn from that one
    assert run(case).state == "passed"


def test_a_damaged_list_of_made_recordings_is_unknown(tmp_path: Path) -> None:
    file = pretrain(tmp_path, ["S002"])
    (tmp_path / "studies" / "before" / "made.json").write_text("[{}]")
    assert run(case_from(tmp_path, file)).state == "unknown"


def test_every_search_of_outer_folds_is_asked(tmp_path: Path) -> None:
    case = case_from(tmp_path, None)
    outer = StudyLog(tmp_path / "studies" / "outer")
    outer.start(name="outer", settings={}, tags={})
    start_from(outer, pretrain(tmp_path, HELD))
    assert run(replace(case, searches=(outer, case.study))).state == "warning"
