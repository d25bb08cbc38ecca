"""A study that learns from made recordings, and another one that starts from its weights."""

import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from pdray.atomic import file_digest
from pdray.data.cohort.provenance import Provenance, Source, write_provenance
from tests.integration.conftest import Job

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SPACE = """\
decode: {height: 32, width: 32}
snippet: {num_frames: 16}
model:
  {depth: 10, width_factor: 0.0625, temporal_stride: "221111", stem_time_kernel: 3,
   attention_depth: 0}
optim: {batch_size: 8, epochs: 1}
loss: {kind: cross_entropy}
data: {items: [finger_tapping], allow_outside: true}
folds: {num_folds: 2, num_outer: 4}
search: {trials: 1, protocol: holdout, keep_folds: false}
space:
  optim.weight_decay: {low: 1.0e-4, high: 0.1, log: true}
"""
NOTHING = b"\x00\x00\x00\x08free"  # an empty box at the end of a video: another content


@pytest.fixture
def with_made(small_cohort: Path, tmp_path: Path) -> Path:
    """Write the cohort with one made recording of each finger tapping of its left hands."""
    with small_cohort.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["item"] == "finger_tapping"]
    made, listed = [], {}
    for row in rows:
        row |= {"consent_synthesis": "learn change", "made_by": "", "audio": "", "landmarks": ""}
        row["video"] = str(small_cohort.parent / row["video"])
        if row["side"] == "left" and row["grade"]:
            copy = tmp_path / "cohort" / f"made_{row['recording_id']}.mp4"
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(Path(row["video"]).read_bytes() + NOTHING)
            source = Source(recording_id=row["recording_id"], target_class=1, strength=1.0)
            listed[file_digest(copy)] = source
            cells = {"recording_id": f"made_{row['recording_id']}", "video": str(copy)}
            made.append({**row, **cells, "grade": "2", "made_by": "made.json"})
    write_provenance(tmp_path / "cohort" / "made.json", Provenance(method="box", made=listed))
    path = tmp_path / "cohort" / "manifest.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows([*rows, *made])
    return path


def finding(job: Job, name: str, code: str) -> dict[str, object]:
    found = json.loads((job.study(name) / "checks.json").read_text(encoding="utf-8"))
    (one,) = [check for check in found if check["code"] == code]
    return dict(one)


def test_made_recordings_are_counted_and_named_where_their_weights_are_used(
    with_made: Path, tmp_path: Path
) -> None:
    job, space = Job(with_made, tmp_path), tmp_path / "made.yaml"
    space.write_text(SPACE, encoding="utf-8")
    base = ["--config", str(space), f"data.manifest={with_made}", f"output={job.output}"]
    done = job.run(*base, "search.name=first", "data.made=training", timeout=900)
    assert done.returncode == 0, done.stderr
    assert "made recordings learnt from: " in done.stdout
    groups = json.loads((job.study("first") / "made.json").read_text(encoding="utf-8"))
    carried = {name for group in groups for name in group["people"]}
    assert len(groups) == len(carried) > 8  # one of each person with a grade
    folds = json.loads((job.study("first") / "folds.json").read_text(encoding="utf-8"))
    learnt = carried - set(folds["test"])
    sides = finding(job, "first", "PDR001")
    assert sides["state"] == "passed"
    told = f"{len(groups)} made recordings, learnt from: test set {len(learnt)}; none is scored"
    assert str(sides["found"]).endswith(told)
    for table in job.study("first").glob("**/predictions.parquet"):
        assert not pd.read_parquet(table)["recording_id"].str.startswith("made_").any()
    weights = job.study("first") / "winner" / "model.pt"
    words = ("search.name=second", f"pretrained={weights}", "folds.seed=7")
    again = job.run(*base, *words, timeout=900)
    assert again.returncode == 0, again.stderr
    held = set(json.loads((job.study("second") / "folds.json").read_text())["test"])
    both = held - set(folds["test"])
    assert both  # else the second study held out the same people
    named = finding(job, "second", "PDR005")
    assert named["state"] == "warning"
    assert named["numbers"] == {
        "files": 1, "seen": len(both), "scored": len(held), "made": len(both & carried),
    }  # fmt: skip
