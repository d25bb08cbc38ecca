"""Check that a module with settings loads no heavy library."""

import subprocess
import sys

SLOW = ("torch", "sklearn", "librosa", "ray", "mlflow", "optuna", "pandas")
"""Libraries whose import takes half a second or more."""
HEAVY = (*SLOW, "av", "cv2", "pyarrow")
"""Libraries that no module with settings loads."""


def check_light(module: str) -> None:
    """Import a module in a fresh process and refuse heavy libraries, so that help stays quick.

    Args:
        module: Dotted name.

    Raises:
        AssertionError: If it cannot be imported or loads a library of :data:`HEAVY`; names them.
    """
    code = f"import sys, {module}; print(*(name for name in {HEAVY} if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{module} cannot be imported: {ran.stderr}"
    loaded = ", ".join(ran.stdout.split())
    assert not loaded, f"{module} loads {loaded}; import it in the function that uses it"
