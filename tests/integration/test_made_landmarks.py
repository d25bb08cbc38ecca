"""A study that learns from made landmarks of SYNTHETIC people, from the job that makes them."""

import json
from pathlib import Path

import pytest

from jobs.synthesize import main
from tests.fixtures.agreeing import agreeing_cohort
from tests.integration.conftest import Job

pytestmark = [pytest.mark.integration]

WORDS = (
    "model.name=landmark_head", "modality=landmarks", "optim.epochs=1", "search.trials=1",
    "search.protocol=holdout", "folds.num_outer=4", "folds.num_folds=2",
)  # fmt: skip


def test_a_search_learns_from_what_was_made_and_keeps_its_folds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = agreeing_cohort(tmp_path, [0, 4] * 16)
    made = tmp_path / "made.csv"
    folds = [word for word in WORDS if word.startswith("folds.")]
    words = [f"data.manifest={manifest}", f"output={made}", "synthesis.strengths=[1]", *folds]
    assert main(["method=damp", "synthesis.protocol=holdout", *words]) == 0
    assert "24 of them are rows, in 3 sets" in capsys.readouterr().out  # 6 + 6 + 12
    job = Job(made, tmp_path)
    given = [*WORDS, f"data.manifest={made}", f"output={job.output}"]
    done = job.run(*given, "data.made=training", "search.name=with")
    assert done.returncode == 0, done.stderr
    assert "made recordings learnt from: 6, 6 of 24, by fold" in done.stdout
    plain = job.run(*given, "search.name=without")
    assert plain.returncode == 0, plain.stderr
    found = [(job.study(name) / "folds.json").read_bytes() for name in ("with", "without")]
    assert found[0] == found[1]
    assert json.loads(found[0])["test"]
