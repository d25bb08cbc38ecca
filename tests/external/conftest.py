"""A study on six SYNTHETIC faces, and fourteen other faces from elsewhere."""

from pathlib import Path

import pytest

from pdray.config import build
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from pdray.tracking.run_log import StudyLog
from tests.fixtures.tiny_study import FACES, render_faces
from tests.predict.conftest import NETWORK, train


@pytest.fixture(scope="package")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_faces(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="package")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    asked = {**FACES, "num_subjects": 14, "seed": 11}
    return make_cohort(
        tmp_path_factory.mktemp("elsewhere"), build(DemoConfig, asked), num_processes=1
    )


@pytest.fixture(scope="package")
def study(tmp_path_factory: pytest.TempPathFactory, faces: Path) -> StudyLog:
    return train(tmp_path_factory.mktemp("study"), faces, NETWORK)
