"""MediaPipe's Face Landmarker, opened for one recording.

MediaPipe is an extra (in the checkout: ``pip install -c constraints.txt -e '.[landmarks]'``); the
user provides its model file. Tested with mediapipe 1.2.2.
"""

import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pdray.errors import SettingsError
from pdray.importers.mediapipe.points import NUM_MESH

Floats = NDArray[np.float64]

# Lines of MediaPipe and TensorFlow Lite that report no error: information (I) and warnings (W) with
# month and day, or with the word.
_NOTICE = re.compile(rb"[IW]\d{4} |INFO: |WARNING: ")


class Landmarker(Protocol):
    """Finds a face in the pictures of one recording."""

    def detect(self, picture: NDArray[np.uint8], milliseconds: int) -> Floats | None:
        """Return the (478, 2) mesh of the face in a picture, or None.

        Args:
            picture: (H, W, 3) RGB.
            milliseconds: Time of the picture; later than the last one, except for still pictures.

        Returns:
            x, y as shares of width and height from the upper left corner of the picture.
        """


class OpenLandmarker(Protocol):
    """Opens a landmarker."""

    def __call__(self, *, still: bool = False) -> AbstractContextManager[Landmarker]:
        """Open a landmarker.

        Args:
            still: Each picture is looked at alone. Otherwise they are the frames of a video: the
                face is searched near its last place, and its points are smoothed over time.
        """


@contextmanager
def open_landmarker(model: Path, *, still: bool = False) -> Iterator[Landmarker]:
    """Open MediaPipe's Face Landmarker; nothing is downloaded.

    Raises:
        SettingsError: If the file does not exist, MediaPipe is not installed, or the file is not a
            Face Landmarker.
    """
    if not model.is_file():
        raise SettingsError(
            f"model: {model} does not exist; give the file of a MediaPipe Face Landmarker (.task)"
        )
    mediapipe, vision = _mediapipe()
    python = importlib.import_module("mediapipe.tasks.python")
    try:
        options = vision.FaceLandmarkerOptions(
            base_options=python.BaseOptions(model_asset_path=str(model)),
            running_mode=vision.RunningMode.IMAGE if still else vision.RunningMode.VIDEO,
            num_faces=1,
        )
        with without_notices():
            task = vision.FaceLandmarker.create_from_options(options)
    except (OSError, RuntimeError, ValueError) as error:
        raise SettingsError(
            f"model: {model} is not a MediaPipe Face Landmarker ({error}); give another file"
        ) from error
    try:
        yield _MediaPipe(mediapipe, task, still)
    finally:
        with without_notices():
            task.close()


@contextmanager
def without_notices() -> Iterator[None]:
    """Leave out the notices that native code writes to standard error; all other lines pass.

    MediaPipe reports on its own working for each recording, past Python's ``sys.stderr``. Errors,
    those before an abort included, are printed as they come.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    kept = os.dup(2)
    reads, writes = os.pipe()
    passing = Thread(target=_pass_on, args=(reads, kept))
    passing.start()
    os.dup2(writes, 2)
    os.close(writes)
    try:
        yield
    finally:
        os.dup2(kept, 2)  # closes the last end that writes, so that the thread ends
        passing.join()
        os.close(kept)


def _pass_on(reads: int, to: int) -> None:
    with os.fdopen(reads, "rb") as lines:
        for line in lines:
            if not _NOTICE.match(line):
                os.write(to, line)


class _MediaPipe:
    """A Face Landmarker in its mode of videos or of pictures."""

    def __init__(self, mediapipe: Any, task: Any, still: bool) -> None:
        self._mediapipe, self._task, self._still = mediapipe, task, still

    def detect(self, picture: NDArray[np.uint8], milliseconds: int) -> Floats | None:
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=picture)
        with without_notices():
            found = (
                self._task.detect(image)
                if self._still
                else self._task.detect_for_video(image, milliseconds)
            )
        if not found.face_landmarks:
            return None
        mesh = np.array([(point.x, point.y) for point in found.face_landmarks[0]], np.float64)
        if len(mesh) != NUM_MESH:
            raise SettingsError(
                f"model: it gives {len(mesh)} points per face; give a Face Landmarker with irises, "
                f"which gives {NUM_MESH}"
            )
        return mesh


def _mediapipe() -> tuple[Any, Any]:
    try:
        return (
            importlib.import_module("mediapipe"),
            importlib.import_module("mediapipe.tasks.python.vision"),
        )
    except ImportError as error:
        raise SettingsError(
            f"MediaPipe cannot be imported ({error}); run in the checkout: pip install -c "
            "constraints.txt -e '.[landmarks]'"
        ) from error
