import errno
import io
import sys
from collections.abc import Sequence

import pytest
from pydantic import Field

from pdray.command import run_job
from pdray.config import Settings, load
from pdray.errors import StudyError


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
            "error: the disk is full; make room",
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
) -> None:
    assert run(argv, result) == code
    told = capsys.readouterr()
    assert told.out == out
    assert told.err.startswith(err)


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
