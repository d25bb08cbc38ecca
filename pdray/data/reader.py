"""Snippets of recordings, read from the frame store or decoded, and joined to batches."""

from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from pdray.config import Settings
from pdray.data.decode import DecodeConfig, decode
from pdray.data.plan import PlannedBatch, RatedRecording
from pdray.data.snippet import Draw, SnippetConfig, frame_indices
from pdray.data.store import open_frames
from pdray.errors import DecodeError

Frames = NDArray[np.uint8]


class StreamConfig(Settings):
    """How snippets reach a worker."""

    reader: Literal["auto", "local", "ray"] = Field(
        "auto",
        description="local: in the worker's process; ray: through Ray Data; auto: local for one "
        "worker on a frame store, else ray",
    )
    cpus_per_task: float = Field(
        0.25, gt=0, description="CPUs that a Ray Data reading task reserves [count]"
    )

    def chosen(self, *, num_workers: int, stored: bool) -> Literal["local", "ray"]:
        """Return the reader that ``auto`` stands for."""
        if self.reader == "auto":
            return "local" if num_workers == 1 and stored else "ray"
        return self.reader


@dataclass(frozen=True)
class Batch:
    """A batch as it arrives.

    Attributes:
        planned: Fold, epoch and recordings.
        frames: (B, S, T, H, W, 3) uint8, S snippets of each recording.
        target: (B,) int64 class.
    """

    planned: PlannedBatch
    frames: torch.Tensor
    target: torch.Tensor


@dataclass(frozen=True)
class SnippetReader:
    """Reads the snippets of a recording; picklable, so that tasks can carry it.

    Attributes:
        recordings: The recordings that positions in a plan refer to.
        snippet: Which frames.
        decode: Picture size, for recordings that are not in a store.
        seed: Seed of the draws of a training snippet.
    """

    recordings: tuple[RatedRecording, ...]
    snippet: SnippetConfig
    decode: DecodeConfig
    seed: int

    def read(self, batch: PlannedBatch, position: int) -> Frames:
        """Return (S, T, H, W, 3) uint8 snippets of one recording of a batch.

        Raises:
            DecodeError: If the recording cannot be read; names it.
        """
        recording = self.recordings[batch.recordings[position]]
        draw = (
            Draw(self.seed, batch.fold, batch.epoch, recording.recording_id)
            if batch.training
            else None
        )
        if recording.stored is not None:
            stored = open_frames(recording.stored)
            return np.array(stored[self._indices(len(stored), draw, recording)])
        start, end = recording.span
        try:
            clip = decode(recording.video, self.decode, start_seconds=start, end_seconds=end)
        except DecodeError as error:
            raise DecodeError(f"recording {recording.recording_id}: {error}") from error
        return clip.frames[self._indices(len(clip.frames), draw, recording)]

    def _indices(
        self, num_available: int, draw: Draw | None, recording: RatedRecording
    ) -> NDArray[np.int64]:
        return frame_indices(num_available, self.snippet, draw, recording_id=recording.recording_id)

    def snippet_bytes(self) -> int:
        """Return the size of what :meth:`read` gives [byte]."""
        num_frames = self.snippet.num_frames * self.snippet.num_segments
        return num_frames * self.decode.height * self.decode.width * 3

    def batch(self, planned: PlannedBatch, frames: Frames) -> Batch:
        """Join frames (B, S, T, H, W, 3) with the classes of their recordings."""
        target = [self.recordings[i].target for i in planned.recordings]
        return Batch(planned, torch.from_numpy(frames), torch.tensor(target))


def read_locally(plan: Sequence[PlannedBatch], reader: SnippetReader) -> Generator[Batch]:
    """Read a plan in this process, one batch in advance; closing it ends the reading."""

    def read(planned: PlannedBatch) -> Batch:
        frames = [reader.read(planned, position) for position in range(len(planned.recordings))]
        return reader.batch(planned, np.stack(frames))

    with ThreadPoolExecutor(1, thread_name_prefix="snippets") as pool:
        ahead: Future[Batch] | None = None
        try:
            for planned in plan:
                ready, ahead = ahead, pool.submit(read, planned)
                if ready is not None:
                    yield ready.result()
            if ahead is not None:
                yield ahead.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
