"""The command line of every job: help, settings, error messages and exit code.

A job is one file in ``jobs/``. Its docstring says what it does and gives one line of usage and
three examples, each at most 80 columns wide; ``--help`` prints it above the settings::

    def main(argv: list[str]) -> int:
        return run_job(argv, work, about=__doc__, settings=MarksConfig)

    def work(words: list[str]) -> str:
        config = load(MarksConfig, words)
        from pdray.papers.region_marks import correlate_marks  # heavy: import after the checks

        return correlate_marks(config)
"""

import errno
import os
import select
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Literal

from pdray.address import is_submitted
from pdray.config import HELP, Settings
from pdray.display import Progress, Say, each_tenth, say, shown
from pdray.errors import PdrayError, full_disk
from pdray.rights import written_for

__all__ = ["COMPLETE", "Progress", "Say", "again", "console", "each_tenth", "run_job", "say"]

COMPLETE = "--complete"
"""First word of a command line whose last word a shell completes."""


def console(*words: str) -> str:
    """Return a command of ``pdray`` to paste: quoted, and found also if no PATH leads to it."""
    return shlex.join([str(Path(sys.executable).with_name("pdray")), *words])


def again(argv: Sequence[str], also: Sequence[str] = ()) -> str:
    """Return a command that runs this job again, quoted to paste.

    Args:
        argv: The words after the job's name now.
        also: Words to add, unless they are there.

    Returns:
        The command; the words alone if no command line started the job. A submitted job ran in a
        temporary folder, so its command is the one to submit again.
    """
    words = [*argv, *(word for word in also if word not in argv)]
    start = sys.argv[: len(sys.argv) - len(argv)]
    if sys.argv[len(start) :] != list(argv) or not (start and Path(start[0]).is_file()):
        return shlex.join(words)
    here, place = sys.executable, str(Path(start[0]).absolute())
    if is_submitted():
        here, place = "python", start[0]
    python = [here] if place.endswith(".py") else []
    return shlex.join([*python, place, *start[1:], *words])


def run_job(
    argv: Sequence[str],
    work: Callable[[list[str]], str],
    *,
    about: str | Callable[[], str] | None,
    settings: type[Settings],
    start: Callable[[], Mapping[str, Any]] = dict,
    resume: str | Callable[[], str] = "run it again",
) -> int:
    """Run a job and return its exit code.

    Args:
        argv: The command-line words after the job's name.
        work: Reads the words, does the work and returns the text to print at the end.
        about: The text that ``--help`` prints above the settings, or a function that returns it
            and is called only for help.
        settings: The root class; ``--help`` lists its required keys and those of its
            ``help_groups``, ``--help-all`` lists every key.
        start: Returns the job's own defaults, nested; they replace those of the class.
        resume: What to do after an interruption, printed before the same command; or a function
            that returns the whole text.

    Returns:
        0 on success; 2 after an error that the user can correct, which is printed to standard
        error without a traceback; 130 after Ctrl-C; 143 after SIGTERM, which ends a job like
        Ctrl-C; 141, as of other programs, if nobody reads standard output any more (``| head``).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a letter that a terminal cannot show ends no job
            stream.reconfigure(errors="backslashreplace")
    try:
        if argv[:1] == [COMPLETE] or set(HELP) & set(argv):
            from pdray.help import completions, help_text

            text = about() if callable(about) else about or ""
            tell = completions if argv[0] == COMPLETE else help_text
            report = tell(settings, argv, about=text, start=start())
        else:
            with shown(), written_for(), _ended_by_sigterm(lambda: _way(resume, argv)):
                report = work(list(argv))
        say(report)
    except (PdrayError, OSError, KeyboardInterrupt) as error:
        return _end(error, resume, argv)
    return 0


_END_SECONDS = 10.0
"""Time that a job has to end after SIGTERM, since Ray waits a minute for a head that got it too."""


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM has ended the work; the user has been told."""


@contextmanager
def _ended_by_sigterm(way: Callable[[], str]) -> Iterator[None]:
    """Let SIGTERM, which schedulers and a shutdown send, end the work like Ctrl-C.

    They kill a job seconds later, so the command that continues is printed at once.
    """
    told: list[str] = []
    leaves = threading.Timer(_END_SECONDS, os._exit, (143,))
    leaves.daemon = True

    def end(_: int, frame: Any) -> None:
        interrupt = signal.getsignal(signal.SIGINT)
        if not told:
            told.append(way())
            # print() would fail here if the signal came in the middle of another print().
            os.write(sys.stderr.fileno(), f"interrupted by SIGTERM; {told[0]}\n".encode())
            leaves.start()
            if callable(interrupt) and interrupt is not signal.default_int_handler:
                interrupt(signal.SIGINT, frame)  # of Ray Tune, which then ends its trials
                return
        raise _TerminatedError

    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except BaseException as error:
        if told and not (isinstance(error, KeyboardInterrupt) and error.args):
            raise _TerminatedError from error  # whatever failed since: its helpers got SIGTERM too
        raise
    finally:
        leaves.cancel()
        signal.signal(signal.SIGTERM, before)


def _end(
    error: BaseException, resume: str | Callable[[], str], argv: Sequence[str]
) -> Literal[2, 130, 141, 143]:
    """Say why a job ended early; raise a fault of the program again."""
    if isinstance(error, _TerminatedError):
        return 143
    if isinstance(error, BrokenPipeError) and _is_unread():
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes at its end
        return 141
    if isinstance(error, KeyboardInterrupt):
        way = error.args[0] if error.args else _way(resume, argv)
        print(f"interrupted; {way}", file=sys.stderr)
        return 130
    if isinstance(error, OSError):
        if full_disk(error) is None:
            raise error
        place = f" ({error.filename})" if error.filename else ""
        what = "the disk is full" if error.errno == errno.ENOSPC else "your disk quota is used up"
        told = f"{what}{place}; make room, then {_way(resume, argv)}"
    else:
        told = str(error)
    print(f"error: {told}", file=sys.stderr)
    return 2


def _is_unread() -> bool:
    """Whether standard output is a pipe whose reader is gone."""
    looking = select.poll()
    looking.register(sys.stdout.fileno(), select.POLLOUT)
    return any(event & select.POLLERR for _, event in looking.poll(0))


def _way(resume: str | Callable[[], str], argv: Sequence[str]) -> str:
    return resume() if callable(resume) else ": ".join(filter(None, [resume, again(argv)]))
