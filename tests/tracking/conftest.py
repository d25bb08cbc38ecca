import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pdray.tracking.address import default_uri
from pdray.tracking.run_log import StudyLog, TrialLog


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the tables of MLflow once: it takes a second."""
    from pdray.tracking.server import prepare_tracking

    folder = tmp_path_factory.mktemp("store")
    prepare_tracking(default_uri(folder), "pdray")
    return folder / "mlflow.db"


@pytest.fixture
def uri(study: StudyLog, empty_store: Path) -> str:
    shutil.copy(empty_store, study.folder.parent / "mlflow.db")
    return default_uri(study.folder.parent)


@pytest.fixture
def rows() -> Callable[[int, int], pd.DataFrame]:
    """Build a small stand-in for the predictions of one epoch of one fold."""

    def make(fold: int, epoch: int) -> pd.DataFrame:
        return pd.DataFrame(
            {"fold": [fold] * 2, "epoch": epoch, "recording_id": ["a", "b"], "subject_id": "Roe"}
        )

    return make


@pytest.fixture
def study(tmp_path: Path) -> StudyLog:
    log = StudyLog(tmp_path / "output" / "demo")
    log.start(
        name="demo",
        settings={
            "data": {"manifest": "/data/Jane Roe/manifest.csv"},
            "tracking": {"uri": "http://user:secret@host:5000"},
            "seed": 0,
        },
        tags={"source": "a" * 40 + "-dirty", "synthetic": "true", "seed": "0"},
    )
    return log


@pytest.fixture
def run_trial(rows: Callable[[int, int], pd.DataFrame]) -> Callable[..., TrialLog]:
    """Write the epochs of a trial of two folds and two epochs; do not end it."""

    def run(study: StudyLog, number: int, *, num_steps: int = 4) -> TrialLog:
        trial = study.trial(number)
        if not trial.exists():
            trial.start(
                number=number,
                num_epochs=2,
                params={"optim.weight_decay": 0.01 * (number + 1), "loss.gamma": 2.0},
                settings={"loss": {"gamma": 2.0}},
            )
        for step in range(len(trial.epochs()), num_steps):
            fold, epoch = divmod(step, 2)
            metrics = {"train/loss": 1 / (step + 1), "val/mcc": 0.1 * step, "val/auroc": 0.5}
            if step == 1:
                metrics["val/auroc"] = float("nan")
            trial.write_epoch(
                fold=fold, epoch=epoch, metrics=metrics, predictions=rows(fold, epoch)
            )
        return trial

    return run
