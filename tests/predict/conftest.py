"""Complete studies on six SYNTHETIC faces, trained in this process without Ray."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from pdray.config import build, part
from pdray.data.cohort.folds import Folds, folds_to_json
from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.members import inner_sides, outer_sides, rate
from pdray.data.store.extract import available
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.evaluation.predictions import Origin
from pdray.search.resume import keep_entries
from pdray.search.trial import Recorder
from pdray.search.trial_plan import TrialPlan
from pdray.tracking.run_log import StudyLog
from pdray.training.loop.launch import Workers, run_in_process
from pdray.training.settings import FitConfig
from tests.fixtures.tiny_study import PROBE, make_study, render_faces
from tests.predict.small_studies import NETWORK, settings_of, whole_rows

FOLDS = Folds(
    frozenset(["S001"]), (frozenset(["S002", "S003"]), frozenset(["S004", "S005", "S006"]))
)
THREE = Folds(
    frozenset(),
    tuple(frozenset(pair) for pair in (["S001", "S002"], ["S003", "S004"], ["S005", "S006"])),
)


@pytest.fixture(scope="package")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_faces(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="package", params=["network", "probe"])
def study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, faces: Path
) -> StudyLog:  # fmt: skip
    settings = NETWORK if request.param == "network" else PROBE
    return train(tmp_path_factory.mktemp(request.param), faces, settings)


@pytest.fixture(scope="package")
def network_study(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> StudyLog:
    return train(tmp_path_factory.mktemp("one"), faces, NETWORK)


@pytest.fixture(scope="package")
def study_of(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> Callable[[str], StudyLog]:
    """Return a function that returns the study of a model; each is made once."""
    made: dict[str, StudyLog] = {}

    def find(name: str) -> StudyLog:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            rows = whole_rows(faces, folder, grade=["0", "3"] * 3)
            made[name] = train(folder / "output", rows, settings_of(name), THREE)
        return made[name]

    return find


def train(
    output: Path,
    manifest: Path,
    settings: Mapping[str, Any],
    folds: Folds = FOLDS,
    *,
    name: str = "faces",
    metric: str = "mcc",
) -> StudyLog:
    """Run trial 0, its refit and its folds; return the log of the complete study.

    One CPU is a thread, as in the process of a trial. With two threads oneDNN (torch 2.13, CPU) may
    crash in the gradient of the weights of narrow 1x1 convolutions.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _train(output, manifest, settings, folds, name=name, metric=metric)
    finally:
        torch.set_num_threads(threads)


def _train(
    output: Path,
    manifest: Path,
    settings: Mapping[str, Any],
    folds: Folds,
    *,
    name: str,
    metric: str,
) -> StudyLog:
    study = make_study(output, manifest, settings, name=name)
    study.folds_path.write_text(folds_to_json(folds), encoding="utf-8")
    study.winner.model_path.unlink(missing_ok=True)
    fit = build(FitConfig, study.winner.read()["settings"])
    store = FrameStore(output / "store", part(fit, Recipe))
    rows = load_manifest(manifest).recordings
    stored = {row.recording_id: store.add(row, available(row, fit.sees, fit.needs)) for row in rows}
    keep_entries(study, stored)
    recordings = tuple(rate(row, (2,), stored=stored[row.recording_id]) for row in rows)
    numbers = [*range(len(folds.folds))]
    for role, of in (("trial", [None]), ("winner", [None]), ("fold", numbers)):
        sides = (outer_sides if role == "winner" else inner_sides)(folds, recordings)
        origin = Origin(study=study.name, trial=0, fold=-1 if role == "winner" else 0, epoch=0,
                        split="test" if role == "winner" else "val")  # fmt: skip
        plan = TrialPlan(
            study.folder, fit, recordings, sides, 2, origin, metric, Workers(1, 1.0, 0.0),
            role=role, synthetic=True, epochs=chosen_epochs(study, role),
        )  # fmt: skip
        for fold in of if role != "fold" or fit.entry.keeps_weights else []:
            recorder = Recorder(plan, 0, {}, fold)
            if role == "winner":
                (study.winner.folder / "trial.json").unlink()
            for _ in run_in_process(recorder.task, recorder, plan.workers):
                pass
    return study


def chosen_epochs(study: StudyLog, role: str) -> int | None:
    return None if role == "trial" else int(study.trial(0).read()["chosen_epoch"]) + 1
