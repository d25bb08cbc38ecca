"""A study of a translator and of its guide, as a user starts them; also after kill -9."""

import json
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from pdray.config import build
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from tests.integration.conftest import Job, kill_all

pytestmark = [pytest.mark.integration, pytest.mark.slow]

COMMON = """\
modality: portraits
portraits: {size: 64}
data: {items: [face_interview], grade_cuts: [2]}
folds: {num_folds: 3, num_outer: 4}
"""
CUT = f"""\
{COMMON}
model:
  {{name: cut, width_factor: 0.125, num_blocks: 2, discriminator_layers: 2, num_patches: 16}}
optim: {{batch_size: 4, epochs: 2, precision: float32}}
synthesis: {{frames: 2}}
search: {{trials: 1}}
"""
GUIDE = f"""\
{COMMON}
model: {{name: frame_resnet, depth: 18, width_factor: 0.125}}
snippet: {{num_frames: 4}}
optim: {{batch_size: 4, epochs: 1, precision: float32}}
search: {{trials: 1, protocol: holdout}}
"""


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render 24 SYNTHETIC subjects, who agreed to everything; return their manifest."""
    settings = {"num_subjects": 24, "num_visits": 1, "items": ["face_interview"], "missing": 0.0,
                "size": 96, "min_seconds": 1.0, "max_seconds": 1.2, "static_signs": 1.0,
                "seed": 4}  # fmt: skip
    return make_cohort(
        tmp_path_factory.mktemp("faces"), build(DemoConfig, settings), num_processes=2
    )


def words(job: Job, name: str, tree: str, *more: str) -> list[str]:
    job.folder.mkdir(exist_ok=True)
    file = job.folder / f"{name}.yaml"
    file.write_text(tree, encoding="utf-8")
    given = [f"data.manifest={job.manifest}", f"output={job.output}", f"search.name={name}"]
    return ["--config", str(file), *given, *more]


def left(job: Job, name: str) -> dict[str, object]:
    """Return the numbers that a study of a translator left: losses, rows and weights."""
    study = job.study(name)
    found: dict[str, object] = {}
    for file in sorted(study.rglob("epochs.jsonl")):
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        numbers = [
            {key: value for key, value in one["metrics"].items() if key[:5] != "time/"}
            for one in lines
        ]
        found[str(file.relative_to(study))] = numbers
    for file in sorted(study.rglob("translations.parquet")):
        table = pd.read_parquet(file).drop(columns=["study", "seed"])
        found[str(file.relative_to(study))] = table.to_dict("list")
    for file in sorted(study.rglob("model.pt")):
        weights = torch.load(file, weights_only=True)
        found[str(file.relative_to(study))] = {
            key: value.tolist() for key, value in weights.items()
        }
    return found


def test_a_guide_chooses_among_translators_that_it_scores_on_other_people(
    faces: Path, tmp_path: Path
) -> None:
    job = Job(faces, tmp_path)
    done = job.run(*words(job, "guide", GUIDE))
    assert done.returncode == 0, done.stderr
    guide = f"synthesis.guide={job.study('guide')}"
    space = "space.model.learning_rate={low: 0.0001, high: 0.001}"
    done = job.run(*words(job, "cut", CUT, guide, space, "search.trials=2"))
    assert done.returncode == 0, done.stderr
    assert "2 trials by val/kernel_distance (lower is better)" in done.stdout
    assert "folds: 3 kept; their losses and scores are those of trial" in done.stdout
    assert "by the features of the guide guide (" in done.stdout
    assert "SYNTHETIC" in done.stdout
    study = job.study("cut")
    assert not [*study.rglob("predictions.parquet")]
    folds = json.loads((study / "folds.json").read_text(encoding="utf-8"))
    kept = [study / "winner" / "folds" / str(fold) for fold in range(3)]
    for where, held in zip(
        [*kept, study / "winner"], [*folds["folds"], folds["test"]], strict=True
    ):
        table = pd.read_parquet(where / "translations.parquet")
        assert set(table["subject_id"]) <= set(held)
        learnt = json.loads((where / "learnt.json").read_text(encoding="utf-8"))
        assert not {*learnt["subjects"]} & {*held}
        assert len(learnt["contents"]) >= len(learnt["subjects"])
        assert (where / "model.pt").is_file()
    trials = [json.loads(one.read_text()) for one in sorted(study.glob("trials/*/trial.json"))]
    best = min(trials, key=lambda one: one["value"])
    assert json.loads((study / "winner" / "trial.json").read_text())["number"] == best["number"]
    again = job.run(*words(job, "cut", CUT, guide, space, "search.trials=2"))
    assert again.returncode == 0, again.stderr
    assert "complete, nothing to do" in again.stdout


def test_a_job_killed_inside_a_fold_goes_on_with_the_same_numbers(
    faces: Path, tmp_path: Path
) -> None:
    whole, killed = Job(faces, tmp_path / "whole"), Job(faces, tmp_path / "killed")
    seed = "search.seed=5"
    done = whole.run(*words(whole, "cut", CUT, seed))
    assert done.returncode == 0, done.stderr
    process = killed.start(*words(killed, "cut", CUT, seed))
    lines = killed.study("cut") / "trials" / "0000" / "epochs.jsonl"
    while process.poll() is None and not (lines.is_file() and lines.read_text().count("\n") == 3):
        time.sleep(0.05)
    kill_all(process)
    assert not (killed.study("cut") / "winner").exists()
    done = killed.run(*words(killed, "cut", CUT, seed), "--resume")
    assert done.returncode == 0, done.stderr
    assert left(killed, "cut") == left(whole, "cut")
