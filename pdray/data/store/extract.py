"""Makes the modalities of a recording: pictures, motion, sound, tracks and numbers.

Each modality is a series of items in time. In all of them second 0 is the first frame of the video
stream, so that modalities are joined by their times alone.
"""

import itertools
import math
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pdray.data.cohort.manifest import Recording
from pdray.data.media.findings import Findings
from pdray.data.media.settings import DEFAULT_LIMITS
from pdray.data.modalities import MODALITIES, PICTURES, SOUND, TRACKS, Modality, in_order, is_table
from pdray.data.store.codec import Item
from pdray.data.store.settings import Recipe
from pdray.errors import DecodeError

if TYPE_CHECKING:
    from pdray.data.media.tracks import Track
    from pdray.data.store.full_frames import FullFrames


class Piece(NamedTuple):
    """One item of one modality.

    Attributes:
        modality: Name of the modality.
        seconds: Time of the item: of flow and boundaries the first frame of their pair, of spectra
            the middle of their window, of a waveform its first sample.
        item: rgb and portraits (H, W, 3) uint8; flow and boundaries (H, W, 2) uint8 codes of
            ``flow.py``; waveform (N,) int16, the only item of its entry; log_mel (M,) and mfcc (C,)
            float32; landmarks and regions (P, 2) float32 in pixels of the picture, NaN where
            absent. For a recording without a video these are the rows of the track, in its own
            pixels. intensities (P,) float64, NaN where a video of the visit is absent; their time
            is the place of that video. features (D,) float64 at second 0, NaN where absent.
        names: Of the numbers of an item; empty where they need none.
    """

    modality: Modality
    seconds: float
    item: Item
    names: tuple[str, ...] = ()


def sources(recording: Recording, modality: Modality) -> tuple[Path, ...]:
    """Return the files that a modality of a recording is made from.

    Raises:
        DecodeError: If the manifest's row names no such file; without the recording's id.
    """
    needs = MODALITIES[modality].needs
    file: Path | None = recording.given(needs)
    if file is None and needs == "sound":
        raise DecodeError(
            f"its row has no audio and no video, so there is no {modality}; add one to the manifest"
        )
    if file is None:
        raise DecodeError(f"its row has no {needs}; add it to the manifest")
    if placed_by := MODALITIES[modality].placed_by:
        return sources(recording, placed_by)
    video = recording.video if modality in TRACKS else None
    return (file,) if video is None else (video, file)


def available(
    recording: Recording,
    modalities: Sequence[Modality],
    needed: Collection[Modality],
    *,
    max_pixels: int = DEFAULT_LIMITS.max_pixels,
) -> tuple[Modality, ...]:
    """Return the modalities to make for a recording: needed ones, and others with files.

    A video without an audio stream gives no sound. An audio file that a row names must have sound.

    Args:
        recording: A row.
        modalities: All wanted modalities.
        needed: Modalities that it must have, whatever its row names.
        max_pixels: Limit of a frame of its video.
    """
    is_silent: bool | None = None
    found: list[Modality] = []
    for modality in modalities:
        if modality not in needed:
            try:
                files = sources(recording, modality)
            except DecodeError:
                continue
            if modality in SOUND and recording.audio is None:
                if is_silent is None:
                    is_silent = _is_silent(files[0], max_pixels)
                if is_silent:
                    continue
        found.append(modality)
    return tuple(found)


def _is_silent(video: Path, max_pixels: int) -> bool:
    """Return whether a video has no audio stream; False if it cannot be opened."""
    import av

    from pdray.data.media.source import open_file

    try:
        with open_file(video, max_pixels) as file:
            return not file.streams.audio
    except (av.FFmpegError, OSError):
        return False


def passes(modalities: Iterable[Modality]) -> list[list[Modality]]:
    """Return the pictures among modalities, those together that one decoding of a file makes."""
    found: dict[tuple[str, str | None], list[Modality]] = {}
    for one in in_order(modalities):
        if one in PICTURES:
            spec = MODALITIES[one]
            found.setdefault((spec.needs, spec.placed_by), []).append(one)
    return list(found.values())


def extract(
    recording: Recording,
    wanted: Collection[Modality],
    recipe: Recipe,
    findings: Mapping[Modality, Findings] | None = None,
) -> Generator[Piece]:
    """Make the items of some modalities of a recording, decoding each file as often as it must.

    The items are valid only if the iterator ends without an error.

    Args:
        recording: A row with the files that :func:`sources` returns.
        wanted: Modalities to make.
        recipe: Settings.
        findings: For each modality of pictures, to be filled with what making it finds; one of
            each of :func:`passes` is enough. None: nobody asks.

    Yields:
        Items; those of one modality in the order of time.

    Raises:
        DecodeError: If a file cannot be read whole; without the recording's id.
        SettingsError: If a required library is not installed.
    """
    chosen = in_order(wanted)
    for together in passes(chosen):
        found = next((findings[one] for one in together if findings and one in findings), None)
        if MODALITIES[together[0]].placed_by:
            yield from _placed(recording, together, recipe, found)
        else:
            yield from _pictures(recording, together, recipe, found)
    if sound := [one for one in chosen if one in SOUND]:
        yield from _sound(recording, sound, recipe)
    for modality in chosen:
        if modality in TRACKS:
            yield from _track(recording, modality, recipe)
        elif MODALITIES[modality].kind == "numbers":
            yield from _numbers(recording, modality, recipe)


def _pictures(
    recording: Recording,
    wanted: Sequence[Modality],
    recipe: Recipe,
    findings: Findings | None,
) -> Generator[Piece]:
    (video,) = sources(recording, wanted[0])
    from pdray.data.media.decode import decode_frames  # PyAV, for those that decode

    frames = decode_frames(
        video,
        recipe.decode,
        recipe.limits,
        recording.part,
        findings=findings,
    )
    made = _branches(frames, {one: MODALITIES[one].steps for one in wanted}, recipe)
    # One item of each in turn, so that no branch buffers items for another.
    for row in itertools.zip_longest(*(made[modality] for modality in wanted)):
        for modality, item in zip(wanted, row, strict=True):
            if item is not None:
                yield Piece(modality, *item)


def _placed(
    recording: Recording,
    wanted: Sequence[Modality],
    recipe: Recipe,
    findings: Findings | None,
) -> Generator[Piece]:
    for modality in wanted:
        made: Any = placed_frames(recording, modality, recipe, findings)
        for place in MODALITIES[modality].steps:
            made = _step(place, made, modality, recipe)
        for seconds, item in made:
            yield Piece(modality, seconds, item)


def placed_frames(
    recording: Recording, modality: Modality, recipe: Recipe, findings: Findings | None = None
) -> "FullFrames":
    """Open what pictures that are placed by a track are made of.

    Args:
        recording: A row with the files that :func:`sources` returns.
        modality: Such pictures, as ``portraits``.
        recipe: Settings.
        findings: To be filled; None: new ones.

    Returns:
        Full frames, and the track's points on them.

    Raises:
        DecodeError: If a file cannot be read; without the recording's id.
    """
    from pdray.data.store.full_frames import read_full_frames

    placed_by = MODALITIES[modality].placed_by
    assert placed_by is not None, "asked of such pictures only"
    return read_full_frames(recording, _read(recording, placed_by, recipe), recipe, findings)


def _branches(
    source: Iterable[Any], steps: Mapping[Modality, tuple[str, ...]], recipe: Recipe
) -> dict[Modality, Iterable[Any]]:
    """Run a source through the steps of each modality; first steps that are shared run once."""
    groups: dict[str, dict[Modality, tuple[str, ...]]] = {}
    for modality, (first, *left) in ((one, names) for one, names in steps.items() if names):
        groups.setdefault(first, {})[modality] = tuple(left)
    whole = [modality for modality, names in steps.items() if not names]
    copies = iter(itertools.tee(source, len(whole) + len(groups)))
    made: dict[Modality, Iterable[Any]] = {modality: next(copies) for modality in whole}
    for first, group in groups.items():
        made |= _branches(_step(first, next(copies), next(iter(group)), recipe), group, recipe)
    return made


def _step(place: str, source: Any, modality: Modality, recipe: Recipe) -> Any:
    return resolve_name(place)(source, recipe.section(modality))


def _sound(recording: Recording, wanted: Sequence[Modality], recipe: Recipe) -> Generator[Piece]:
    (source,) = sources(recording, wanted[0])
    from pdray.data.media.audio import read_waveform

    waveform = read_waveform(
        source,
        max_seconds=recipe.limits.max_seconds,
        max_pixels=recipe.limits.max_pixels,
        start_seconds=recording.start_seconds,
        end_seconds=recording.end_seconds,
    )
    for modality in wanted:
        made: Any = waveform
        for place in MODALITIES[modality].steps:
            made = _step(place, made, modality, recipe)
        whole = np.array([waveform.seconds]), [waveform.samples]
        times, items = whole if made is waveform else made
        for seconds, item in zip(times.tolist(), items, strict=True):
            yield Piece(modality, seconds, item)


def _numbers(recording: Recording, modality: Modality, recipe: Recipe) -> Generator[Piece]:
    made: Any = sources(recording, modality)[-1]
    if is_table(modality):
        made = made, recording.recording_id
    for place in MODALITIES[modality].steps:
        made = _step(place, made, modality, recipe)
    for item in made:
        yield Piece(modality, *item)


def _track(recording: Recording, modality: Modality, recipe: Recipe) -> Generator[Piece]:
    track = _read(recording, modality, recipe)
    start, end = recording.start_seconds, recording.end_seconds
    if recording.video is None:
        yield from _own_rows(track, modality, start or 0.0, math.inf if end is None else end)
        return
    from pdray.data.store.full_frames import points_on_frames

    times, points = points_on_frames(recording, track, recipe)
    for seconds, item in zip(times.tolist(), points, strict=True):
        yield Piece(modality, seconds, item)


def _read(recording: Recording, modality: Modality, recipe: Recipe) -> "Track":
    """Return the whole track of a recording, in its own pixels."""
    from pdray.data.media.tracks import read_track

    track = read_track(sources(recording, modality)[-1])
    for place in MODALITIES[modality].steps:
        track = _step(place, track, modality, recipe)
    return track


def _own_rows(track: "Track", modality: Modality, start: float, end: float) -> Generator[Piece]:
    """Yield the rows of a track without a video, unchanged."""
    rows = zip(track.seconds.tolist(), track.points.astype(np.float32), strict=True)
    shown = [(seconds, item) for seconds, item in rows if start <= seconds < end]
    if not shown:
        raise DecodeError(
            f"its {modality} file has no row between {start:g} and {end:g} s; correct "
            "start_seconds and end_seconds in the manifest"
        )
    for seconds, item in shown:
        yield Piece(modality, seconds, item)
