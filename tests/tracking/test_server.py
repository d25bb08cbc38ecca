"""The connection to MLflow: what it makes, and how it fails."""

import logging
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pdray.errors import StudyError, TrackingError
from pdray.tracking.address import default_uri
from pdray.tracking.mlflow_log import mirror_study
from pdray.tracking.run_log import StudyLog
from pdray.tracking.server import MlflowClient, prepare_tracking


def test_preparing_makes_the_store_once_and_is_quiet(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    uri = default_uri(tmp_path / "new" / "folder")
    with caplog.at_level(logging.INFO):
        prepare_tracking(uri, "e")
        prepare_tracking(uri, "e")
    assert capfd.readouterr() == ("", "")
    experiment = MlflowClient(uri).get_experiment_by_name("e")
    assert experiment is not None
    assert experiment.artifact_location == (tmp_path / "new/folder/mlflow_files").as_uri()


def test_mlflow_sends_no_statistics_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import pdray.tracking.server; from mlflow.telemetry import get_telemetry_client as client;"
        "from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY as off;"
        "print(off.get(), client())"
    )
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    for name in ("CI", "PYTEST_CURRENT_TEST"):  # in which MLflow sends none anyway
        monkeypatch.delenv(name, raising=False)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.split() == ["True", "None"]


def test_a_deleted_experiment_is_named(study: StudyLog, uri: str) -> None:
    report = mirror_study(study.folder, uri, "e")
    MlflowClient(uri).delete_experiment(report.experiment_id)
    with pytest.raises(TrackingError, match="experiment 'e' was deleted"):
        mirror_study(study.folder, uri, "e")


def test_no_study_and_no_server_are_different_errors(study: StudyLog, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"study\.json"):
        mirror_study(tmp_path, default_uri(tmp_path), "e")
    environment = dict(os.environ)
    start = time.monotonic()
    with pytest.raises(TrackingError, match=r"http://127\.0\.0\.1:9.*nothing is lost") as caught:
        mirror_study(study.folder, "http://jane:secret@127.0.0.1:9", "e")
    assert time.monotonic() - start < 20
    assert "secret" not in str(caught.value)
    assert dict(os.environ) == environment


@pytest.mark.integration
def test_a_server_that_never_answers_is_given_up_within_seconds(study: StudyLog) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        with pytest.raises(TrackingError, match="does not answer within 8 s"):
            mirror_study(study.folder, f"http://127.0.0.1:{silent.getsockname()[1]}", "e")
        assert time.monotonic() - start < 12


def test_a_server_that_fails_is_told_in_one_line(study: StudyLog) -> None:
    class Fails(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Fails) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_address[1]}"
        with pytest.raises(TrackingError) as caught:
            mirror_study(study.folder, uri, "e")
        server.shutdown()
    told = "it answers with error 500; nothing is lost: the log is on disk"
    assert str(caught.value) == f"tracking server {uri}: {told}"


def test_a_locked_database_is_told_in_one_line_and_gets_all_later(
    study: StudyLog, uri: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(study.folder.parent / "mlflow.db", isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        start = time.monotonic()
        prepare_tracking(uri, "e")  # a study begins nevertheless
        with pytest.raises(TrackingError, match="another program has locked the database; not"):
            mirror_study(study.folder, uri, "e")
        assert time.monotonic() - start < 15  # MLflow waits 20 s for each question
    assert capfd.readouterr() == ("", "")
    assert mirror_study(study.folder, uri, "e").num_runs == 1


@pytest.mark.parametrize("scheme", ["postgresql", "mysql+pymysql", "postgresql+psycopg"])
def test_a_database_whose_driver_is_not_installed_names_the_package(scheme: str) -> None:
    with pytest.raises(TrackingError, match=f"{re.escape(scheme)}://db.example/m.*pip"):
        prepare_tracking(f"{scheme}://db.example/m", "e")
