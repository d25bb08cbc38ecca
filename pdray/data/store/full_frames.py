"""Points of a track on the frames of its recording, and these frames in the size they have."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pdray.data.cohort.manifest import Recording
from pdray.data.media.decode import content_box, decode_frames, full_size
from pdray.data.media.findings import Findings
from pdray.data.media.picture import Pixels
from pdray.data.media.seek import scan
from pdray.data.media.timeline import TICK_SLACK_SECONDS
from pdray.data.media.tracks import Track, fit_to_frames
from pdray.data.store.settings import Recipe

Seconds = npt.NDArray[np.float64]


class FullFrames(NamedTuple):
    """The N frames of a recording's span in the size they are recorded in, and points on them.

    Attributes:
        frames: (seconds, (H, W, 3) uint8 RGB) in display order. Whether the recording is whole is
            known when the last one has come.
        points: (N, P, 2) float32 x, y in pixels of the frame, NaN where absent.
        size: Width W and height H [px].
        findings: Filled while the frames come.
        seconds: (N,) their times, which are known before they come [s].
    """

    frames: Iterator[tuple[float, Pixels]]
    points: npt.NDArray[np.float32]
    size: tuple[int, int]
    findings: Findings
    seconds: Seconds


def read_full_frames(
    recording: Recording, track: Track, recipe: Recipe, findings: Findings | None = None
) -> FullFrames:
    """Open a recording's video in its full size, with square pixels.

    Args:
        recording: A row with a video.
        track: Points of the whole recording.
        recipe: Settings; only height and width of ``decode`` do not matter.
        findings: To fill; None: new ones.

    Raises:
        DecodeError: As :func:`points_on_frames`; while the frames come, as ``decode_frames``.
    """
    assert recording.video is not None, "whoever asks has looked"
    found = Findings() if findings is None else findings
    width, height = full_size(recording.video, recipe.limits, recording.part)
    # A copy is not checked: a recording may be larger than the frames that a study may ask for.
    decode = recipe.decode.model_copy(update={"height": height, "width": width})
    full = recipe.model_copy(update={"decode": decode})
    seconds, points = points_on_frames(recording, track, full)
    frames = decode_frames(recording.video, decode, recipe.limits, recording.part, findings=found)
    return FullFrames(frames, points, (width, height), found, seconds)


def points_on_frames(
    recording: Recording, track: Track, recipe: Recipe
) -> tuple[Seconds, npt.NDArray[np.float32]]:
    """Place a track on the frames of its recording, as they are drawn.

    Args:
        recording: A row with a video.
        track: Points of the whole recording.
        recipe: Settings.

    Returns:
        (N,) times of the frames [s] and (N, P, 2) x, y in pixels of the frames, NaN where absent.

    Raises:
        DecodeError: If the video cannot be read, or the track is of another recording.
    """
    video = recording.video
    assert video is not None, "whoever asks has looked"
    index = scan(video, recipe.decode, recipe.limits, recording.part)
    box = content_box(video, recipe.decode, recipe.limits, recording.part)
    shown = _shown_seconds(video, index.seconds, recording, recipe)
    return index.seconds, fit_to_frames(track, shown, box)


def _shown_seconds(video: Path, seconds: Seconds, recording: Recording, recipe: Recipe) -> Seconds:
    """Return the recorded time of the frame at each time of a resampled recording."""
    if recipe.decode.frame_rate is None:
        return seconds
    recorded = recipe.decode.model_copy(update={"frame_rate": None})
    # Scanned from the beginning: the first frame of a span may start before the span.
    limits = recipe.limits.model_copy(update={"max_seconds": math.inf})
    own = scan(video, recorded, limits, recording.part._replace(start_seconds=None)).seconds
    return own[np.searchsorted(own, seconds + TICK_SLACK_SECONDS, side="right") - 1]
