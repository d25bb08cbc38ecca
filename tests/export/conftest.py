"""Complete studies on six SYNTHETIC faces, and an export of each."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pdray.config import load
from pdray.data.cohort.folds import Folds
from pdray.export.run import export_model
from pdray.export.settings import ExportConfig
from pdray.tracking.run_log import StudyLog
from tests.fixtures.tiny_study import PROBE, render_faces
from tests.predict.conftest import train

# Both classes are on every training side.
FOLDS = Folds(
    frozenset(["S001"]), (frozenset(["S002", "S004"]), frozenset(["S003", "S005", "S006"]))
)
MOTION = {
    "decode": {"height": 32, "width": 32},
    "model": {"name": "motion_linear"},
    "optim": {"epochs": 1},
}
NETWORK = {
    "decode": {"height": 32, "width": 32},
    "snippet": {"num_frames": 4},
    "model": {"name": "frame_resnet", "depth": 18, "width_factor": 0.0625},
    "loss": {"kind": "cross_entropy"},
    "optim": {"batch_size": 2, "epochs": 2},
}
SETTINGS = {
    "network": NETWORK,
    "motion": MOTION,
    "probe": PROBE,
    "logistic": {**PROBE, "model": {**PROBE["model"], "kind": "logistic"}},
}


@pytest.fixture(scope="package")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_faces(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="package")
def study_of(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> Callable[[str], StudyLog]:
    """Return the complete study of a kind of model; each is trained once."""
    found: dict[str, StudyLog] = {}

    def make(kind: str) -> StudyLog:
        if kind not in found:
            found[kind] = train(tmp_path_factory.mktemp(kind), faces, SETTINGS[kind], FOLDS)
        return found[kind]

    return make


@pytest.fixture(scope="package")
def folder_of(
    tmp_path_factory: pytest.TempPathFactory, study_of: Callable[[str], StudyLog]
) -> Callable[[str], Path]:
    """Return an export of the ensemble of a kind of model; each is made once."""
    found: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in found:
            output = tmp_path_factory.mktemp("exports") / kind
            found[kind] = exported(study_of(kind), output, "calibration=temperature")[0]
        return found[kind]

    return make


def exported(study: StudyLog, output: Path, *words: str) -> tuple[Path, str]:
    """Run the job; return the folder and what was printed at the end."""
    asked = load(ExportConfig, [f"study={study.folder}", f"output={output}", *words])
    return output, export_model(asked, lambda line: None)
