"""Reads snippets of recordings from the frame store, or decodes them, and joins them to batches."""

import math
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pdray.data.batches.augment import Augmentation
from pdray.data.batches.plan import PlannedBatch
from pdray.data.batches.settings import SnippetConfig, Views
from pdray.data.batches.snippet import Draw, frame_indices, snippet_shape
from pdray.data.cohort.rated import RatedRecording
from pdray.data.media.settings import DecodeConfig, DecodeLimits
from pdray.data.modalities import MODALITIES, Modality, picture_spec
from pdray.data.store.entry import Entry
from pdray.errors import DecodeError, SettingsError, StoreError, StreamError, naming

Inputs = dict[Modality, NDArray[Any]]


class Moved(NamedTuple):
    """Movement of the pictures from which cached views were computed.

    Attributes:
        augmentation: Movement of the pictures of each of the B * S snippets.
        size: (height, width) of the stored pictures [px].
    """

    augmentation: Augmentation
    size: tuple[int, int]


@dataclass(frozen=True)
class Batch:
    """Batch of snippets and classes.

    Attributes:
        planned: Fold, epoch and recordings.
        inputs: (B, S, T, ...) by modality, S snippets per recording: pictures uint8 (H, W, C),
            tracks float32 (P, 2), spectra float32 (M,). Cached maps, (H', W', D) float16, replace
            pictures.
        modality: Modality of the network's main input.
        target: (B,) int64 class.
        moved: Movement of the pictures of cached maps; None for pictures.
        region_target: (B, R) float32 whether each region shows the disease, 0 to 1, NaN if unknown;
            None if regions are not learnt.
    """

    planned: PlannedBatch
    inputs: Mapping[Modality, Tensor]
    modality: Modality
    target: Tensor
    moved: Moved | None = None
    region_target: Tensor | None = None

    @property
    def frames(self) -> Tensor:
        """Main input of the network; pictures are (B, S, T, H, W, C) uint8."""
        return self.inputs[self.modality]


@dataclass(frozen=True)
class SnippetReader:
    """Reader of the snippets of a recording; it can be pickled for remote tasks.

    Attributes:
        recordings: Recordings; a plan refers to their positions.
        snippet: Choice of frames.
        decode: Picture size, for recordings that are not in a store.
        seed: Seed of the draws of training snippets.
        modality: Modality that the frames are chosen from.
        beside: Further modalities, read at the times of the chosen frames.
        limits: Limits on decoding recordings that are not in a store.
        views: Cached views to read instead of pictures; None: pictures are read.
    """

    recordings: tuple[RatedRecording, ...]
    snippet: SnippetConfig
    decode: DecodeConfig
    seed: int
    modality: Modality = "rgb"
    beside: tuple[Modality, ...] = ()
    limits: DecodeLimits = field(default_factory=DecodeLimits)
    views: Views | None = None

    def __post_init__(self) -> None:
        whole = [modality for modality in self.beside if MODALITIES[modality].is_whole]
        if whole:
            raise SettingsError(
                f"a {whole[0]} is a single item per recording and cannot be read with frames; use "
                "log_mel or mfcc, or read its entry"
            )

    def read(self, batch: PlannedBatch, position: int, out: Inputs) -> None:
        """Read the snippets of one recording of a batch.

        Args:
            batch: Fold, epoch and recordings.
            position: Position of the recording in the batch.
            out: (S, T, ...) arrays by modality to fill, as :meth:`allocate` makes them.

        Raises:
            DecodeError: If the recording cannot be read; names it.
            StoreError: If an entry is damaged, or a modality has no item near a frame's time.
        """
        recording = self.recordings[batch.recordings[position]]
        draw = self._draw(batch, recording)
        if recording.stored is None:
            self._decode(recording, draw, out[self.modality])
            return
        with naming(recording.recording_id):
            self._read_stored(recording, self._paths(recording, draw), draw, out)

    def _read_stored(
        self,
        recording: RatedRecording,
        stored: Mapping[Modality, Path],
        draw: Draw | None,
        out: Inputs,
    ) -> None:
        entries = {modality: Entry(stored[modality]) for modality in out}
        for modality, entry in entries.items():
            if entry.shape != out[modality].shape[2:]:
                raise StoreError(
                    f"its {modality} has items of {entry.shape}, but recording "
                    f"{self.recordings[0].recording_id} has {out[modality].shape[2:]}; use files "
                    "of the same kind for all recordings"
                )
        chosen = entries[self.modality]
        indices = self._indices(len(chosen), draw, recording)
        chosen.read(indices.ravel(), _flat(out[self.modality]))
        if self.beside:
            seconds, step = chosen.seconds[indices.ravel()], _interval(chosen)
            for modality in self.beside:
                entry = entries[modality]
                # The time of a sound window is its middle: the first one may be half a frame off.
                near = max(_interval(entry), step / 2)
                _read_at(entry, seconds, _flat(out[modality]), tolerance=near)

    def allocate(self, batch: PlannedBatch, *, pin: bool = False) -> dict[Modality, Tensor]:
        """Return uninitialised (B, S, T, ...) tensors by modality for the snippets of a batch.

        Args:
            batch: Batch with the recordings.
            pin: Whether to use page-locked memory, from which a GPU copies while it computes.
        """
        shape = (len(batch.recordings), *snippet_shape(self.snippet, training=batch.training))
        return {
            modality: torch.empty((*shape, *item), dtype=dtype, pin_memory=pin)
            for modality, (item, dtype) in self._items.items()
        }

    @cached_property
    def _items(self) -> dict[Modality, tuple[tuple[int, ...], torch.dtype]]:
        """Shape and dtype of an item of each modality; the same in all recordings."""
        stored = self.recordings[0].stored
        if stored is None:
            return {self.modality: ((self.decode.height, self.decode.width, 3), torch.uint8)}
        paths, found = self._paths(self.recordings[0], None), {}
        for modality in (self.modality, *self.beside):
            entry = Entry(paths[modality])
            found[modality] = entry.shape, torch.from_numpy(np.empty(0, entry.dtype)).dtype
        return found

    def _decode(self, recording: RatedRecording, draw: Draw | None, out: NDArray[Any]) -> None:
        from pdray.data.media.seek import read_frames, scan  # PyAV, for frames=video alone

        with naming(recording.recording_id):
            if recording.video is None:
                raise DecodeError("it has no video to decode; add one to the manifest")
            index = scan(recording.video, self.decode, self.limits, recording.part)
            indices = self._indices(len(index.seconds), draw, recording)
            wanted = indices.ravel()
            frames = read_frames(recording.video, index, wanted, self.decode, self.limits)
        _flat(out)[...] = frames

    def _indices(
        self, num_available: int, draw: Draw | None, recording: RatedRecording
    ) -> NDArray[np.int64]:
        return frame_indices(num_available, self.snippet, draw, recording_id=recording.recording_id)

    def snippet_bytes(self) -> int:
        """Return the largest size of the snippets of one recording [byte]."""
        sides = (snippet_shape(self.snippet, training=training) for training in (True, False))
        num_items = max(snippets * frames for snippets, frames in sides)
        return num_items * sum(
            math.prod(shape) * dtype.itemsize for shape, dtype in self._items.values()
        )

    def batch(self, planned: PlannedBatch, inputs: Mapping[Modality, Tensor]) -> Batch:
        """Join inputs (B, S, T, ...) with the classes of their recordings."""
        recordings = [self.recordings[i] for i in planned.recordings]
        target = torch.tensor([recording.target for recording in recordings])
        moved = self._moved(planned, recordings, inputs[self.modality].shape[1])
        return Batch(planned, inputs, self.modality, target, moved)

    def _draw(self, planned: PlannedBatch, recording: RatedRecording) -> Draw | None:
        if not planned.training:
            return None
        return Draw(self.seed, planned.fold, planned.epoch, recording.recording_id)

    def _paths(self, recording: RatedRecording, draw: Draw | None) -> Mapping[Modality, Path]:
        stored = recording.stored or {}
        if self.views is None or recording.views is None:
            return stored
        from pdray.data.batches.views import drawn_view  # for cached maps alone

        return {**stored, self.modality: recording.views[drawn_view(self.views, draw)]}

    def _moved(
        self, planned: PlannedBatch, recordings: Sequence[RatedRecording], num_snippets: int
    ) -> Moved | None:
        if self.views is None:
            return None
        from pdray.data.batches.views import drawn_view, view_moves

        names = [one.recording_id for one in recordings for _ in range(num_snippets)]
        drawn = [drawn_view(self.views, self._draw(planned, one)) for one in recordings]
        numbers = [number for number in drawn for _ in range(num_snippets)]
        return Moved(view_moves(self.views, names, numbers), self.views.size)


class BlankReader(SnippetReader):
    """Reader of random pictures, to measure a network before its frames are in the store."""

    def read(self, batch: PlannedBatch, position: int, out: Inputs) -> None:
        """Draw the pictures of one recording of a batch."""
        draw = np.random.default_rng(batch.recordings[position])
        for values in out.values():
            values[...] = np.frombuffer(draw.bytes(values.size), np.uint8).reshape(values.shape)

    @cached_property
    def _items(self) -> dict[Modality, tuple[tuple[int, ...], torch.dtype]]:
        height, width = self.decode.height, self.decode.width
        shape = (height, width, picture_spec(self.modality).num_channels)
        return {self.modality: (shape, torch.uint8)}


def read_locally(
    plan: Sequence[PlannedBatch],
    reader: SnippetReader,
    *,
    threads: int,
    stall_seconds: float,
    pin: bool = False,
) -> Generator[Batch]:
    """Read a plan in this process, one batch in advance; closing it ends the reading.

    Args:
        plan: The batches.
        reader: Reader of one recording.
        threads: Number of recordings read at once.
        stall_seconds: Longest wait for one batch.
        pin: Whether to use page-locked memory, from which a GPU copies while it computes.

    Raises:
        StreamError: If a batch does not come in time; names the missing recordings.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="snippets")

    def start(planned: PlannedBatch) -> tuple[Batch, list[Future[None]]]:
        inputs = reader.allocate(planned, pin=pin)
        views = {modality: values.numpy() for modality, values in inputs.items()}
        reads = [
            pool.submit(reader.read, planned, at, {name: view[at] for name, view in views.items()})
            for at in range(len(planned.recordings))
        ]
        return reader.batch(planned, inputs), reads

    stuck = False
    waiting: deque[tuple[Batch, list[Future[None]]]] = deque()
    try:
        for following in [*plan, None]:
            if following is not None:
                waiting.append(start(following))
            if len(waiting) <= (following is not None):
                continue  # one batch in advance
            batch, reads = waiting.popleft()
            stuck = bool(wait(reads, stall_seconds).not_done)
            if stuck:
                raise StreamError(_stalled(reader, batch, reads, stall_seconds))
            for read in reads:
                read.result()
            yield batch
    finally:
        # Waiting for a thread that hangs in a dead file system would hang this one too.
        pool.shutdown(wait=not stuck, cancel_futures=True)


def _stalled(
    reader: SnippetReader, batch: Batch, reads: Sequence[Future[None]], seconds: float
) -> str:
    pairs = zip(batch.planned.recordings, reads, strict=True)
    late = [_name(reader.recordings[index]) for index, read in pairs if not read.done()]
    return (
        f"no data for {seconds:g} s: waiting for {', '.join(late[:5])}"
        f"{f' and {len(late) - 5} more' if len(late) > 5 else ''}; check that the disk of the "
        "frame store is available, or raise stream.stall_seconds if it is slow"
    )


def _flat(out: NDArray[Any]) -> NDArray[Any]:
    """Return a view of (S, T, ...) as (S * T, ...)."""
    return out.reshape(-1, *out.shape[2:])


def _interval(entry: Entry) -> float:
    times = entry.seconds
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def _read_at(
    entry: Entry, seconds: NDArray[np.float64], out: NDArray[Any], *, tolerance: float
) -> None:
    """Read the items nearest to some times; a float modality is NaN where none is near."""
    from pdray.data.media.tracks import align

    positions = align(entry.seconds, seconds, tolerance=tolerance)
    absent = positions < 0
    if absent.any() and entry.dtype.kind != "f":
        raise StoreError(
            f"{entry.path}: has no item within {tolerance:.3f} s of the frame at "
            f"{seconds[absent][0]:.3f} s; check that both files of the recording belong together"
        )
    entry.read(np.maximum(positions, 0), out)
    if absent.any():
        out[absent] = np.nan


def _name(recording: RatedRecording) -> str:
    return f"recording {recording.recording_id}"
