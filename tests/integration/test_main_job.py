import json
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from jobs.predict import main as predict
from pdray.data.cohort.manifest import load_manifest
from pdray.data.media.settings import DecodeConfig
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.evaluation.predictions import by_recording
from tests.evaluation.study_checker import check_study
from tests.integration.conftest import Job, kill_all, kill_named
from tests.places import ROOT

pytestmark = pytest.mark.integration


def break_pictures(video: Path) -> None:
    """Damage a recording behind its header: it opens, and cannot be decoded."""
    content = bytearray(video.read_bytes())
    # The index stands at the end of these files: keep it, break the pictures before it.
    content[200 : len(content) // 2] = bytes(len(content) // 2 - 200)
    video.write_bytes(content)


def test_a_study_leaves_trials_winner_and_runs(job: Job) -> None:
    done, gaps = job.watch(*job.words("search.keep_folds=true"))
    assert done.returncode == 0, done.stderr
    # Never silent, from the first second on.
    assert [gap for gap in gaps if gap[0] > 10] == []
    assert not re.search(r"[\r\x1b]", done.stdout)
    assert "working    loading libraries" in done.stdout
    assert "2 trials by val/mcc" in done.stdout
    assert "then the refit and its 2 folds" in done.stdout
    assert "SYNTHETIC" in done.stdout
    assert "too few subjects for an interval: 3, 12 are needed" in done.stdout
    assert "Traceback" not in done.stderr

    folds = json.loads((job.study() / "folds.json").read_text(encoding="utf-8"))
    test_subjects = set(folds["test"])
    for trial in job.trials():
        assert trial["state"] == "complete"
        table = pd.read_parquet(job.study() / f"trials/{trial['number']:04d}/predictions.parquet")
        assert not set(table["subject_id"]) & test_subjects
        assert set(table["split"]) == {"val"}
        for fold, rows in table.groupby("fold"):
            assert set(rows["subject_id"]) == set(folds["folds"][fold])
    winner = pd.read_parquet(job.study() / "winner/predictions.parquet")
    assert set(winner["subject_id"]) == test_subjects
    assert set(winner["split"]) == {"test"}
    assert (job.study() / "winner/model.pt").stat().st_size > 10_000
    check_kept_folds(job)

    with sqlite3.connect(job.study() / "optuna.db") as optuna:
        assert optuna.execute("select state from trials").fetchall() == [("COMPLETE",)] * 2
    with sqlite3.connect(job.output / "mlflow.db") as mlflow:
        statuses = [row[0] for row in mlflow.execute("select status from runs")]
    assert statuses == ["FINISHED"] * 4  # parent, two trials, winner
    database = job.output / "mlflow.db"
    assert check_study(job.study(), database) == []
    report = job.study() / "report.txt"
    text = report.read_text(encoding="utf-8")
    assert "test/mcc" in text
    for old, new in (
        (r"(test/mcc -?)\d", r"\g<1>7"),
        (r"(\n +1  complete +-?\d\.\d)", r"\g<1>9"),
        (r"\nPDR009 \w+", "\nPDR009 seen"),
    ):
        report.write_text(re.sub(old, new, text, count=1), encoding="utf-8")
        assert check_study(job.study(), database) != []


def check_kept_folds(job: Job) -> None:
    """The folds that were trained again predict what the winning trial predicted, to the bit."""
    best = json.loads((job.study() / "study.json").read_text(encoding="utf-8"))["best"]
    then = pd.read_parquet(job.study() / f"trials/{best:04d}/predictions.parquet")
    for fold in (0, 1):
        kept = job.study() / f"winner/folds/{fold}"
        again = pd.read_parquet(kept / "predictions.parquet")
        rows = then[then["fold"] == fold].reset_index(drop=True)
        pd.testing.assert_frame_equal(again, rows, check_exact=True)
        assert (kept / "model.pt").stat().st_size > 10_000
    # Each development recording is graded by the one fold that did not learn from its subject.
    output = job.folder / "grades.csv"
    words = [f"study={job.study()}", f"data.manifest={job.manifest}", f"output={output}"]
    assert predict(words) == 0
    now = pd.read_csv(output, comment="#").set_index("recording_id")
    wanted = by_recording(then).set_index("recording_id")["probability_1"]
    pd.testing.assert_series_equal(now.loc[wanted.index, "probability_1"], wanted, atol=1e-5)


def test_a_dead_tracking_server_loses_nothing(job: Job) -> None:
    with socket.socket() as taken:  # bound but not listening: refuses every connection
        taken.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = job.run(*job.words("search.trials=1", f"tracking.uri={uri}"))
    assert done.returncode == 0, done.stderr
    assert "; the study continues" in done.stdout
    assert f"pdray sync-tracking study={job.study()} tracking.uri={uri}" in done.stdout
    assert (job.study() / "winner/predictions.parquet").is_file()


@pytest.mark.slow
def test_an_unreadable_recording_stops_the_study_unless_it_is_allowed(
    job: Job, small_cohort: Path
) -> None:
    broken = job.folder / "cohort"
    shutil.copytree(small_cohort.parent, broken)
    victim = sorted((broken / "videos").glob("*.mp4"))[0]
    break_pictures(victim)
    other = Job(broken / "manifest.csv", job.folder)
    done = other.run(*other.words("search.trials=1"))
    assert done.returncode == 2
    assert victim.stem in done.stderr
    assert "data.max_decode_failures=1" in done.stderr
    failures = (other.study() / "decode_failures.csv").read_text(encoding="utf-8")
    assert failures.startswith("recording_id,reason\n" + victim.stem)

    allowed = other.run(*other.words("search.trials=1", "data.max_decode_failures=1"))
    assert allowed.returncode == 0, allowed.stderr
    assert "1 recordings cannot be read and are left out" in allowed.stdout
    tables = [*other.study().glob("trials/*/predictions.parquet")]
    tables.append(other.study() / "winner/predictions.parquet")
    scored = {name for table in tables for name in pd.read_parquet(table)["recording_id"]}
    assert scored
    assert victim.stem not in scored


@pytest.mark.chaos
def test_a_fault_on_one_of_two_workers_ends_the_trial_at_once_with_its_reason(
    job: Job, small_cohort: Path
) -> None:
    broken = job.folder / "cohort"
    shutil.copytree(small_cohort.parent, broken)
    other = Job(broken / "manifest.csv", job.folder)
    # Every video is decoded once before the first trial, so they break after that, as on a disk
    # that fails: size, time and inode stay.
    store = FrameStore(other.output / "store", Recipe(decode=DecodeConfig(height=32, width=32)))
    for recording in load_manifest(other.manifest).recordings:
        store.inspect(recording)
    for victim in sorted((broken / "videos").glob("*.mp4"))[::7]:
        status = victim.stat()
        break_pictures(victim)
        os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))
    workers = ("resources.num_workers=2", "resources.cpus_per_worker=0.5")
    done = other.run(*other.words("search.trials=1", "frames=video", *workers))
    assert done.returncode == 2, done.stdout
    assert "none of the 1 trials completed" in done.stderr
    assert "cannot be decoded" in done.stderr
    (trial,) = other.trials()
    assert trial["state"] == "failed"


def test_ctrl_c_leaves_a_study_that_resumes(job: Job) -> None:
    process = job.start(*job.words("optim.epochs=4"))
    job.wait_for_epochs(process, 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    again = shlex.split(err.strip().splitlines()[-1].removeprefix("interrupted; continue: "))
    words = job.words("optim.epochs=4")
    assert again == [sys.executable, str(ROOT / "jobs" / "tune_tsa.py"), *words]
    done = job.run("--resume", f"output={job.output}")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if not line.startswith("working ")]
    assert said[0].startswith("study study: continued, ")
    assert [trial["state"] for trial in job.trials()] == ["complete"] * 2


@pytest.mark.chaos
def test_a_trial_goes_on_after_every_loss_that_follows_progress(
    make_job: Callable[[str], Job],
) -> None:
    settings = ["search.max_concurrent_trials=1", "search.trials=1", "optim.epochs=6"]
    whole, hit = make_job("whole"), make_job("hit")
    done = whole.run(*whole.words(*settings))
    assert done.returncode == 0, done.stderr

    process = hit.start(*hit.words(*settings))
    for losses in range(1, 7):  # of one trial; a trial may lose three without progress
        hit.wait_for_epochs(process, losses + 1)
        kill_named(process, "ray::study trial", "ray::FoldTrial")
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, out + err
    assert hit.outcome() == whole.outcome()
    assert out.count("trial 0: its process was lost; it goes on from fold ") == 6


@pytest.mark.chaos
def test_a_killed_pruner_starts_again_and_decides_the_same(make_job: Callable[[str], Job]) -> None:
    settings = ["search.max_concurrent_trials=1", "search.trials=6", "optim.epochs=3"]
    settings += ["search.prune_quantile=0.25", "search.prune_after_trials=2"]
    whole, hit = make_job("whole"), make_job("hit")
    done = whole.run(*whole.words(*settings))
    assert done.returncode == 0, done.stderr

    process = hit.start(*hit.words(*settings))
    for epochs in (4, 13, 20):
        hit.wait_for_epochs(process, epochs)
        kill_named(process, "ray::Pruner")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert hit.outcome() == whole.outcome()
    assert "pruned" in {trial["state"] for trial in whole.trials()}


@pytest.mark.parametrize(
    "epochs",
    [
        pytest.param(3, marks=pytest.mark.slow),
        pytest.param(1, marks=pytest.mark.chaos),
        pytest.param(6, marks=pytest.mark.slow),
    ],
)
def test_a_killed_and_resumed_study_ends_like_one_never_killed(
    make_job: Callable[[str], Job], epochs: int
) -> None:
    settings = ["search.max_concurrent_trials=1", "search.trials=2", "search.prune_quantile=0"]
    whole, killed = make_job("whole"), make_job("killed")
    done = whole.run(*whole.words(*settings))
    assert done.returncode == 0, done.stderr

    process = killed.start(*killed.words(*settings))
    killed.wait_for_epochs(process, epochs)
    kill_all(process)
    assert not (killed.study() / "winner/trial.json").exists()
    done = killed.run("--resume", f"output={killed.output}")
    assert done.returncode == 0, done.stderr

    assert killed.outcome() == whole.outcome()
    with sqlite3.connect(killed.study() / "optuna.db") as optuna:
        assert optuna.execute("select state from trials").fetchall() == [("COMPLETE",)] * 2
