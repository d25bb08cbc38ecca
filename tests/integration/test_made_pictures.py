"""From SYNTHETIC faces to a fold that learns from made videos: study, job, manifest, pictures."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs.synthesize import main
from pdray.config import build
from pdray.data.batches.frames import FrameReader
from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.members import inner_sides, make_cohort, outer_sides, rate, rated, rated_made
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.demo.cohort import make_cohort as draw_cohort
from pdray.demo.illness.severity import DemoConfig
from pdray.search.settings import StudyConfig
from tests.integration.conftest import Job
from tests.integration.test_translator_study import words
from tests.predict.conftest import train
from tests.predict.test_picture_networks import FOLDS, PORTRAITS, draw

pytestmark = pytest.mark.integration

CUT = """\
modality: portraits
portraits: {size: 64}
data: {items: [face_interview], grade_cuts: [2]}
folds: {num_folds: 3, num_outer: 4}
model:
  {name: cut, width_factor: 0.125, num_blocks: 2, discriminator_layers: 2, num_patches: 16}
optim: {batch_size: 4, epochs: 1, precision: float32}
synthesis: {frames: 1}
search: {trials: 1}
"""
SPLIT = {"num_folds": 3, "num_outer": 4}
SIZE = 96  # of the frames [px]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render 24 SYNTHETIC subjects, who agreed to everything; return their manifest."""
    settings = {"num_subjects": 24, "num_visits": 1, "items": ["face_interview"], "missing": 0.0,
                "size": SIZE, "fps": 10, "min_seconds": 2.0, "max_seconds": 2.0,
                "static_signs": 1.0, "seed": 4}  # fmt: skip
    return draw_cohort(
        tmp_path_factory.mktemp("faces"), build(DemoConfig, settings), num_processes=2
    )


def test_folds_learn_from_films_of_their_own_generators_and_see_no_strip(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = Job(faces, tmp_path)
    done = job.run(*words(job, "cut", CUT))
    assert done.returncode == 0, done.stderr
    people = train(tmp_path / "others", draw(tmp_path / "drawn", 5), PORTRAITS, FOLDS)
    output = faces.parent / "with_made.csv"
    given = [
        "method=cut", f"synthesis.study={job.study('cut')}", "synthesis.accept_terms=[faces]",
        f"synthesis.identity={people.folder}", "other_people=true", "synthesis.max_copies=1",
        f"data.manifest={faces}", "data.items=[face_interview]", "data.grade_cuts=[2]",
        "folds.num_folds=3", "folds.num_outer=4", "synthesis.strengths=[1]", f"output={output}",
    ]  # fmt: skip
    assert main(given) == 0
    assert "in 4 sets" in capsys.readouterr().out

    tree = {"modality": "rgb", "data": {"manifest": str(output), "items": ["face_interview"],
            "grade_cuts": [2], "made": "training", "made_share": 9.0}, "folds": SPLIT}  # fmt: skip
    config = build(StudyConfig, tree)
    cohort = make_cohort(load_manifest(output), config.data, config.folds, needs=("rgb",))
    recordings = (*rated(cohort, config.data, None), *rated_made(cohort, None))
    sides = (
        *inner_sides(cohort.folds, recordings, cohort.made_share),
        *outer_sides(cohort.folds, recordings, cohort.made_share),
    )
    names = ("fold0", "fold1", "fold2", "development")
    for name, side in zip(names, sides, strict=True):
        made = [recordings[n] for n in side.training if recordings[n].carries]
        own = {one.recording_id for one in made if one.recording_id.endswith(f"_{name}")}
        listed = {one.recording_id for one in recordings if one.recording_id.endswith(f"_{name}")}
        assert own == listed
        assert own
        held = {recordings[n].subject_id for n in side.evaluation}
        assert not any(one.carries & held for one in made)
        assert not any(recordings[n].carries for n in side.evaluation)
    # Another set may be learnt from only where none of its people is held out.
    assert any(one.carries & {recordings[n].subject_id for n in sides[0].evaluation}
               for one in recordings)  # fmt: skip
    _look(tmp_path / "store", output)


def _look(folder: Path, output: Path) -> None:
    """Compare what a network reads of a made video with its source: no row of the strip."""
    with output.open(newline="") as file:
        rows = {row["recording_id"]: row for row in csv.DictReader(file)}
    manifest = load_manifest(output)
    made = manifest.made[0].recording
    source = next(
        one for one in manifest.recordings
        if one.subject_id == made.subject_id
    )  # fmt: skip
    assert rows[made.recording_id]["crop"] == f"0 0 {SIZE} {SIZE}"
    store = FrameStore(folder, build(Recipe, {"decode": {"height": SIZE, "width": SIZE}}))
    both = [rate(one, (2,), stored=store.add(one)) for one in (made, source)]
    reader = FrameReader(both, "rgb")
    assert reader.shape == (SIZE, SIZE, 3)
    assert reader.length(0) == reader.length(1)
    numbers = [*range(reader.length(0))]
    new, old = (reader.read([(place, n) for n in numbers]).astype(int) for place in (0, 1))
    corner = np.s_[:, -4:, :4]  # outside the portrait, at the edge where the strip begins
    assert np.abs(new[corner] - old[corner]).max() == 0
    assert (new != old).any()
    whole = FrameStore(folder, store.recipe).add(replace(made, recording_id="whole", crop=None))
    strip = FrameReader([rate(made, (2,), stored=whole)], "rgb").read([(0, 0)])
    assert np.abs(strip[0].astype(int) - new[0]).mean() > 5
