"""The frames of a recording that a network sees: indices, a pure function of what is drawn.

Two modes. ``uniform`` spreads the frames over the whole recording (temporal self-attention,
TSA, feeds the whole fragment so); ``segments`` cuts the recording into equal segments and takes a
run of frames from each (the motion boundary paper). An evaluated recording is seen in the same way,
or in ``dense`` views: short runs at even distances over all of it, whose scores are averaged (the
motion boundary paper tests with 64 runs of 16 consecutive frames). Nothing here reads a pixel, so
the same indices come out on any worker, in any order, before and after a resume.
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


# Defaults of the dense views, those of the motion boundary paper; other values are refused where no
# view is dense.
_NUM_VIEWS, _VIEW_FRAMES = 64, 16


class SnippetConfig(Settings):
    """Which frames of a recording make one snippet."""

    mode: Literal["uniform", "segments"] = Field(
        "uniform",
        description="uniform: frames spread over the whole recording; "
        "segments: a run of frames from each of num_segments equal parts",
    )
    num_frames: int = Field(
        32, ge=1, description="frames in a snippet; 1 to 64 in the papers [frames]"
    )
    num_segments: int = Field(1, ge=1, description="snippets of a recording, segments mode only")
    stride: int = Field(
        1, ge=1, description="frame step inside a run, segments mode and dense views only [frames]"
    )
    views: Literal["same", "dense"] = Field(
        "same",
        description="how an evaluated recording is seen; same: the central snippets of mode; "
        "dense: num_views runs at even distances over all of it",
    )
    num_views: int = Field(_NUM_VIEWS, ge=1, description="runs of an evaluated recording, if dense")
    view_frames: int | None = Field(
        _VIEW_FRAMES, ge=1, description="frames in such a run; null: as num_frames [frames]"
    )
    short: Literal["loop", "refuse"] = Field(
        "loop",
        description="a recording with fewer frames than asked: loop repeats frames in time order "
        "(uniform: in place; segments: from the first frame again); refuse stops",
    )
    order: Literal["time", "shuffled", "one_frame"] = Field(
        "time", description="time, or a control without motion: frames shuffled, one frame repeated"
    )

    @model_validator(mode="after")
    def _no_idle_setting(self) -> Self:
        """Refuse a setting that would have no effect."""
        dense = self.views == "dense"
        if self.mode == "uniform" and dense and self.num_segments != 1:
            raise ValueError(
                f"num_segments {self.num_segments} needs mode segments; in mode uniform it must "
                "be 1"
            )
        if self.mode == "uniform" and not dense and (self.num_segments, self.stride) != (1, 1):
            raise ValueError(
                f"num_segments {self.num_segments} and stride {self.stride} need mode segments; "
                "in mode uniform both must be 1"
            )
        if not dense and (self.num_views, self.view_frames) != (_NUM_VIEWS, _VIEW_FRAMES):
            raise ValueError(
                f"num_views {self.num_views} and view_frames {self.view_frames} need views dense; "
                f"with views same leave them at {_NUM_VIEWS} and {_VIEW_FRAMES}"
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

    Dense views are ``stride``-spaced runs too. With R the last possible start and V views, view i
    starts at ``i * R / (V - 1)``, rounded half up: the first at frame 0, the last so that it ends
    at frame N-1, neighbours equally far apart within one frame. A single view is the middle one. A
    recording shorter than a view gives the same looping run V times.

    Args:
        num_available: N, frames the recording has, at least 1.
        config: The mode and its counts.
        draw: What to draw from, in training. None is an evaluated recording: dense views where
            ``views`` says so, else the central view (u = 0.5).
        recording_id: Names the recording in an error and seeds the shuffled control when ``draw``
            is None; ignored otherwise.

    Returns:
        (S, T) int64, each in 0..N-1, of :func:`snippet_shape`. With order ``time`` a row never
        decreases, except where a run loops in a too short recording.

    Raises:
        SettingsError: If the recording is too short and ``short`` is ``refuse``.
        ValueError: If ``num_available`` is less than 1.
    """
    if num_available < 1:
        raise ValueError(f"a recording has at least 1 frame, got {num_available}")
    name = draw.recording_id if draw is not None else recording_id
    training = draw is not None
    _check_length(num_available, config, name, training=training)
    generator = draw.generator() if draw is not None else None
    shape = config.num_segments
    offsets = generator.random(shape) if generator is not None else np.full(shape, 0.5)
    if _are_dense(config, training):
        indices = _dense_views(num_available, config)
    elif config.mode == "uniform":
        indices = _spread(num_available, config.num_frames, float(offsets[0]))
    else:
        indices = _runs(num_available, config, offsets)
    return _reorder(indices, config, generator, name)


def snippet_shape(config: SnippetConfig, training: bool = True) -> tuple[int, int]:
    """Return (S, T): the snippets of one recording and the frames of each.

    Args:
        config: Settings.
        training: Of a recording that is learnt from; else of one that is evaluated.
    """
    if _are_dense(config, training):
        return config.num_views, config.view_frames or config.num_frames
    return (1 if config.mode == "uniform" else config.num_segments), config.num_frames


def span_frames(config: SnippetConfig, training: bool = True) -> int:
    """Return how many frames of a recording one snippet needs to be filled without repeats."""
    num_frames = snippet_shape(config, training)[1]
    if config.mode == "uniform" and not _are_dense(config, training):
        return num_frames
    return (num_frames - 1) * config.stride + 1


def _are_dense(config: SnippetConfig, training: bool) -> bool:
    return config.views == "dense" and not training


def _check_length(
    num_available: int, config: SnippetConfig, name: str | None, *, training: bool
) -> None:
    needed = span_frames(config, training)
    if config.short == "refuse" and num_available < needed:
        shorter = "view_frames" if _are_dense(config, training) else "num_frames"
        raise SettingsError(
            f"recording {name or '(not named)'}: has {num_available} frames, a snippet of "
            f"{snippet_shape(config, training)[1]} with stride {config.stride} needs {needed}; "
            f"lower {shorter} or stride, or set short=loop"
        )


def _dense_views(num_available: int, config: SnippetConfig) -> Indices:
    num_views, num_frames = snippet_shape(config, training=False)
    last = max(num_available - span_frames(config, training=False), 0)
    views = np.arange(num_views)
    gaps = num_views - 1
    starts = (2 * views * last + gaps) // (2 * gaps) if gaps else views + last // 2
    steps = np.arange(num_frames, dtype=np.int64) * config.stride
    chosen: Indices = (starts[:, None] + steps) % num_available
    return chosen


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
    num_frames = indices.shape[1]
    chosen = num_frames // 2 if generator is None else int(generator.integers(num_frames))
    return np.repeat(indices[:, chosen : chosen + 1], num_frames, axis=1)
