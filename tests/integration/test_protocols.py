"""A study that searches in outer folds, killed in one of them and in its last search."""

import json
import time
from pathlib import Path

import pandas as pd
import pytest

from pdray.config import build
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from tests.integration.conftest import Job, kill_all

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

SPACE = """\
modality: landmarks
model: {name: landmark_head}
optim: {epochs: 1}
folds: {num_folds: 2, num_outer: 2}
search: {trials: 2, seed: 3, max_concurrent_trials: 1, prune_quantile: 0}
space:
  landmarks.groups: {choices: [head, head+eyes+brows]}
  model.kind: {choices: [logistic, svm]}
"""


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    settings = {"num_subjects": 12, "num_visits": 1, "items": ["face_interview"], "missing": 0.0,
                "size": 64, "min_seconds": 2.0, "max_seconds": 2.2}  # fmt: skip
    return make_cohort(tmp_path / "cohort", build(DemoConfig, settings), num_processes=2)


def words(job: Job, name: str) -> list[str]:
    config = job.folder / "landmarks.yaml"
    config.write_text(SPACE, encoding="utf-8")
    given = [f"data.manifest={job.manifest}", f"output={job.output}", f"search.name={name}"]
    return ["--config", str(config), *given]


def kill_at(job: Job, asked: list[str], line: Path) -> None:
    """Run the job until a trial has logged its first fold, and kill it."""
    process, deadline = job.start(*asked), time.monotonic() + 300
    while not (line.is_file() and line.stat().st_size):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no fold came"
        time.sleep(0.02)
    kill_all(process)


@pytest.mark.timeout(1200)
def test_a_nested_study_killed_twice_ends_like_one_never_killed(
    faces: Path, tmp_path: Path
) -> None:
    job = Job(faces, tmp_path)
    done = job.run(*words(job, "whole"))
    assert done.returncode == 0, done.stderr
    assert "protocol   nested: 3 searches" in done.stdout
    assert "outer fold 2 of 2: refit" in done.stdout
    killed, asked = job.study("killed"), words(job, "killed")
    again = ["--resume", f"output={job.output}"]
    kill_at(job, asked, killed / "outer/01/trials/0000/epochs.jsonl")
    kill_at(job, again, killed / "trials/0000/epochs.jsonl")
    assert json.loads((killed / "outer/01/study.json").read_text())["state"] == "complete"
    resumed = job.run(*again)
    assert resumed.returncode == 0, resumed.stderr
    assert outcome(killed) == outcome(job.study("whole"))
    pooled = pd.read_parquet(killed / "outer/predictions.parquet")
    everybody = {name for fold in json.loads((killed / "folds.json").read_text())["folds"]
                 for name in fold}  # fmt: skip
    assert sorted(pooled["subject_id"]) == sorted(everybody)
    assert not (killed / "winner/predictions.parquet").exists()
    scored = pd.read_csv(job.output / "tables/scorings.csv")["study"]
    assert set(scored) == {f"{name}-outer-0{fold}" for name in ("whole", "killed") for fold in "01"}


def outcome(study: Path) -> list[object]:
    """Return every number of a study that must not depend on a kill; undefined ones as text."""
    trials = [json.loads(path.read_text()) for path in sorted(study.glob("**/trial.json"))]
    facts = [
        str([one[key] for key in ("number", "role", "params", "state", "value", "scores")])
        for one in trials
    ]
    tables = [
        pd.read_parquet(path).drop(columns="study").to_dict("list")
        for path in sorted(study.glob("**/predictions.parquet"))
    ]
    # The checks see that the other study scored the same subjects.
    scores, _, _ = (study / "report.txt").read_text().partition("\nChecks:")
    return [facts, tables, scores]
