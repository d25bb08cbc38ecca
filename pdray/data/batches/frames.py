"""Reads single pictures of recordings from the frame store, or from memory if all of them fit."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pdray.data.cohort.rated import RatedRecording
from pdray.data.modalities import Modality
from pdray.data.store.entry import Entry
from pdray.errors import StoreError, naming

Pictures = NDArray[np.uint8]

MEMORY_BYTES = 2 << 30
"""Decoded pictures that a process keeps; of a fit with more, none are kept [byte]."""

_kept: dict[Path, Pictures] = {}  # of the fits of this process


class FrameReader:
    """Reader of single pictures.

    Args:
        recordings: With entries in the frame store; to which positions refer.
        modality: A modality of pictures.

    Attributes:
        shape: (height, width, channel) of every picture.

    Raises:
        DecodeError: If a recording has no entry; names it.
        StoreError: If pictures differ in size, or an entry cannot be read; names the recording.
    """

    def __init__(self, recordings: Sequence[RatedRecording], modality: Modality) -> None:
        self._recordings = recordings
        self._entries = [_entry(one, modality) for one in recordings]
        self.shape = self._entries[0].shape
        for one, entry in zip(recordings, self._entries, strict=True):
            if entry.shape != self.shape or entry.dtype != np.uint8:
                raise StoreError(
                    f"recording {one.recording_id}: its {modality} has items of {entry.shape}, but "
                    f"recording {recordings[0].recording_id} has {self.shape}; use files of the "
                    "same kind for all recordings"
                )
        num_bytes = sum(len(entry) for entry in self._entries) * math.prod(self.shape)
        self._keeps = num_bytes <= MEMORY_BYTES
        for path in _kept.keys() - {entry.path for entry in self._entries if self._keeps}:
            del _kept[path]

    def length(self, place: int) -> int:
        """Return how many pictures a recording has."""
        return len(self._entries[place])

    def seconds(self, place: int) -> NDArray[np.float64]:
        """Return the (N,) times of the pictures of a recording [s]."""
        return self._entries[place].seconds

    def read(self, pictures: Sequence[tuple[int, int]]) -> Pictures:
        """Return pictures.

        Args:
            pictures: Position of the recording and number of the picture of each, N in all.

        Returns:
            (N, H, W, C) uint8.

        Raises:
            StoreError: If an entry is damaged; names the recording.
        """
        out = np.empty((len(pictures), *self.shape), np.uint8)
        for target, (place, index) in zip(out, pictures, strict=True):
            with naming(self._recordings[place].recording_id):
                target[...] = self._picture(self._entries[place], index)
        return out

    def _picture(self, entry: Entry, index: int) -> Pictures:
        if not self._keeps:
            picture: Pictures = entry.read(np.array([index]))[0]
            return picture
        if entry.path not in _kept:
            _kept[entry.path] = entry.read(np.arange(len(entry)))
        kept: Pictures = _kept[entry.path][index]
        return kept


class BlankFrames(FrameReader):
    """Reader of random pictures, to measure a network before its pictures are in the store.

    Args:
        shape: (height, width, channel) of a picture.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape

    def length(self, place: int) -> int:
        """Return how many pictures a recording has."""
        return 16

    def seconds(self, place: int) -> NDArray[np.float64]:
        """Return the (N,) times of the pictures of a recording [s]."""
        return np.arange(self.length(place)) / 25

    def read(self, pictures: Sequence[tuple[int, int]]) -> Pictures:
        """Draw pictures; see :meth:`FrameReader.read`."""
        draws = np.random.default_rng([number for one in pictures for number in one])
        return draws.integers(0, 256, (len(pictures), *self.shape), np.uint8)


def _entry(recording: RatedRecording, modality: Modality) -> Entry:
    with naming(recording.recording_id):
        if recording.stored is None or modality not in recording.stored:
            raise StoreError(f"its {modality} is not in the frame store; run jobs/prepare.py")
        return Entry(recording.stored[modality])
