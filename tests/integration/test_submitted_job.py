"""The main job as it is submitted to a real cluster: a head with a token and an MLflow server."""

import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
import pytest

from pdray.cpus import granted_cpus
from pdray.data.cohort.folds import folds_from_json
from pdray.doctor.services import look_at_services
from pdray.evaluation.predictions import read_predictions
from pdray.tracking.run_log import StudyLog
from pdray.tracking.server import MlflowClient
from tests.integration.head import COMMIT, Cluster, output_of, run, running_cluster
from tests.places import ROOT

pytestmark = pytest.mark.integration

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
TRIALS, FOLDS, EPOCHS = 2, 2, 2
NAMES = ("stored trial 0 default", "stored trial 1")
SEARCHED = ("loss.gamma", "model.attention_depth", "optim.weight_decay", "snippet.num_frames")
SPACE = """
decode: {height: 32, width: 32}
folds: {num_folds: 2, num_outer: 4}
search: {trials: 2, protocol: holdout}
model: {depth: 10, width_factor: 0.125, temporal_stride: "221111", num_heads: 2, attention_depth: 1}
snippet: {num_frames: 8}
optim: {optimizer: adamw, learning_rate: 0.003, batch_size: 8, epochs: 2}
space:
  optim.weight_decay: {low: 1.0e-5, high: 0.1, log: true}
  loss.gamma: {low: 0.0, high: 4.0, step: 0.5}
  snippet.num_frames: {choices: [8, 12]}
  model.attention_depth: {choices: [0, 1]}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster(SPACE) as started:
        yield started


@pytest.fixture(scope="module")
def submitted(cluster: Cluster) -> subprocess.CompletedProcess[str]:
    """The job of two trials at once, frames decoded once into the store."""
    return cluster.submit("stored", "search.max_concurrent_trials=2")


@pytest.fixture(scope="module")
def study(cluster: Cluster, submitted: subprocess.CompletedProcess[str]) -> StudyLog:
    assert submitted.returncode == 0, output_of(submitted)
    return StudyLog(cluster.folder / "output" / "studies" / "stored")


@pytest.fixture(scope="module")
def runs(cluster: Cluster, study: StudyLog) -> dict[str, Any]:
    """MLflow's runs of the study by name."""
    return _runs(cluster, study)


def test_the_head_refuses_who_has_no_token(cluster: Cluster) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(f"{cluster.head.dashboard}/api/jobs/", timeout=30)
    assert refusal.value.code == 401
    refusal.value.close()


def test_only_the_owner_can_read_the_token(cluster: Cluster) -> None:
    assert cluster.head.token.stat().st_mode & 0o777 == 0o600
    assert cluster.head.private.stat().st_mode & 0o777 == 0o700
    assert cluster.head.token.read_text() not in (cluster.head.token.parent / "ray.log").read_text()


def test_the_doctor_finds_the_head_and_both_servers(cluster: Cluster) -> None:
    head, output = cluster.head, cluster.folder / "output"
    lines = list(look_at_services(output, head.address, head.tracking))
    assert [(one.topic, one.state) for one in lines[1:]] == [
        (topic, "ok") for topic in ("head", "Ray", "MLflow")
    ]


def test_a_missing_token_is_told_in_one_line(cluster: Cluster) -> None:
    absent = cluster.folder / "no_token"
    job = cluster.job("refused", f"resources.address={cluster.head.address}")
    env = cluster.env | {"RAY_AUTH_TOKEN_PATH": str(absent)}
    done = run([sys.executable, *job], env, cluster.source)
    assert done.returncode == 2, output_of(done)
    assert f"error: Ray cluster at {cluster.head.address}: " in done.stderr
    assert str(absent) in done.stderr
    assert "Traceback" not in done.stderr


def test_the_job_prints_plan_leaderboard_and_held_out_score(
    study: StudyLog, submitted: subprocess.CompletedProcess[str]
) -> None:
    text = output_of(submitted)
    assert f"{TRIALS} trials x {FOLDS} folds x {EPOCHS} epochs" in text
    cpus = f"{granted_cpus()} CPUs"
    assert f"2 trials run at once; the cluster has {cpus} and no GPU on 1 node" in text
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
    assert "Pruner" in names, names
    assert sum("ResourceTrainable" in name for name in names) >= TRIALS, names
    titles = {actor["repr_name"] for actor in actors}
    assert {"stored trial 0 and later", "stored winner"} <= titles, titles
    jobs = cluster.get("/api/jobs/")
    assert [job["status"] for job in jobs if "search.name=stored" in job["entrypoint"]] == [
        "SUCCEEDED"
    ]


def test_every_process_ran_the_uploaded_source(cluster: Cluster, study: StudyLog) -> None:
    witnesses = [one for one in cluster.witnesses() if "search.name=refused" not in one[1]]
    assert any("jobs/tune_tsa.py" in command for _, command in witnesses)
    assert sum("default_worker.py" in command for _, command in witnesses) >= TRIALS
    assert [file for file, _ in witnesses if "working_dir_files" not in file] == []


def test_only_source_is_uploaded(cluster: Cluster, study: StudyLog) -> None:
    files = cluster.uploaded()
    names = {path.name for path in files}
    assert {"tune_tsa.py", "study.py", "submitted.yaml"} <= names
    left = {"decoy.py", "decoy.mp4", "decoy.parquet", "mlflow.db", "HEAD", "conftest.py"}
    assert names.isdisjoint(left)
    # Two jobs brought their copy; Python itself has left compiled files beside them.
    sources = [path for path in files if path.suffix != ".pyc"]
    own = [ROOT / "pdray", ROOT / "jobs", ROOT / "search_spaces"]
    whole = sum(path.stat().st_size for folder in own for path in folder.rglob("*")
                if path.suffix in (".py", ".pyi", ".yaml"))  # fmt: skip
    assert whole < sum(path.stat().st_size for path in sources) / 2 < 1.05 * whole


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
    assert sorted(runs) == ["stored", *NAMES, "stored winner"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    parent, *children = (runs[name] for name in sorted(runs))
    assert parent.data.tags["mlflow.source.git.commit"] == COMMIT
    assert parent.data.tags["pdray.source"] == COMMIT
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    for number in range(TRIALS):
        run, trial = runs[NAMES[number]], study.trial(number).read()
        wanted = {key: str(value) for key, value in trial["params"].items()}
        assert wanted.items() <= run.data.params.items()
        assert tuple(sorted(wanted)) == SEARCHED
        named = {"model", "epochs", "lambda", "gamma", "frames", "depth"}
        assert run.data.params.keys() - wanted.keys() == named
        assert run.data.params["lambda"] == wanted["optim.weight_decay"]
        assert run.data.metrics["val/mcc"] == pytest.approx(trial["value"], abs=1e-12)


def test_mlflow_has_every_epoch_under_its_step(
    cluster: Cluster, study: StudyLog, runs: dict[str, Any]
) -> None:
    client = MlflowClient(tracking_uri=cluster.head.tracking)
    for number in range(TRIALS):
        run_id = runs[NAMES[number]].info.run_id
        decided = [metric.step for metric in client.get_metric_history(run_id, "val/mcc")]
        assert decided == [study.trial(number).read()["chosen_epoch"]]
        curve = [metric.step for metric in client.get_metric_history(run_id, "mean/val/mcc")]
        assert curve == list(range(EPOCHS))
        inside = [metric.step for metric in client.get_metric_history(run_id, "fold1/val/mcc")]
        assert inside == list(range(EPOCHS))
    winner = runs["stored winner"].data.metrics
    assert "test/mcc" in winner
    assert "test/mcc_low" not in winner  # three test subjects are too few for an interval


@pytest.mark.skipif(CHROMIUM is None, reason="needs the program chromium (Debian: chromium)")
def test_the_compare_page_shows_what_was_searched_against_the_score(
    cluster: Cluster, runs: dict[str, Any], tmp_path: Path
) -> None:
    trials = [runs[name] for name in NAMES]
    chosen = quote(json.dumps([run.info.run_id for run in trials]))
    experiment = quote(json.dumps([trials[0].info.experiment_id]))
    seen = _shown(
        f"{cluster.head.tracking}/#/compare-runs?runs={chosen}&experiments={experiment}", tmp_path
    )
    assert f"Comparing {TRIALS} Runs" in seen
    assert [name for name in (*SEARCHED, "val/mcc", "lambda") if name not in seen] == []
    assert [run.info.run_name for run in trials if run.info.run_name not in seen] == []


@pytest.mark.skipif(CHROMIUM is None, reason="needs the program chromium (Debian: chromium)")
def test_the_printed_page_shows_the_study_s_runs_in_the_leaderboard_s_order(
    cluster: Cluster,
    study: StudyLog,
    submitted: subprocess.CompletedProcess[str],
    tmp_path: Path,
) -> None:
    (page,) = re.findall(r"compare +open (\S+)", output_of(submitted))
    seen = _shown(page, tmp_path)
    assert "You're viewing a shared view" in seen
    places = [seen.find(name) for name in NAMES]
    values = [study.trial(number).read()["value"] for number in range(TRIALS)]
    assert min(places) > 0
    assert values[0] == values[1] or (places[0] < places[1]) == (values[0] > values[1])


def _shown(page: str, folder: Path) -> str:
    """Return a page as a browser has it in the end."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    return subprocess.run(
        [
            str(CHROMIUM),
            *flags,
            "--no-first-run",
            "--virtual-time-budget=30000",
            f"--user-data-dir={folder}",
            "--dump-dom",
            page,
        ],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    ).stdout


def test_mlflow_has_the_files(cluster: Cluster, runs: dict[str, Any]) -> None:
    client = MlflowClient(tracking_uri=cluster.head.tracking)
    kept = {
        name: {file.path for file in client.list_artifacts(run.info.run_id)}
        for name, run in runs.items()
    }
    assert "settings.json" in kept["stored"]
    wanted = {"settings.json", "epochs.jsonl", "predictions.parquet", "confusion.png", "roc.png"}
    assert wanted <= kept[NAMES[0]]
    assert wanted <= kept["stored winner"]
    searched = {"report.txt", "leaderboard.json", "history.png"}
    assert searched <= kept["stored"]


def test_the_registered_winner_is_loaded_from_the_server(
    cluster: Cluster, runs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", cluster.head.tracking)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of type hints of its own
        import mlflow.pyfunc

        model = mlflow.pyfunc.load_model("models:/pdray-stored@champion")
    assert model.metadata.run_id == runs["stored winner"].info.run_id
    found = model.predict(model.metadata.load_input_example())
    assert found.shape == (1, 2)
    assert found.sum() == pytest.approx(1, abs=1e-6)


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


def test_two_workers_read_videos_through_ray_data_on_the_cluster(
    cluster: Cluster, study: StudyLog
) -> None:
    words = ["stream.reader=ray", "frames=video"]
    words += ["resources.num_workers=2", "resources.cpus_per_worker=0.5"]
    job = [
        *(str(cluster.source / "jobs" / "submit.py"), "space=search_spaces/submitted.yaml"),
        *(f"manifest={cluster.manifest}", "name=streamed", f"output={cluster.folder / 'output'}"),
        f"words={json.dumps([*words, 'search.trials=1'])}",
    ]
    done = run([sys.executable, *job], cluster.env, cluster.source)
    assert done.returncode == 0, output_of(done)
    assert f"--address {cluster.head.dashboard} --working-dir" in done.stdout
    (submitted,) = [
        one for one in cluster.get("/api/jobs/") if "search.name=streamed" in one["entrypoint"]
    ]
    assert re.fullmatch(r"streamed-\d{8}-\d{6}", submitted["submission_id"])
    assert f"job {submitted['submission_id']} is done" in done.stdout
    streamed = StudyLog(cluster.folder / "output" / "studies" / "streamed")
    lines = (streamed.folder / "trials/0000/epochs.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [*range(FOLDS * EPOCHS)]
    folds = folds_from_json(streamed.folds_path.read_text())
    scored = read_predictions(streamed.trial(0).predictions_path)
    assert set(scored["subject_id"]) == set(folds.development)
    assert not scored["recording_id"].duplicated().any()
    table = read_predictions(streamed.winner.predictions_path)
    assert set(table["subject_id"]) == set(folds.test)
    names = ["streamed", "streamed trial 0 default", "streamed winner"]
    assert sorted(_runs(cluster, streamed)) == names


def _runs(cluster: Cluster, study: StudyLog) -> dict[str, Any]:
    client = MlflowClient(tracking_uri=cluster.head.tracking)
    experiment = client.get_experiment_by_name("pdray")
    wanted = f"tags.`pdray.study_id` = '{study.read()['study_id']}'"
    found = client.search_runs([experiment.experiment_id], wanted)
    return {run.info.run_name: run for run in found}
