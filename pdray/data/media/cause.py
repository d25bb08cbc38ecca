"""Why a file cannot be read, where FFmpeg has one error for cut, damaged and encrypted ones."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from pdray.data.media.container import ending, is_known
from pdray.data.media.libav_log import Line

ENCRYPTED = "its pictures are encrypted; export the recording without protection"
_HEAD_BYTES = 1 << 16
_WRAPPED = {
    b"-----BEGIN PGP": "it is encrypted (PGP); decrypt it first",
    b"Salted__": "it is encrypted (OpenSSL); decrypt it first",
    b"age-encryption.org": "it is encrypted (age); decrypt it first",
    b"PK\x03\x04": "it is a zip archive; unpack it first",
    b"\x1f\x8b": "it is packed (gzip); unpack it first",
    b"7z\xbc\xaf\x27\x1c": "it is a 7z archive; unpack it first",
}
_RANDOM_BITS = 7.5  # of entropy per byte; text has 4 to 5, machine code 6
_LEAST_BYTES = 4096  # for the entropy


def cause(video: Path, error: av.FFmpegError | OSError, lines: Sequence[Line] = ()) -> str:
    """Return why a file cannot be read, without its path.

    Args:
        video: The file.
        error: What FFmpeg or the system raised.
        lines: What libav logged when the file was opened.
    """
    # FFmpeg's own text holds the path or an internal function; strerror holds neither.
    reason = error.strerror or type(error).__name__
    if not isinstance(error, av.FFmpegError):
        return reason
    try:
        return _of_content(video, reason, lines) if video.is_file() else reason
    except OSError:  # a folder that may not be entered, a disk that fails: that is the cause
        return reason


def _of_content(video: Path, reason: str, lines: Sequence[Line]) -> str:
    size = video.stat().st_size
    with video.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not is_known(head):
        return _of_head(head, reason)
    if any("moov atom not found" in line.text for line in lines):
        return (
            "the index is missing: the copy was cut off, or the camera stopped before it wrote "
            "one; copy the file again"
        )
    declared = ending(video).num_bytes
    if declared is not None and declared > size:
        return f"it is cut: the file has {size} bytes, its container says {declared}"
    return f"its data are damaged ({reason}); copy the file again"


def _of_head(head: bytes, reason: str) -> str:
    """Return what a file is that does not begin as a video does."""
    if not head:
        return "it is empty (0 bytes)"
    if not head.strip(b"\0"):
        return "it begins with zeros only: the copy failed; copy the file again"
    for start, told in _WRAPPED.items():
        if head.startswith(start):
            return told
    if len(head) >= _LEAST_BYTES and _entropy(head) > _RANDOM_BITS:
        return "it is encrypted, packed or damaged: nothing in it has the form of a video"
    return f"it is no video, or its data are damaged ({reason})"


def _entropy(data: bytes) -> float:
    """Return Shannon's entropy of bytes [bits per byte]."""
    shares = np.bincount(np.frombuffer(data, np.uint8), minlength=256) / len(data)
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())
