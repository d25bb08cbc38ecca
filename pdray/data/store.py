"""Frame store: each recording decoded once, so that any frame is read without touching others.

One ``.npy`` file (N, H, W, 3) uint8 a recording. Its name is a digest of the source's *content*,
the decode settings and the span, so a changed file or setting never meets an old entry, and two
manifest rows on the same span share one. Files appear whole or not at all (``pdray.atomic``):
writers on any number of nodes may race, the last rename wins with the same bytes, and a killed
writer leaves at most a hidden temporary file.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pdray.atomic import replacing, write_text
from pdray.config import dump
from pdray.data.decode import DecodeConfig, decode
from pdray.data.manifest import Recording
from pdray.errors import DecodeError, StoreError

# Part of every key: raise it when decoding changes what it returns for the same settings.
_FORMAT = 1
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """Where the frames of a recording are.

    Attributes:
        recording_id: As in the manifest.
        path: The store's file; read it with :func:`read_frames`.
        num_frames: Frames in it, at least 1.
    """

    recording_id: str
    path: Path
    num_frames: int


class FrameStore:
    """Decoded recordings under one folder, which every node that reads them must share.

    Args:
        root: The folder; made when missing.
        config: How recordings are decoded; part of every key.
    """

    def __init__(self, root: Path, config: DecodeConfig) -> None:
        self.root = root
        self.config = config

    def add(self, recording: Recording) -> StoredRecording:
        """Return a recording's entry, decoding it when it is not there yet.

        Args:
            recording: A row with a video.

        Returns:
            Where its frames are and how many.

        Raises:
            DecodeError: If there is no video or it cannot be read whole; names the recording.
            StoreError: If the entry is damaged, or the store cannot be written.
        """
        path = self.entry(recording)
        if not path.exists():
            self._write(recording, path)
        return StoredRecording(recording.recording_id, path, count_frames(path))

    def entry(self, recording: Recording) -> Path:
        """Return where a recording's frames are or will be; reads the source once to know."""
        key = {
            "content": self._content_digest(recording),
            "decode": dump(self.config),
            "span": [recording.start_seconds, recording.end_seconds],
            "format": _FORMAT,
        }
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return self.root / name[:2] / f"{name}.npy"

    def _write(self, recording: Recording, path: Path) -> None:
        try:
            clip = decode(
                _video_of(recording),
                self.config,
                start_seconds=recording.start_seconds,
                end_seconds=recording.end_seconds,
            )
        except DecodeError as error:
            raise DecodeError(f"recording {recording.recording_id}: {error}") from error
        try:
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, clip.frames, allow_pickle=False)
        except OSError as error:
            raise StoreError(
                f"recording {recording.recording_id}: the frame store {self.root} cannot be "
                f"written: {error.strerror or error} ({clip.frames.nbytes} bytes are needed)"
            ) from error

    def _content_digest(self, recording: Recording) -> str:
        """Return the SHA-256 of the source, from memory while path, size and time stand."""
        video = _video_of(recording)
        try:
            status = video.stat()
            seen = f"{video.absolute()}\0{status.st_size}\0{status.st_mtime_ns}"
            # The name is a digest, so that no path of a patient's video is kept in the store.
            note = self.root / "sources" / hashlib.sha256(seen.encode()).hexdigest()
            if note.exists():
                return note.read_text(encoding="ascii")
            digest = _hash_file(video)
        except OSError as error:
            raise DecodeError(
                f"recording {recording.recording_id}: cannot be read: {error.strerror or error}"
            ) from error
        try:
            write_text(note, digest)
        except OSError as error:
            raise StoreError(
                f"the frame store {self.root} cannot be written: {error.strerror or error}"
            ) from error
        return digest


def count_frames(path: Path) -> int:
    """Return how many frames an entry has; reads its header only."""
    return len(open_frames(path))


def open_frames(path: Path) -> npt.NDArray[np.uint8]:
    """Map an entry of the store into memory without reading it.

    Args:
        path: A store's file.

    Returns:
        (N, H, W, 3) uint8, read-only; pages are read when touched.

    Raises:
        StoreError: If the file is missing, damaged, cut short or of another shape.
    """
    advice = "delete the file, it is decoded again when next needed"
    try:
        frames = np.lib.format.open_memmap(path, mode="r")
        num_bytes = path.stat().st_size
    except FileNotFoundError as error:
        raise StoreError(f"{path}: no such entry in the frame store") from error
    except (OSError, ValueError, EOFError) as error:
        raise StoreError(f"{path}: is damaged: {error}; {advice}") from error
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
        raise StoreError(
            f"{path}: holds {frames.shape} {frames.dtype}, not (N, H, W, 3) uint8; {advice}"
        )
    expected = frames.offset + frames.nbytes
    if num_bytes != expected:
        raise StoreError(
            f"{path}: has {num_bytes} bytes where its header says {expected}; {advice}"
        )
    return frames


def read_frames(path: Path, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Read some frames of an entry, and only those.

    Args:
        path: A store's file.
        indices: (T,) int64 in 0..N-1, in any order, with repeats.

    Returns:
        (T, H, W, 3) uint8, a copy that may be written to.

    Raises:
        IndexError: If an index is outside 0..N-1.
        StoreError: As :func:`open_frames`.
    """
    frames = open_frames(path)
    if indices.size and (indices.min() < 0 or indices.max() >= len(frames)):
        raise IndexError(
            f"indices {indices.min()}..{indices.max()} are outside 0..{len(frames) - 1}"
        )
    return np.array(frames[indices])


def _video_of(recording: Recording) -> Path:
    if recording.video is None:
        raise DecodeError(f"recording {recording.recording_id}: its row names no video")
    return recording.video


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
