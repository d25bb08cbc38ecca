import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pdray.errors import SettingsError
from pdray.importers.mediapipe.landmarker import open_landmarker, without_notices
from pdray.importers.mediapipe.points import NUM_MESH


def install(monkeypatch: pytest.MonkeyPatch, num_points: int) -> dict[str, Any]:
    """Put a package of mediapipe 1.2's interface into the place of MediaPipe's."""
    told: dict[str, Any] = {}
    point = SimpleNamespace(x=0.25, y=0.5, z=0.0)

    class FaceLandmarker:
        def close(self) -> None:
            told["closed"] = True

        @staticmethod
        def create_from_options(options: Any) -> "FaceLandmarker":
            told.update(vars(options))
            if Path(options.base_options.model_asset_path).read_bytes():
                raise RuntimeError("Unable to open zip archive")
            return FaceLandmarker()

        def detect(self, image: Any) -> Any:
            return self.detect_for_video(image, -1)

        def detect_for_video(self, image: Any, milliseconds: int) -> Any:
            os.write(2, b"W0000 00:00:00.1 1 graph.cc:1] Sets acceleration\nE0000 00:00 bad\n")
            told["at"] = milliseconds
            faces = [[point] * num_points] if image.data.any() else []
            return SimpleNamespace(face_landmarks=faces)

    package, tasks, python = (
        ModuleType(f"mediapipe{name}") for name in ("", ".tasks", ".tasks.python")
    )
    vision = ModuleType("mediapipe.tasks.python.vision")
    package.Image = lambda image_format, data: SimpleNamespace(data=data)  # type: ignore[attr-defined]
    package.ImageFormat = SimpleNamespace(SRGB=1)  # type: ignore[attr-defined]
    python.BaseOptions = SimpleNamespace  # type: ignore[attr-defined]
    vision.FaceLandmarkerOptions = SimpleNamespace  # type: ignore[attr-defined]
    vision.RunningMode = SimpleNamespace(VIDEO="video", IMAGE="image")  # type: ignore[attr-defined]
    vision.FaceLandmarker = FaceLandmarker  # type: ignore[attr-defined]
    for module in (package, tasks, python, vision):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return told


@pytest.mark.parametrize(("still", "mode", "at"), [(False, "video", 80), (True, "image", -1)])
def test_mediapipe_is_asked_for_one_face_of_a_video_or_a_picture(
    still: bool, mode: str, at: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = tmp_path / "x.task"
    model.write_bytes(b"")
    told = install(monkeypatch, NUM_MESH)
    with open_landmarker(model, still=still) as landmarker:
        mesh = landmarker.detect(np.ones((4, 4, 3), np.uint8), 40)
        assert mesh.tolist() == [[0.25, 0.5]] * NUM_MESH
        assert landmarker.detect(np.zeros((4, 4, 3), np.uint8), 80) is None
    assert told["closed"]
    assert (told["running_mode"], told["num_faces"], told["at"]) == (mode, 1, at)


def test_notices_of_mediapipe_are_left_out_and_its_errors_are_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.task").write_bytes(b"")
    install(monkeypatch, NUM_MESH)
    with open_landmarker(tmp_path / "x.task") as landmarker:
        landmarker.detect(np.ones((4, 4, 3), np.uint8), 0)
    sys.stderr.write("W0000 of ours\n")
    assert capfd.readouterr().err == "E0000 00:00 bad\nW0000 of ours\n"


@pytest.mark.parametrize(
    ("written", "passes"),
    [
        (b"INFO: Created delegate\nWARNING: early\nI1130 10:00 a\n", ""),
        (b"F0000 00:00 check failed\n*** stack ***\n", "F0000 00:00 check failed\n*** stack ***\n"),
        (b"cut off", "cut off"),
        (b"WARNINGS are no notice\nW is none\n", "WARNINGS are no notice\nW is none\n"),
        (b"W0000 x\n" * 100_000, ""),  # more than a pipe holds
    ],
)
def test_only_notices_are_left_out_whatever_ends_the_block(
    written: bytes, passes: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        with without_notices():
            os.write(2, written)
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert capfd.readouterr().err == passes


def test_a_model_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, 468)
    with (
        pytest.raises(SettingsError, match=r"model: \S+/y\.task does not exist; give the file"),
        open_landmarker(tmp_path / "y.task"),
    ):
        pass
    (tmp_path / "y.task").write_bytes(b"no model")
    with (
        pytest.raises(
            SettingsError, match=r"model: .*y\.task is not a .* Landmarker \(Unable to op"
        ),
        open_landmarker(tmp_path / "y.task"),
    ):
        pass
    (tmp_path / "x.task").write_bytes(b"")
    with (
        open_landmarker(tmp_path / "x.task") as landmarker,
        pytest.raises(SettingsError, match=r"model: it gives 468 points per face; .* gives 478"),
    ):
        landmarker.detect(np.ones((4, 4, 3), np.uint8), 0)


def test_without_the_extra_its_name_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    (tmp_path / "x.task").write_bytes(b"")
    with (
        pytest.raises(
            SettingsError, match=r"\); run in the checkout: pip .* -e '\.\[landmarks\]'$"
        ),
        open_landmarker(tmp_path / "x.task"),
    ):
        pass
