import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from pdray.config import build
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from tests.integration.conftest import Job

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SPACE = """\
modality: landmarks
model: {name: landmark_head}
optim: {epochs: 1}
data: {items: [face_interview], subjects: none}
folds: {num_folds: 2, from_split: true}
search: {trials: 3, metric: auroc}
space:
  landmarks.groups: {choices: [head, head+eyes+brows]}
  model.kind: {choices: [logistic, svm]}
"""


@pytest.fixture
def unnamed(tmp_path: Path) -> Path:
    """Landmarks of 24 rendered faces without videos and without subjects, split by their owner."""
    settings = {"num_subjects": 24, "num_visits": 1, "items": ["face_interview"], "missing": 0.0,
                "size": 64, "min_seconds": 3.0, "max_seconds": 3.4}  # fmt: skip
    path = make_cohort(tmp_path / "cohort", build(DemoConfig, settings), num_processes=2)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row |= {"subject_id": "", "video": "", "audio": ""}
        row["split"] = "test" if number % 3 == 0 else "train"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_search_on_landmarks_alone_keeps_the_owners_test_side_out(
    unnamed: Path, tmp_path: Path
) -> None:
    space = tmp_path / "landmarks.yaml"
    space.write_text(SPACE, encoding="utf-8")
    job = Job(unnamed, tmp_path)
    words = ["--config", str(space), f"data.manifest={unnamed}", f"output={job.output}"]
    done = job.run(*words, "search.name=study")
    assert done.returncode == 0, done.stderr
    assert "landmarks of 24 recordings, no pictures" in done.stdout
    assert "24 of 24 recordings name no subject: a person may be on both sides" in done.stdout
    assert "3 trials by val/auroc" in done.stdout
    assert "SYNTHETIC" in done.stdout
    held = {f"S{number + 1:03d}_V1_face_interview" for number in range(0, 24, 3)}
    folds = json.loads((job.study() / "folds.json").read_text(encoding="utf-8"))
    assert set(folds["test"]) == held
    for trial in job.trials():
        assert trial["state"] == "complete"
        path = job.study() / f"trials/{trial['number']:04d}/predictions.parquet"
        table = pd.read_parquet(path)
        assert len(table) == 16
        assert not set(table["recording_id"]) & held
    winner = pd.read_parquet(job.study() / "winner/predictions.parquet")
    assert set(winner["recording_id"]) == held
    assert not (job.study() / "winner/model.pt").exists()
    again = job.run(*words, "search.name=study")  # a complete study is printed again
    assert again.returncode == 0, again.stderr
    assert done.stdout.splitlines()[-4] in again.stdout
