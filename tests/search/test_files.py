import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from pdray.errors import StudyError
from pdray.search.files import TrialFiles, check_files
from pdray.search.trial import Recorder
from pdray.tracking.digests import DIGESTS
from pdray.tracking.run_log import StudyLog
from tests.search.test_trial import make_plan, result


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a study of two trials that ended and one that runs, and list their digests."""
    folder = tmp_path_factory.mktemp("studies") / "whole"
    study = StudyLog(folder)
    study.start(name="whole", settings={"search": {"metric": "mcc"}}, tags={})
    study.write("entries.json", json.dumps({"R0": ["a"]}))
    plan = make_plan(folder)
    for number, steps in enumerate((4, 4, 3)):
        recorder = Recorder(plan, number, {"loss.gamma": 1.0})
        recorder.resume()
        for step in range(steps):
            report = recorder.record(result(plan, step, [0.1, 0.5, 0.7, 0.2][step], number=number))
            trial = SimpleNamespace(config={"number": number})
            TrialFiles(plan).on_trial_result(0, [], trial, report)
    return folder


@pytest.fixture
def study(ended: Path, tmp_path: Path) -> StudyLog:
    return StudyLog(shutil.copytree(ended, tmp_path / "whole"))


def edit(**changes: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_line(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def cut_rows(path: Path) -> None:
    table = pd.read_parquet(path)
    table[table["fold"] == 0].to_parquet(path, index=False)


TRIAL, LINES, TABLE = (
    f"trials/0001/{name}" for name in ("trial.json", "epochs.jsonl", "predictions.parquet")
)


@pytest.mark.parametrize("is_listed", [True, False])  # False: of an earlier version
@pytest.mark.parametrize(
    ("name", "damage", "told"),
    [
        (TRIAL, edit(chosen_epoch=-5), "chosen_epoch: got -5"),
        (TRIAL, edit(chosen_epoch=None), "chosen_epoch: got None"),
        (TRIAL, edit(value=0.9), "value: got 0.9, but that of its epochs is"),
        (TRIAL, edit(number=0), "number: got 0"),
        (TRIAL, edit(state="done"), "state: got 'done'"),
        (TRIAL, lambda path: path.write_text("{}"), "it lacks 'value'"),
        (TRIAL, cut, "cannot be read"),
        (LINES, cut_line, "are not whole folds of 2 epochs"),
        (LINES, Path.unlink, "are not whole folds of 2 epochs"),
        (TABLE, cut, "cannot be read"),
        (TABLE, cut_rows, r"has folds \[0\], not those of its epochs"),
        (TABLE, Path.unlink, "cannot be read"),
        ("study.json", cut, "cannot be read"),
        ("study.json", lambda path: path.write_text("{}"), "it lacks 'state'"),
    ],
)
def test_a_changed_file_is_named_with_a_way_out(
    study: StudyLog, is_listed: bool, name: str, damage: Callable[[Path], None], told: str
) -> None:
    check_files(study)
    if not is_listed:
        (study.folder / DIGESTS).unlink()
    damage(study.folder / name)
    with pytest.raises(StudyError) as caught:
        check_files(study)
    with pytest.raises(StudyError, match=re.escape(name)):  # it is not listed by the refusal
        check_files(study)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("study whole cannot go on")
    assert lines[1].startswith(f"{study.folder / name}: ")
    way = f"folder of such a trial, as {study.folder}/trials/0001" if "trials" in name else "name"
    assert way in lines[-1]
    if not is_listed:
        assert re.search(told, lines[1]), lines[1]


def test_files_that_a_resume_may_find_otherwise_are_no_faults(study: StudyLog) -> None:
    with (study.folder / DIGESTS).open("r+b") as file:
        file.truncate(200)  # a kill before the trials were listed
    check_files(study)
    listed = (study.folder / DIGESTS).read_text()
    assert TABLE in listed
    assert "trials/0002" not in listed  # it runs
    shutil.rmtree(study.folder / "trials/0001")  # the way out of the message
    study.start(name="whole", settings={"search": {"metric": "auroc"}}, tags={})
    check_files(study)
    check_files(StudyLog(study.folder / "absent"))


def test_a_trial_that_runs_again_may_be_interrupted(study: StudyLog) -> None:
    check_files(study)
    shutil.rmtree(study.folder / "trials/0001")  # the way out of the message
    check_files(study)
    plan = make_plan(study.folder)
    recorder = Recorder(plan, 1, {"loss.gamma": 1.0})
    recorder.resume()
    for step in range(4):
        check_files(study)  # as after a kill
        report = recorder.record(result(plan, step, 0.1, number=1))
    check_files(study)
    assert report["state"] == "complete"
    cut_line(study.folder / LINES)
    with pytest.raises(StudyError, match=LINES):
        check_files(study)


def test_an_own_file_that_was_changed_is_refused_each_time(study: StudyLog) -> None:
    (study.folder / "entries.json").write_text("{}")
    for _ in range(2):
        with pytest.raises(StudyError, match=r"entries\.json: has another content"):
            check_files(study)


def test_no_trial_of_a_complete_study_runs_again(study: StudyLog) -> None:
    study.finish(state="complete", best=0)
    shutil.rmtree(study.folder / "trials/0001")
    with pytest.raises(StudyError, match=f"{TRIAL}: cannot be read") as caught:
        check_files(study)
    assert "runs again" not in str(caught.value)


def test_searches_inside_a_study_are_checked_too(study: StudyLog, ended: Path) -> None:
    inner = study.permuted(0).outer("00")
    for one in (study.permuted(0), inner):
        shutil.copytree(ended, one.folder)
    check_files(study)
    (inner.folder / "entries.json").write_text("{}")
    with pytest.raises(StudyError, match=r"permuted/000/outer/00/entries\.json: has another"):
        check_files(study)


def test_a_report_may_change_until_the_study_is_complete(study: StudyLog) -> None:
    report = study.folder / "report.txt"
    report.write_text("score 0.1")
    study.finish(state="complete", best=0)
    report.write_text("score 0.9")
    with pytest.raises(StudyError, match=r"report\.txt: has another content"):
        check_files(study)
    study.start(name="whole", settings={"search": {"metric": "mcc"}}, tags={})  # more is asked
    check_files(study)


def test_a_broken_line_of_a_trial_that_runs_is_cut_off(study: StudyLog) -> None:
    log = study.trial(2)
    lines = log.files[0].read_text().splitlines(keepends=True)
    log.files[0].write_text("".join([lines[0], "{broken\n", lines[2]]))
    check_files(study)
    assert [one.step for one in log.epochs()] == [0]


def test_what_a_kill_left_of_an_ended_trial_is_removed(study: StudyLog) -> None:
    for number in (0, 2):  # complete, and running
        folder = study.trial(number).folder
        (folder / "checkpoint.pt").write_bytes(b"state")
        (folder / "checkpoint_in_epoch.pt").write_bytes(b"state")
        (folder / "predictions").mkdir(exist_ok=True)
        (folder / "predictions" / "fold0_epoch000.parquet").write_bytes(b"table")
    check_files(study)
    left = {path.name for path in study.trial(0).folder.iterdir()}
    assert not left & {"checkpoint.pt", "checkpoint_in_epoch.pt", "predictions"}
    left = {path.name for path in study.trial(2).folder.iterdir()}
    assert left >= {"checkpoint.pt", "checkpoint_in_epoch.pt", "predictions"}
