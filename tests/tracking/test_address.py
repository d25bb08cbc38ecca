from pathlib import Path

import pytest

from pdray.config import build
from pdray.errors import SettingsError, TrackingError
from pdray.tracking.address import (
    TrackingConfig,
    bare,
    check_tracking,
    default_uri,
    shared_settings,
)


def test_the_default_is_an_absolute_sqlite_file_in_the_output_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_uri(Path("out")) == f"sqlite:///{tmp_path / 'out' / 'mlflow.db'}"
    check_tracking(default_uri(Path("out")), num_nodes=1)


@pytest.mark.parametrize("uri", ["http://host:5000", "https://host", "postgresql+psycopg://h/db"])
def test_servers_and_databases_are_fine_on_any_number_of_nodes(uri: str) -> None:
    check_tracking(uri, num_nodes=5)


def test_sqlite_on_several_nodes_is_refused_with_the_way_out() -> None:
    with pytest.raises(TrackingError, match=r"the cluster has 3 nodes; start a server.*mlflow ser"):
        check_tracking("sqlite:////data/mlflow.db", num_nodes=3)


def test_a_relative_sqlite_file_is_refused() -> None:
    with pytest.raises(TrackingError, match=r"got 'sqlite:///mlflow\.db', a relative path"):
        check_tracking("sqlite:///mlflow.db", num_nodes=1)


@pytest.mark.parametrize("uri", ["file:///data/mlruns", "mlruns", "/data/mlruns", ""])
def test_a_folder_of_files_is_refused(uri: str) -> None:
    with pytest.raises(TrackingError, match="MLflow no longer stores runs in a folder"):
        check_tracking(uri, num_nodes=1)


def test_a_password_is_never_shown() -> None:
    assert bare("at http://jane:secret@host:5000/x") == "at http://host:5000/x"
    assert bare("postgresql://jane:sec/r@t@db/mlflow") == "postgresql://db/mlflow"
    assert bare("mysql://db/x?user=jane&Password=s@t&a=1 b") == "mysql://db/x?user=&Password=&a=1 b"
    harmless = "postgresql://db/x?sslkey=/k.pem&sslmode=require&keepalives=1"
    assert bare(harmless) == harmless
    assert bare("sqlite:////data/jane@clinic/mlflow.db") == "sqlite:////data/jane@clinic/mlflow.db"
    with pytest.raises(TrackingError) as caught:
        check_tracking("ftp://jane:secret@host", num_nodes=1)
    assert "secret" not in str(caught.value)


def test_a_password_in_the_settings_is_refused_before_it_is_kept() -> None:
    with pytest.raises(SettingsError) as caught:
        build(TrackingConfig, {"uri": "http://jane:secret@host:5000"})
    assert "MLFLOW_TRACKING_PASSWORD" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert build(TrackingConfig, {"uri": "http://host:5000"}).uri == "http://host:5000"


def test_paths_lose_their_folders_and_uris_their_passwords() -> None:
    settings = {
        "data": {
            "manifest": "Jane Roe/manifest.csv",
            "marks": "Jane Roe/marks.csv",
            "items": ["gait"],
            "store": "/data/roe/st",
            "shared_files": ["videos/Jane Roe.mp4"],
            "different_subjects": [["Roe1", "Roe 1"]],
        },
        "tracking": {"uri": "http://jane:secret@host:5000"},
        "other": {"uri": "sqlite:////home/roe/mlflow.db"},
        "search": {"metric": "val/mcc", "trials": 5, "paths": ["/home/roe/x"]},
        "space": {"pretrained": {"choices": ["people/Roe/w.pt", None]}},
    }
    assert shared_settings(settings) == {
        "data": {
            "manifest": "manifest.csv",
            "marks": "marks.csv",
            "items": ["gait"],
            "store": "st",
            "shared_files": "1 files",
            "different_subjects": "1 groups",
        },
        "tracking": {"uri": "http://host:5000"},
        "other": {"uri": "sqlite:mlflow.db"},
        "search": {"metric": "val/mcc", "trials": 5, "paths": ["x"]},
        "space": {"pretrained": {"choices": ["w.pt", None]}},
    }


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("postgresql://jane:secret@db/mlflow", "PGPASSWORD, or in the file ~/.pgpass"),
        ("mysql+pymysql://jane:secret@db/mlflow", "read_default_file=~/.my.cnf"),
        ("postgresql://db/mlflow?user=jane&password=secret", "PGPASSWORD"),
        ("postgresql://jane:sec?ret#secret'@db/mlflow", "PGPASSWORD"),
        ("https://jane:secret@host", "MLFLOW_TRACKING_PASSWORD"),
        ("https://host?access_token=secret", "MLFLOW_TRACKING_TOKEN"),
        ("https://host/x?a=1;api-key=secret", "MLFLOW_TRACKING_TOKEN"),
        ("https://host/x#pass%77ord=secret", "MLFLOW_TRACKING_TOKEN"),
        ("postgresql://db/mlflow?sslmode=require&sslpassword=secret", "PGPASSWORD"),
    ],
)
def test_a_password_is_refused_with_the_place_where_its_driver_looks(uri: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        build(TrackingConfig, {"uri": uri})
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "jane" not in str(caught.value)
