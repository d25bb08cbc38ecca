"""Settings, and what refuses them, are there before any heavy library is."""

import subprocess
import sys

HEAVY = ("torch", "sklearn", "librosa", "ray", "mlflow", "pandas", "av", "cv2", "pyarrow")
LIGHT = (
    "pdray.data.batches.settings",
    "pdray.data.batches.snippet",
    "pdray.data.cohort.folds",
    "pdray.data.cohort.settings",
    "pdray.data.face.settings",
    "pdray.data.media.flow",
    "pdray.data.media.settings",
    "pdray.data.modalities",
    "pdray.data.store.settings",
    "pdray.demo.illness.severity",
    "pdray.evaluation.metrics",
    "pdray.importers.actions.settings",
    "pdray.importers.mediapipe.settings",
    "pdray.importers.youtubepd.settings",
    "pdray.models",
    "pdray.training.settings",
)


def test_settings_import_no_heavy_library() -> None:
    names = ", ".join(LIGHT)
    told = f"import sys, {names}; print(*(name for name in {HEAVY} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
