"""Frames read straight from a recording's file, exactly those that decoding it whole would give.

:func:`scan` lists the frames by reading packets, decoding nothing. :func:`read_frames` starts at
the key frame before a wanted frame, and between wanted frames decodes only what they refer to:
the decoder is told to leave out pictures that no other refers to (H.264; MPEG-4; HEVC of one
temporal layer). Behind the last wanted frame of a group the decoder is drained, not fed. Where a
wanted frame does not come out (open groups of H.264), the file's first key frame is tried.

Frames are the same bits as :func:`pdray.data.media.decode.decode` gives at the same positions.
Where packets do not tell the frames, everything is decoded instead, slower and no less exact:
  - containers other than MP4, MOV, Matroska and WebM; other codecs than those of ``_CODECS``;
  - packets without a time, or two of one time; a header that counts other packets than there are;
  - a stream that does not begin with a key frame, or shows frames that come before its first one;
  - pictures stored as fields, or frames flagged as interlaced where these are deinterlaced;
  - times that rise from packet to packet while the decoder reorders its pictures;
  - VP8 and VP9 packets that show nothing;
  - a wanted frame that does not come out of the decoder, whole and at its time, or any error of
    it, as at a random access point that takes several frames to become clean.

A read sees only the damage in what it decodes; ``decode`` sees all of it, so a study decodes each
recording once before its first trial. The file must be the one that was scanned.
"""

import math
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pdray.data.media.decode import Deadline, canvas_for, decode_frames
from pdray.data.media.part import WHOLE, Part
from pdray.data.media.picture import Pixels
from pdray.data.media.settings import DEFAULT_LIMITS, DecodeConfig, DecodeLimits
from pdray.data.media.source import check_end, check_length, check_pixels, opened, packets
from pdray.data.media.timeline import Span, Timed, shown
from pdray.errors import DecodeError

Integers = npt.NDArray[np.int64]

_CONTAINERS = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}
# One packet, one frame.
_CODECS = {"h264", "hevc", "mpeg4", "vp8", "vp9", "av1", "libdav1d", "mjpeg"}
_LOOKS = 8  # times the depth of reordering: groups of pictures that are looked at
_PROGRESSIVE = (0, 1)  # AV_FIELD_UNKNOWN, AV_FIELD_PROGRESSIVE


@dataclass(frozen=True)
class SourceIndex:
    """The frames of a recording's span, and where its file can be entered.

    Attributes:
        seconds: (N,) float64, rising, N at least 1: ``Clip.pts_seconds`` of the same span [s].
        pts: (N,) int64, the stored frame that each shows, in the stream's time base; None where
            packets do not tell: then everything is decoded.
        keyframes: (K,) int64, rising, in the stream's time base.
        part: What was scanned.
        frame_rate: As in the settings it was scanned with [1/s].
    """

    seconds: npt.NDArray[np.float64]
    pts: Integers | None
    keyframes: Integers
    part: Part
    frame_rate: float | None

    @property
    def num_frames(self) -> int:
        """Number of frames N."""
        return len(self.seconds)


def scan(
    video: Path,
    config: DecodeConfig,
    limits: DecodeLimits = DEFAULT_LIMITS,
    part: Part = WHOLE,
) -> SourceIndex:
    """List the frames of a recording by its packets; decode it where they do not tell.

    Args:
        video: The encoded file.
        config: Its frame rate is used.
        limits: What the recording may cost.
        part: Span to list, and rectangle to read.

    Returns:
        The index that :func:`read_frames` takes.

    Raises:
        DecodeError: As ``decode_frames``, as far as packets show damage.
    """
    span = Span.between(part.start_seconds, part.end_seconds)
    with opened(video, limits.max_pixels) as (file, stream):
        check_length(file, stream, span, limits.max_seconds)
        found = _listed(file, stream, span)
        if found is not None and _agrees(video, found, stream.codec_context.reorder_depth, limits):
            picked = shown(
                found.timed(), span, rate=config.frame_rate, max_seconds=limits.max_seconds
            )
            seconds, pts = zip(*picked, strict=True)
            return SourceIndex(
                np.array(seconds),
                np.array(pts, np.int64),
                np.array(sorted(found.keyframes), np.int64),
                part,
                config.frame_rate,
            )
    times = np.array([seconds for seconds, _ in decode_frames(video, config, limits, part)])
    return SourceIndex(times, None, np.empty(0, np.int64), part, config.frame_rate)


def read_frames(
    video: Path,
    index: SourceIndex,
    positions: Integers,
    config: DecodeConfig,
    limits: DecodeLimits = DEFAULT_LIMITS,
) -> Pixels:
    """Read some frames of a recording.

    Args:
        video: The file that was scanned.
        index: What :func:`scan` returned for it, with the same frame rate.
        positions: (K,) int64 in 0..N-1, in any order, with repeats.
        config: Size of the frames.
        limits: What the recording may cost.

    Returns:
        (K, H, W, 3) uint8 RGB: ``decode(...).frames[positions]`` of the same part.

    Raises:
        DecodeError: If the file cannot be opened or decoded, passes a limit, or is not the one
            that was scanned.
        IndexError: If a position is outside 0..N-1.
        ValueError: If the index is of another frame rate.
    """
    if positions.size and (positions.min() < 0 or positions.max() >= index.num_frames):
        raise IndexError(
            f"positions {positions.min()}..{positions.max()} are outside 0..{index.num_frames - 1}"
        )
    if config.frame_rate != index.frame_rate:
        raise ValueError(f"scanned at frame rate {index.frame_rate}, read at {config.frame_rate}")
    frames = np.empty((positions.size, config.height, config.width, 3), np.uint8)
    if index.pts is not None:
        wanted = index.pts[positions]
        if _fill(frames, wanted, _by_key(video, index, wanted, config, limits)):
            return frames
    if not _fill(frames, positions, _by_decoding(video, index.part, positions, config, limits)):
        raise DecodeError("shows fewer frames than it did when it was scanned")
    return frames


@dataclass
class _Listing:
    """What the packets of a stream say of its frames, in the stream's time base."""

    time_base: Fraction
    pts: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    keyframes: list[int] = field(default_factory=list)

    def add(self, packet: "Packet[VideoStream]") -> bool:
        """Take a packet in; return False where it does not tell its frame."""
        codec = packet.stream.codec.canonical_name
        if packet.pts is None or not _shows(codec, memoryview(packet)):
            return False
        if packet.is_keyframe:
            self.keyframes.append(packet.pts)
        if not packet.is_discard:  # outside an edit: decoded for others, and not shown
            self.pts.append(packet.pts)
            self.durations.append(packet.duration or 0)
        return bool(self.keyframes)  # the first one is a key frame

    def passes(self, packet: "Packet[VideoStream]", end: float) -> bool:
        """Return whether all packets from this one on are shown at a time [s] or later."""
        if end == math.inf or packet.dts is None or not self.pts:
            return False
        # The first packet is a key frame, and is_sound() refuses frames shown before it.
        return float((packet.dts - self.pts[0]) * self.time_base) >= end

    def compare(self, file: InputContainer, stream: VideoStream) -> None:
        """Raise a ``DecodeError`` where the header says that there is more."""
        spans = self._spans() or [(0, 0)]
        (first, _), (last, ends) = spans[0], spans[-1]
        check_end(
            file,
            stream,
            first=first * self.time_base,
            last=last * self.time_base,
            ends=ends * self.time_base,
            number=len(self.pts),
        )

    def is_sound(self) -> bool:
        """Return whether each time stands once, and none before the first key frame."""
        return (
            bool(self.pts)
            and len(set(self.pts)) == len(self.pts)
            and len(set(self.keyframes)) == len(self.keyframes)
            and min(self.pts) >= self.keyframes[0]
        )

    def timed(self) -> Iterator[Timed[int]]:
        """Yield the frames in display order, as the decoder would time them."""
        spans = self._spans()
        first = spans[0][0]
        for pts, ends in spans:
            seconds = float((pts - first) * self.time_base)
            yield Timed(seconds, float((ends - first) * self.time_base), pts)

    def _spans(self) -> list[tuple[int, int]]:
        """Return when each frame is shown and ends, in display order."""
        order = sorted(zip(self.pts, self.durations, strict=True))
        before = [order[0][0], *(pts for pts, _ in order)] if order else []
        return [
            (pts, pts + (duration or pts - last))
            for (pts, duration), last in zip(order, before, strict=False)
        ]


def _listed(file: InputContainer, stream: VideoStream, span: Span) -> _Listing | None:
    """List the frames up to a span's end, or return None where packets do not tell them."""
    if not _is_known(file, stream) or stream.time_base is None:
        return None
    found = _Listing(stream.time_base)
    number = 0
    try:
        for packet in packets(file, stream):
            if packet.size == 0:
                found.compare(file, stream)
                if stream.frames not in (0, number):
                    return None
                break
            number += 1
            if not found.add(packet):
                return None
            if found.passes(packet, span.end):
                break
    except DecodeError:  # decoding tells whether it stands
        return None
    return found if found.is_sound() else None


def _agrees(video: Path, found: _Listing, depth: int, limits: DecodeLimits) -> bool:
    """Return whether the decoder's first pictures come in the order of the packets' times.

    Only looked at where they might not: the coder reorders pictures, and no time says so.
    """
    if not depth or found.pts != sorted(found.pts):
        return True
    last, number = -1, 0
    with opened(video, limits.max_pixels) as (file, stream):
        for packet in packets(file, stream):
            for picture in packet.decode():
                stamp = picture.pts if picture.pts is not None else -1
                if number and stamp <= last:
                    return False
                last, number = stamp, number + 1
            if number > _LOOKS * depth:
                return True
    return True


def _is_known(file: InputContainer, stream: VideoStream) -> bool:
    return (
        file.format.name in _CONTAINERS
        and stream.codec.canonical_name in _CODECS
        and stream.codec_context.field_order in _PROGRESSIVE
    )


def _shows(codec: str, content: memoryview) -> bool:
    """Return False for a VP8 or VP9 packet that only changes what later ones refer to."""
    if codec not in ("vp8", "vp9"):
        return True
    first, last = content[0], content[-1]
    if codec == "vp8":  # RFC 6386, 9.1: bit 4 is show_frame
        return bool(first & 0x10)
    # VP9, 6.2 and annex B: a superframe's last frame is shown, else show_existing_frame or
    # show_frame tell; profile 3 has one bit more before them.
    shift = int(first & 0x30 == 0x30)
    return last & 0xE0 == 0xC0 or bool(first & (0x08 >> shift) or first & (0x02 >> shift))


def _fill(frames: Pixels, wanted: Integers, drawn: Iterator[tuple[int, Pixels]]) -> bool:
    """Put drawn frames into every row that wants them; return whether all rows have theirs."""
    rows: dict[int, list[int]] = {}
    for row, value in enumerate(wanted.tolist()):
        rows.setdefault(value, []).append(row)
    for value, pixels in drawn:
        for row in rows.pop(value):
            frames[row] = pixels
    return not rows


def _by_decoding(
    video: Path, part: Part, positions: Integers, config: DecodeConfig, limits: DecodeLimits
) -> Iterator[tuple[int, Pixels]]:
    """Yield wanted positions and their frames in order, decoding all that come before."""
    wanted = set(positions.tolist())
    for position, (_, pixels) in enumerate(decode_frames(video, config, limits, part)):
        if position in wanted:
            yield position, pixels
            wanted.discard(position)
        if not wanted:
            return


def _by_key(
    video: Path,
    index: SourceIndex,
    wanted: Integers,
    config: DecodeConfig,
    limits: DecodeLimits,
) -> Iterator[tuple[int, Pixels]]:
    """Yield wanted times and their frames in order; ends early where one does not come out."""
    deadline = Deadline(limits)
    stamps = np.unique(wanted)
    groups = np.searchsorted(index.keyframes, stamps, side="right") - 1
    with opened(video, limits.max_pixels) as (file, stream):
        canvas = canvas_for(stream, config, index.part.crop)
        entry = _Entry(file, stream)
        for group in np.unique(groups).tolist():
            left = set(stamps[groups == group].tolist())
            # Behind an open group's key frame a decoder may miss what came before it.
            for start in dict.fromkeys((group, 0)):
                last = -math.inf
                for picture in entry.pictures(int(index.keyframes[start]), left):
                    deadline.check()
                    check_pixels(picture.width, picture.height, limits.max_pixels)
                    if picture.interlaced_frame and config.interlaced == "deinterlace":
                        return  # its neighbours are needed
                    stamp = picture.pts
                    if stamp is not None and stamp <= last:
                        return  # decoding everything says where
                    last = last if stamp is None else stamp
                    if stamp is not None and stamp in left and not picture.is_corrupt:
                        left.discard(stamp)
                        yield stamp, canvas.draw(picture)
                if not left:
                    break
            else:
                return


class _Entry:
    """A place in a file from which packets are decoded."""

    def __init__(self, file: InputContainer, stream: VideoStream) -> None:
        self._file = file
        self._stream = stream
        self._packets: Iterator[Packet[VideoStream]] = iter(())
        self._next: Packet[VideoStream] | None = None
        self._can_skip = _can_skip(stream)

    def pictures(self, keyframe: int, wanted: Set[int]) -> Iterator[VideoFrame]:
        """Decode from a key frame until all that is wanted came out, and others with it.

        Args:
            keyframe: Its time in the stream's time base.
            wanted: Times of frames, none before the key frame.

        Yields:
            Frames in display order; ends early where the decoder reports an error, and at once
            where the key frame is not found.
        """
        context, unfed = self._stream.codec_context, set(wanted)
        try:
            packet = self._go_to(keyframe)
            while unfed and packet is not None and packet.size:
                # What is shown before the key frame refers to what was not decoded.
                if packet.pts is not None and packet.pts >= keyframe:
                    spared = self._can_skip and packet.pts not in unfed
                    context.skip_frame = "NONREF" if spared else "DEFAULT"
                    yield from context.decode(packet)
                    unfed.discard(packet.pts)
                packet = next(self._packets, None)
            self._next = packet
            # What is still inside is asked for, so that nothing is decoded to push it out.
            yield from context.decode(None)
        except av.FFmpegError:  # another start, or decoding everything, tells whether it stands
            return

    def _go_to(self, keyframe: int) -> "Packet[VideoStream] | None":
        packet, self._next = self._next, None
        if packet is not None and packet.pts == keyframe:
            self._stream.codec_context.flush_buffers()
            return packet
        self._file.seek(keyframe, stream=self._stream)
        self._packets = self._file.demux(self._stream)
        for packet in self._packets:
            if packet.is_keyframe and packet.pts == keyframe:
                return packet
        return None


def _can_skip(stream: VideoStream) -> bool:
    """Return whether pictures that are marked as never referred to may be left out."""
    codec = stream.codec.canonical_name
    if codec == "hevc":
        # In HEVC the mark concerns one temporal layer only; hvcC, byte 21, bits 3 to 5 count them.
        setup = stream.codec_context.extradata or b""
        return len(setup) > 21 and setup[0] == 1 and setup[21] >> 3 & 7 == 1
    return codec in ("h264", "mpeg4")
