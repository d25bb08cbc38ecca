from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from matplotlib.figure import Figure

from pdray.tracking.run_log import StudyLog
from tests.fixtures.tiny_study import make_study, render_faces


@pytest.fixture(scope="package")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_faces(tmp_path_factory.mktemp("faces"))


@pytest.fixture
def study(tmp_path: Path, faces: Path) -> StudyLog:
    return make_study(tmp_path / "output", faces)


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType], list[Figure]]:
    """Return a list of the figures that a module draws from now on."""

    def start(module: ModuleType) -> list[Figure]:
        drawn: list[Figure] = []

        class Kept(Figure):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                drawn.append(self)

        monkeypatch.setattr(module, "Figure", Kept)
        return drawn

    return start
