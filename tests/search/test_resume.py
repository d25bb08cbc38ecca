import errno
import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from pdray.atomic import LEASE_SECONDS, file_digest
from pdray.config import merge, read_tree
from pdray.data.cohort.rated import StoredRecording
from pdray.errors import ManifestError, SettingsError, StudyError
from pdray.search.plan import plan_study
from pdray.search.resume import check_same, keep_entries, manifest_of, only_driver, standing
from pdray.search.settings import StudyConfig
from pdray.tracking.run_log import StudyLog


def say(line: str) -> None:
    pytest.fail(f"nothing is to be said: {line}")


def make_tree(output: Path, **search: Any) -> dict[str, Any]:
    return {
        "data": {"manifest": "/x.csv"},
        "model": {"depth": 10, "num_heads": 2},
        "search": {"name": "study", "seed": 0, **search},
        "output": str(output),
        "space": {"loss.gamma": {"low": 0.0, "high": 2.0}},
    }


@pytest.fixture
def started(tmp_path: Path) -> StudyLog:
    study = StudyLog(tmp_path / "studies" / "study")
    tags = {"manifest_digest": "abc"}
    study.start(name="study", settings=plan_study(make_tree(tmp_path)).tree, tags=tags)
    return study


def test_the_first_line_says_how_far_a_study_is(tmp_path: Path, started: StudyLog) -> None:
    assert standing(StudyLog(tmp_path / "studies" / "x"), 4) == "study x: new"
    assert standing(started, 4) == "study study: continued, 0 of 4 trials done"
    outer = started.outer("00")
    outer.start(name="outer", settings={}, tags={})
    for search, number, state in ((outer, 0, "pruned"), (outer, 1, None), (started, 0, "failed")):
        trial = search.trial(number)
        trial.start(number=number, num_epochs=1, params={}, settings={}, role="trial")
        if state is not None:
            trial.finish(state=state)
    assert standing(started, 4) == "study study: continued, 2 of 4 trials done"
    started.finish(state="complete", best=0)
    assert standing(started, 4) == "study study: complete, nothing to do"
    assert standing(started, 4, "3 of 9 permutations done").endswith(
        "continued, 3 of 9 permutations done"
    )


def test_a_study_continues_with_more_trials_other_workers_and_another_server(
    started: StudyLog, tmp_path: Path
) -> None:
    tree = make_tree(tmp_path, trials=99, max_concurrent_trials=1)
    tree["resources"] = {"num_workers": 2}
    tree["tracking"] = {"uri": "http://127.0.0.1:5000"}
    tree["limits"] = {"max_seconds": 7.0}
    check_same(plan_study(tree), started, "abc", say)


def test_other_settings_are_refused_with_both_values(started: StudyLog, tmp_path: Path) -> None:
    tree = make_tree(tmp_path, seed=7)
    tree["space"]["loss.gamma"]["high"] = 3.0
    with pytest.raises(StudyError) as caught:
        check_same(plan_study(tree), started, "abc", say)
    told = str(caught.value)
    assert "search.seed was 0, is 7" in told
    assert "space.loss.gamma.high was 2.0, is 3.0" in told
    assert "another search.name" in told


def test_a_study_that_is_older_than_a_setting_goes_on_at_its_default(
    started: StudyLog, tmp_path: Path
) -> None:
    saved = json.loads((started.folder / "study.json").read_text(encoding="utf-8"))
    del saved["settings"]["folds"]["of_recordings"]
    del saved["settings"]["loss"]["gamma"]
    (started.folder / "study.json").write_text(json.dumps(saved), encoding="utf-8")
    check_same(plan_study(make_tree(tmp_path)), started, "abc", say)
    other = make_tree(tmp_path) | {"loss": {"gamma": 1.0}}
    del other["space"]["loss.gamma"]
    other["space"]["optim.learning_rate"] = {"low": 1e-4, "high": 1e-3}
    with pytest.raises(StudyError, match=r"loss\.gamma was 2\.0, is 1\.0"):
        check_same(plan_study(other), started, "abc", say)


def test_a_study_whose_ids_look_alike_goes_on_once_they_are_named(
    started: StudyLog, tmp_path: Path
) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text("recording_id,subject_id,item\na,P1,gait\nb,P01,gait\n")
    tree = make_tree(tmp_path) | {"data": {"manifest": str(manifest)}}
    plan = plan_study(tree)
    with pytest.raises(StudyError) as caught:
        manifest_of(started, plan.config)
    told = str(caught.value)
    assert told.startswith("study study cannot go on with its manifest")
    way_out = 'data.different_subjects=[["P1","P01"]]'
    assert f"give '{way_out}'" in told
    with pytest.raises(ManifestError):
        manifest_of(StudyLog(tmp_path / "studies" / "new"), plan.config)
    named = merge(tree, read_tree(StudyConfig, [way_out]))
    found = manifest_of(started, plan_study(named).config)
    assert [one.subject_id for one in found.recordings] == ["P1", "P01"]
    named["data"]["manifest"] = "/x.csv"
    check_same(plan_study(named), started, "abc", say)
    named["data"]["shared_files"] = ["tape.mp4"]
    with pytest.raises(StudyError, match=r"data\.shared_files was \[\], is \['tape\.mp4'\]"):
        check_same(plan_study(named), started, "abc", say)


def test_a_study_that_is_older_than_a_changed_default_goes_on_with_its_earlier_value(
    started: StudyLog, tmp_path: Path
) -> None:
    saved = json.loads((started.folder / "study.json").read_text(encoding="utf-8"))
    del saved["settings"]["decode"]["hdr"]
    (started.folder / "study.json").write_text(json.dumps(saved), encoding="utf-8")
    plan = plan_study(make_tree(tmp_path))
    assert (plan.config.decode.hdr, plan.config.decode.interlaced) == ("stored", "deinterlace")
    check_same(plan, started, "abc", say)
    # The new value, asked for, makes another study of it.
    asked = {**make_tree(tmp_path), "decode": {"hdr": "sdr"}}
    with pytest.raises(StudyError, match=r"decode\.hdr was 'stored', is 'sdr'"):
        check_same(plan_study(asked), started, "abc", say)
    # A new study has the new default.
    assert plan_study(make_tree(tmp_path, name="other")).config.decode.hdr == "sdr"


def test_another_manifest_is_refused(started: StudyLog, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="the manifest has changed"):
        check_same(plan_study(make_tree(tmp_path)), started, "def", say)


def test_a_second_driver_is_refused_while_the_first_runs(started: StudyLog) -> None:
    taken = pytest.raises(StudyError, match="study is already run by another job")
    with only_driver(started, say), taken, only_driver(started, say):
        pass
    with only_driver(started, say):
        assert (started.folder / "driver.lock").exists()


def test_a_folder_in_which_nothing_was_begun_is_removed_again(
    started: StudyLog, tmp_path: Path
) -> None:
    refused = StudyLog(tmp_path / "studies" / "refused")
    with only_driver(refused, say):
        assert refused.folder.is_dir()
    assert not refused.folder.exists()
    with only_driver(started, say):
        pass
    assert started.exists()


@pytest.mark.parametrize("ends", ["study", "winner"])  # a kill while its folds are trained
def test_a_scored_study_takes_no_more_trials(ends: str, started: StudyLog, tmp_path: Path) -> None:
    if ends == "study":
        started.finish(state="complete", best=0)
    else:
        started.winner.start(number=0, num_epochs=1, params={}, settings={}, role="winner")
        started.winner.finish(state="complete")
    with pytest.raises(StudyError, match="cannot be extended to 99 trials"):
        check_same(plan_study(make_tree(tmp_path, trials=99)), started, "abc", say)
    check_same(plan_study(make_tree(tmp_path)), started, "abc", say)


def test_outer_folds_are_all_searched_with_as_many_trials(
    started: StudyLog, tmp_path: Path
) -> None:
    more = plan_study(make_tree(tmp_path, trials=99))
    outer = started.outer("00")
    outer.start(name="outer", settings={}, tags={})
    check_same(more, started, "abc", say)
    outer.winner.start(number=0, num_epochs=1, params={}, settings={}, role="winner")
    with pytest.raises(StudyError, match=r"1 of its outer folds were searched with 50 trials"):
        check_same(more, started, "abc", say)
    check_same(plan_study(make_tree(tmp_path)), started, "abc", say)


def test_a_study_does_not_go_on_with_recordings_that_have_changed(started: StudyLog) -> None:
    def entries(**changes: str) -> dict[str, StoredRecording]:
        names = {"R1": "a", "R2": "b", "R3": "c", **changes}
        return {
            name: StoredRecording(name, {"rgb": Path(f"/store/{key}.arrow")})
            for name, key in names.items()
        }

    keep_entries(started, entries())
    keep_entries(started, entries())
    with pytest.raises(
        StudyError, match=r"the files of recordings R2 have changed since the study"
    ):
        keep_entries(started, entries(R2="d"))
    lost = entries()
    del lost["R3"]
    with pytest.raises(StudyError, match=r"recordings R3, R4 have changed .*search\.name"):
        keep_entries(started, {**lost, **{"R4": entries()["R1"]}})
    keep_entries(started, entries())


def test_a_study_whose_folder_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "studies").write_text("a file in the folder's place")
    told = (
        r"settings: output: nothing can be written into \S+/studies/a: .*: Not a directory; choose"
    )
    with (
        pytest.raises(SettingsError, match=told),
        only_driver(StudyLog(tmp_path / "studies" / "a"), say),
    ):
        pass


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO])
def test_on_a_disk_without_file_locks_a_lease_keeps_a_second_driver_out(
    started: StudyLog, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def no_locks(file: object, how: int) -> None:
        raise OSError(code, "no locks here")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    monkeypatch.setattr("pdray.atomic._RACE_SECONDS", 0.01)
    said: list[str] = []
    taken = pytest.raises(StudyError, match="study is already run by another job")
    with only_driver(started, said.append), taken, only_driver(started, said.append):
        pass
    assert [line for line in said if "has no file locks" in line] == said
    assert not (started.folder / "driver.lease").exists()
    with only_driver(started, said.append):
        assert len(said) == 2


def test_a_lease_that_ended_is_taken_and_its_old_holder_leaves_it(
    started: StudyLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks here")

    said: list[str] = []
    lease = started.folder / "driver.lease"
    monkeypatch.setattr(fcntl, "flock", no_locks)
    monkeypatch.setattr("pdray.atomic._RACE_SECONDS", 0.01)
    monkeypatch.setattr("pdray.atomic._RENEWALS", LEASE_SECONDS / 0.02)
    with only_driver(started, said.append):
        lease.write_text("of another that waited long enough", encoding="utf-8")
        time.sleep(0.1)  # several renewals
        assert lease.read_text(encoding="utf-8") == "of another that waited long enough"
    assert lease.exists()
    past = time.time() - LEASE_SECONDS - 1
    os.utime(lease, (past, past))
    with only_driver(started, said.append):
        full = pytest.MonkeyPatch()
        full.setattr("pdray.atomic.write_text", no_locks)  # an OSError at each renewal
        time.sleep(0.1)
        full.undo()
        os.utime(lease, (past, past))
        time.sleep(0.1)
        assert time.time() - lease.stat().st_mtime < LEASE_SECONDS
    assert not lease.exists()


def test_any_other_fault_of_a_lock_is_not_another_job(
    started: StudyLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: object, how: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(fcntl, "flock", full)
    with pytest.raises(OSError, match="no space"), only_driver(started, say):
        pass


def test_files_that_were_moved_are_the_same_by_their_content(tmp_path: Path) -> None:
    places = {}
    for disk in ("old", "new", "other"):
        places[disk] = {"manifest": tmp_path / disk / "m.csv", "marks": tmp_path / disk / "k.csv"}
        for path in places[disk].values():
            path.parent.mkdir(exist_ok=True)
            path.write_text("another" if disk == "other" else path.name, encoding="utf-8")

    def plan(disk: str) -> Any:
        data = {name: str(path) for name, path in places[disk].items()}
        return plan_study(make_tree(tmp_path) | {"data": data})

    study = StudyLog(tmp_path / "studies" / "moved")
    digest = file_digest(places["old"]["manifest"])
    study.start(name="moved", settings=plan("old").tree, tags={"manifest_digest": digest})
    kept = {str(path): file_digest(path) for path in places["old"].values()}
    study.weights_path.write_text(json.dumps(kept), encoding="utf-8")
    said: list[str] = []
    check_same(plan("new"), study, digest, said.append)
    moved = [line.split(" is now ")[0] for line in said]
    assert moved == ["note: data.manifest", "note: data.marks"]
    with pytest.raises(StudyError, match=r"data\.marks was"):
        check_same(plan("other"), study, digest, say=print)
