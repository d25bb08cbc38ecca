"""The address of the MLflow runs, and the settings to show there, without paths or passwords."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import Field, field_validator

from pdray.config import Settings
from pdray.errors import SettingsError, TrackingError
from pdray.tracking.run_log import StudyLog

_SERVER = (
    "MLFLOW_DISABLE_TELEMETRY=true mlflow server --host 0.0.0.0 --port 5000 "
    "--backend-store-uri sqlite:////data/mlflow.db"
)

_SERVERS = (
    "give user and password of the server in MLFLOW_TRACKING_USERNAME and "
    "MLFLOW_TRACKING_PASSWORD, or its token in MLFLOW_TRACKING_TOKEN, instead"
)
# How the drivers of databases read user and password.
_PASSWORDS = {
    "postgresql": "give them in PGUSER and PGPASSWORD, or in the file ~/.pgpass, instead",
    "mysql": "give them in a file, with '?read_default_file=~/.my.cnf' at the end, instead",
}


_COUNTED = {"shared_files": "files", "different_subjects": "groups"}
_PATHS = ("manifest", "marks", "pretrained", "folder", "guide")
# Names behind the "?" of an address whose values nobody else may see.
_SECRET = re.compile(
    r"pass(word|wd|phrase)|pwd|token|secret|credential|signature|(api|access|private).?key"
    r"|authorization|bearer|jwt|odbc_connect|^(pass|pw|user|username|uid|login|auth|sig|key)$",
    re.IGNORECASE,
)


ToldSubjects = Literal["numbers", "none", "as_is"]


class TrackingConfig(Settings):
    """Settings of MLflow tracking."""

    uri: str | None = Field(
        None,
        description="MLflow tracking URI, such as http://host:5000; null: mlflow.db (SQLite) in the"
        " output folder",
    )
    subjects: ToldSubjects = Field(
        "numbers",
        description="how the predictions tables that are sent name subjects and recordings. "
        "numbers: by running numbers, whose key stays in the study's folder private; none: not at "
        "all; as_is: by the ids of the manifest, for a server that only those see who may see them",
    )
    experiment: str = Field("pdray", description="name of the MLflow experiment", min_length=1)
    system_metrics: bool = Field(
        False,
        description="log CPU, memory, disk, network and GPU use of the machine that runs the job "
        "every 30 s; the other machines of a cluster are not measured",
    )

    @field_validator("uri")
    @classmethod
    def _has_no_password(cls, uri: str | None) -> str | None:
        # Settings are stored on disk and shown with every run.
        if uri is not None and uri != bare(uri):
            scheme = uri.partition(":")[0].partition("+")[0]
            raise ValueError(
                f"got '{bare(uri)}' with a user name, password or token; "
                f"{_PASSWORDS.get(scheme, _SERVERS)}"
            )
        return uri


def default_uri(output: Path) -> str:
    """Return the tracking URI of the SQLite file ``mlflow.db`` in an output folder."""
    return f"sqlite:///{output.resolve() / 'mlflow.db'}"


def uri_beside(study: Path) -> str:
    """Return the URI that a study in <output>/studies uses where none is given.

    Raises:
        StudyError: If there is no study.
        SettingsError: If it lies in another folder.
    """
    StudyLog(study).read()
    if study.parent.name != "studies":
        raise SettingsError(
            f"tracking.uri is missing: {study} lies in no folder OUTPUT/studies, beside which "
            "MLflow's database would be; give tracking.uri=sqlite:////FOLDER/mlflow.db or a server"
        )
    return default_uri(study.parents[1])


def check_tracking(uri: str, num_nodes: int) -> None:
    """Refuse a tracking URI that cannot work here, before anything starts.

    Args:
        uri: ``http(s)://``, ``databricks``, a database URI, or ``sqlite:////absolute/file.db``.
        num_nodes: Nodes of the cluster.

    Raises:
        TrackingError: For a folder of files, a relative SQLite file, or a SQLite file on more than
            one node; says what to use.
    """
    scheme = uri.partition(":")[0].partition("+")[0]
    if scheme in ("http", "https", "databricks", "postgresql", "mysql", "mssql"):
        return
    if scheme != "sqlite":
        raise TrackingError(
            f"tracking.uri: got '{bare(uri)}', but MLflow no longer stores runs in a folder; use"
            " sqlite:////absolute/path/mlflow.db or the http:// address of a server"
        )
    if not uri.startswith("sqlite:////"):
        raise TrackingError(
            f"tracking.uri: got '{uri}', a relative path, which a submitted job would write into a"
            " temporary folder; write sqlite:////absolute/path/mlflow.db with four slashes"
        )
    if num_nodes > 1:
        raise TrackingError(
            f"tracking.uri: got '{uri}', a file on one machine, but the cluster has {num_nodes}"
            f" nodes; start a server that all nodes can reach, '{_SERVER}', and set"
            " tracking.uri=http://<its address>:5000"
        )


def bare(uri: str) -> str:
    """Return a URI, or a text with URIs in it, without user names, passwords and tokens."""
    pairs = r"(?<=[?&;#])([^=?&;#\s'\"]+)=[^&;\s'\"]*"
    bared = re.sub(pairs, _without_secret, uri)
    # Up to the last "@": SQLAlchemy takes a password with "@", "/", "?", "#" and quotes.
    # After more than two slashes there is a path, whose folders may have an "@".
    return re.sub(r"(?<!/)//(?!/)\S*@", "//", bared)


def _without_secret(pair: re.Match[str]) -> str:
    return f"{pair[1]}=" if _SECRET.search(unquote(pair[1])) else pair[0]


def shared_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with only the last part of every path, and no password in a URI.

    Names of folders may contain names of people, and so may those of recordings: of
    ``shared_files`` and ``different_subjects`` only their number is told.

    Args:
        settings: Nested plain values; settings of files are paths even if they are relative.

    Returns:
        The same keys.
    """
    return {key: _shown(key, value) for key, value in settings.items()}


def _shown(key: str, value: Any) -> Any:
    if key in _COUNTED and value:
        return f"{len(value)} {_COUNTED[key]}"
    return _last_parts(value) if key in _PATHS else _shared(value)


def _last_parts(value: Any) -> Any:
    """Return a path, or the paths of a searched setting, without folders."""
    if isinstance(value, Mapping):
        return {key: _last_parts(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_last_parts(entry) for entry in value]
    return Path(value).name if isinstance(value, str) else value


def _shared(value: Any) -> Any:
    if isinstance(value, Mapping):
        return shared_settings(value)
    if isinstance(value, list | tuple):
        return [_shared(entry) for entry in value]
    if not isinstance(value, str):
        return value
    if value.startswith("sqlite:"):
        return f"sqlite:{Path(value).name}"
    return Path(value).name if Path(value).is_absolute() else bare(value)
