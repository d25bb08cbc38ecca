import errno
import multiprocessing
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from ray.tune import TuneConfig, TuneError

from pdray.config import build
from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.errors import ClusterError
from pdray.evaluation.predictions import Origin, predictions_table
from pdray.search import running, trial
from pdray.search.full_disk import FULL_DISK
from pdray.search.trial import APART, Recorder, held_out_score, run_trial
from pdray.search.trial_plan import TrialPlan
from pdray.tracking.run_log import StudyLog
from pdray.training.loop.launch import Workers
from pdray.training.settings import FitConfig
from pdray.training.task import EpochResult

FIT = build(FitConfig, {"model": {"depth": 10, "num_heads": 2}, "optim": {"epochs": 2}})
RECORDINGS = tuple(
    RatedRecording(f"R{n}", f"S{n}", "finger_tapping", 3 * (n % 2), n % 2, Path("x.mp4"))
    for n in range(8)
)


def make_plan(folder: Path, **changes: Any) -> TrialPlan:
    if not StudyLog(folder).exists():
        StudyLog(folder).start(name="study", settings={}, tags={})
    return replace(
        TrialPlan(
            folder=folder,
            fit=FIT,
            recordings=RECORDINGS,
            sides=(FoldSides((0, 1, 2, 3), (4, 5)), FoldSides((2, 3, 4, 5), (0, 1))),
            num_classes=2,
            origin=Origin(study="study", trial=0, fold=0, epoch=0),
            metric="mcc",
            workers=Workers(1, 1.0, 0.0),
        ),
        **changes,
    )


@pytest.mark.parametrize(
    ("role", "fold", "title"),
    [
        ("trial", None, "x trial 3"),
        ("fold", 1, "x trial 3 fold 1"),
        ("winner", None, "x winner"),
    ],
)
def test_processes_are_named_by_study_and_trial(
    role: str, fold: int | None, title: str, tmp_path: Path
) -> None:
    assert make_plan(tmp_path / "x", role=role).title(3, fold) == title


def make_table(plan: TrialPlan, fold: int, epoch: int, number: int) -> pd.DataFrame:
    indices = plan.sides[fold].evaluation
    chosen = [plan.recordings[index] for index in indices]
    names = ("recording_id", "subject_id", "item", "grade", "target")
    rows = {name: [getattr(recording, name) for recording in chosen] for name in names}
    logits = np.asarray([[0.0, 2.0 * recording.target - 1] for recording in chosen])
    origin = replace(plan.origin, trial=number, fold=fold, epoch=epoch)
    return predictions_table(origin, {**rows, "snippet": [0] * len(chosen)}, logits)


def result(plan: TrialPlan, step: int, score: float, number: int = 0) -> EpochResult:
    fold, epoch = divmod(step, plan.epochs or 2)
    state = {"step": step + 1, "num_steps": 4, "model": {"w": torch.ones(2)}, "optimizer": {}}
    table = make_table(plan, fold, epoch, number)
    return EpochResult(fold, epoch, {"val/mcc": score, "train/loss": 0.1}, table, state)


def test_a_trial_ends_with_the_best_epoch_of_the_mean_curve(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    recorder = Recorder(plan, 0, {"loss.gamma": 1.0})
    assert recorder.resume() is None
    reports = [recorder.record(result(plan, n, s)) for n, s in enumerate([0.1, 0.5, 0.7, 0.2])]
    assert [report["last"] for report in reports] == [False, False, False, True]
    assert [report["value"] for report in reports[:3]] == pytest.approx([0.1, 0.5, 0.4])
    # Means over folds: epoch 0 (0.1 + 0.7) / 2, epoch 1 (0.5 + 0.2) / 2.
    assert reports[3]["value"] == pytest.approx(0.4)
    trial = plan.log(0).read()
    assert (trial["state"], trial["chosen_epoch"]) == ("complete", 0)
    kept = pd.read_parquet(plan.log(0).predictions_path)
    assert sorted(kept["recording_id"]) == ["R0", "R1", "R4", "R5"]
    assert set(kept["epoch"]) == {0}
    assert len(plan.log(0).epochs()) == 4
    assert not (plan.log(0).folder / "checkpoint.pt").exists()
    assert (plan.log(0).folder / "confusion.png").stat().st_size > 1000


def test_a_restart_goes_on_after_the_checkpoint(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    recorder = Recorder(plan, 0, {})
    recorder.resume()
    recorder.record(result(plan, 0, 0.1))
    recorder.record(result(plan, 1, 0.5))
    # Killed after the log line of step 2, before its checkpoint.
    late = result(plan, 2, 0.9)
    plan.log(0).write_epoch(fold=1, epoch=0, metrics=late.metrics, predictions=late.predictions)
    again = Recorder(plan, 0, {})
    state = again.resume()
    assert state is not None
    assert state["step"] == 2
    assert [record.step for record in plan.log(0).epochs()] == [0, 1]
    again.record(result(plan, 2, 0.7))
    assert again.record(result(plan, 3, 0.2))["value"] == pytest.approx(0.4)


def test_a_state_inside_an_epoch_counts_for_this_epoch_and_these_workers_only(
    tmp_path: Path,
) -> None:
    plan = make_plan(tmp_path)
    recorder = Recorder(plan, 0, {})
    recorder.resume()
    recorder.record(result(plan, 0, 0.1))
    inside = {"step": 1, "num_steps": 4, "parts": [{"random": [torch.zeros(1)]}]}
    recorder.keep(inside)
    (kept,) = plan.log(0).folder.glob("checkpoint_in_epoch.pt")
    assert "parts" in (Recorder(plan, 0, {}).resume() or {})
    for workers in (Workers(2, 1.0, 0.0), Workers(1, 1.0, 1.0)):
        other = Recorder(replace(plan, workers=workers), 0, {}).resume() or {}
        assert (other["step"], "parts" in other) == (1, False)
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    assert "parts" not in (Recorder(plan, 0, {}).resume() or {})
    recorder.record(result(plan, 1, 0.5))
    assert not kept.exists()
    recorder.keep(inside)  # as if the process was killed before it was removed
    again = Recorder(plan, 0, {})
    assert "parts" not in (again.resume() or {})
    again.record(result(plan, 2, 0.5))
    recorder.keep(inside)
    again.record(result(plan, 3, 0.5))
    assert not list(plan.log(0).folder.glob("checkpoint*"))


def die_while_saving(folder: Path) -> None:
    """Record two epochs; the process kills itself half-way through the second checkpoint."""
    plan = make_plan(folder)
    recorder = Recorder(plan, 0, {})
    recorder.resume()
    recorder.record(result(plan, 0, 0.1))
    save = torch.save

    def save_half(state: object, path: Path) -> None:
        save(state, path)
        os.truncate(path, path.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save_half
    recorder.record(result(plan, 1, 0.5))


@pytest.mark.integration
def test_a_kill_in_the_middle_of_a_checkpoint_leaves_the_one_before(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=die_while_saving, args=(tmp_path,)
    )
    process.start()
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL
    plan = make_plan(tmp_path)
    assert list(plan.log(0).folder.glob(".checkpoint*"))  # it did die while writing
    recorder = Recorder(plan, 0, {})
    state = recorder.resume()
    assert not list(plan.log(0).folder.glob(".checkpoint*"))
    assert state is not None
    assert state["step"] == 1
    assert [record.step for record in plan.log(0).epochs()] == [0]
    recorder.record(result(plan, 1, 0.5))
    recorder.record(result(plan, 2, 0.7))
    assert recorder.record(result(plan, 3, 0.2))["value"] == pytest.approx(0.4)


def test_a_trial_that_ended_before_a_kill_only_repeats_its_last_report(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    recorder = Recorder(plan, 3, {})
    assert recorder.ended() is None
    recorder.resume()
    assert recorder.ended() is None
    for step, score in enumerate([0.1, 0.5, 0.7, 0.2]):
        last = recorder.record(result(plan, step, score, number=3))
    assert Recorder(plan, 3, {}).ended() == last


def test_a_failed_trial_says_why(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    recorder = Recorder(plan, 0, {})
    recorder.resume()
    report = recorder.fail("fold 0, epoch 0: the training loss became nan")
    assert report["last"]
    assert report["state"] == "failed"
    assert plan.log(0).read()["reason"] == "fold 0, epoch 0: the training loss became nan"


def test_the_winner_is_scored_on_the_test_subjects_with_intervals(tmp_path: Path) -> None:
    plan = make_plan(
        tmp_path,
        sides=(FoldSides((0, 1, 2, 3), (4, 5, 6, 7)),),
        role="winner",
        epochs=2,
        origin=Origin(study="study", trial=0, fold=-1, epoch=0, split="test"),
    )
    recorder = Recorder(plan, 5, {})
    recorder.resume()
    first = replace(result(plan, 0, 0.0), predictions=None)
    assert not recorder.record(first)["last"]
    assert recorder.record(result(plan, 1, 0.0, number=5))["last"]
    winner = plan.log(5).read()
    assert winner["role"] == "winner"
    assert winner["value"] is None
    scores: Mapping[str, Mapping[str, float]] = winner["scores"]
    assert scores["test/mcc"]["value"] == 1.0
    assert np.isnan(scores["test/mcc"]["low"])  # of two subjects
    earlier = make_plan(
        tmp_path / "earlier", sides=plan.sides, role="winner", epochs=2, interval="percentile"
    )
    recorder = Recorder(earlier, 5, {})
    recorder.resume()
    recorder.record(first)
    recorder.record(result(earlier, 1, 0.0, number=5))
    assert earlier.log(5).read()["scores"]["test/mcc"]["low"] == 1.0
    assert set(torch.load(plan.log(5).model_path, weights_only=True)) == {"w"}


def test_a_score_without_both_classes_is_undefined_not_zero(tmp_path: Path) -> None:
    table = make_table(make_plan(tmp_path), 0, 0, 0).iloc[[0]]
    assert np.isnan(held_out_score(table, "mcc")["value"])


def test_a_pruned_trial_stops_with_the_reason_of_the_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(tmp_path)
    recorder = Recorder(plan, 0, {})
    recorder.resume()
    reasons = iter([None, "value 0.2 at step 1"])
    monkeypatch.setattr(recorder, "_prune_reason", lambda: next(reasons))
    assert not recorder.record(result(plan, 0, 0.1))["last"]
    report = recorder.record(result(plan, 1, 0.2))
    assert (report["state"], report["last"]) == ("pruned", True)
    trial = plan.log(0).read()
    assert (trial["state"], trial["reason"]) == ("pruned", "value 0.2 at step 1")
    assert not (plan.log(0).folder / "checkpoint.pt").exists()


def test_a_node_that_does_not_see_the_study_is_told(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    (tmp_path / "study.json").unlink()
    with pytest.raises(ClusterError, match=f"cannot read {tmp_path}"):
        Recorder(plan, 0, {}).resume()


def test_a_fold_trained_again_keeps_its_weights_and_how_far_it_is_from_the_trial(
    tmp_path: Path,
) -> None:
    searched = make_plan(tmp_path)
    first = Recorder(searched, 0, {})
    first.resume()
    for step, score in enumerate([0.1, 0.5, 0.7, 0.9]):
        first.record(result(searched, step, score))
    plan = make_plan(tmp_path, role="fold", epochs=2, pruner=pytest)
    recorder = Recorder(plan, 0, {}, fold=1)
    assert recorder.resume() == {"step": 2, "num_steps": 4}  # as if fold 0 had been trained
    assert not recorder.record(result(plan, 2, 0.7))["last"]
    again = Recorder(plan, 0, {}, fold=1)
    assert (again.resume() or {})["step"] == 3
    last = result(plan, 3, 0.9)
    assert last.predictions is not None
    last.predictions.loc[0, ["probability_0", "probability_1"]] += [0.001, -0.001]
    assert again.record(last)["last"]
    log = StudyLog(tmp_path).kept_fold(1)
    assert log.read()["scores"][APART]["value"] == pytest.approx(0.001)
    assert torch.load(log.model_path)["w"].tolist() == [1.0, 1.0]
    assert (Recorder(plan, 0, {}, fold=1).ended() or {})["state"] == "complete"
    assert not StudyLog(tmp_path).winner.exists()


def test_a_failed_refit_is_tried_again_and_a_failed_trial_is_not(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    for role in ("trial", "winner"):
        recorder = Recorder(replace(plan, role=role), 0, {})
        recorder.resume()
        recorder.fail("the disk was full")
    assert Recorder(plan, 0, {}).ended() is not None
    assert Recorder(replace(plan, role="winner"), 0, {}).ended() is None


def test_a_node_without_memory_is_told_in_words_and_other_faults_are_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    low = RuntimeError("Caught: 3 worker(s) were killed due to the node running low on memory. A")
    said = {"fault": low}

    class Tuner:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def fit(self) -> None:
            raise said["fault"]

    monkeypatch.setattr(running, "Tuner", Tuner)
    monkeypatch.setattr(running.tune, "with_parameters", lambda trainable, **_: trainable)
    monkeypatch.setattr(running.tune, "with_resources", lambda trainable, _: trainable)
    with pytest.raises(ClusterError, match=r"ran low on memory, .* complete trials are kept"):
        running.run_trials(make_plan(tmp_path), TuneConfig(), callbacks=[])
    said["fault"] = RuntimeError("a fault of ours")
    with pytest.raises(RuntimeError, match="a fault of ours"):
        running.run_trials(make_plan(tmp_path), TuneConfig(), callbacks=[])
    # Nobody reads the lines of a callback any more, which Tune tells as text.
    said["fault"] = TuneError("Traceback ...\nBrokenPipeError: [Errno 32] Broken pipe")
    with pytest.raises(BrokenPipeError):
        running.run_trials(make_plan(tmp_path), TuneConfig(), callbacks=[])


def test_reshuffled_trials_have_inner_folds_of_their_own(tmp_path: Path) -> None:
    halves = (FoldSides((0, 1, 2, 3), (4, 5, 6, 7)), FoldSides((4, 5, 6, 7), (0, 1, 2, 3)))
    plan = make_plan(tmp_path, sides=halves, reshuffle=True)
    drawn = [plan.task(number, {}).sides for number in (0, 1, 2, 0)]
    assert drawn[0] == drawn[3]
    assert len(set(drawn)) > 1
    assert replace(plan, role="fixed").task(1, {}).sides == halves
    assert replace(plan, role="fold").task(1, {}).sides == drawn[1]


def test_a_winner_without_test_subjects_is_never_scored(tmp_path: Path) -> None:
    everybody = (FoldSides(tuple(range(8)), ()),)
    plan = make_plan(tmp_path, sides=everybody, role="winner", epochs=1)
    recorder = Recorder(plan, 0, {})
    recorder.resume()
    state = {"step": 1, "model": {"weight": torch.ones(1)}}
    report = recorder.record(EpochResult(0, 0, {"train/loss": 0.5}, None, state))
    assert recorder.task.evaluate == "never"
    assert (report["state"], report["last"]) == ("complete", True)
    log = StudyLog(tmp_path).winner
    assert log.model_path.is_file()
    assert not log.predictions_path.exists()
    assert log.read()["scores"] == {}


def test_a_full_disk_ends_no_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(tmp_path)
    results = [result(plan, step, score) for step, score in enumerate([0.1, 0.5, 0.7, 0.2])]
    monkeypatch.setattr(trial, "run_in_process", lambda task, recorder, *_: fit(recorder))
    fsync, is_full = os.fsync, [False]

    def fit(recorder: Recorder) -> Any:
        recorder.resume()
        for one in results[len(recorder.log.epochs()) :]:
            yield recorder.record(one)

    def written(file: int) -> None:
        if is_full[0]:
            raise OSError(errno.ENOSPC, "no space")
        fsync(file)

    monkeypatch.setattr(os, "fsync", written)
    reports = run_trial(plan, {"number": 0, "params": {}})
    first = next(reports)
    is_full[0] = True
    (stopped,) = reports
    assert stopped == {
        **first, "value": pytest.approx(np.nan, nan_ok=True), "last": True,
        FULL_DISK: f"{errno.ENOSPC} {plan.log(0).folder}",
    }  # fmt: skip
    assert plan.log(0).read()["state"] == "running"
    is_full[0] = False
    *_, last = run_trial(plan, {"number": 0, "params": {}})
    assert (last["state"], last["value"]) == ("complete", pytest.approx(0.4))
    assert [record.step for record in plan.log(0).epochs()] == [0, 1, 2, 3]


def test_a_broken_disk_is_no_full_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(trial, "run_in_process", broken)
    with pytest.raises(OSError, match="broken"):
        list(run_trial(make_plan(tmp_path), {"number": 1, "params": {}}))
