"""Help and the refusal of a misspelt key load no heavy library: it would take seconds."""

import json
import subprocess
import sys
from typing import Any

import pytest

from docs.settings import ROOTS
from pdray.config import Settings, leaves
from pdray.search.settings import StudyConfig
from tests.places import ROOT

HEAVY = ("torch", "sklearn", "librosa", "ray", "mlflow", "pandas", "optuna")
JOBS = sorted(path.stem for path in (ROOT / "jobs").glob("*.py"))
WORDS = {"reproduce": ["--table", "tsa.table5"], "prepare": ["data.manifest=/x.csv"]}
# Runs one job with each list of words, in a fresh process.
RUN = """
import contextlib, importlib, io, json, sys
given = json.loads(sys.argv[1])
job = importlib.import_module(given["job"])
told = []
for words in given["runs"]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = job.main(words)
    told.append([code, out.getvalue(), err.getvalue()])
print(json.dumps([told, [name for name in given["heavy"] if name in sys.modules]]))
"""


def run(**given: Any) -> tuple[list[tuple[int, str, str]], list[str]]:
    """Return exit code, output and error of each run, and the heavy libraries that are loaded."""
    command = [sys.executable, "-c", RUN, json.dumps({"heavy": HEAVY, **given})]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    told, loaded = json.loads(done.stdout)
    return told, loaded


@pytest.mark.parametrize("job", JOBS)
def test_help_and_the_refusal_of_a_misspelt_key_are_quick(job: str) -> None:
    typo = [*WORDS.get(job, []), "no_such_key=1"]
    (shown, whole, refused), loaded = run(
        job=f"jobs.{job}", runs=[["--help"], ["--help-all"], typo]
    )
    assert loaded == []
    code, out, err = shown
    assert (code, err) == (whole[0], whole[2]) == (0, "")
    assert "usage: python jobs/" in out
    code, out, err = refused
    assert (code, out) == (2, "")
    assert err.startswith("error: settings")
    assert "unknown key 'no_such_key': " in err


@pytest.mark.parametrize("root", [StudyConfig, *ROOTS.values()])
def test_every_setting_says_what_it_is(root: type[Settings]) -> None:
    assert [key for key, field in leaves(root) if not field.description] == []
