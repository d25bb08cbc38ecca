"""Marks of withdrawn subjects in MLflow: runs, models, registered versions and files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pdray.errors import TrackingError
from pdray.tracking.mlflow_log import mirror_study
from pdray.tracking.run_log import StudyLog, TrialLog
from pdray.tracking.withdrawn import sent_runs
from pdray.tracking.withdrawn_runs import TAG, mark_runs
from tests.tracking.test_mlflow_log import end_study

# After these, which quiet the warning that SQLAlchemy 2.1 gives on this import.
from mlflow import MlflowClient  # isort: skip

TEXT = "learnt from a withdrawn subject: refit (2026-11-30)"


def test_runs_are_tagged_and_their_files_are_those_on_disk(
    study: StudyLog, uri: str, run_trial: Callable[..., TrialLog], tmp_path: Path
) -> None:
    end_study(study, run_trial)
    page = study.folder / "report" / "report.html"
    page.parent.mkdir()
    page.write_text("the points of P01")
    report = mirror_study(study.folder, uri, "pdray")
    table = study.trial(0).predictions_path
    rows = pd.read_parquet(table)
    rows.iloc[:1].to_parquet(table, index=False)
    shutil.rmtree(page.parent)
    ((place, runs),) = sent_runs(study).items()
    assert place == uri
    mark_runs(study, place, runs, TEXT)
    client = MlflowClient(uri)
    found = client.search_runs([report.experiment_id])
    assert {run.data.tags[TAG] for run in found} == {TEXT}
    assert len(found) == len(runs) == 5
    files = {
        name: Path(client.download_artifacts(runs[key], name, str(tmp_path)))
        for key, name in (("0000", "predictions.parquet"), ("study", "report.html"))
    }
    sent = pd.read_parquet(files["predictions.parquet"])
    assert (len(sent), len(rows)) == (1, 4)
    assert "Roe" not in set(sent["subject_id"])  # running numbers still stand for ids
    assert files["report.html"].read_text().startswith("This report was deleted")


def test_a_database_that_was_deleted_has_no_runs_and_a_dead_server_is_told(
    study: StudyLog, tmp_path: Path
) -> None:
    runs = {"study": {"run_id": "a" * 32}, "0000": {"run_id": None}}
    (tmp_path / "Roe s").mkdir()
    there = f"sqlite:///{tmp_path}/Roe s/a.db"
    (tmp_path / "Roe s" / "a.db").touch()
    gone = f"sqlite:///{tmp_path}/gone.db"
    places = (f"{there} two words", f"{gone} two words", "http://127.0.0.1:9 pdray")
    memory = dict.fromkeys(places, runs)
    (study.folder / "mirror.json").write_text(json.dumps(memory))
    found = sent_runs(study)
    assert found == {there: {"study": "a" * 32}, "http://127.0.0.1:9": {"study": "a" * 32}}
    with pytest.raises(TrackingError, match=r"127\.0\.0\.1:9: "):
        mark_runs(study, "http://127.0.0.1:9", found["http://127.0.0.1:9"], TEXT)
    assert not (tmp_path / "gone.db").exists()
