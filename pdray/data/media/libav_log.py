"""The log of FFmpeg's libraries, kept for each call: they log some faults and return no error.

PyAV drops that log by default, since a thread of libav that logs while another holds Python's lock
would wait for ever. Here it is on while a recording is open, for errors alone, and every decoder
has one thread.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import av.logging

_LEVEL = av.logging.ERROR


class Line(NamedTuple):
    """A line of libav's log.

    Attributes:
        level: FFmpeg's, ``av.logging.ERROR`` or lower.
        source: The demuxer or decoder that wrote it.
        text: Its words; may hold a path, so it is compared and never shown.
    """

    level: int
    source: str
    text: str


class _Switch:
    """Turns libav's log on for as long as somebody listens, in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners = 0
        self._level: int | None = None
        self._skips = True
        # What other threads meet meanwhile goes here and not to Python's log: it may hold a path.
        self._sink = av.logging.Capture(local=False)

    def on(self) -> None:
        with self._lock:
            self._listeners += 1
            if self._listeners == 1:
                self._level, self._skips = av.logging.get_level(), av.logging.get_skip_repeated()
                # One thread's line must not hide the same line of another.
                av.logging.set_skip_repeated(False)
                self._sink.__enter__()
                av.logging.set_level(_LEVEL)

    def off(self) -> None:
        with self._lock:
            self._listeners -= 1
            if self._listeners == 0:
                av.logging.set_level(self._level)
                av.logging.set_skip_repeated(self._skips)
                self._sink.__exit__(None, None, None)
                self._sink.logs.clear()


_SWITCH = _Switch()


@contextmanager
def listening() -> Iterator[None]:
    """Keep libav's log on; :func:`heard` works inside, in the same thread or another."""
    _SWITCH.on()
    try:
        yield
    finally:
        _SWITCH.off()


@contextmanager
def heard(lines: list[Line]) -> Iterator[None]:
    """Add what this thread's calls into libav log to a list; must not be left by a ``yield``."""
    capture = av.logging.Capture()
    try:
        with capture:
            yield
    finally:
        lines += (Line(*one) for one in capture.logs)
