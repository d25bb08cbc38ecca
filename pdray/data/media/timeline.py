"""The frame on display at each moment: spans of a recording, as recorded or at a set rate."""

import math
from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from pdray.errors import DecodeError

_END_SLACK_SECONDS = 0.1  # raters round a span's end
# Matroska rounds the first frame's time and another's by half a millisecond each.
TICK_SLACK_SECONDS = 0.001

PictureT = TypeVar("PictureT")


class Span(NamedTuple):
    """A part of a recording [s], 0 being the stream's first frame; the end is not in it."""

    start: float
    end: float

    @classmethod
    def between(cls, start_seconds: float | None, end_seconds: float | None) -> "Span":
        """Return a span; None is the beginning or the end of the recording."""
        start = 0.0 if start_seconds is None else start_seconds
        return cls(start, math.inf if end_seconds is None else end_seconds)


class Timed(NamedTuple, Generic[PictureT]):
    """A frame in any form and its times, 0 being the stream's first frame.

    Attributes:
        seconds: When it is shown [s].
        ends: When the next one is due, as far as this one says [s].
        picture: The frame.
    """

    seconds: float
    ends: float
    picture: PictureT


def shown(
    frames: Iterable[Timed[PictureT]], span: Span, *, rate: float | None, max_seconds: float
) -> Iterator[tuple[float, PictureT]]:
    """Pick the frames of a span; reads one frame past it and no more.

    Args:
        frames: All frames from the stream's first, by rising time, at least one.
        span: What is wanted.
        rate: Frames a second [1/s]: frame j stands at j / rate and is the last one whose time is
            not later, by more than 1 ms; the last one stays until it ends. None keeps the frames
            and times that are recorded.
        max_seconds: The longest span [s].

    Yields:
        Seconds and picture, rising, at least once.

    Raises:
        DecodeError: If the frames do not fill the span, or it is too long.
    """
    count, tick, ends = 0, 0, 0.0
    for frame, ends in _displayed(frames, span):
        check_seconds(min(ends, span.end) - span.start, max_seconds)
        times = [frame.seconds]
        if rate is not None:
            times = _ticks(tick, rate, min(_stop(frame, ends), span.end))
            tick += len(times)
        for seconds in times:
            if span.start <= seconds < span.end:
                count += 1
                yield seconds, frame.picture
    if span.end < math.inf and span.end > ends + _END_SLACK_SECONDS:
        raise DecodeError(f"ends at {ends:.3f} s, before end_seconds {span.end:g}")
    if not count and span.start >= ends:
        raise DecodeError(f"ends at {ends:.3f} s, before start_seconds {span.start:g}")
    if not count:
        raise DecodeError(f"has no frame from {span.start:g} s to {span.end:g} s")


def check_seconds(seconds: float, max_seconds: float) -> None:
    """Refuse a length [s].

    Raises:
        DecodeError: If it passes the limit.
    """
    if seconds > max_seconds + TICK_SLACK_SECONDS:
        raise DecodeError(
            f"lasts {seconds:.3f} s, more than limits.max_seconds {max_seconds:g}; name a shorter "
            "span by start_seconds and end_seconds, or raise the limit"
        )


def _displayed(
    frames: Iterable[Timed[PictureT]], span: Span
) -> Iterator[tuple[Timed[PictureT], float]]:
    """Yield each frame that comes before the span's end, and when it leaves the display."""
    before: Timed[PictureT] | None = None
    for frame in frames:
        if before is not None:
            yield before, frame.seconds
        if frame.seconds >= span.end:
            return
        before = frame
    if before is not None:
        yield before, before.ends


def _stop(frame: Timed[PictureT], ends: float) -> float:
    """Return the time of the first tick that does not show a frame."""
    if ends <= frame.seconds:  # the last one, of no known duration: shown once
        return frame.seconds + TICK_SLACK_SECONDS
    return ends - TICK_SLACK_SECONDS


def _ticks(first: int, rate: float, stop: float) -> list[float]:
    ticks = []
    while first / rate < stop:
        ticks.append(first / rate)
        first += 1
    return ticks
