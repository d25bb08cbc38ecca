"""One recording, decoded frame by frame: every frame of the span, or an error - never some.

Frames come from the container's best video stream (FFmpeg's choice, cover pictures left out) and
are drawn as ``picture.py`` says. One thread: recordings are decoded in parallel, not frames. One
frame at a time: a recording of any length is never held in memory.

What makes a recording unreadable here:
  - the container or a packet cannot be parsed, or the decoder reports any error
    (``err_detect=explode``: FFmpeg's default would hide damage under neighbouring pixels);
  - a packet or a frame is flagged corrupt, as where an MP4 ends inside a frame;
  - an MP4 or MOV holds fewer packets than its index lists;
  - the frames end three quarters of a frame or more before the header says the stream ends;
  - it passes one of ``DecodeLimits``: by its header before anything is decoded, and again while
    decoding, since headers lie. Decoders are told the limit of pixels, and refuse before they
    allocate a frame.
What cannot be seen: damage that a codec without checks decodes to wrong pixels (VP9), and the
loss of the end of a file that declares no length and breaks between packets (MPEG-TS, streamed
WebM). A format without a header (MPEG-TS) is probed by decoding one frame before its size is
known.

Messages carry no path and no name: whoever knows the recording's id puts it in front.
"""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pdray.data.media.picture import Box, Canvas, Pixels
from pdray.data.media.settings import DEFAULT_LIMITS, DecodeConfig, DecodeLimits
from pdray.data.media.source import (
    check_end,
    check_length,
    check_pixels,
    open_file,
    opened,
    packets,
    video_stream,
)
from pdray.data.media.timeline import Span, Timed, shown
from pdray.errors import DecodeError


@dataclass(frozen=True)
class Clip:
    """The frames of one recording.

    Attributes:
        frames: (N, H, W, 3) uint8 RGB, N at least 1.
        pts_seconds: (N,) float64, rising; 0 is the first frame of the *stream*, so that a span
            keeps its place in time.
    """

    frames: npt.NDArray[np.uint8]
    pts_seconds: npt.NDArray[np.float64]


def decode(
    video: Path,
    config: DecodeConfig,
    limits: DecodeLimits = DEFAULT_LIMITS,
    *,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
) -> Clip:
    """Decode a recording, or a span of it, into memory.

    Args and errors are those of :func:`decode_frames`.

    Returns:
        Every frame of the span.
    """
    kept = list(
        decode_frames(video, config, limits, start_seconds=start_seconds, end_seconds=end_seconds)
    )
    return Clip(
        np.stack([pixels for _, pixels in kept]), np.array([seconds for seconds, _ in kept])
    )


def decode_frames(
    video: Path,
    config: DecodeConfig,
    limits: DecodeLimits = DEFAULT_LIMITS,
    *,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
) -> Generator[tuple[float, Pixels]]:
    """Decode a recording one frame at a time.

    Whether the recording is whole is known when the last frame has been yielded and not before:
    after an error the frames that came before it must not be used.

    Args:
        video: The encoded file.
        config: Size of the frames, and their rate. With a rate, frame j stands at j / rate and
            shows what is on display then: the last frame whose time is not later (by more than
            1 ms, what a container's rounding makes of it). The last frame stays until its end.
        limits: What the recording may cost.
        start_seconds: Frames before this time are left out; None is the beginning.
        end_seconds: Frames at or after this time are left out; None is the end. May lie at most
            0.1 s past the end.

    Yields:
        Seconds since the stream's first frame, rising, and (height, width, 3) uint8 RGB, at least
        once. A frame shown twice is the same array: not to be written to.

    Raises:
        DecodeError: If the file is damaged or cut short (as far as the module's list goes), has
            no video, does not hold the span, or passes a limit.
    """
    span = Span.between(start_seconds, end_seconds)
    with opened(video, limits.max_pixels) as (file, stream):
        check_length(file, stream, span, limits.max_seconds)
        canvas = canvas_for(stream, config)
        deadline = Deadline(limits)
        frames = _frames(file, stream, limits, deadline)
        drawn: tuple[VideoFrame, Pixels] | None = None
        for seconds, picture in shown(
            frames, span, rate=config.frame_rate, max_seconds=limits.max_seconds
        ):
            if drawn is None or drawn[0] is not picture:
                drawn = picture, canvas.draw(picture)
            with deadline.paused():
                yield seconds, drawn[1]


def content_box(video: Path, config: DecodeConfig, limits: DecodeLimits = DEFAULT_LIMITS) -> Box:
    """Return where on the canvas the shown picture lies, by decoding the first frame.

    Args:
        video: The encoded file.
        config: Size of the canvas.
        limits: What the recording may cost.

    Returns:
        Left, top, width and height [px]. A point at the part (u, v) of the picture as it is
        shown, 0 to 1 from its left and top edge, lies at (left + u width, top + v height) from
        the canvas's left and top edge.

    Raises:
        DecodeError: If the file has no frame that can be decoded, or passes a limit.
    """
    with opened(video, limits.max_pixels) as (file, stream):
        first = next(_frames(file, stream, limits, Deadline(limits)))
        return canvas_for(stream, config).box(first.picture)


def check_readable(video: Path) -> str | None:
    """Read a file's header only; no limit is looked at.

    Returns:
        None when there is a video stream and a decoder for it, else the reason, without the path.
    """
    try:
        if video.stat().st_size == 0:
            return "is empty (0 bytes)"
        with open_file(video, DEFAULT_LIMITS.max_pixels) as file:
            video_stream(file, DEFAULT_LIMITS.max_pixels)
    except DecodeError as error:
        return str(error)
    except (av.FFmpegError, OSError) as error:
        return f"is not a video that can be read: {error.strerror or type(error).__name__}"
    return None


def declared_length(video: Path) -> tuple[float, int]:
    """Return what a file's header says of its best video stream, for estimates only.

    Returns:
        Seconds and frames; 0 where the header does not say or cannot be read.
    """
    try:
        with open_file(video, DEFAULT_LIMITS.max_pixels) as file:
            stream = video_stream(file, DEFAULT_LIMITS.max_pixels)
            seconds = float((stream.duration or 0) * (stream.time_base or 0))
            seconds = seconds or (file.duration or 0) / av.time_base
            rate = float(stream.average_rate or stream.base_rate or 0)
            return seconds, stream.frames or round(seconds * rate)
    except (DecodeError, av.FFmpegError, OSError):
        return 0.0, 0


class Deadline:
    """Wall time that is left for a recording; stands still while the caller has a frame."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._seconds = limits.max_decode_seconds
        self._at = time.monotonic() + self._seconds

    def check(self) -> None:
        """Raise a ``DecodeError`` when time is up."""
        if time.monotonic() > self._at:
            raise DecodeError(
                f"takes longer than limits.max_decode_seconds {self._seconds:g} to decode; name a "
                "shorter span by start_seconds and end_seconds, or raise the limit"
            )

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out the time spent inside."""
        since = time.monotonic()
        yield
        self._at += time.monotonic() - since


def _frames(
    file: InputContainer, stream: VideoStream, limits: DecodeLimits, deadline: Deadline
) -> Iterator[Timed[VideoFrame]]:
    """Yield frames in display order; at the file's end check that none is lacking."""
    first = before = ends = Fraction(0)
    number = 0
    in_order = _lacks_display_times(file, stream)
    for packet in packets(file, stream):
        deadline.check()
        for frame in packet.decode():
            check_pixels(frame.width, frame.height, limits.max_pixels)
            now = _seconds(frame, number, due=ends if in_order else None)
            first = now if number == 0 else first
            if number and now <= before:
                raise DecodeError(f"has time going back at frame {number}: {float(now):.3f} s")
            interval = now - before if number else Fraction(0)
            ends = now + (frame.duration * _time_base(frame) if frame.duration else interval)
            before, number = now, number + 1
            yield Timed(float(now - first), float(ends - first), frame)
    check_end(file, stream, first=first, last=before, ends=ends, number=number)


def canvas_for(stream: VideoStream, config: DecodeConfig) -> Canvas:
    """Return the canvas that a stream's frames are drawn on."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return Canvas(height=config.height, width=config.width, pixel_aspect=aspect)


def _time_base(frame: VideoFrame) -> Fraction:
    if frame.time_base is None:
        raise DecodeError("has frames without a time base")
    return frame.time_base


def _lacks_display_times(file: InputContainer, stream: VideoStream) -> bool:
    # AVI stores none; FFmpeg invents them, wrongly where these codecs reorder frames.
    return file.format.name == "avi" and stream.codec.canonical_name in ("h264", "hevc")


def _seconds(frame: VideoFrame, number: int, due: Fraction | None) -> Fraction:
    """Return a frame's time in the file [s], by when it came out where ``due`` is given."""
    if frame.is_corrupt:
        raise DecodeError(f"is damaged at frame {number}")
    if due is not None:
        return due if frame.dts is None else frame.dts * _time_base(frame)
    stamp = frame.pts if frame.pts is not None else frame.dts
    if stamp is None:
        raise DecodeError(f"has no timestamp at frame {number}")
    return stamp * _time_base(frame)
