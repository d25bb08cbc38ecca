"""Predicts grades of faces from the real landmarks of YouTubePD, and keeps the tables.

    python -m benchmarks.face_landmarks PACK FOLDER

PACK is the folder of the neutral pack of YouTubePD (Zhou et al. 2023): 243 public clips, of which
72 are for training and 171 for testing, in the split of the authors. FOLDER gets the manifest and
the store, and predictions tables of the test clips, which ``jobs/evaluate.py`` and
``jobs/compare.py`` read: ``motion.parquet`` and ``voting.parquet`` (six grades), and
``motion_two.parquet`` and ``voting_two.parquet`` (grade 0 against 1 to 5). ``motion`` is the
estimator ``landmark_choice``, ``voting`` the network of the benchmark whose frames vote; both as in
``search_spaces/tables/youtubepd.table3.yaml``, with seed 0. It takes about two minutes.

``site`` is the collection batch. All ill clips are of batch A and most healthy test clips of batch
B, so only scores inside batch A are about the disease; the files that end in ``_a`` hold its rows.
There are no subject ids: a clip stands for a subject, a person may be in training and test, and
intervals are those over clips.
"""

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from pdray.config import build
from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.members import Cohort, compared_sides, make_cohort, rated
from pdray.data.cohort.settings import DataConfig, FoldsConfig
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.evaluation.predictions import Origin, write_predictions
from pdray.importers.youtubepd.importing import import_youtubepd
from pdray.importers.youtubepd.settings import ImportConfig
from pdray.training.loop.worker import fit
from pdray.training.settings import FitConfig
from pdray.training.task import FitTask

MODELS: dict[str, dict[str, Any]] = {
    "motion": {"name": "landmark_choice"},
    "voting": {"name": "landmark_mlp", "frames": "fv"},
}
CUTS = {"": (1, 2, 3, 4, 5), "_two": (1,)}


def main(pack: Path, folder: Path) -> None:
    """Import the pack, fit both models, and write the tables."""
    output = folder / "manifest.csv"
    imported = import_youtubepd(ImportConfig(layout="pack", folder=pack, output=output))
    manifest = load_manifest(imported.manifest, subjects="none")
    store = FrameStore(folder / "store", build(Recipe, {}))
    for suffix, cuts in CUTS.items():
        data = DataConfig(
            manifest=manifest.path, items=("face_interview",), subjects="none", grade_cuts=cuts
        )
        split = FoldsConfig(from_split=True)
        cohort = make_cohort(manifest, data, split, needs=("landmarks",), searches=False)
        for name, model in MODELS.items():
            table = predict(cohort, data, store, name, model)
            for ending, rows in {"": table, "_a": table[table["site"] == "A"]}.items():
                path = folder / f"{name}{suffix}{ending}.parquet"
                write_predictions(rows.reset_index(drop=True), path)
                print(f"{path.name}: {len(rows)} clips")


def predict(
    cohort: Cohort, data: DataConfig, store: FrameStore, name: str, model: dict[str, Any]
) -> pd.DataFrame:
    """Return the predictions of the test clips by a model that was fitted on the others."""
    config = build(FitConfig, {"modality": "landmarks", "model": model, "optim": {"epochs": 1}})
    stored = {one.recording_id: store.add(one, config.sees) for one in cohort.recordings}
    recordings = rated(cohort, data, stored)
    (result,) = fit(
        FitTask(
            origin=Origin(study=name, trial=0, fold=0, epoch=0, split="test"),
            config=config,
            recordings=recordings,
            sides=compared_sides(cohort.folds, recordings),
            num_classes=cohort.num_classes,
            epochs=1,
        )
    )
    assert result.predictions is not None
    return result.predictions


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute())
