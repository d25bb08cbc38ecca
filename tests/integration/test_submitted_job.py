"""The main job as it is submitted to a real cluster: a head with a token and an MLflow server.

Every process carries a tag in its environment and is ended by it: ``ray stop`` would end every
Ray of the machine, other people's too.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest

from pdray.data.folds import folds_from_json
from pdray.data.synthetic import DemoConfig, make_cohort
from pdray.evaluation.predictions import read_predictions
from pdray.tracking.mlflow_log import MlflowClient
from pdray.tracking.run_log import StudyLog

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TAG = "PDRAY_TEST_CLUSTER"
TRIALS, FOLDS, EPOCHS = 2, 2, 2
SEARCHED = ("loss.gamma", "model.attention_depth", "optim.weight_decay", "snippet.num_frames")
SPACE = """
decode: {height: 32, width: 32}
model: {depth: 10, width_factor: 0.125, temporal_stride: "221111", num_heads: 2}
optim: {optimizer: adamw, learning_rate: 0.003, batch_size: 8}
space:
  optim.weight_decay: {low: 1.0e-5, high: 0.1, log: true}
  loss.gamma: {low: 0.0, high: 4.0, step: 0.5}
  snippet.num_frames: {choices: [8, 12]}
  model.attention_depth: {choices: [0, 1]}
"""
# Leaves a file a process that says which pdray it imported, and in which process.
WITNESS = """
import os, pathlib, sys
_witness = pathlib.Path({folder!r}) / str(os.getpid())
_witness.write_text(__file__ + "\\n" + " ".join(sys.orig_argv))
"""


@dataclass(frozen=True)
class Cluster:
    """A head, an MLflow server and a rendered cohort, all of one test module."""

    folder: Path
    source: Path
    manifest: Path
    dashboard: str
    tracking: str
    token: str
    env: dict[str, str]

    def get(self, path: str) -> Any:
        """Ask the dashboard with the token."""
        question = urllib.request.Request(f"{self.dashboard}{path}")
        question.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(question, timeout=30) as answer:
            return json.load(answer)

    def submit(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Submit the main job from the source folder and follow it to its end."""
        job = [
            *("python", "jobs/tune_tsa.py", "--config", "search_spaces/submitted.yaml"),
            *(f"data.manifest={self.manifest}", f"output={self.folder / 'output'}"),
            *(f"search.name={name}", f"search.trials={TRIALS}", f"folds.num_folds={FOLDS}"),
            *(f"optim.epochs={EPOCHS}", f"tracking.uri={self.tracking}", "folds.num_outer=4"),
            *words,
        ]
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "job", "submit"),
            *("--address", self.dashboard, "--working-dir", str(self.source)),
            *("--metadata-json", json.dumps({"git_commit": COMMIT}), "--", *job),
        ]
        return _run(command, self.env)

    def uploaded(self) -> list[Path]:
        """Return the files of the working folders that the head unpacked."""
        folders = self.folder.glob("ray/session_*/runtime_resources/working_dir_files/_ray_pkg_*/")
        return [path for folder in folders for path in folder.rglob("*") if path.is_file()]

    def witnesses(self) -> list[list[str]]:
        """Return (file of pdray, command line) of every process that imported it."""
        return [path.read_text().splitlines() for path in (self.folder / "imports").iterdir()]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # A short path: the sockets of Ray allow about a hundred characters.
    folder = Path(tempfile.mkdtemp(prefix="pdray"))
    tag = secrets.token_hex(8)
    try:
        yield _start(folder, tag)
    finally:
        _end(tag, folder)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def submitted(cluster: Cluster) -> subprocess.CompletedProcess[str]:
    """The job of two trials at once, frames decoded once into the store."""
    return cluster.submit("stored", "search.max_concurrent_trials=2")


@pytest.fixture(scope="module")
def study(cluster: Cluster, submitted: subprocess.CompletedProcess[str]) -> StudyLog:
    assert submitted.returncode == 0, _output(submitted)
    return StudyLog(cluster.folder / "output" / "studies" / "stored")


@pytest.fixture(scope="module")
def runs(cluster: Cluster, study: StudyLog) -> dict[str, Any]:
    """MLflow's runs of the study by name."""
    return _runs(cluster, study)


def test_the_head_refuses_who_has_no_token(cluster: Cluster) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(f"{cluster.dashboard}/api/jobs/", timeout=30)
    assert refusal.value.code == 401
    refusal.value.close()


def test_the_job_prints_plan_leaderboard_and_held_out_score(
    study: StudyLog, submitted: subprocess.CompletedProcess[str]
) -> None:
    text = _output(submitted)
    assert f"{TRIALS} trials x {FOLDS} folds x {EPOCHS} epochs" in text
    assert "2 trials at once on 1 nodes with 2 CPUs and 0 GPUs" in text
    assert f"[{TRIALS}/{TRIALS} trials" in text
    assert "test/mcc" in text
    assert "SYNTHETIC" in text
    assert str(study.folder) in text
    assert "Traceback" not in text


def test_the_job_ran_on_the_cluster_and_not_on_a_private_ray(
    cluster: Cluster, study: StudyLog
) -> None:
    actors = cluster.get("/api/v0/actors?detail=1&limit=100")["data"]["result"]["result"]
    names = [actor["class_name"] for actor in actors]
    assert sum("FoldTrial" in name for name in names) >= TRIALS, names
    jobs = cluster.get("/api/jobs/")
    assert [job["status"] for job in jobs if "search.name=stored" in job["entrypoint"]] == [
        "SUCCEEDED"
    ]


def test_every_process_ran_the_uploaded_source(cluster: Cluster, study: StudyLog) -> None:
    witnesses = cluster.witnesses()
    assert any("jobs/tune_tsa.py" in command for _, command in witnesses)
    assert sum("default_worker.py" in command for _, command in witnesses) >= TRIALS
    assert [file for file, _ in witnesses if "working_dir_files" not in file] == []


def test_only_source_is_uploaded(cluster: Cluster, study: StudyLog) -> None:
    files = cluster.uploaded()
    names = {path.name for path in files}
    assert {"tune_tsa.py", "study.py", "submitted.yaml"} <= names
    assert names.isdisjoint({"decoy.py", "decoy.mp4", "mlflow.db", "decoy.parquet", "HEAD"})
    assert [path for path in files if path.suffix in (".mp4", ".db", ".pt")] == []
    assert sum(path.stat().st_size for path in files) < 2_000_000


def test_optuna_knows_how_every_trial_ended(study: StudyLog) -> None:
    storage = optuna.storages.RDBStorage(f"sqlite:///{study.optuna_path}")
    trials = optuna.load_study(study_name=study.folder.name, storage=storage).trials
    storage.remove_session()
    storage.engine.dispose()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * TRIALS
    assert {tuple(sorted(trial.params)) for trial in trials} == {SEARCHED}
    assert [sorted(trial.intermediate_values) for trial in trials] == [[0, 1, 2]] * TRIALS


def test_mlflow_has_a_parent_and_a_child_for_every_trial(
    study: StudyLog, runs: dict[str, Any]
) -> None:
    assert sorted(runs) == ["stored", "trial 0", "trial 1", "winner"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    parent = runs.pop("stored")
    assert parent.data.tags["mlflow.source.git.commit"] == COMMIT
    assert parent.data.tags["pdray.source"] == COMMIT
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {parent.info.run_id}
    for number in range(TRIALS):
        run = runs[f"trial {number}"]
        wanted = study.trial(number).read()["params"]
        assert run.data.params == {key: str(value) for key, value in wanted.items()}
        assert tuple(sorted(wanted)) == SEARCHED


def test_mlflow_has_every_epoch_under_its_step(cluster: Cluster, runs: dict[str, Any]) -> None:
    client = MlflowClient(tracking_uri=cluster.tracking)
    for number in range(TRIALS):
        run_id = runs[f"trial {number}"].info.run_id
        steps = [metric.step for metric in client.get_metric_history(run_id, "val/mcc")]
        assert steps == list(range(FOLDS * EPOCHS))
        inside = [metric.step for metric in client.get_metric_history(run_id, "fold1/val/mcc")]
        assert inside == list(range(EPOCHS))
    winner = runs["winner"].data.metrics
    assert {"test/mcc", "test/mcc_low", "test/mcc_high"} <= set(winner)


def test_mlflow_has_the_files(cluster: Cluster, runs: dict[str, Any]) -> None:
    client = MlflowClient(tracking_uri=cluster.tracking)
    kept = {
        name: {file.path for file in client.list_artifacts(run.info.run_id)}
        for name, run in runs.items()
    }
    assert "settings.json" in kept["stored"]
    wanted = {"settings.json", "epochs.jsonl", "predictions.parquet", "confusion.png", "roc.png"}
    assert wanted <= kept["trial 0"]
    assert wanted | {"model.pt"} <= kept["winner"]


def test_no_trial_saw_a_test_subject(study: StudyLog) -> None:
    folds = folds_from_json(study.folds_path.read_text())
    assert len(folds.test) == 3
    for number in range(TRIALS):
        table = read_predictions(study.trial(number).predictions_path)
        assert set(table["subject_id"]) == set(folds.development)
        assert set(table["split"]) == {"val"}
        for fold in range(FOLDS):
            rows = table[table["fold"] == fold]
            assert set(rows["subject_id"]) == set(folds.folds[fold])
    winner = read_predictions(study.winner.predictions_path)
    assert set(winner["subject_id"]) == set(folds.test)
    assert set(winner["split"]) == {"test"}


def test_videos_are_read_through_ray_data_on_the_cluster(
    cluster: Cluster, study: StudyLog
) -> None:
    words = ("stream.reader=ray", "frames=video", "resources.cpus_per_worker=0.5")
    done = cluster.submit("streamed", *words, "search.trials=1", "folds.num_folds=2")
    assert done.returncode == 0, _output(done)
    streamed = StudyLog(cluster.folder / "output" / "studies" / "streamed")
    table = read_predictions(streamed.winner.predictions_path)
    assert set(table["subject_id"]) == set(folds_from_json(streamed.folds_path.read_text()).test)
    assert sorted(_runs(cluster, streamed)) == ["streamed", "trial 0", "winner"]


def _start(folder: Path, tag: str) -> Cluster:
    token = secrets.token_hex(32)
    (folder / "home").mkdir()
    (folder / "imports").mkdir()
    (folder / "token").write_text(token)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "MLFLOW"))}
    env |= {
        TAG: tag,
        "HOME": str(folder / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    tracking_port, port, dashboard_port, *others = _free_ports(8)
    _start_tracking(folder, tracking_port, env)
    _start_head(folder, (port, dashboard_port, *others), env)
    config = DemoConfig(num_subjects=12, num_visits=1, size=32, min_seconds=1, max_seconds=1.4)
    cluster = Cluster(
        folder=folder,
        source=_copy_source(folder),
        manifest=make_cohort(folder / "cohort", config, num_processes=1),
        dashboard=f"http://127.0.0.1:{dashboard_port}",
        tracking=f"http://127.0.0.1:{tracking_port}",
        token=token,
        env=env,
    )
    _wait_for(f"{cluster.tracking}/health", folder / "mlflow.log")
    return cluster


def _start_tracking(folder: Path, port: int, env: dict[str, str]) -> None:
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--workers", "1"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    with (folder / "mlflow.log").open("w") as log:
        subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log)


def _start_head(folder: Path, ports: tuple[int, ...], env: dict[str, str]) -> None:
    names = ("port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port")
    names = (*names, "dashboard-agent-grpc-port", "metrics-export-port", "runtime-env-agent-port")
    done = _run(
        [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--num-cpus=2"),
            *(f"--{name}={port}" for name, port in zip(names, ports, strict=True)),
            *("--min-worker-port=0", "--max-worker-port=0", "--dashboard-host=127.0.0.1"),
            *("--node-ip-address=127.0.0.1", f"--object-store-memory={400 << 20}"),
            f"--temp-dir={folder / 'ray'}",
        ],
        env,
    )
    assert done.returncode == 0, _output(done)


def _copy_source(folder: Path) -> Path:
    """Copy what is under version control, add the study's YAML, a witness, and decoys."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    source = folder / "source"
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    (source / "search_spaces" / "submitted.yaml").write_text(SPACE)
    witness = WITNESS.format(folder=str(folder / "imports"))
    (source / "pdray" / "__init__.py").write_text(witness)
    for name in (
        ".venv/lib/decoy.py",
        ".git/HEAD",
        "pdray_output/demo/cohort/videos/decoy.mp4",
        "videos/decoy.mp4",
        "predictions/decoy.parquet",
        "mlflow.db",
    ):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(bytes(1 << 20))
    return source


def _runs(cluster: Cluster, study: StudyLog) -> dict[str, Any]:
    client = MlflowClient(tracking_uri=cluster.tracking)
    experiment = client.get_experiment_by_name("pdray")
    wanted = f"tags.`pdray.study_id` = '{study.read()['study_id']}'"
    found = client.search_runs([experiment.experiment_id], wanted)
    return {run.info.run_name: run for run in found}


def _run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=env, cwd=env["HOME"], capture_output=True, text=True, timeout=300, check=False
    )


def _output(done: subprocess.CompletedProcess[str]) -> str:
    return f"{done.stdout}\n{done.stderr}"


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait_for(url: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.3)
    pytest.fail(f"{url} gives no answer:\n{log.read_text()}")


def _end(tag: str, folder: Path) -> None:
    """End every process of this cluster, and only those."""
    for _ in range(5):
        ours = _tagged(tag, folder)
        for process in ours:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(ours, timeout=10)
        if not _tagged(tag, folder):
            return
    pytest.fail(f"left behind: {[process.cmdline() for process in _tagged(tag, folder)]}")


def _tagged(tag: str, folder: Path) -> list[psutil.Process]:
    """Find processes by their environment or folder; a worker hides both, its parent does not."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            words = " ".join(process.cmdline())
            if process.environ().get(TAG) == tag or f"{folder}/ray/" in words:
                family = [process, *process.children(recursive=True)]
                found |= {member.pid: member for member in family}
    return list(found.values())
