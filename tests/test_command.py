import errno
import io
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import PIPE

import pytest
from pydantic import Field

from pdray.command import again, run_job
from pdray.config import Settings, load
from pdray.errors import StudyError
from tests.places import ROOT


class Fit(Settings):
    epochs: int = Field(3, description="epochs of a fit")


def run(argv: Sequence[str], result: str | BaseException = "done") -> int:
    def work(words: list[str]) -> str:
        config = load(Fit, words)
        if isinstance(result, BaseException):
            raise result
        return f"{result} in {config.epochs}"

    start = {"epochs": 5}
    return run_job(argv, work, about="About.", settings=Fit, start=lambda: start, resume="go on")


def test_help_tells_about_the_job_and_its_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["epochs=1", "-h"]) == run(["--help"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == ["About.", "", "settings:", "  epochs  1  epochs of a fit",
                    "About.", "", "settings:", "  epochs  5  epochs of a fit"]  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "result", "code", "out", "err"),
    [
        (["epochs=2"], "done", 0, "done in 2\n", ""),
        (["epoch=2"], "done", 2, "", "error: settings: unknown key 'epoch'"),
        ([], StudyError("no study"), 2, "", "error: no study\n"),
        ([], KeyboardInterrupt(), 130, "", "interrupted; go on\n"),
        ([], OSError(errno.ENOSPC, "no space", "/x"), 2, "", "error: the disk is full (/x); "),
        (
            [],
            OSError(errno.EDQUOT, "quota"),
            2,
            "",
            "error: your disk quota is used up; make room",
        ),
    ],
)
def test_every_end_has_its_exit_code(
    argv: list[str],
    result: str | BaseException,
    code: int,
    out: str,
    err: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["-c"])  # else the words of pytest are the command to repeat
    assert run(argv, result) == code
    told = capsys.readouterr()
    assert told.out == out
    assert told.err.startswith(err)


@pytest.mark.parametrize("during", ["work", "tune", "deaf"])
def test_sigterm_ends_a_job_like_ctrl_c_and_says_at_once_how_to_go_on(
    during: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["-c"])
    before, caught = signal.getsignal(signal.SIGTERM), []

    def work(_: list[str]) -> str:
        if during == "tune":  # which ends its trials first
            signal.signal(signal.SIGINT, lambda *_: caught.append(True))
        if during == "deaf":  # as below nohup
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.raise_signal(signal.SIGTERM)
        raise RuntimeError("a helper got SIGTERM, too")

    interrupt = signal.getsignal(signal.SIGINT)
    try:
        code = run_job([], work, about=None, settings=Fit, resume="go on")
    finally:
        signal.signal(signal.SIGINT, interrupt)
    assert (code, caught) == (143, [True] if during == "tune" else [])
    assert signal.getsignal(signal.SIGTERM) is before
    assert capfd.readouterr().err == "interrupted by SIGTERM; go on\n"


@pytest.mark.parametrize(
    ("start", "environment", "told"),
    [
        (["jobs/a b.py"], {}, [sys.executable, "{here}/jobs/a b.py"]),
        (["bin/pdray", "tune-tsa"], {}, ["{here}/bin/pdray", "tune-tsa"]),
        (["jobs/a b.py"], {"RAY_JOB_CONFIG_JSON_ENV_VAR": "{}"}, ["python", "jobs/a b.py"]),
        (["-c"], {}, []),  # no command line that could be typed again
        (["bin/absent"], {}, []),
    ],
)
def test_the_command_that_goes_on_can_be_pasted(
    start: list[str],
    environment: dict[str, str],
    told: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("jobs/a b.py", "bin/pdray"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    words = ["output=/data/out of Jos\u00e9's", "search.name=x"]
    monkeypatch.setattr(sys, "argv", [*start, *words])
    expected = [one.format(here=tmp_path) for one in told]
    assert shlex.split(again(words)) == [*expected, *words]
    assert shlex.split(again(words, ["search.name=x", "limit=2"])) == [*expected, *words, "limit=2"]
    assert shlex.split(again(["other"])) == ["other"]  # which the process was not started with


def test_a_fault_of_the_program_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run([], ZeroDivisionError())


def test_a_letter_that_the_terminal_cannot_show_is_written_as_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert run([], "\u53f3 M\u00fcller") == 0
    assert written.getvalue() == b"\\u53f3 M\\xfcller in 3\n"


def test_a_reader_that_leaves_ends_a_job_without_a_traceback() -> None:
    command = [sys.executable, "jobs/describe.py", "--help"]
    with subprocess.Popen(command, cwd=ROOT, stdout=PIPE, stderr=PIPE, text=True) as job:
        assert job.stdout is not None
        job.stdout.close()
        _, err = job.communicate(timeout=60)
    assert (job.returncode, err) == (141, "")
