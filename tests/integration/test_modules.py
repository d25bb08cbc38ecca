"""How much of the package a study enters before the first epoch of the default model is over."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pdray.training.task import FitTask

pytestmark = pytest.mark.integration

MOST = 115
SCRIPT = """
import pickle, sys
import jobs.tune_tsa, pdray.search.study, pdray.search.trial
from pdray.training.loop.launch import Workers, run_in_process

class Once:
    def resume(self): return None
    def record(self, result): return {"last": True}
    def keep(self, state): sys.exit("nobody gave notice")
    def fail(self, reason): sys.exit(reason)

with open(sys.argv[1], "rb") as file:
    task = pickle.load(file)
list(run_in_process(task, Once(), Workers(1, 1, 0)))
for name, module in list(sys.modules.items()):
    is_docstring = name != "pdray.models" and hasattr(module, "__path__")
    if name.startswith("pdray") and not is_docstring:
        print(name)
"""


def test_few_modules_are_imported_before_the_first_epoch_is_over(
    make_task: Callable[..., FitTask], tmp_path: Path
) -> None:
    path = tmp_path / "task.pickle"
    path.write_bytes(pickle.dumps(make_task()))
    command = [sys.executable, "-c", SCRIPT, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    names = ran.stdout.split()
    assert "pdray.models.networks.tsa" in names
    assert len(names) <= MOST, "\n".join(sorted(names))
