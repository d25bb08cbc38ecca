"""The connection to an MLflow server or database: client, experiment, time limits and errors."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from pdray.errors import PdrayError, TrackingError
from pdray.tracking.address import bare

# mlflow reads this at import: a tool for patients' data must send nothing to third parties.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
with warnings.catch_warnings():
    # MLflow 3.17 still uses a loader of which SQLAlchemy 2.1 warns at import.
    warnings.simplefilter("ignore")
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    from mlflow import MlflowClient

# Hide messages about created tables (INFO) and about every retry (WARNING).
logging.getLogger("mlflow.store.db").setLevel(logging.WARNING)
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

# Packages of artifact stores and databases, where they are not called like their module.
_PACKAGES = {
    "google": "google-cloud-storage",
    "azure": "azure-storage-blob azure-identity",
    "psycopg": "'psycopg[binary]'",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
}
_HTTP = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "8",  # [s] to connect, and between two answers
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def prepare_tracking(uri: str, experiment: str) -> None:
    """Create or migrate the store and the experiment, once before any other use.

    Args:
        uri: A tracking URI that ``check_tracking`` accepts.
        experiment: Name of the MLflow experiment.

    Raises:
        TrackingError: If the server cannot be reached or refuses a request.
    """
    with explained(uri), limited():
        experiment_id_of(connect(uri), uri, experiment)


def connect(uri: str) -> MlflowClient:
    """Return a client; make the folder of an SQLite file."""
    if uri.startswith("sqlite:"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=uri)


def experiment_id_of(client: MlflowClient, uri: str, name: str) -> str:
    """Return the id of an experiment; make it if it is missing.

    Raises:
        TrackingError: If it was deleted.
    """
    with limited(retries=0):  # the first request: do not wait twice for a dead server
        found = client.get_experiment_by_name(name)
    if found is None:
        # Without a server, MLflow would store files in the working directory.
        place = None
        if uri.startswith("sqlite:"):
            place = (Path(uri.removeprefix("sqlite:///")).parent / "mlflow_files").as_uri()
        # With this tag the UI opens the table of runs, without a question about the experiment.
        kind = {"mlflow.experimentKind": "custom_model_development"}
        return str(client.create_experiment(name, artifact_location=place, tags=kind))
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"MLflow experiment '{name}' was deleted; restore it, or set another "
            "tracking.experiment"
        )
    return str(found.experiment_id)


@contextmanager
def limited(*, retries: int = 1) -> Iterator[None]:
    """Limit the time that requests to a server take.

    Args:
        retries: 0 for a request that must not be sent twice, such as one that creates a run.
    """
    # MLflow reads these variables at every request, and there is no other way to set them.
    values = {**_HTTP, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries)}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn every error of MLflow and its stores into one that says what to do.

    Raises:
        TrackingError: In place of any error that is not pdray's own.
    """
    try:
        yield
    except PdrayError:
        raise
    except Exception as error:
        hint = ""
        if isinstance(error, ImportError) and error.name:
            package = _PACKAGES.get(error.name.partition(".")[0], error.name)
            hint = f"; install the package it needs: pip install {package}"
        if "Invalid Host header" in str(error):
            hint = f"; start the server with --allowed-hosts '{urlsplit(uri).hostname}'"
        text = bare(str(error) or type(error).__name__).splitlines()[0]
        raise TrackingError(
            f"tracking server {bare(uri)}: {text}{hint}; nothing is lost: the log is on disk, send "
            "it later with jobs/sync_tracking.py"
        ) from error
