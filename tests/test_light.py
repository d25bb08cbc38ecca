"""Settings, and what refuses them, are there before any heavy library is."""

import subprocess
import sys

from pdray.testing.light import HEAVY
from tests.places import ROOT

# What settings read beside each other.
OTHERS = ("data/batches/snippet", "data/cohort/folds", "data/media/flow", "data/modalities",
          "demo/illness/severity", "evaluation/metrics", "models/__init__")  # fmt: skip


def test_settings_import_no_heavy_library() -> None:
    found = [path for path in ROOT.glob("pdray/**/*.py") if path.stem.endswith("settings")]
    files = [*found, *(ROOT / "pdray" / f"{name}.py" for name in OTHERS)]
    assert len(found) > 20
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    modules = ", ".join(name.removesuffix(".__init__") for name in names)
    code = f"import sys, {modules}; print(*(name for name in {HEAVY} if name in sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == []
