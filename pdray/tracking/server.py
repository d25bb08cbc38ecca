"""The connection to an MLflow server or database: client, experiment, time limits and errors."""

import logging
import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
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

# Hide messages about created tables (INFO) and about every retry (WARNING), and the traceback of an
# error of a database (ERROR), which is raised as well.
logging.getLogger("mlflow.store.db").setLevel(logging.CRITICAL)
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

# Packages of artifact stores and databases, where they are not called like their module.
_PACKAGES = {
    "google": "google-cloud-storage",
    "azure": "azure-storage-blob azure-identity",
    "psycopg": "'psycopg[binary]'",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
}
_SECONDS = "8"  # to connect, and between two answers
_LOCK_SECONDS = 1.0  # MLflow itself waits 20 s for the lock of a database
_LOCKED = "database is locked"
_CAUSES = {
    "Connection refused": "nothing answers at this address",
    "timed out": f"it does not answer within {_SECONDS} s",
    "500 error responses": "it answers with error 500",
    _LOCKED: "another program has locked the database",
}
_HTTP = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": _SECONDS,
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def prepare_tracking(uri: str, experiment: str) -> None:
    """Create or migrate the store and the experiment, once before any other use.

    A file that another program has locked is left alone: a study says so and sends its log later.

    Args:
        uri: A tracking URI that ``check_tracking`` accepts.
        experiment: Name of the MLflow experiment.

    Raises:
        TrackingError: If the server cannot be reached or refuses a request.
    """
    with explained(uri), limited(), suppress(sqlite3.OperationalError):
        experiment_id_of(connect(uri), uri, experiment)


def connect(uri: str) -> MlflowClient:
    """Return a client; make the folder of an SQLite file.

    Raises:
        sqlite3.OperationalError: If another program has locked this file for longer than a second.
    """
    if uri.startswith("sqlite:"):
        path = Path(uri.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and _is_locked(path):
            raise sqlite3.OperationalError(_LOCKED)
    return MlflowClient(tracking_uri=uri)


def _is_locked(path: Path) -> bool:
    with closing(sqlite3.connect(path, timeout=_LOCK_SECONDS)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.DatabaseError as error:  # others are explained where they are met
            return _LOCKED in str(error)
        return False


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
        whole = str(error) or type(error).__name__
        causes = (told for words, told in _CAUSES.items() if words in whole)
        text = next(causes, bare(whole).splitlines()[0])
        raise TrackingError(
            f"tracking server {bare(uri)}: {text}{hint}; nothing is lost: the log is on disk"
        ) from error
