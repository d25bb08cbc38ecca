from pdray.tracking.privacy import shared_settings


def test_paths_lose_their_folders_and_uris_their_passwords() -> None:
    settings = {
        "data": {"manifest": "Jane Roe/manifest.csv", "items": ["gait"], "store": "/data/roe/st"},
        "tracking": {"uri": "http://jane:secret@host:5000"},
        "other": {"uri": "sqlite:////home/roe/mlflow.db"},
        "search": {"metric": "val/mcc", "trials": 5, "paths": ["/home/roe/x"]},
    }
    assert shared_settings(settings) == {
        "data": {"manifest": "manifest.csv", "items": ["gait"], "store": "st"},
        "tracking": {"uri": "http://host:5000"},
        "other": {"uri": "sqlite:mlflow.db"},
        "search": {"metric": "val/mcc", "trials": 5, "paths": ["x"]},
    }
