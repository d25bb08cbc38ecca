"""The winner of a study in MLflow's registry."""

import json
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pdray.config import dump
from pdray.data.batches.plan import PlannedBatch
from pdray.data.batches.reader import SnippetReader
from pdray.errors import TrackingError
from pdray.evaluation.predictions import by_recording, probabilities
from pdray.models import MODELS
from pdray.tracking.mlflow_log import MirrorReport, mirror_study
from pdray.tracking.run_log import StudyLog
from pdray.tracking.withdrawn import sent_runs
from pdray.tracking.withdrawn_runs import TAG, mark_runs
from pdray.training.loop.worker import fit
from pdray.training.task import FitTask

# After these, which quiet the warning that SQLAlchemy 2.1 gives on this import.
from mlflow import MlflowClient  # isort: skip
from mlflow.exceptions import MlflowException, RestException  # isort: skip


def search(folder: Path, task: FitTask, *, name: str = "tapping") -> pd.DataFrame:
    """Leave a study of one fit with its winner; return the winner's predictions."""
    (result,) = fit(task)
    log = StudyLog(folder)
    settings = {"data": {"grade_cuts": [2], "manifest": "/data/Jane Roe/manifest.csv"}}
    tags = {"synthetic": "true", "source": "a" * 40, "manifest_digest": "d" * 64}
    log.start(name=name, settings=settings, tags=tags)
    config = {**dump(task.config), "pretrained": "/data/Jane Roe/weights.pt"}
    log.winner.start(number=0, num_epochs=1, params={}, settings=config, role="winner")
    log.winner.write_epoch(fold=0, epoch=0, metrics={}, predictions=result.predictions)
    torch.save(result.state["model"], log.winner.model_path)
    scores = {"test/mcc": {"value": 0.6, "low": 0.2, "high": 0.8}, "test/auroc": {"value": np.nan}}
    log.winner.finish(state="complete", chosen_epoch=0, scores=scores)
    log.finish(state="complete", best=0)
    assert result.predictions is not None
    return result.predictions


@pytest.fixture
def small(make_task: Callable[..., FitTask]) -> Callable[..., FitTask]:
    """Make a task of one fold and one epoch."""

    def make(settings: Mapping[str, Any] | None = None) -> FitTask:
        task = make_task(settings)
        return make_task(settings, sides=task.sides[:1], epochs=1, evaluate="last_epoch")

    return make


def loaded(uri: str, name: str, patch: pytest.MonkeyPatch) -> Any:
    patch.setenv("MLFLOW_TRACKING_URI", uri)
    patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of type hints of its own
        import mlflow.pyfunc

        return mlflow.pyfunc.load_model(name)


@pytest.mark.parametrize(
    "settings",
    [
        {"modality": "flow", "augment": {"crop_size": [15, 15]}},
        {"modality": "portraits", "portraits": {"size": 64}},
        {"loss": {"kind": "coral"}, "snippet": {"mode": "segments", "num_segments": 2}},
    ],
)
def test_a_loaded_model_gives_the_probabilities_of_the_study(
    settings: Mapping[str, Any],
    study: StudyLog,
    small: Callable[..., FitTask],
    uri: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = small(settings)
    folder = study.folder.parent / "studies" / "tapping"
    table = by_recording(search(folder, task))
    report = mirror_study(folder, uri, "Roe's")
    assert report.notes == ("MLflow has the winner as models:/Roe-s-tapping@champion",)
    model = loaded(uri, "models:/Roe-s-tapping@champion", monkeypatch)
    assert not model.metadata.load_input_example().any()
    assert model.predict(model.metadata.load_input_example()).shape == (1, 2)
    with pytest.raises(MlflowException, match="schema"):
        model.predict(np.zeros((1, 2, 3, 3, 3), np.uint8))

    reader = SnippetReader(
        task.recordings, task.config.snippet, task.config.decode, 0, modality=task.config.sees[0]
    )
    chosen = task.sides[0].evaluation
    batch = PlannedBatch(0, 0, False, chosen, len(chosen))
    read = {name: values.numpy() for name, values in reader.allocate(batch).items()}
    for place in range(len(chosen)):
        reader.read(batch, place, {name: values[place] for name, values in read.items()})
    (frames,) = read.values()
    found = [model.predict(snippets).mean(axis=0) for snippets in frames]
    order = {task.recordings[index].recording_id: at for at, index in enumerate(chosen)}
    wanted = probabilities(table)
    for row, name in enumerate(table["recording_id"]):
        np.testing.assert_allclose(found[order[name]], wanted[row], atol=1e-6)


def registered(uri: str) -> list[Any]:
    return list(MlflowClient(uri).search_model_versions("name LIKE 'e-%'"))


def winner_files(uri: str, report: MirrorReport) -> set[str]:
    client = MlflowClient(uri)
    (run,) = client.search_runs([report.experiment_id], "tags.`pdray.run` = 'winner'")
    return {one.path for one in client.list_artifacts(run.info.run_id)}


def test_a_model_is_registered_once_and_says_nothing_of_a_person(
    study: StudyLog, small: Callable[..., FitTask], uri: str
) -> None:
    folder = study.folder.parent / "studies" / "tapping"
    search(folder, small())
    report = mirror_study(folder, uri, "e")
    client = MlflowClient(uri)
    (made,) = registered(uri)
    assert (made.name, made.version) == ("e-tapping", 1)
    assert client.get_model_version_by_alias("e-tapping", "champion").version == 1
    assert made.tags["pdray.synthetic"] == "true"
    assert "SYNTHETIC" in made.description
    assert "SYNTHETIC" in client.get_registered_model("e-tapping").description
    (model,) = client.search_logged_models([report.experiment_id])
    assert model.name == "tapping winner"
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "e-tapping", "version": 1}]
    scores = {one.key: one.value for one in model.metrics}
    assert scores == {"test/mcc": 0.6, "test/mcc_low": 0.2, "test/mcc_high": 0.8}
    assert "model.pt" not in winner_files(uri, report)  # it is in the model, once
    places = [path for path in folder.parents[1].rglob("mlflow_files/models/*") if path.is_dir()]
    (place,) = places
    sent = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
    wanted = {"MLmodel", "input_example.json", "data/model.pt", "data/settings.json"}
    assert wanted <= {name.removeprefix("artifacts/") for name in sent}
    assert not any(b"Roe" in path.read_bytes() for path in place.rglob("*") if path.is_file())

    client.create_model_version("e-tapping", made.source, run_id=made.run_id)
    client.set_registered_model_alias("e-tapping", "champion", "2")  # somebody's own choice
    assert mirror_study(folder, uri, "e").notes == ()
    (folder / "mirror.json").unlink()  # all is sent again that is not there
    mirror_study(folder, uri, "e")
    assert {one.version for one in registered(uri)} == {1, 2}
    assert client.get_model_version_by_alias("e-tapping", "champion").version == 2
    (runs,) = sent_runs(StudyLog(folder)).values()
    mark_runs(StudyLog(folder), uri, runs, "learnt from a withdrawn subject")
    (model,) = client.search_logged_models([report.experiment_id])
    assert {one.tags.get(TAG) for one in (model, *registered(uri))} == {
        "learnt from a withdrawn subject"
    }


def test_a_study_of_the_same_name_is_a_new_version_and_has_another_run_name(
    study: StudyLog, small: Callable[..., FitTask], uri: str, tmp_path: Path
) -> None:
    first, second = (tmp_path / place / "studies" / "tapping" for place in ("first", "second"))
    search(first, small())
    shutil.copytree(first, second)
    facts = json.loads((second / "study.json").read_text())
    (second / "study.json").write_text(json.dumps(facts | {"study_id": "b" * 32}))
    report = mirror_study(first, uri, "e")
    for _ in range(2):
        mirror_study(second, uri, "e")
    client = MlflowClient(uri)
    assert len(registered(uri)) == 2
    assert client.get_model_version_by_alias("e-tapping", "champion").version == 2
    names = {run.info.run_name for run in client.search_runs([report.experiment_id])}
    assert names == {"tapping", "tapping winner", "tapping bbbbbb", "tapping bbbbbb winner"}


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"model": {"name": "region_attention"}}, {"model.pt"}),  # sees regions too
        ({"model": {"name": "of_a_plug_in"}}, {"model.pt"}),
        (None, set()),  # an estimator: no weights file
    ],
)
def test_what_cannot_be_used_by_its_pictures_is_not_registered(
    change: Mapping[str, Any] | None,
    kept: set[str],
    study: StudyLog,
    small: Callable[..., FitTask],
    uri: str,
) -> None:
    folder = study.folder.parent / "studies" / "tapping"
    search(folder, small())
    if change is None:
        StudyLog(folder).winner.model_path.unlink()
    else:
        file = folder / "winner" / "trial.json"
        trial = json.loads(file.read_text())
        file.write_text(json.dumps(trial | {"settings": trial["settings"] | change}))
    report = mirror_study(folder, uri, "e")
    assert report.notes == ()
    assert winner_files(uri, report) & {"model.pt"} == kept
    assert registered(uri) == []


def test_weights_that_make_pictures_stay_on_disk(
    study: StudyLog, small: Callable[..., FitTask], uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = study.folder.parent / "studies" / "tapping"
    search(folder, small())
    name = StudyLog(folder).winner.read()["settings"]["model"]["name"]
    entry = replace(MODELS[name], loop="translate", learner="module:build")
    monkeypatch.setitem(MODELS, name, entry)
    report = mirror_study(folder, uri, "e")
    assert "model.pt" not in winner_files(uri, report)
    assert registered(uri) == []
    monkeypatch.undo()
    mirror_study(folder, uri, "e")
    assert len(registered(uri)) == 1  # as any other model


def test_a_server_without_a_registry_gets_the_weights_as_a_file(
    study: StudyLog, small: Callable[..., FitTask], uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = study.folder.parent / "studies" / "tapping"
    search(folder, small())
    refused = RestException({"error_code": "ENDPOINT_NOT_FOUND", "message": "no such endpoint"})

    def refuse(*words: object, **more: object) -> None:
        raise refused

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "search_model_versions", refuse)
        report = mirror_study(folder, uri, "e")
        (note,) = report.notes
        assert note.startswith("MLflow did not register the winner, its weights are in its run: ")
        assert "no such endpoint" in note
        assert mirror_study(folder, uri, "e").notes == ()
    assert "model.pt" in winner_files(uri, report)


def test_a_registry_that_fails_keeps_nothing_else_back(
    study: StudyLog, small: Callable[..., FitTask], uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = study.folder.parent / "studies" / "tapping"
    search(folder, small())

    def fail(*words: object, **more: object) -> None:
        raise MlflowException("the database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_model_version", fail)
        with pytest.raises(TrackingError, match="has locked the database; nothing is lost"):
            mirror_study(folder, uri, "e")
    statuses = {one.info.status for one in MlflowClient(uri).search_runs(["1", "2"])}
    assert statuses == {"FINISHED"}
    assert mirror_study(folder, uri, "e").notes == (
        "MLflow has the winner as models:/e-tapping@champion",
    )
    assert len(registered(uri)) == 1
    assert len(list(folder.parents[1].glob("mlflow_files/models/*"))) == 1
