"""Two folds of two epochs on SYNTHETIC interviews, from the manifest to the scores of each epoch.

    python -m tests.journey.fit FOLDER '{"model": {"name": "..."}, ...}'

It prints one line of JSON per epoch: fold, epoch, metrics, and the number of scored recordings.
"""

import json
import sys
from pathlib import Path

from pdray.config import build, dump, merge
from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.members import compared_sides, make_cohort, rated
from pdray.data.cohort.settings import DataConfig, FoldsConfig
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.evaluation.predictions import Origin
from pdray.training.loop.worker import fit
from pdray.training.settings import FitConfig
from pdray.training.task import FitTask
from tests.fixtures.tiny_study import render_faces

EPOCHS = 2


def main(folder: Path, settings: dict[str, object]) -> None:
    """Render, store, split, fit and print."""
    manifest = load_manifest(render_faces(folder / "cohort"))
    config = build(FitConfig, merge({"decode": {"height": 32, "width": 32}}, settings))
    data = DataConfig(manifest=manifest.path, items=("face_interview",), grade_cuts=(2,))
    split = FoldsConfig(num_outer=2)
    cohort = make_cohort(manifest, data, split, needs=config.needs, searches=False)
    tree = {name: value for name, value in dump(config).items() if name in Recipe.model_fields}
    store = FrameStore(folder / "store", build(Recipe, tree))
    stored = {row.recording_id: store.add(row, config.sees) for row in cohort.recordings}
    recordings = rated(cohort, data, stored)
    task = FitTask(
        origin=Origin(study="journey", trial=0, fold=0, epoch=0, seed=0),
        config=config,
        recordings=recordings,
        sides=compared_sides(cohort.folds, recordings),
        num_classes=cohort.num_classes,
        epochs=config.optim.epochs,
    )
    for result in fit(task):
        assert result.predictions is not None
        sys.stdout.write(
            json.dumps(
                {
                    "fold": result.fold,
                    "epoch": result.epoch,
                    "metrics": result.metrics,
                    "recordings": result.predictions["recording_id"].nunique(),
                }
            )
            + "\n"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
