import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pdray.errors import TrackingError
from pdray.tracking.address import default_uri
from pdray.tracking.mlflow_log import MirrorReport, mirror_study
from pdray.tracking.run_log import StudyLog, TrialLog
from pdray.tracking.shown import view_tag
from pdray.tracking.system_metrics import Machine

# After these, which quiet the warning that SQLAlchemy 2.1 gives on this import.
from mlflow import MlflowClient  # isort: skip
from mlflow.entities import Run  # isort: skip

RunTrial = Callable[..., TrialLog]


@pytest.fixture
def other_uri(tmp_path: Path, empty_store: Path) -> str:
    (tmp_path / "other").mkdir()
    shutil.copy(empty_store, tmp_path / "other" / "mlflow.db")
    return default_uri(tmp_path / "other")


def runs_of(uri: str, report: MirrorReport) -> dict[str, Run]:
    found = MlflowClient(uri).search_runs([report.experiment_id])
    runs = {run.data.tags["pdray.run"]: run for run in found}
    assert len(runs) == len(found)  # nothing is there twice
    return runs


def history(uri: str, run: Run, name: str) -> list[tuple[int, float]]:
    points = MlflowClient(uri).get_metric_history(run.info.run_id, name)
    return sorted((point.step, point.value) for point in points)


def files_of(uri: str, run: Run) -> set[str]:
    return {file.path for file in MlflowClient(uri).list_artifacts(run.info.run_id)}


def end_trial(trial: TrialLog, state: str, value: float) -> None:
    def draw(table: object, folder: Path) -> None:
        (folder / "confusion.png").write_bytes(b"p")
        (folder / "roc.png").write_bytes(b"p")

    chosen = 1 if state == "complete" else None
    trial.finish(state=state, value=value, chosen_epoch=chosen, draw=draw, reason="said")


def end_study(study: StudyLog, run_trial: RunTrial) -> None:
    """Leave a complete, a pruned and a failed trial, and a winner."""
    end_trial(run_trial(study, 0), "complete", 0.3)
    end_trial(run_trial(study, 1, num_steps=3), "pruned", 0.2)
    end_trial(run_trial(study, 2, num_steps=1), "failed", 0.0)
    winner = study.winner
    winner.start(number=0, num_epochs=1, params={"loss.gamma": 2.0}, settings={}, role="winner")
    scored = {"train/loss": 0.1, "test/loss": 0.7, "test/mcc": 0.6}
    winner.write_epoch(fold=0, epoch=0, metrics=scored)
    winner.model_path.write_bytes(b"weights")
    scores = {"test/mcc": {"value": 0.6, "low": 0.2, "high": 0.8}}
    winner.finish(state="complete", value=0.3, chosen_epoch=0, scores=scores)
    (study.folder / "report.txt").write_text("leaderboard")
    (study.folder / "history.png").write_bytes(b"p")
    study.finish(state="complete", best=0)


def test_a_finished_study_is_one_parent_with_a_child_a_trial(
    study: StudyLog, run_trial: RunTrial, uri: str
) -> None:
    end_study(study, run_trial)
    report = mirror_study(study.folder, uri, "demo experiment")
    assert report.num_runs == 5
    runs = runs_of(uri, report)
    assert set(runs) == {"study", "0000", "0001", "0002", "winner"}
    parents = {key: run.data.tags.get("mlflow.parentRunId") for key, run in runs.items()}
    assert parents.pop("study") is None
    assert set(parents.values()) == {report.parent_run_id}
    states = {key: run.info.status for key, run in runs.items()}
    assert states == {
        "study": "FINISHED",
        "0000": "FINISHED",
        "0001": "FINISHED",
        "0002": "FAILED",
        "winner": "FINISHED",
    }


def test_params_metrics_and_steps_are_what_the_compare_page_needs(
    study: StudyLog, run_trial: RunTrial, uri: str
) -> None:
    end_study(study, run_trial)
    runs = runs_of(uri, mirror_study(study.folder, uri, "e"))
    first = runs["0000"]
    assert first.data.params == {"optim.weight_decay": "0.01", "loss.gamma": "2.0", "gamma": "2.0"}
    # The number that decided, once; curves are under their folds, and their mean has a name.
    assert history(uri, first, "val/mcc") == [(1, 0.3)]
    assert history(uri, first, "fold1/val/mcc") == [(0, 0.2), (1, 0.1 * 3)]
    assert history(uri, first, "mean/val/mcc") == [(0, 0.1), (1, pytest.approx(0.2))]
    assert history(uri, first, "val/auroc") == [(1, 0.5)]  # of the only fold that has one
    assert {name.partition("/")[2] for name in first.data.metrics if name.startswith("fold")} == {
        "val/mcc", "train/loss",
    }  # fmt: skip
    assert [runs[key].data.tags["state"] for key in ("0000", "0001")] == ["complete", "pruned"]
    assert "val/mcc" not in runs["0001"].data.metrics  # of fewer epochs than the others'
    assert runs["0001"].data.metrics["pruned/val/mcc"] == 0.2
    names = {run.info.run_name for run in runs.values()}
    assert names == {"demo", "demo trial 0", "demo trial 1", "demo trial 2", "demo winner"}
    assert first.data.tags["pdray.undefined"] == "val/auroc at step 1"
    trial = study.trial(0).read()
    assert first.info.start_time == int(trial["started"] * 1000)
    assert first.info.end_time == int(trial["ended"] * 1000)


def test_the_winner_has_test_scores_with_their_interval_and_plain_files(
    study: StudyLog, run_trial: RunTrial, uri: str
) -> None:
    end_study(study, run_trial)
    runs = runs_of(uri, mirror_study(study.folder, uri, "e"))
    for key in ("winner", "study"):
        metrics = runs[key].data.metrics
        names = ("test/mcc", "test/mcc_low", "test/mcc_high")
        assert [metrics[name] for name in names] == [0.6, 0.2, 0.8]
        assert {name for name in metrics if "test/" in name} == {*names}  # and no curve of one
    assert runs["study"].data.metrics["val/mcc"] == 0.3
    assert files_of(uri, runs["winner"]) == {"settings.json", "epochs.jsonl", "model.pt"}
    whole = {"settings.json", "epochs.jsonl", "predictions.parquet", "confusion.png", "roc.png"}
    assert files_of(uri, runs["0000"]) == whole
    assert files_of(uri, runs["0001"]) == {"settings.json", "epochs.jsonl"}
    wanted = {"settings.json", "report.txt", "leaderboard.json", "history.png"}
    assert files_of(uri, runs["study"]) == wanted


def test_tags_say_what_made_the_study_and_nothing_says_who_is_in_it(
    study: StudyLog, run_trial: RunTrial, uri: str
) -> None:
    end_study(study, run_trial)
    runs = runs_of(uri, mirror_study(study.folder, uri, "e"))
    tags = runs["0000"].data.tags
    assert tags["pdray.source"] == "a" * 40 + "-dirty"
    assert tags["mlflow.source.git.commit"] == "a" * 40
    assert tags["pdray.synthetic"] == "true"
    assert "SYNTHETIC" in tags["mlflow.note.content"]
    assert runs["0001"].data.tags["pdray.reason"] == "said"
    assert runs["0002"].data.tags["pdray.reason"] == "in trial.json of the study folder"
    path = MlflowClient(uri).download_artifacts(runs["study"].info.run_id, "settings.json")
    settings = json.loads(Path(path).read_text())
    assert settings["data"]["manifest"] == "manifest.csv"
    sent = [path for path in (study.folder.parent / "mlflow_files").rglob("*") if path.is_file()]
    assert sent
    assert not any(b"Roe" in path.read_bytes() or b"secret" in path.read_bytes() for path in sent)


def test_mirroring_again_sends_nothing_and_a_running_study_only_what_is_new(
    study: StudyLog, run_trial: RunTrial, uri: str
) -> None:
    run_trial(study, 0, num_steps=2)
    first = mirror_study(study.folder, uri, "e")
    assert (first.num_runs, first.num_metrics) == (2, 4)
    again = mirror_study(study.folder, uri, "e")
    assert (again.num_metrics, again.num_artifacts) == (0, 0)
    assert runs_of(uri, again)["0000"].info.status == "RUNNING"
    run_trial(study, 0, num_steps=3)
    assert mirror_study(study.folder, uri, "e").num_metrics == 2
    end_study(study, run_trial)
    last = mirror_study(study.folder, uri, "e")
    after = mirror_study(study.folder, uri, "e")
    assert (after.num_runs, after.num_metrics, after.num_artifacts) == (5, 0, 0)
    assert len(history(uri, runs_of(uri, last)["0000"], "fold1/val/mcc")) == 2


@pytest.mark.parametrize("content", [None, "", "{broken"])
def test_a_lost_memory_is_found_again_by_the_tags(
    study: StudyLog, run_trial: RunTrial, uri: str, content: str | None
) -> None:
    end_study(study, run_trial)
    report = mirror_study(study.folder, uri, "e")
    before = runs_of(uri, report)
    (study.folder / "mirror.json").unlink()
    if content is not None:
        (study.folder / "mirror.json").write_text(content)
    again = mirror_study(study.folder, uri, "e")
    after = runs_of(uri, again)
    assert {key: run.info.run_id for key, run in after.items()} == {
        key: run.info.run_id for key, run in before.items()
    }
    for name in ("mean/val/mcc", "val/mcc", "fold0/val/mcc"):
        assert history(uri, after["0000"], name) == history(uri, before["0000"], name)


def test_a_run_whose_creation_was_never_answered_is_not_made_twice(
    study: StudyLog, run_trial: RunTrial, uri: str
) -> None:
    run_trial(study, 0)
    report = mirror_study(study.folder, uri, "e")
    memory = json.loads((study.folder / "mirror.json").read_text())
    memory[f"{uri} e"]["0000"]["run_id"] = None
    (study.folder / "mirror.json").write_text(json.dumps(memory))
    assert mirror_study(study.folder, uri, "e").num_runs == 2
    assert len(runs_of(uri, report)) == 2


def test_a_wiped_server_gets_everything_again(
    study: StudyLog, run_trial: RunTrial, uri: str, other_uri: str
) -> None:
    end_study(study, run_trial)
    report = mirror_study(study.folder, uri, "e")
    memory = (study.folder / "mirror.json").read_text()
    # The same address, as far as the memory knows, with another store behind it.
    (study.folder / "mirror.json").write_text(memory.replace(uri, other_uri))
    assert mirror_study(study.folder, other_uri, "e").num_metrics == report.num_metrics
    assert len(runs_of(other_uri, mirror_study(study.folder, other_uri, "e"))) == 5


def test_two_addresses_are_remembered_apart(
    study: StudyLog, run_trial: RunTrial, uri: str, other_uri: str
) -> None:
    run_trial(study, 0)
    first = mirror_study(study.folder, uri, "e")
    other = mirror_study(study.folder, other_uri, "e")
    assert other.num_metrics == first.num_metrics
    assert mirror_study(study.folder, uri, "e").num_metrics == 0


def test_a_failed_trial_that_is_resumed_runs_again_and_then_finishes(
    study: StudyLog, run_trial: RunTrial, uri: str
) -> None:
    trial = run_trial(study, 0, num_steps=2)
    end_trial(trial, "failed", 0.0)
    report = mirror_study(study.folder, uri, "e")
    assert runs_of(uri, report)["0000"].info.status == "FAILED"
    trial.start(number=0, num_epochs=2, params={"loss.gamma": 2.0}, settings={})
    mirror_study(study.folder, uri, "e")
    assert runs_of(uri, report)["0000"].info.status == "RUNNING"
    end_trial(run_trial(study, 0), "complete", 0.4)
    mirror_study(study.folder, uri, "e")
    run = runs_of(uri, report)["0000"]
    assert run.info.status == "FINISHED"
    assert run.data.metrics["val/mcc"] == 0.4
    assert [step for step, _ in history(uri, run, "fold1/val/mcc")] == [0, 1]


def test_more_metrics_than_one_batch_holds_are_all_sent(study: StudyLog, uri: str) -> None:
    trial = study.trial(0)
    trial.start(number=0, num_epochs=600, params={}, settings={})
    for epoch in range(600):
        trial.write_epoch(fold=0, epoch=epoch, metrics={"val/mcc": 1.0, "val/loss": 1.0})
    report = mirror_study(study.folder, uri, "e")
    assert report.num_metrics == 1200
    assert len(history(uri, runs_of(uri, report)["0000"], "fold0/val/loss")) == 600


def test_two_mirrors_of_one_study_at_once_are_refused(study: StudyLog, uri: str) -> None:
    program = (
        "import fcntl, sys, time\n"
        "file = open(sys.argv[1], 'w')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('locked', flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(study.folder / "mirror.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(TrackingError, match="another process is sending this study"):
            mirror_study(study.folder, uri, "e")
        other.kill()
    mirror_study(study.folder, uri, "e")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[], tuple[str, subprocess.Popen[bytes]]]]:
    """Start a real server; a second call starts it again on the same port and store."""
    started: list[subprocess.Popen[bytes]] = []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path / "server"
    folder.mkdir()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "files")]
    # The runner of MLflow's own jobs is seven processes that nothing here asks for.
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}

    def start() -> tuple[str, subprocess.Popen[bytes]]:
        with (folder / "log.txt").open("ab") as log:
            server = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        started.append(server)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and server.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                    return f"http://127.0.0.1:{port}", server
            except OSError:
                time.sleep(0.2)
        raise AssertionError((folder / "log.txt").read_text())

    yield start
    for server in started:
        kill(server)


def kill(server: subprocess.Popen[bytes]) -> None:
    """Kill the server and the workers it started."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(timeout=30)


@pytest.mark.integration
def test_a_server_that_dies_and_comes_back_misses_and_doubles_nothing(
    study: StudyLog,
    run_trial: RunTrial,
    serve: Callable[[], tuple[str, subprocess.Popen[bytes]]],
) -> None:
    address, server = serve()
    end_trial(run_trial(study, 0), "complete", 0.3)
    run_trial(study, 1, num_steps=1)
    first = mirror_study(study.folder, address, "e")
    again = mirror_study(study.folder, address, "e")
    assert (again.num_metrics, again.num_artifacts) == (0, 0)
    assert len(runs_of(address, first)) == 3

    kill(server)
    end_study(study, run_trial)
    start = time.monotonic()
    with pytest.raises(TrackingError, match="nothing is lost: the log is on disk"):
        mirror_study(study.folder, address, "e")
    assert time.monotonic() - start < 20

    serve()
    mirror_study(study.folder, address, "e")
    runs = runs_of(address, first)
    assert set(runs) == {"study", "0000", "0001", "0002", "winner"}
    assert [step for step, _ in history(address, runs["0001"], "fold0/val/mcc")] == [0, 1]
    assert [step for step, _ in history(address, runs["0001"], "fold1/val/mcc")] == [0]
    assert runs["0001"].info.status == "FINISHED"
    assert runs["winner"].data.metrics["test/mcc_low"] == 0.2
    assert "model.pt" in files_of(address, runs["winner"])
    assert "predictions.parquet" in files_of(address, runs["0000"])


def test_a_store_of_files_that_lacks_its_package_keeps_nothing_else_back(
    study: StudyLog, run_trial: RunTrial, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_trial(study, 0).finish(state="complete", value=0.3, chosen_epoch=1)
    study.finish(state="complete", best=0)

    def no_package(self: MlflowClient, *words: object, **more: object) -> None:
        raise ModuleNotFoundError("No module named 'boto3'", name="boto3")

    with monkeypatch.context() as patch:
        for method in ("log_artifact", "log_dict"):
            patch.setattr(MlflowClient, method, no_package)
        for _ in range(2):
            with pytest.raises(TrackingError, match="pip install boto3; nothing is lost"):
                mirror_study(study.folder, uri, "e")
    report = mirror_study(study.folder, uri, "e")
    assert report.num_artifacts > 1
    runs = runs_of(uri, report)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert [step for step, _ in history(uri, runs["0000"], "mean/val/mcc")] == [0, 1]
    assert len(history(uri, runs["0000"], "val/mcc")) == 1


def test_a_run_that_was_deleted_in_mlflow_is_made_again_above_its_trials(
    study: StudyLog, run_trial: RunTrial, uri: str
) -> None:
    run_trial(study, 0)
    first = mirror_study(study.folder, uri, "e")
    MlflowClient(uri).delete_run(first.parent_run_id)
    report = mirror_study(study.folder, uri, "e")
    runs = runs_of(uri, report)
    assert report.parent_run_id == runs["study"].info.run_id != first.parent_run_id
    assert runs["0000"].data.tags["mlflow.parentRunId"] == report.parent_run_id
    assert mirror_study(study.folder, uri, "e").num_runs == 2


def test_searches_in_outer_folds_are_studies_beside_their_own(
    study: StudyLog, run_trial: RunTrial, uri: str
) -> None:
    search = study.outer("00")
    search.start(name=search.name, settings={}, tags={"synthetic": "true"})
    run_trial(search, 0, num_steps=2)
    running = mirror_study(study.folder, uri, "e")
    assert (running.num_runs, running.num_metrics) == (3, 4)
    end_study(search, run_trial)
    assert mirror_study(study.folder, uri, "e").num_runs == 6
    # It is not asked for again before the study has ended, which a deleted run shows.
    client = MlflowClient(uri)
    whole = study.read()["study_id"]
    (run,) = client.search_runs(
        [running.experiment_id], f"tags.`pdray.outer_of` = '{whole}' and tags.`pdray.run` = 'study'"
    )
    assert run.info.run_name == "demo-outer-00"
    assert run.data.tags["pdray.outer_fold"] == "00"
    assert "in an outer fold of study demo" in run.data.tags["mlflow.note.content"]
    assert "SYNTHETIC" in run.data.tags["mlflow.note.content"]
    assert run.data.metrics["test/mcc"] == 0.6
    client.delete_run(run.info.run_id)
    assert mirror_study(study.folder, uri, "e").num_runs == 1
    end_study(study, run_trial)
    report = mirror_study(study.folder, uri, "e")
    assert report.num_runs == 10
    tags = client.get_experiment(report.experiment_id).tags
    view = json.loads(tags[view_tag(study.read())[0]])
    shown = client.search_runs([report.experiment_id], view["searchFilter"])
    assert {one.info.run_name.partition(" ")[0] for one in shown} == {"demo"}


def test_system_metrics_are_sent_once_under_the_names_that_mlflow_shows(
    study: StudyLog, uri: str
) -> None:
    machine = Machine()
    for _ in range(3):
        machine.note(study.folder / "system_metrics.jsonl")
    with (study.folder / "system_metrics.jsonl").open("a") as file:
        file.write('{"time": 1.0, "metr')  # a kill
    report = mirror_study(study.folder, uri, "e")
    run = runs_of(uri, report)["study"]
    points = history(uri, run, "system/cpu_utilization_percentage")
    assert [step for step, _ in points] == [0, 1, 2]
    assert all(0 <= value <= 100 for _, value in points)
    assert mirror_study(study.folder, uri, "e").num_metrics == 0


def test_a_view_of_the_study_s_runs_is_kept_with_the_experiment(
    study: StudyLog, run_trial: RunTrial, uri: str
) -> None:
    end_study(study, run_trial)
    report = mirror_study(study.folder, uri, "e")
    address = re.search(r"viewStateShareKey=([\w-]+)", report.page)
    assert address is not None
    tags = MlflowClient(uri).get_experiment(report.experiment_id).tags
    view = json.loads(tags[f"mlflow.sharedViewState.{address[1]}"])
    runs = MlflowClient(uri).search_runs([report.experiment_id], view["searchFilter"])
    names = {run.info.run_name for run in runs}
    assert names == {"demo trial 0", "demo trial 1", "demo trial 2", "demo winner"}
    assert view["orderByKey"] == "metrics.`val/mcc`"
    assert not view["orderByAsc"]
    facts = study.read()
    facts["tags"]["maximise"] = "false"
    assert json.loads(view_tag(facts)[1])["orderByAsc"]  # the smallest error first
    params = runs_of(uri, report)["study"].data.params
    assert params["data.manifest"] == "manifest.csv"
    assert not any("Roe" in text or "secret" in text for text in params.values())
