"""What can be taken from a recording, and how: pictures, motion, sound and tracks.

Every modality is a run of items along time. Second 0 is the first frame of the video stream in
all of them, so that modalities are brought together by time and by nothing else.
"""

import itertools
import math
from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pdray.data.cohort.manifest import Recording
from pdray.data.face.points import LANDMARKS
from pdray.data.face.shape import landmark_points
from pdray.data.media.audio import log_mel, mfcc, read_waveform
from pdray.data.media.decode import content_box, decode_frames
from pdray.data.media.flow import motion, motion_boundaries, quantise
from pdray.data.media.seek import scan
from pdray.data.media.timeline import TICK_SLACK_SECONDS
from pdray.data.media.tracks import Track, fit_to_frames, read_track
from pdray.data.modalities import PICTURES, SOUND, TRACKS, Modality
from pdray.data.store.codec import Item
from pdray.data.store.settings import Recipe
from pdray.errors import DecodeError


class Piece(NamedTuple):
    """One item of one modality.

    Attributes:
        modality: Which.
        seconds: Its time. Flow and boundaries stand at the first frame of their pair, spectra at
            the middle of their window, a waveform at its first sample.
        item: rgb (H, W, 3) uint8; flow and boundaries (H, W, 2) uint8 codes of ``flow.py``;
            waveform (N,) int16, the only item of its entry; log_mel (M,) and mfcc (C,) float32;
            landmarks and regions (P, 2) float32 in pixels of the picture, NaN where absent; of a
            recording without a video those of the track's own rows, in its own pixels.
    """

    modality: Modality
    seconds: float
    item: Item


def sources(recording: Recording, modality: Modality) -> tuple[Path, ...]:
    """Return the files that a modality of a recording is made of.

    Raises:
        DecodeError: If the manifest's row lacks one; without the recording's id.
    """
    if modality in SOUND:
        if recording.sound is None:
            raise DecodeError(f"its row names no audio and no video, so it has no {modality}")
        return (recording.sound,)
    if modality in TRACKS:
        file = _track_file(recording, modality)
        return (file,) if recording.video is None else (recording.video, file)
    if recording.video is None:
        raise DecodeError("its row names no video")
    return (recording.video,)


def extract(recording: Recording, wanted: Collection[Modality], recipe: Recipe) -> Generator[Piece]:
    """Make the items of some modalities of a recording, each file decoded once.

    What has been yielded counts only when the iterator ends without an error.

    Args:
        recording: A row with the files that :func:`sources` names.
        wanted: What to make.
        recipe: Settings.

    Yields:
        Items; those of one modality in the order of time.

    Raises:
        DecodeError: If a file cannot be read whole; without the recording's id.
        SettingsError: If a library that is needed is not installed.
    """
    if set(PICTURES) & set(wanted):
        yield from _pictures(recording, wanted, recipe)
    if set(SOUND) & set(wanted):
        yield from _sound(recording, wanted, recipe)
    for modality in TRACKS:
        if modality in wanted:
            yield from _track(recording, modality, recipe)


def _pictures(
    recording: Recording, wanted: Collection[Modality], recipe: Recipe
) -> Generator[Piece]:
    (video,) = sources(recording, "rgb")
    start, end = recording.start_seconds, recording.end_seconds
    frames: Iterable[tuple[float, Item]] = decode_frames(
        video, recipe.decode, recipe.limits, start_seconds=start, end_seconds=end
    )
    if not {"flow", "boundaries"} & set(wanted):
        yield from (Piece("rgb", seconds, pixels) for seconds, pixels in frames)
        return
    shown, paired = itertools.tee(frames)
    for frame, field in itertools.zip_longest(shown, motion(paired, recipe.flow)):
        if "rgb" in wanted:
            yield Piece("rgb", *frame)
        if field is None:
            continue
        seconds, flow = field
        if "flow" in wanted:
            yield Piece("flow", seconds, quantise(flow, recipe.flow.bound))
        if "boundaries" in wanted:
            codes = quantise(motion_boundaries(flow), recipe.flow.boundary_bound)
            yield Piece("boundaries", seconds, codes)


def _sound(recording: Recording, wanted: Collection[Modality], recipe: Recipe) -> Generator[Piece]:
    (source,) = sources(recording, "waveform")
    waveform = read_waveform(
        source,
        max_seconds=recipe.limits.max_seconds,
        max_pixels=recipe.limits.max_pixels,
        start_seconds=recording.start_seconds,
        end_seconds=recording.end_seconds,
    )
    if "waveform" in wanted:
        yield Piece("waveform", waveform.seconds, waveform.samples)
    spectra: Sequence[tuple[Modality, Any]] = (("log_mel", log_mel), ("mfcc", mfcc))
    for modality, make in spectra:
        if modality in wanted:
            times, values = make(waveform, recipe.audio)
            for seconds, value in zip(times.tolist(), values, strict=True):
                yield Piece(modality, seconds, value)


def _track(recording: Recording, modality: Modality, recipe: Recipe) -> Generator[Piece]:
    track = read_track(_track_file(recording, modality))
    if (track.vertices is None) == (modality == "regions"):
        has = "no" if track.vertices is None else "an"
        raise DecodeError(f"its {modality} file has {has} array 'vertices', which makes regions")
    if modality == "landmarks":
        # An entry holds no names: what reads it takes the points by their place.
        points = landmark_points(track).astype(np.float32)
        track = replace(track, points=points, names=LANDMARKS)
        if np.isnan(track.points).all():
            raise DecodeError("its landmarks file has no face in any row; leave its cell empty")
    video, start, end = recording.video, recording.start_seconds, recording.end_seconds
    if video is None:
        yield from _own_rows(track, modality, start or 0.0, math.inf if end is None else end)
        return
    index = scan(video, recipe.decode, recipe.limits, start_seconds=start, end_seconds=end)
    box = content_box(video, recipe.decode, recipe.limits)
    points = fit_to_frames(track, _shown_seconds(video, index.seconds, recording, recipe), box)
    for seconds, item in zip(index.seconds.tolist(), points, strict=True):
        yield Piece(modality, seconds, item)


def _own_rows(track: Track, modality: Modality, start: float, end: float) -> Generator[Piece]:
    """Take a track that stands alone as it is: there are no frames to bring it to."""
    rows = zip(track.seconds.tolist(), track.points.astype(np.float32), strict=True)
    shown = [(seconds, item) for seconds, item in rows if start <= seconds < end]
    if not shown:
        raise DecodeError(f"its {modality} file has no row between {start:g} and {end:g} s")
    for seconds, item in shown:
        yield Piece(modality, seconds, item)


def _shown_seconds(
    video: Path, seconds: npt.NDArray[np.float64], recording: Recording, recipe: Recipe
) -> npt.NDArray[np.float64]:
    """Return the own time of the frame that is shown at each time of a resampled recording."""
    if recipe.decode.frame_rate is None:
        return seconds
    recorded = recipe.decode.model_copy(update={"frame_rate": None})
    # From the beginning, since the first frame of a span may have come before it.
    limits = recipe.limits.model_copy(update={"max_seconds": math.inf})
    own = scan(video, recorded, limits, end_seconds=recording.end_seconds).seconds
    return own[np.searchsorted(own, seconds + TICK_SLACK_SECONDS, side="right") - 1]


def _track_file(recording: Recording, modality: Modality) -> Path:
    file = recording.landmarks if modality == "landmarks" else recording.regions
    if file is None:
        raise DecodeError(f"its row names no {modality}")
    return file
