"""A recording's file: its video stream, its packets, and what its header says of their end.

Everything that reads a recording opens it here, so that the same file is refused with the same
words whether its frames are stored or read one by one. libav's log is part of the evidence: it logs
some cuts and returns no error. Messages carry no path and no name.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from pdray.data.media.cause import ENCRYPTED, cause
from pdray.data.media.container import ending
from pdray.data.media.libav_log import Line, heard, listening
from pdray.data.media.picture_list import SUFFIX, PictureStream, read_list
from pdray.data.media.timeline import Span, check_seconds
from pdray.errors import DecodeError

MADE_TITLE = "SYNTHETIC"
"""The word that the title of a made file begins with."""
_CUT = re.compile("File ended prematurely|partial file")
_TAG = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
_END_FRAMES = 0.75  # a header's end and the last frame's agree within this many frames
_PROBED = 1 << 16  # bytes of pictures that are looked at for their size
_ROUNDING = 0.002  # ... and these seconds, where times are in milliseconds


@contextmanager
def opened(video: Path, max_pixels: int) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file's best video stream.

    Args:
        video: The encoded file.
        max_pixels: ``limits.max_pixels``; the header must keep to it.

    Yields:
        The container and its stream.

    Raises:
        DecodeError: If the file cannot be opened, and in place of whatever FFmpeg raises inside.
    """
    stream: VideoStream | None = None
    lines: list[Line] = []
    with listening():
        try:
            with heard(lines):
                file = open_file(video, max_pixels)
            with file:
                stream = video_stream(file, max_pixels)
                context = stream.codec_context
                check_pixels(context.width, context.height, max_pixels)
                yield file, stream
        except (av.FFmpegError, OSError) as error:
            if stream is not None:
                _check_refused(stream, max_pixels)
            raise DecodeError(f"cannot be decoded: {cause(video, error, lines)}") from error


def check_length(file: InputContainer, stream: VideoStream, span: Span, max_seconds: float) -> None:
    """Refuse a span that is too long by the file's header.

    Raises:
        DecodeError: If what the header says there is of the span passes ``limits.max_seconds``.
    """
    declared = _declared_seconds(file, stream, Fraction(0))
    if declared is not None:
        start = (stream.start_time or 0) * (stream.time_base or Fraction(0))
        check_seconds(min(declared - float(start), span.end) - span.start, max_seconds)


def packets(file: InputContainer, stream: VideoStream) -> Iterator["Packet[VideoStream]"]:
    """Yield a stream's packets and the empty one that ends it.

    Where an edit begins at a key frame of an open group, the pictures that were shown before it
    are stored behind it, hidden, and refer to what is gone: they are left out.

    Raises:
        DecodeError: If a packet is marked corrupt or encrypted, libav logs that the file ends too
            early, or the index lists more than there are.
    """
    number, first = 0, None
    demuxed = file.demux(stream)
    lines: list[Line] = []
    while True:
        with heard(lines):
            packet = next(demuxed, None)
        if packet is None:
            break
        if packet.is_corrupt or any(_CUT.search(line.text) for line in lines):
            raise DecodeError(f"is cut or damaged inside packet {number}")
        if number == 0 and packet.has_sidedata("encryption_info"):
            raise DecodeError(f"cannot be decoded: {ENCRYPTED}")
        lines.clear()
        first = packet.pts if number == 0 else first
        number += packet.size > 0
        if not (packet.is_discard and _is_before(packet.pts, first)):
            yield packet
    listed = len(stream.index_entries)
    # Other formats keep an index of key frames only, or none.
    if "mp4" in file.format.name and number < listed:
        raise DecodeError(f"is cut: holds {number} of the {listed} packets in its index")


def check_end(
    file: InputContainer,
    stream: VideoStream,
    *,
    first: Fraction,
    last: Fraction,
    ends: Fraction,
    number: int,
) -> None:
    """Compare the frames found with the header.

    Args:
        file: The container, read to its end.
        stream: Its video stream.
        first: The first frame's time in the file [s].
        last: The last one's [s].
        ends: When the last one ends [s].
        number: Of frames.

    Raises:
        DecodeError: If there is none, or the header says that there are more.
    """
    check_size(file)
    if number == 0:
        raise DecodeError("has a video stream without a single frame")
    if number == 1:
        raise DecodeError("is a single picture and no video: name a file of moving pictures")
    declared = _declared_seconds(file, stream, first)
    slack = _END_FRAMES * max(ends - last, (ends - first) / number) + _ROUNDING
    if declared is not None and declared - ends > slack:
        raise DecodeError(
            f"is cut: its frames end at {float(ends):.3f} s, its header says {declared:.3f} s"
        )


def check_size(file: InputContainer) -> None:
    """Refuse a file that is shorter than its container declares.

    Raises:
        DecodeError: If bytes are lacking; says how many there are and should be.
    """
    path = Path(file.name)
    declared, size = ending(path).num_bytes, path.stat().st_size
    if declared is not None and declared > size:
        raise DecodeError(f"is cut: the file has {size} bytes, its container says {declared}")


def check_pixels(width: int, height: int, max_pixels: int) -> None:
    """Refuse frames of too many pixels.

    Raises:
        DecodeError: If width times height passes ``limits.max_pixels``.
    """
    if width * height > max_pixels:
        raise DecodeError(
            f"has frames of {width} x {height} = {width * height} px, more than "
            f"limits.max_pixels {max_pixels}"
        )


def _is_before(pts: int | None, first: int | None) -> bool:
    return pts is not None and first is not None and pts < first


def _check_refused(stream: VideoStream, max_pixels: int) -> None:
    """Name the limit where a decoder refused a size; some leave the size, others nothing."""
    context = stream.codec_context
    check_pixels(context.width, context.height, max_pixels)
    if not context.width:
        raise DecodeError(
            "changes to a frame size that is not valid or has more than "
            f"limits.max_pixels {max_pixels}"
        )


def open_file(video: Path, max_pixels: int) -> InputContainer:
    """Open a local file, its decoders bound to a limit of pixels from the first probe on."""
    # FFmpeg follows references between files; a recording is one local file and nothing else.
    options = {"protocol_whitelist": "file", "max_pixels": str(_decoder_pixels(max_pixels))}
    if video.suffix == SUFFIX:
        listed = read_list(video)
        options |= {"framerate": str(listed.rate), "fpsprobesize": "0", "probesize": str(_PROBED)}
        return av.open(PictureStream(listed), "r", format=listed.reader, options=options)
    return av.open(str(video.absolute()), options=options, metadata_errors="replace")


def video_stream(file: InputContainer, max_pixels: int) -> VideoStream:
    """Return the best stream of moving pictures, set up to decode in one thread.

    Raises:
        DecodeError: If there is none, or the file does not say its size.
    """
    known = [one for one in file.streams.video if one.codec_context is not None]
    if file.streams.video and not known:
        raise DecodeError("has a video stream of a coding that FFmpeg does not know")
    best = file.streams.best("video")
    streams = [one for one in known if not one.disposition & Disposition.attached_pic]
    if not streams:
        names = {"video": "a cover picture"}
        kinds = ", ".join(sorted({names.get(one.type, one.type) for one in file.streams}))
        raise DecodeError(f"has no video stream, only {kinds or 'an empty container'}")
    stream = best if best in streams else streams[0]
    context = stream.codec_context
    if not context.width or not context.height:
        raise DecodeError("has a video stream without a picture size: the file is cut or damaged")
    context.thread_count = 1
    context.options = {"err_detect": "explode", "max_pixels": str(_decoder_pixels(max_pixels))}
    return stream


def tagged_seconds(stream: Stream) -> float | None:
    """Return the length of one track as Matroska writes it, e.g. 00:00:04.000000000; else None."""
    tag = _TAG.fullmatch(stream.metadata.get("DURATION", ""))
    return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]) if tag else None


def _decoder_pixels(max_pixels: int) -> int:
    # Decoders count the rows and columns that they add to whole blocks.
    return max_pixels + max_pixels // 4 + (1 << 16)


def _declared_seconds(file: InputContainer, stream: VideoStream, first: Fraction) -> float | None:
    """Return when the header says that the video stream ends, or None where it does not say."""
    if stream.duration and stream.time_base:
        # Where an edit cuts before a frame, the stream starts before its first frame.
        start = stream.start_time * stream.time_base if stream.start_time is not None else first
        if start and ending(Path(file.name)).is_absolute:
            start = Fraction(0)
        return float(start + stream.duration * stream.time_base)
    if (tagged := tagged_seconds(stream)) is not None:
        return tagged
    if file.duration and len(file.streams) == 1:  # the longest stream's: the audio may outlast us
        return file.duration / av.time_base
    return None
