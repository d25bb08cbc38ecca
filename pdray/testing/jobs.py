"""Checks of a job: quick help that fits a screen, examples, refusals in one line."""

import json
import subprocess
import sys
from collections.abc import Sequence

from pdray.testing.light import SLOW

_RUN = """
import contextlib, importlib, io, json, sys
given = json.loads(sys.argv[1])
job = importlib.import_module(given["module"])
told = []
for words in given["runs"]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = job.main(words)
    told.append([code, out.getvalue(), err.getvalue()])
print(json.dumps([told, [name for name in given["heavy"] if name in sys.modules]]))
"""


def check_job(module: str, *, words: Sequence[str] = ()) -> None:
    """Check what every job promises, in a fresh process that does not reach its work.

    Args:
        module: Dotted name of the job's module, with a docstring and ``main(argv)``.
        words: Words without which the job refuses before it reads settings.

    Raises:
        AssertionError: If help is no text with a usage line, three examples and at most 60 lines
            of 100 columns; if an unknown key is not refused in one line with exit code 2; or if
            help or the refusal loads a slow library.
    """
    runs = [["--help"], ["--help-all"], [*words, "no_such_key=1"]]
    given = json.dumps({"module": module, "heavy": SLOW, "runs": runs})
    command = [sys.executable, "-c", _RUN, given]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{module} cannot be run: {ran.stderr}"
    (shown, whole, refused), loaded = json.loads(ran.stdout)
    assert not loaded, f"{module} loads {', '.join(loaded)} before its settings are accepted"
    assert (shown[0], shown[2], whole[0], whole[2]) == (0, "", 0, ""), f"{module} --help: {shown}"
    lines = shown[1].splitlines()
    assert len(lines) <= 60, f"{module} --help has {len(lines)} lines"
    assert max(map(len, lines)) <= 100, f"{module} --help has lines of more than 100 columns"
    assert lines[2].startswith("usage: "), f"{module} --help has no usage in its third line"
    start = lines.index("for example:") + 1
    text = "\n".join(lines[start : lines.index("", start)]).replace("\\\n", " ")
    assert len(text.splitlines()) == 3, f"{module} --help shows no three examples"
    code, out, err = refused
    assert (code, out) == (2, ""), f"{module} no_such_key=1: exit code {code}"
    assert err.startswith("error: settings"), err
    assert "unknown key 'no_such_key': " in err, err
