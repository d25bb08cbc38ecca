"""Shows what a job does and for how long: one live line on a terminal, plain lines elsewhere.

A long stretch of work names itself, and whoever runs the job sees it::

    with step("decoding videos") as now:
        prepare_store(..., progress=now.counting(say, "frames: {} recordings in the store"))

On a terminal the names of all open steps, counts and the time stand in the last line, below what
:func:`say` prints. Elsewhere a line is printed whenever a job has been silent for some seconds. A
job that was not started by :func:`pdray.command.run_job` prints nothing of it.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Say = Callable[[str], None]
Progress = Callable[[int, int], None]

FIRST_SECONDS = 1.0
"""Silence at the start of a job after which a line says what it does [s]."""
NEW_SECONDS = 3.0
"""Silence after which a line says that another step has begun [s]."""
QUIET_SECONDS = 5.0
"""Silence after which a line says that the same step goes on [s]."""
TICK_SECONDS = 0.25
"""Time between two looks at the silence, or two drawings of the live line [s]."""


class Step:
    """A stretch of work that takes a while.

    Attributes:
        name: What is done, such as "decoding videos".
        detail: What of it is done now; empty: unknown.
        started: Time at which it began [s].
    """

    def __init__(self, name: str) -> None:
        self.name, self.detail, self.started = name, "", time.monotonic()
        self.done, self.total = 0, 0

    def counting(self, say: Say, text: str) -> Progress:
        """Return a function to call with (done, all) after each part.

        Args:
            say: Prints a line at each tenth, unless a terminal shows every part.
            text: The line, with ``{}`` where "done/all" goes.
        """
        log = each_tenth(say, text)

        def count(done: int, total: int) -> None:
            self.done, self.total = done, total
            if not is_live():
                log(done, total)

        return count


class _Screen:
    """The live line of a terminal, or the plain lines of a file."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.last, self.is_first = time.monotonic(), True
        self.said: tuple[str, ...] = ()
        self.bar: Any = None
        if _is_terminal():
            from tqdm import tqdm

            tqdm.monitor_interval = 0  # no second thread
            self.bar = tqdm(bar_format="{desc}", leave=False, dynamic_ncols=True, file=sys.stderr)

    def say(self, line: str) -> None:
        with self.lock:
            if self.bar is None:
                print(line, flush=True)
            else:
                self.bar.write(line)
            self.last, self.is_first = time.monotonic(), False

    def tick(self) -> None:
        """Draw the live line again, or print a line after a silence."""
        with self.lock:
            if self.bar is not None:
                self._draw()
                return
            names = tuple(one.name for one in _steps)
            most = QUIET_SECONDS if names == self.said else NEW_SECONDS
            if time.monotonic() - self.last >= (FIRST_SECONDS if self.is_first else most):
                self.said = names
                self.say(f"working    {', '.join(filter(None, [_told(), _passed()]))} so far")

    def _draw(self) -> None:
        now = _steps[-1] if _steps else None
        is_counted = now is not None and now.total
        self.bar.bar_format = "{desc} |{bar:20}| {n_fmt}/{total_fmt}" if is_counted else "{desc}"
        if now is not None and is_counted:
            self.bar.total, self.bar.n = now.total, now.done
        self.bar.set_description_str(f"{_passed()} {_told(with_count=False)}")

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


_steps: list[Step] = []
_screen: _Screen | None = None


@contextmanager
def step(name: str) -> Iterator[Step]:
    """Name what is done until the block ends."""
    one = Step(name)
    _steps.append(one)
    try:
        yield one
    finally:
        _steps.remove(one)


@contextmanager
def shown() -> Iterator[None]:
    """Show the steps of a job until the block ends."""
    global _screen
    if _screen is not None:  # a job within a job
        yield
        return
    _screen, ended = _Screen(), threading.Event()
    thread = threading.Thread(target=_tick, args=(_screen, ended), daemon=True)
    try:
        with step(""):
            thread.start()
            yield
    finally:
        ended.set()
        thread.join()
        _screen.close()
        _screen = None


def say(line: str) -> None:
    """Print a line of progress without delay."""
    if _screen is None:
        print(line, flush=True)
    else:
        _screen.say(line)


def detail(text: str) -> None:
    """Say what the innermost step does now."""
    if _steps:
        _steps[-1].detail = text


def is_live() -> bool:
    """Return whether a terminal shows the steps of this job."""
    return _screen is not None and _screen.bar is not None


def each_tenth(say: Say, text: str) -> Progress:
    """Return a function that takes (done, all) and prints a line at each tenth.

    Args:
        say: Prints a line.
        text: The line, with ``{}`` where "done/all" goes.
    """
    said = 0

    def progress(done: int, total: int) -> None:
        nonlocal said
        if 10 * done // total != said:
            said = 10 * done // total
            say(text.format(f"{done}/{total}"))

    return progress


def clock(seconds: float) -> str:
    """Return a time as text, such as ``2m05s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"


def _tick(screen: _Screen, ended: threading.Event) -> None:
    while not ended.wait(TICK_SECONDS):
        try:
            screen.tick()
        except (OSError, ValueError):  # nobody reads any more
            return


def _told(*, with_count: bool = True) -> str:
    """Return the names of all open steps, from the outermost."""
    steps = list(_steps)
    named = [one.name for one in steps if one.name]
    if not named:
        return ""
    last = steps[-1]
    count = f" {last.done}/{last.total}" if with_count and last.total else ""
    detail = f", {last.detail}" if last.detail else ""
    return f"{': '.join(named)}{count}{detail}"


def _passed() -> str:
    """Return the time since the innermost step began."""
    seconds = time.monotonic() - _steps[-1].started if _steps else 0.0
    return f"{seconds:.0f} s" if seconds < 59.5 else clock(seconds)


def _is_terminal() -> bool:
    return sys.stdout.isatty() and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
