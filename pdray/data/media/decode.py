"""One recording, decoded frame by frame: every frame of the span, or an error - never some.

Frames come from the container's best video stream (FFmpeg's choice, cover pictures left out) and
are drawn as ``picture.py`` says. One thread: recordings are decoded in parallel, not frames. One
frame at a time: a recording of any length is never held in memory.

What makes a recording unreadable here:
  - the container or a packet cannot be parsed, or the decoder reports any error
    (``err_detect=explode``: FFmpeg's default would hide damage under neighbouring pixels);
  - a packet or a frame is flagged corrupt, as where an MP4 ends inside a frame;
  - an MP4 or MOV holds fewer packets than its index lists;
  - the file is shorter than its container declares (``container.py``: MP4, MOV, Matroska, WebM,
    AVI, ASF, FLV, MXF), or libav logs that it ends too early;
  - the frames end three quarters of a frame or more before the header says the stream ends;
  - its first pictures cannot be shown, as where an MPEG-TS starts inside a group of pictures;
  - it has one picture only, as an image has;
  - it passes one of ``DecodeLimits``: by its header before anything is decoded, and again while
    decoding, since headers lie. Decoders are told the limit of pixels, and refuse before they
    allocate a frame.
What cannot be seen: damage that a codec without checks decodes to wrong pixels (VP9), and the
loss of the end of a file that declares no length and breaks between packets (MPEG-TS, live WebM,
fragments of MP4 without an index): ``Findings.is_end_told`` says that, and studies count them. A
format without a header (MPEG-TS) is probed by decoding one frame before its size is known.
What is behind the span is not looked at.

In AVI every chunk is one tick of the clock. Where FFmpeg's times are wrong (H.264 and HEVC, and
MPEG-4 with two pictures in one chunk, "packed bitstream"), the pictures take the ticks of their
chunks in turn, and an empty chunk shows the picture before it again.

Messages carry no path and no name: whoever knows the recording's id puts it in front.
"""

import re
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pdray.data.media.cause import cause
from pdray.data.media.container import ending
from pdray.data.media.findings import Findings
from pdray.data.media.interlace import deinterlaced
from pdray.data.media.libav_log import Line, heard, listening
from pdray.data.media.limits import USUAL, Limits
from pdray.data.media.part import WHOLE, Box, Part
from pdray.data.media.picture import Canvas, Pixels, display_turn, shown_size
from pdray.data.media.picture_list import SUFFIX, read_list
from pdray.data.media.source import (
    MADE_TITLE,
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

if TYPE_CHECKING:  # an exported model has this file, and no pydantic
    from pdray.data.media.settings import DecodeConfig, DecodeLimits

    AnyLimits: TypeAlias = DecodeLimits | Limits

# In its user data (MPEG-4 part 2) an encoder says that it packs two pictures into a chunk.
_PACKED = re.compile(rb"DivX\d+[bB](?:uild)?\d+p")
_USER_DATA_BYTES = 1024  # of the first picture's header
_MISSED_TICKS = Fraction(3, 2)


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
    config: "DecodeConfig",
    limits: "AnyLimits" = USUAL,
    part: Part = WHOLE,
) -> Clip:
    """Decode a recording, or a part of it, into memory.

    Args and errors are those of :func:`decode_frames`.

    Returns:
        Every frame of the span.
    """
    kept = list(decode_frames(video, config, limits, part))
    return Clip(
        np.stack([pixels for _, pixels in kept]), np.array([seconds for seconds, _ in kept])
    )


def decode_frames(
    video: Path,
    config: "DecodeConfig",
    limits: "AnyLimits" = USUAL,
    part: Part = WHOLE,
    *,
    findings: Findings | None = None,
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
        part: Span and rectangle to read.
        findings: Filled with what is found on the way; complete when the last frame has come.

    Yields:
        Seconds since the stream's first frame, rising, and (height, width, 3) uint8 RGB, at least
        once. A frame shown twice is the same array: not to be written to.

    Raises:
        DecodeError: If the file is damaged or cut short (as far as the module's list goes), has
            no video, does not hold the part, or passes a limit.
    """
    span = Span.between(part.start_seconds, part.end_seconds)
    with opened(video, limits.max_pixels) as (file, stream):
        check_length(file, stream, span, limits.max_seconds)
        canvas = canvas_for(stream, config, part.crop)
        deadline = Deadline(limits)
        frames = _frames(file, stream, limits, deadline, findings)
        if config.interlaced == "deinterlace":
            frames = deinterlaced(frames)
        drawn: tuple[VideoFrame, Pixels] | None = None
        for seconds, picture in shown(
            frames, span, rate=config.frame_rate, max_seconds=limits.max_seconds
        ):
            if drawn is None or drawn[0] is not picture:
                drawn = picture, canvas.draw(picture)
            with deadline.paused():
                yield seconds, drawn[1]


def inspect(
    video: Path,
    config: "DecodeConfig",
    limits: "AnyLimits" = USUAL,
    part: Part = WHOLE,
) -> Findings:
    """Decode a recording and draw nothing: refuse what :func:`decode_frames` refuses.

    Args and errors are those of :func:`decode_frames`.

    Returns:
        What a study must say of it.
    """
    findings = Findings()
    span = Span.between(part.start_seconds, part.end_seconds)
    with opened(video, limits.max_pixels) as (file, stream):
        check_length(file, stream, span, limits.max_seconds)
        canvas = canvas_for(stream, config, part.crop)
        frames = _frames(file, stream, limits, Deadline(limits), findings)
        for _, picture in shown(
            frames, span, rate=config.frame_rate, max_seconds=limits.max_seconds
        ):
            canvas.box(picture)
    return findings


def content_box(
    video: Path,
    config: "DecodeConfig",
    limits: "AnyLimits" = USUAL,
    part: Part = WHOLE,
) -> Box:
    """Return where on the canvas the shown picture lies, by decoding the first frame.

    Args:
        video: The encoded file.
        config: Size of the canvas.
        limits: What the recording may cost.
        part: Its rectangle is the picture that is meant.

    Returns:
        Left, top, width and height [px]. A point at the part (u, v) of the picture as it is
        shown, 0 to 1 from its left and top edge, lies at (left + u width, top + v height) from
        the canvas's left and top edge.

    Raises:
        DecodeError: If the file has no frame that can be decoded, does not hold the rectangle, or
            passes a limit.
    """
    with opened(video, limits.max_pixels) as (file, stream):
        first = next(_frames(file, stream, limits, Deadline(limits), None))
        return canvas_for(stream, config, part.crop).box(first.picture)


def shown_size_of(video: Path, limits: "AnyLimits" = USUAL) -> tuple[int, int]:
    """Return the width and height of the picture as it is shown [px], by decoding the first frame.

    Pixels are those of the file, turned as it asks; the shape of a pixel does not count.

    Raises:
        DecodeError: If the file has no frame that can be decoded, or passes a limit.
    """
    with opened(video, limits.max_pixels) as (file, stream):
        first = next(_frames(file, stream, limits, Deadline(limits), None)).picture
        return shown_size(first, display_turn(first))


def full_size(video: Path, limits: "AnyLimits" = USUAL, part: Part = WHOLE) -> tuple[int, int]:
    """Return the width and height of the shown picture [px], by decoding the first frame.

    Its pixels are made square by their width: the canvas of this size holds all of it, or all of
    the rectangle of ``part``.

    Raises:
        DecodeError: If the file has no frame that can be decoded, does not hold the rectangle, or
            passes a limit.
    """
    with opened(video, limits.max_pixels) as (file, stream):
        first = next(_frames(file, stream, limits, Deadline(limits), None)).picture
        turn = display_turn(first)
        width, height = shown_size(first, turn)
        if part.crop is not None:
            part.crop.check_inside(width, height)
            width, height = part.crop.width, part.crop.height
        aspect = stream.sample_aspect_ratio or Fraction(1)
        if turn.transposed:
            return width, max(1, round(height * aspect))
        return max(1, round(width * aspect)), height


def check_readable(video: Path) -> str | None:
    """Read a file's header only; no limit is looked at.

    Returns:
        None when there is a video stream and a decoder for it, else the reason, without the path.
    """
    lines: list[Line] = []
    try:
        if video.stat().st_size == 0:
            return "is empty (0 bytes)"
        with listening(), heard(lines), open_file(video, USUAL.max_pixels) as file:
            video_stream(file, USUAL.max_pixels)
    except DecodeError as error:
        return str(error)
    except (av.FFmpegError, OSError) as error:
        return f"is not a video that can be read: {cause(video, error, lines)}"
    return None


def says_made(video: Path) -> bool:
    """Return whether a file's title says that it is made; False for one that cannot be opened."""
    try:
        with listening(), open_file(video, USUAL.max_pixels) as file:
            return file.metadata.get("title", "").startswith(MADE_TITLE)
    except (DecodeError, av.FFmpegError, OSError):
        return False


def declared_length(video: Path) -> tuple[float, int]:
    """Return what a file's header says of its best video stream, for estimates only.

    Returns:
        Seconds and frames; 0 where the header does not say or cannot be read.
    """
    try:
        if video.suffix == SUFFIX:
            listed = read_list(video)
            return len(listed.digests) / listed.rate, len(listed.digests)
        with open_file(video, USUAL.max_pixels) as file:
            stream = video_stream(file, USUAL.max_pixels)
            seconds = float((stream.duration or 0) * (stream.time_base or 0))
            seconds = seconds or (file.duration or 0) / av.time_base
            rate = float(stream.average_rate or stream.base_rate or 0)
            return seconds, stream.frames or round(seconds * rate)
    except (DecodeError, av.FFmpegError, OSError):
        return 0.0, 0


class Deadline:
    """Wall time that is left for a recording; stands still while the caller has a frame."""

    def __init__(self, limits: "AnyLimits") -> None:
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
    file: InputContainer,
    stream: VideoStream,
    limits: "AnyLimits",
    deadline: Deadline,
    findings: Findings | None,
) -> Iterator[Timed[VideoFrame]]:
    """Yield frames in display order; at the file's end check that none is lacking."""
    clock = _Clock(file, stream)
    if findings is not None:
        findings.is_end_told = ending(Path(file.name)).is_told
    for packet in packets(file, stream):
        deadline.check()
        clock.feed(packet)
        for frame in packet.decode():
            check_pixels(frame.width, frame.height, limits.max_pixels)
            if findings is not None:
                findings.add(frame)
            yield from clock.show(frame)
    check_end(
        file,
        stream,
        first=clock.first,
        last=clock.last,
        ends=clock.ends,
        number=clock.number,
    )


class _Clock:
    """When the frames of a stream are shown, by their own times or by the chunks of an AVI.

    Attributes:
        first: Time of the first frame in the file [s].
        last: Of the last one so far [s].
        ends: When that one ends [s].
        number: Frames so far.
    """

    def __init__(self, file: InputContainer, stream: VideoStream) -> None:
        self.first = self.last = self.ends = Fraction(0)
        self.number = 0
        self._tick = stream.time_base or Fraction(0)
        self._earliest: Fraction | None = None  # time of a packet before the first key frame
        self._has_key = False
        self._before: VideoFrame | None = None
        self._chunks: deque[Fraction] = deque()
        self._is_avi = file.format.name == "avi"
        # AVI stores no times; FFmpeg invents them, wrongly where these codecs reorder frames.
        self._is_by_chunk = self._is_avi and (
            stream.codec.canonical_name in ("h264", "hevc")
            or _PACKED.search(stream.codec_context.extradata or b"") is not None
        )

    def feed(self, packet: "Packet[VideoStream]") -> None:
        """Take in a packet before it is decoded."""
        if packet.size == 0 or packet.is_discard:
            return
        if self._is_avi and packet.dts is not None:
            if not (self._chunks or self.number or self._is_by_chunk):
                self._is_by_chunk = _PACKED.search(bytes(packet)[:_USER_DATA_BYTES]) is not None
            self._chunks.append(packet.dts * packet.time_base)
        self._has_key |= packet.is_keyframe
        if not self._has_key and packet.pts is not None:
            now = packet.pts * packet.time_base
            self._earliest = now if self._earliest is None else min(now, self._earliest)

    def show(self, frame: VideoFrame) -> Iterator[Timed[VideoFrame]]:
        """Yield a frame with its time, and before it the one that an AVI shows again."""
        now = self._seconds(frame)
        if self.number == 0:
            self.first = now
            if not self._is_by_chunk and self._earliest is not None and self._earliest < now:
                raise DecodeError(
                    "starts inside a group of pictures: its first "
                    f"{float(now - self._earliest):.3f} s cannot be decoded; the copy lacks its "
                    "beginning"
                )
        elif now <= self.last:
            raise DecodeError(f"has time going back at frame {self.number}: {float(now):.3f} s")
        while self._is_by_chunk and self._before and now - self.last > _MISSED_TICKS * self._tick:
            yield self._take(self._before, self.last + self._tick)
        yield self._take(frame, now)
        self._before = frame if self._is_by_chunk else None

    def _take(self, frame: VideoFrame, now: Fraction) -> Timed[VideoFrame]:
        interval = now - self.last if self.number else Fraction(0)
        lasts = frame.duration * _time_base(frame) if frame.duration else interval
        self.ends, self.last, self.number = now + lasts, now, self.number + 1
        return Timed(float(now - self.first), float(self.ends - self.first), frame)

    def _seconds(self, frame: VideoFrame) -> Fraction:
        """Return a frame's time in the file [s]."""
        if frame.is_corrupt:
            raise DecodeError(f"is damaged at frame {self.number}")
        if self._is_by_chunk:
            return self._chunks.popleft() if self._chunks else self.ends
        stamp = frame.pts if frame.pts is not None else frame.dts
        if stamp is None:
            raise DecodeError(f"has no timestamp at frame {self.number}")
        return stamp * _time_base(frame)


def canvas_for(stream: VideoStream, config: "DecodeConfig", crop: Box | None) -> Canvas:
    """Return the canvas that a stream's frames, or a rectangle of them, are drawn on."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return Canvas(
        height=config.height,
        width=config.width,
        pixel_aspect=aspect,
        tones=config.hdr == "sdr",
        crop=crop,
    )


def _time_base(frame: VideoFrame) -> Fraction:
    if frame.time_base is None:
        raise DecodeError("has frames without a time base")
    return frame.time_base
