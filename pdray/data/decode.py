"""One recording, decoded whole: every frame of the span, or an error - never some of the frames.

Frames come from the container's best video stream (FFmpeg's choice) and are drawn as ``picture.py``
says. One thread: recordings are decoded in parallel, not frames.

What makes a recording unreadable here:
  - the container or a packet cannot be parsed, or the decoder reports any error
    (``err_detect=explode``: FFmpeg's default would hide damage under neighbouring pixels);
  - a packet or a frame is flagged corrupt, as where an MP4 ends inside a frame;
  - an MP4 or MOV holds fewer packets than its index lists;
  - the frames end three quarters of a frame or more before the header says the stream ends.
What cannot be seen: damage that a codec without checks decodes to wrong pixels (VP9), and the
loss of the end of a file that declares no length and breaks between packets (MPEG-TS, streamed
WebM).

Messages carry no path and no name: whoever knows the recording's id puts it in front.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from pydantic import Field

from pdray.config import Settings
from pdray.data.picture import Canvas
from pdray.errors import DecodeError

# FFmpeg follows references between files; a recording is one local file and nothing else.
_OPTIONS = {"protocol_whitelist": "file"}
# Matroska's own length of one track, e.g. 00:00:04.000000000.
_TAG = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
_END_SLACK_SECONDS = 0.1  # raters round a span's end
_END_FRAMES = 0.75  # a header's end and the last frame's agree within this many frames
_ROUNDING = 0.002  # ... and these seconds, where times are in milliseconds


class DecodeConfig(Settings):
    """The picture every recording is brought to."""

    height: int = Field(112, ge=8, le=2160, description="height of a frame [px]")
    width: int = Field(112, ge=8, le=3840, description="width of a frame [px]")


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
    *,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
) -> Clip:
    """Decode a recording.

    Args:
        video: The encoded file.
        config: Size of the frames.
        start_seconds: Frames shown before this time are left out; None is the beginning.
        end_seconds: Frames shown at or after this time are left out; None is the end. May lie at
            most 0.1 s past the end.

    Returns:
        Every frame of the span.

    Raises:
        DecodeError: If the file is damaged or cut short (as far as the module's list goes), has
            no video, or does not hold the span.
    """
    kept: list[npt.NDArray[np.uint8]] = []
    times: list[float] = []
    ends = 0.0
    try:
        with av.open(str(video.absolute()), options=_OPTIONS, metadata_errors="replace") as file:
            stream = _video_stream(file)
            aspect = stream.sample_aspect_ratio or Fraction(1)
            canvas = Canvas(height=config.height, width=config.width, pixel_aspect=aspect)
            for frame in _frames(file, stream):
                if end_seconds is not None and frame.seconds >= end_seconds:
                    break
                ends = frame.ends
                if start_seconds is None or frame.seconds >= start_seconds:
                    kept.append(canvas.draw(frame.picture))
                    times.append(frame.seconds)
    except (av.FFmpegError, OSError) as error:
        # FFmpeg's own text holds the path or an internal function; strerror holds neither.
        raise DecodeError(f"cannot be decoded: {error.strerror or type(error).__name__}") from error
    if end_seconds is not None and end_seconds > ends + _END_SLACK_SECONDS:
        raise DecodeError(f"ends at {ends:.3f} s, before end_seconds {end_seconds:g}")
    if not kept:
        raise DecodeError(f"ends at {ends:.3f} s, before start_seconds {start_seconds:g}")
    return Clip(np.stack(kept), np.array(times))


def check_readable(video: Path) -> str | None:
    """Read a file's header only.

    Returns:
        None when there is a video stream and a decoder for it, else the reason, without the path.
    """
    try:
        if video.stat().st_size == 0:
            return "is empty (0 bytes)"
        with av.open(str(video.absolute()), options=_OPTIONS, metadata_errors="replace") as file:
            _video_stream(file)
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
        with av.open(str(video.absolute()), options=_OPTIONS, metadata_errors="replace") as file:
            stream = _video_stream(file)
            seconds = float((stream.duration or 0) * (stream.time_base or 0))
            seconds = seconds or (file.duration or 0) / av.time_base
            rate = float(stream.average_rate or stream.base_rate or 0)
            return seconds, stream.frames or round(seconds * rate)
    except (DecodeError, av.FFmpegError, OSError):
        return 0.0, 0


class _Timed(NamedTuple):
    seconds: float  # when it is shown, since the stream's first frame
    ends: float  # when the next one is due
    picture: VideoFrame


def _video_stream(file: InputContainer) -> VideoStream:
    stream = file.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        kinds = ", ".join(sorted({one.type for one in file.streams}))
        raise DecodeError(f"has no video stream, only {kinds or 'an empty container'}")
    context = stream.codec_context
    if not context.width or not context.height:
        raise DecodeError("has a video stream without a picture size: the file is cut or damaged")
    context.thread_count = 1
    context.options = {"err_detect": "explode"}
    return stream


def _frames(file: InputContainer, stream: VideoStream) -> Iterator[_Timed]:
    """Yield frames in display order; at the file's end check that none is lacking."""
    first = before = ends = Fraction(0)
    number = 0
    for packet in _packets(file, stream):
        for frame in packet.decode():
            now = _seconds(frame, number)
            first = now if number == 0 else first
            if number and now <= before:
                raise DecodeError(f"has time going back at frame {number}: {float(now):.3f} s")
            interval = now - before if number else Fraction(0)
            ends = now + (frame.duration * _time_base(frame) if frame.duration else interval)
            before, number = now, number + 1
            yield _Timed(float(now - first), float(ends - first), frame)
    if number == 0:
        raise DecodeError("has a video stream without a single frame")
    declared = _declared_seconds(file, stream, first)
    slack = _END_FRAMES * max(ends - before, (ends - first) / number) + _ROUNDING
    if declared is not None and declared - ends > slack:
        raise DecodeError(
            f"is cut: its frames end at {float(ends):.3f} s, its header says {declared:.3f} s"
        )


def _packets(file: InputContainer, stream: VideoStream) -> Iterator["Packet[VideoStream]"]:
    number = 0
    for packet in file.demux(stream):
        if packet.is_corrupt:
            raise DecodeError(f"is cut or damaged inside packet {number}")
        number += packet.size > 0
        yield packet
    listed = len(stream.index_entries)
    # Other formats keep an index of key frames only, or none.
    if "mp4" in file.format.name and number < listed:
        raise DecodeError(f"is cut: holds {number} of the {listed} packets in its index")


def _time_base(frame: VideoFrame) -> Fraction:
    if frame.time_base is None:
        raise DecodeError("has frames without a time base")
    return frame.time_base


def _seconds(frame: VideoFrame, number: int) -> Fraction:
    if frame.is_corrupt:
        raise DecodeError(f"is damaged at frame {number}")
    stamp = frame.pts if frame.pts is not None else frame.dts
    if stamp is None:
        raise DecodeError(f"has no timestamp at frame {number}")
    return stamp * _time_base(frame)


def _declared_seconds(file: InputContainer, stream: VideoStream, first: Fraction) -> float | None:
    """Return when the header says that the video stream ends, or None where it does not say."""
    if stream.duration and stream.time_base:
        # Where an edit cuts before a frame, the stream starts before its first frame.
        start = stream.start_time * stream.time_base if stream.start_time is not None else first
        return float(start + stream.duration * stream.time_base)
    if tag := _TAG.fullmatch(stream.metadata.get("DURATION", "")):
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
    if file.duration and len(file.streams) == 1:  # the longest stream's: the audio may outlast us
        return file.duration / av.time_base
    return None
