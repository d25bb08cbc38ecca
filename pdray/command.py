"""The command line of every job: help, settings, one line for each mistake, the exit code.

A job is one file in ``jobs/``. Its docstring says what it does, and has a line of usage and three
examples, each of at most 80 columns; ``--help`` prints it above the settings::

    def main(argv: list[str]) -> int:
        return run_job(argv, work, about=__doc__, settings=MarksConfig)

    def work(words: list[str]) -> str:
        config = load(MarksConfig, words)
        from pdray.papers.region_marks import correlate_marks  # heavy: only with accepted settings

        return correlate_marks(config)
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pdray.config import HELP, Settings
from pdray.errors import PdrayError

Say = Callable[[str], None]
Progress = Callable[[int, int], None]


def run_job(
    argv: Sequence[str],
    work: Callable[[list[str]], str],
    *,
    about: str | Callable[[], str] | None,
    settings: type[Settings],
    start: Callable[[], Mapping[str, Any]] = dict,
    resume: str = "run it again",
) -> int:
    """Run a job to its exit code.

    Args:
        argv: The words behind the job's name.
        work: Reads the words, does the work and returns what is printed at the end.
        about: What ``--help`` prints above the settings; a function that returns it is called for
            help alone.
        settings: The root class; ``--help`` lists its required keys and those of its
            ``help_groups``, ``--help-all`` every key.
        start: Returns what the job starts from in place of the class's defaults, nested.
        resume: What to do after an interruption.

    Returns:
        0; 2 after an error that the user can mend, which is printed on the standard error without
        a traceback; 130 after an interruption.
    """
    try:
        if set(HELP) & set(argv):
            from pdray.help import help_text

            text = about() if callable(about) else about or ""
            report = help_text(settings, argv, about=text, start=start())
        else:
            report = work(list(argv))
    except PdrayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted; {resume}", file=sys.stderr)
        return 130
    say(report)
    return 0


def say(line: str) -> None:
    """Print a line of progress at once."""
    print(line, flush=True)


@contextmanager
def recordings_bar() -> Iterator[tuple[Progress, Say]]:
    """Show how far a job is until the block ends: a bar on a terminal, a few lines in a log.

    Yields:
        What is to be called with (done, all) after each recording, and what prints a line beside
        the bar.
    """
    from tqdm import tqdm

    with tqdm(unit="recording", leave=False, disable=None) as bar:
        log = each_tenth(say, "{} recordings")

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            if bar.disable:
                log(done, total)

        yield progress, tqdm.write


def each_tenth(say: Say, text: str) -> Progress:
    """Return what is called with (done, all) and prints a line at each tenth.

    Args:
        say: Prints a line.
        text: The line, with ``{}`` in the place of "done/all".
    """
    said = 0

    def progress(done: int, total: int) -> None:
        nonlocal said
        if 10 * done // total != said:
            said = 10 * done // total
            say(text.format(f"{done}/{total}"))

    return progress
