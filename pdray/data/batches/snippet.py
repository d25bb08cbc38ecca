"""Chooses the frames of a recording that form snippets.

There are two modes. ``uniform`` spreads the frames over the whole recording, as temporal
self-attention (TSA) does; ``segments`` cuts the recording into equal segments and takes a run of
frames from each (the motion boundary paper). In evaluation the same mode is used, or ``dense``
views: short runs spread evenly over the recording, whose scores are averaged (the motion boundary
paper tests with 64 runs of 16 consecutive frames). The choice depends only on the settings, the
seed and the length, so it is the same on any worker, in any order, before and after a resume.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pdray.errors import SettingsError

if TYPE_CHECKING:  # an exported model has this file, and no pydantic
    from pdray.data.batches.settings import SnippetConfig

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Draw:
    """Key of the random draw of a training snippet."""

    seed: int
    fold: int
    epoch: int
    recording_id: str

    def generator(self) -> np.random.Generator:
        """Return a new generator, the same in every process and on every machine."""
        # Python's hash() differs between processes; a digest does not.
        name = f"{self.seed}\0{self.fold}\0{self.epoch}\0{self.recording_id}"
        digest = hashlib.sha256(name.encode()).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def frame_indices(
    num_available: int,
    config: "SnippetConfig",
    draw: Draw | None,
    *,
    recording_id: str | None = None,
) -> Indices:
    """Choose the frames of one recording.

    ``uniform`` takes frame ``floor((i + u) * N / T)`` for i in 0..T-1 with one u in [0, 1) for the
    whole snippet. ``segments`` takes a run of ``stride``-spaced frames in each segment. Its start
    is drawn so that the run lies inside the segment (or covers it, if the segment is shorter) and
    inside the recording.

    Dense views are ``stride``-spaced runs too. With R the last possible start and V views, view i
    starts at ``i * R / (V - 1)``, rounded half up: the first view starts at frame 0, the last one
    ends at frame N-1. A single view is the middle one. If the recording is shorter than a view, all
    V views are the same looping run.

    Args:
        num_available: Frames N of the recording, at least 1.
        config: Settings.
        draw: Key of the random draw, in training. None in evaluation: dense views if ``views`` is
            dense, else the central view (u = 0.5).
        recording_id: Name of the recording in errors, and seed of the shuffled control if ``draw``
            is None; ignored otherwise.

    Returns:
        (S, T) int64 in 0..N-1, of :func:`snippet_shape`. With order ``time`` a row never
        decreases, unless a run loops in a too short recording.

    Raises:
        SettingsError: If the recording is too short and ``short`` is ``refuse``.
        ValueError: If ``num_available`` is less than 1.
    """
    if num_available < 1:
        raise ValueError(f"a recording needs at least 1 frame, got {num_available}")
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


def snippet_shape(config: "SnippetConfig", training: bool = True) -> tuple[int, int]:
    """Return (S, T): the snippets per recording and the frames per snippet.

    Args:
        config: Settings.
        training: Whether the recording is used for training; else for evaluation.
    """
    if _are_dense(config, training):
        return config.num_views, config.view_frames or config.num_frames
    return (1 if config.mode == "uniform" else config.num_segments), config.num_frames


def span_frames(config: "SnippetConfig", training: bool = True) -> int:
    """Return the number of frames that one snippet needs without repeats."""
    num_frames = snippet_shape(config, training)[1]
    if config.mode == "uniform" and not _are_dense(config, training):
        return num_frames
    return (num_frames - 1) * config.stride + 1


def _are_dense(config: "SnippetConfig", training: bool) -> bool:
    return config.views == "dense" and not training


def _check_length(
    num_available: int, config: "SnippetConfig", name: str | None, *, training: bool
) -> None:
    needed = span_frames(config, training)
    if config.short == "refuse" and num_available < needed:
        shorter = "view_frames" if _are_dense(config, training) else "num_frames"
        raise SettingsError(
            f"recording {name or '(not named)'}: has {num_available} frames, but a snippet of "
            f"{snippet_shape(config, training)[1]} with stride {config.stride} needs {needed}; "
            f"lower snippet.{shorter} or snippet.stride, or set snippet.short=loop"
        )


def _dense_views(num_available: int, config: "SnippetConfig") -> Indices:
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
    # Rounding may give N for the last step although u < 1.
    chosen: Indices = np.minimum(steps.astype(np.int64), num_available - 1)[None]
    return chosen


def _runs(num_available: int, config: "SnippetConfig", offsets: npt.NDArray[np.float64]) -> Indices:
    span = span_frames(config)
    bounds = np.arange(config.num_segments + 1) * num_available // config.num_segments
    first, last = bounds[:-1], bounds[1:] - span
    if num_available < span:
        # The recording is too short for a choice: every run reaches its end and loops.
        starts = first
    else:
        low = np.clip(np.minimum(first, last), 0, num_available - span)
        high = np.clip(np.maximum(first, last), 0, num_available - span)
        starts = np.minimum(low + np.floor(offsets * (high - low + 1)).astype(np.int64), high)
    steps = np.arange(config.num_frames, dtype=np.int64) * config.stride
    runs: Indices = (starts[:, None] + steps) % num_available
    return runs


def _reorder(
    indices: Indices,
    config: "SnippetConfig",
    generator: np.random.Generator | None,
    name: str | None,
) -> Indices:
    if config.order == "time":
        return indices
    if config.order == "shuffled":
        # The central view is shuffled too, always in the same way: a control must not be in time
        # order in evaluation.
        shuffler = generator or Draw(0, 0, 0, name or "").generator()
        return shuffler.permuted(indices, axis=1)
    num_frames = indices.shape[1]
    chosen = num_frames // 2 if generator is None else int(generator.integers(num_frames))
    return np.repeat(indices[:, chosen : chosen + 1], num_frames, axis=1)
