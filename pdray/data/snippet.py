"""Which frames of a recording a network sees: indices, as a pure function of what is drawn.

Two modes. ``uniform`` spreads the frames over the whole recording (temporal self-attention,
002, feeds the whole fragment so); ``segments`` cuts the recording into equal segments and takes a
run of frames from each (segment attention, 004). Nothing here reads a pixel, so the same indices
come out on any worker, in any order, before and after a resume.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pdray.config import Settings
from pdray.errors import SettingsError

Indices = npt.NDArray[np.int64]


class SnippetConfig(Settings):
    """Which frames of a recording make one snippet."""

    mode: Literal["uniform", "segments"] = Field(
        "uniform",
        description="uniform: frames spread over the whole recording; "
        "segments: a run of frames from each of num_segments equal parts",
    )
    num_frames: int = Field(32, ge=1, description="frames in a snippet [frames]")
    num_segments: int = Field(1, ge=1, description="snippets of a recording, segments mode only")
    stride: int = Field(1, ge=1, description="frame step inside a run, segments mode only [frames]")
    short: Literal["loop", "refuse"] = Field(
        "loop",
        description="a recording with fewer frames than asked: loop repeats frames in time order "
        "(uniform: in place; segments: from the first frame again); refuse stops",
    )
    order: Literal["time", "shuffled", "one_frame"] = Field(
        "time", description="time, or a control without motion: frames shuffled, one frame repeated"
    )

    @model_validator(mode="after")
    def _segments_only(self) -> Self:
        """Refuse a setting that would have no effect."""
        if self.mode == "uniform" and (self.num_segments, self.stride) != (1, 1):
            raise ValueError(
                f"num_segments {self.num_segments} and stride {self.stride} need mode segments; "
                "in mode uniform both must be 1"
            )
        return self


@dataclass(frozen=True, slots=True)
class Draw:
    """All that a snippet depends on beside the settings and the recording's length."""

    seed: int
    fold: int
    epoch: int
    recording_id: str

    def generator(self) -> np.random.Generator:
        """Return a fresh generator, the same in every process and on every machine."""
        # Python's hash() is salted per process; a digest is not.
        name = f"{self.seed}\0{self.fold}\0{self.epoch}\0{self.recording_id}"
        digest = hashlib.sha256(name.encode()).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def frame_indices(
    num_available: int,
    config: SnippetConfig,
    draw: Draw | None,
    *,
    recording_id: str | None = None,
) -> Indices:
    """Choose the frames of one recording.

    ``uniform`` takes frame ``floor((i + u) * N / T)`` for i in 0..T-1 with one u in [0, 1) for the
    whole snippet. ``segments`` takes, in each segment, ``stride``-spaced frames from a start drawn
    so that the run lies inside the segment (or, where the segment is shorter than the run, covers
    it) and inside the recording.

    Args:
        num_available: N, frames the recording has, at least 1.
        config: The mode and its counts.
        draw: What to draw from; None is the central view (u = 0.5), used for validation and test.
        recording_id: Names the recording in an error and seeds the shuffled control when ``draw``
            is None; ignored otherwise.

    Returns:
        (S, T) int64, each in 0..N-1; S is 1 or ``num_segments``, T is ``num_frames``. With order
        ``time`` a row never decreases, except where a too short recording loops in segments mode.

    Raises:
        SettingsError: If the recording is too short and ``short`` is ``refuse``.
        ValueError: If ``num_available`` is less than 1.
    """
    if num_available < 1:
        raise ValueError(f"a recording has at least 1 frame, got {num_available}")
    name = draw.recording_id if draw is not None else recording_id
    _check_length(num_available, config, name)
    generator = draw.generator() if draw is not None else None
    shape = config.num_segments
    offsets = generator.random(shape) if generator is not None else np.full(shape, 0.5)
    if config.mode == "uniform":
        indices = _spread(num_available, config.num_frames, float(offsets[0]))
    else:
        indices = _runs(num_available, config, offsets)
    return _reorder(indices, config, generator, name)


def snippet_shape(config: SnippetConfig) -> tuple[int, int]:
    """Return (S, T): the snippets of one recording and the frames of each."""
    return (1 if config.mode == "uniform" else config.num_segments), config.num_frames


def span_frames(config: SnippetConfig) -> int:
    """Return how many frames of a recording one snippet needs to be filled without repeats."""
    if config.mode == "uniform":
        return config.num_frames
    return (config.num_frames - 1) * config.stride + 1


def _check_length(num_available: int, config: SnippetConfig, name: str | None) -> None:
    needed = span_frames(config)
    if config.short == "refuse" and num_available < needed:
        raise SettingsError(
            f"recording {name or '(not named)'}: has {num_available} frames, a snippet of "
            f"{config.num_frames} with stride {config.stride} needs {needed}; "
            "lower num_frames or stride, or set short=loop"
        )


def _spread(num_available: int, num_frames: int, offset: float) -> Indices:
    steps = np.floor((np.arange(num_frames) + offset) * (num_available / num_frames))
    # Rounding may carry the last step to N although u < 1.
    chosen: Indices = np.minimum(steps.astype(np.int64), num_available - 1)[None]
    return chosen


def _runs(num_available: int, config: SnippetConfig, offsets: npt.NDArray[np.float64]) -> Indices:
    span = span_frames(config)
    bounds = np.arange(config.num_segments + 1) * num_available // config.num_segments
    first, last = bounds[:-1], bounds[1:] - span
    if num_available < span:
        # Nothing to choose: every run meets the recording's end and loops.
        starts = first
    else:
        low = np.clip(np.minimum(first, last), 0, num_available - span)
        high = np.clip(np.maximum(first, last), 0, num_available - span)
        starts = np.minimum(low + np.floor(offsets * (high - low + 1)).astype(np.int64), high)
    steps = np.arange(config.num_frames, dtype=np.int64) * config.stride
    runs: Indices = (starts[:, None] + steps) % num_available
    return runs


def _reorder(
    indices: Indices, config: SnippetConfig, generator: np.random.Generator | None, name: str | None
) -> Indices:
    if config.order == "time":
        return indices
    if config.order == "shuffled":
        # The central view is shuffled too, always in the same way: a control in time order at
        # test would be no control.
        shuffler = generator or Draw(0, 0, 0, name or "").generator()
        return shuffler.permuted(indices, axis=1)
    middle = config.num_frames // 2
    chosen = middle if generator is None else int(generator.integers(config.num_frames))
    return np.repeat(indices[:, chosen : chosen + 1], config.num_frames, axis=1)
