"""The end of a file as its container declares it: how long it must be, and whether that is told.

Read from the file's own boxes, chunks or elements, since FFmpeg takes what is there for all:
  - ISO base media (MP4, MOV, 3GP; ISO/IEC 14496-12): the size of each top-level box; the duration
    in ``mehd``, the range of ``sidx`` or an ``mfra`` at the end tell where fragments end;
  - Matroska and WebM (RFC 9559): the size of the segment;
  - AVI and WAV (RIFF): the size of each top-level chunk;
  - ASF and WMV: the file's size in its File Properties Object;
  - FLV: ``filesize`` in ``onMetaData``;
  - MXF (SMPTE ST 377-1): the offset of the footer partition;
  - picture lists (``picture_list.py``) name every picture;
  - MPEG-TS (ISO/IEC 13818-1), also as cameras write it (M2TS): packets of one size, so that a cut
    inside one is told, and a cut between two is not.
"""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pdray.data.media.picture_list import START

_HEAD_BYTES = 1 << 16
_MOST_HEADER_BYTES = 1 << 22  # of a box of metadata that is read whole


class Ending(NamedTuple):
    """The end of a file as its container declares it.

    Attributes:
        num_bytes: The least size of the whole file [byte]; None where nothing says it.
        is_told: Whether a copy that lacks its last part, cut at any place, can be recognised by
            what the container declares.
        is_absolute: Whether its duration is the time of its end, and not the length from its first
            frame (fragments listed by ``sidx``).
    """

    num_bytes: int | None
    is_told: bool
    is_absolute: bool = False


UNTOLD = Ending(None, False)


def ending(file: Path) -> Ending:
    """Return what a file's container says of its end.

    Raises:
        OSError: If the file cannot be read.
    """
    with file.open("rb") as opened:
        size = opened.seek(0, io.SEEK_END)
        opened.seek(0)
        head = opened.read(_HEAD_BYTES)
        for matches, read in _KINDS:
            if matches(head):
                try:
                    return read(opened, head, size)
                except (struct.error, IndexError, ValueError):  # the header itself is cut
                    return UNTOLD
    return UNTOLD


def is_known(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a container of the module's list."""
    return any(matches(head) for matches, _ in _KINDS)


def _iso(file: BinaryIO, head: bytes, size: int) -> Ending:
    del head
    position, told, is_fragmented, ranges_end, index_end = 0, False, False, None, None
    while position < size:
        file.seek(position)
        kind, length, skipped = _box(file.read(16), size - position)
        if kind == b"moof":
            # Of fragments one by one, a sidx that ends where the next one begins tells nothing.
            told &= ranges_end is None or position < ranges_end
            is_fragmented = True
        if kind in (b"moov", b"sidx") and length <= _MOST_HEADER_BYTES:
            file.seek(position + skipped)
            content = file.read(length - skipped)
            if kind == b"sidx" and ranges_end is None and not is_fragmented:
                ranges_end, count = _referenced(content, position + length)
                told |= count > 1
            told |= kind == b"moov" and _moov_tells(content)
        told |= kind == b"mfra"
        position += length
        index_end = position if kind == b"moov" else index_end
    if not is_fragmented:
        return Ending(index_end, True)  # its index lists every packet
    return Ending(max(position, ranges_end or 0), told, ranges_end is not None)


def _box(start: bytes, left: int) -> tuple[bytes, int, int]:
    """Return a box's kind, its length and that of its header [byte]."""
    if len(start) < 8:
        return b"", 8, 8  # cut inside the header
    length, kind = struct.unpack(">I4s", start[:8])
    if length == 0:
        return kind, left, 8  # to the end of the file
    if length == 1:
        return kind, max(int(struct.unpack(">Q", start[8:16])[0]), 16), 16
    return kind, max(int(length), 8), 8


def _moov_tells(moov: bytes) -> bool:
    """Return whether ``mehd`` declares the duration of all fragments."""
    at = moov.find(b"mehd")
    return at >= 0 and any(moov[at + 8 : at + 16 if moov[at + 4] else at + 12])


def _referenced(sidx: bytes, anchor: int) -> tuple[int, int]:
    """Return where the fragments that a segment index lists end, and how many it lists."""
    wide = sidx[0] == 1
    at = 12 + (8 if wide else 4)
    (offset,) = struct.unpack(">Q" if wide else ">I", sidx[at : at + (8 if wide else 4)])
    at += (8 if wide else 4) + 2
    (count,) = struct.unpack(">H", sidx[at : at + 2])
    sizes = struct.unpack(f">{3 * count}I", sidx[at + 2 : at + 2 + 12 * count])[::3]
    return anchor + int(offset) + sum(one & 0x7FFFFFFF for one in sizes), int(count)


def _matroska(file: BinaryIO, head: bytes, size: int) -> Ending:
    del file, size
    header, at = _vint(head, 4)
    at += header or 0
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        return UNTOLD
    segment, at = _vint(head, at + 4)
    return UNTOLD if segment is None else Ending(at + segment, True)


def _vint(data: bytes, at: int) -> tuple[int | None, int]:
    """Return an EBML size, None where it is unknown, and the place behind it."""
    length = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
    unknown = value == (1 << 7 * length) - 1
    return None if unknown else value, at + length


def _riff(file: BinaryIO, head: bytes, size: int) -> Ending:
    del head
    position, told = 0, True
    while position + 12 <= size:
        file.seek(position)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF":
            break  # what a camera put behind
        if length in (0, 0xFFFFFFFF):  # the recording was never closed, or is a stream
            return UNTOLD
        position += 8 + length
        told &= length > 0
        position += position & 1 if position < size else 0
    return Ending(position, told)


def _asf(file: BinaryIO, head: bytes, size: int) -> Ending:
    del file, size
    at = head.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    (num_bytes,) = struct.unpack("<Q", head[at + 40 : at + 48])
    (flags,) = struct.unpack("<I", head[at + 88 : at + 92])
    return UNTOLD if flags & 1 or not num_bytes else Ending(int(num_bytes), True)


def _flv(file: BinaryIO, head: bytes, size: int) -> Ending:
    del file, size
    at = head.index(b"\x00\x08filesize\x00") + 11
    (num_bytes,) = struct.unpack(">d", head[at : at + 8])
    return Ending(int(num_bytes), True) if num_bytes > 0 else UNTOLD


def _mxf(file: BinaryIO, head: bytes, size: int) -> Ending:
    content = _klv(head[:32])[1]
    (footer,) = struct.unpack(">Q", head[content + 24 : content + 32])
    position = int(footer)
    if not position:
        return UNTOLD
    while position < size:
        file.seek(position)
        length, skipped = _klv(file.read(32))
        position += skipped + length
    return Ending(max(position, int(footer) + 1), True)


def _ts(file: BinaryIO, head: bytes, size: int) -> Ending:
    del file
    length = next(length for length, first in _TS_PACKETS if _has_sync(head, length, first))
    return Ending(-(-size // length) * length, False)


def _has_sync(head: bytes, length: int, first: int) -> bool:
    marks = head[first : first + 3 * length + 1 : length]
    return len(marks) > 1 and set(marks) == {_TS_SYNC}


def _klv(start: bytes) -> tuple[int, int]:
    """Return the length of what a KLV packet holds and of what stands before it [byte]."""
    first = start[16]
    if first < 0x80:
        return first, 17
    count = first & 0x7F
    return int.from_bytes(start[17 : 17 + count], "big"), 17 + count


_TS_SYNC = 0x47
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))  # bytes of a packet, place of its first mark
_ISO_KINDS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"moof", b"pnot")
_Read = Callable[[BinaryIO, bytes, int], Ending]
_KINDS: tuple[tuple[Callable[[bytes], bool], _Read], ...] = (
    (lambda head: head.startswith(START), lambda *_: Ending(None, True)),
    (lambda head: head[4:8] in _ISO_KINDS, _iso),
    (lambda head: head.startswith(b"\x1a\x45\xdf\xa3"), _matroska),
    (lambda head: head.startswith(b"RIFF"), _riff),
    (lambda head: head.startswith(bytes.fromhex("3026b2758e66cf11")), _asf),
    (lambda head: head.startswith(b"FLV"), _flv),
    (lambda head: head.startswith(bytes.fromhex("060e2b34020501010d0102")), _mxf),
    (lambda head: any(_has_sync(head, *one) for one in _TS_PACKETS), _ts),
)
