"""Settings, and what refuses them, are there before any heavy library is."""

import subprocess
import sys

from tests.places import ROOT

HEAVY = ("torch", "sklearn", "librosa", "ray", "mlflow", "optuna", "pandas", "av", "cv2", "pyarrow")
LIGHT = [
    "pdray.data.batches.snippet",
    "pdray.data.cohort.folds",
    "pdray.data.media.flow",
    "pdray.data.modalities",
    "pdray.demo.illness.severity",
    "pdray.evaluation.metrics",
    "pdray.models",
    "pdray.search.plan",
    *sorted(
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for path in (ROOT / "pdray").rglob("*settings.py")
    ),
]


def test_settings_import_no_heavy_library() -> None:
    names = ", ".join(LIGHT)
    told = f"import sys, {names}; print(*(name for name in {HEAVY} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert "pdray.search.settings" in LIGHT
    assert found.stdout.split() == []
