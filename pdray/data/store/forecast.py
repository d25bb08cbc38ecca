"""Forecast of the space and CPU time that the frame store needs."""

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pdray.data.cohort.manifest import Recording
from pdray.data.modalities import PICTURES, Modality, picture_spec
from pdray.data.store.codec import encode
from pdray.data.store.extract import extract, passes
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe, picture_size
from pdray.errors import DecodeError, StoreError

_SAMPLED = 3  # recordings
_PIECES = 6  # items per recording, all modalities together
_ROUGHLY = 0.8  # the forecast is rough: what exceeds the free space by less than a quarter may fit


@dataclass(frozen=True)
class Forecast:
    """Estimate from the headers of all videos and a few frames of a few of them.

    Attributes:
        num_recordings: All recordings.
        num_missing: Recordings without an entry for these settings and files.
        seconds: Length of all recordings [s], as far as their headers give it.
        num_bytes: Size of the missing entries of pictures [byte].
        cpu_seconds: CPU time to make them [s of one CPU].
    """

    num_recordings: int
    num_missing: int
    seconds: float
    num_bytes: int
    cpu_seconds: float


def forecast(
    recordings: Sequence[Recording], store: FrameStore, modalities: Sequence[Modality]
) -> Forecast:
    """Estimate the work of :func:`pdray.data.store.prepare.prepare_store`.

    Sound and tracks are left out, since they are small.
    """
    with ThreadPoolExecutor(8) as pool:
        lengths = dict(zip(recordings, pool.map(declared_span, recordings), strict=True))
    missing = [one for one in recordings if not store.is_known(one, modalities)]
    wanted = [modality for modality in modalities if modality in PICTURES]
    step = max(1, len(missing) // _SAMPLED)
    sampled = [_sample(one, wanted, store.recipe) for one in missing[::step][:_SAMPLED] if wanted]
    num_frames = sum(
        lengths[one][0] * store.recipe.decode.frame_rate
        if store.recipe.decode.frame_rate
        else lengths[one][1]
        for one in missing
    )
    read = [sample for sample in sampled if sample is not None]
    if not read and missing and wanted:  # no sample could be read: assume the size of raw
        recipe, most = store.recipe, 0
        for one in wanted:
            height, width = picture_size(one, recipe.decode, recipe.portraits)
            most += height * width * picture_spec(one).num_channels
        read = [(most, 0.0)]
    num_bytes, cpu_seconds = (
        num_frames * sum(sample[which] for sample in read) / max(len(read), 1) for which in (0, 1)
    )
    return Forecast(
        num_recordings=len(recordings),
        num_missing=len(missing),
        seconds=sum(seconds for seconds, _ in lengths.values()),
        num_bytes=round(num_bytes),
        cpu_seconds=cpu_seconds,
    )


def check_room(expected: Forecast, root: Path) -> None:
    """Refuse a store that will not fit, before hours are spent on it.

    Raises:
        StoreError: If the free space is clearly too small; says what is needed and what helps.
    """
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if expected.num_bytes * _ROUGHLY > free:
        raise StoreError(
            f"the frame store {root} needs about {expected.num_bytes / 1e9:.1f} GB, but only "
            f"{free / 1e9:.1f} GB are free; choose another output, set store.codec=jpeg (measured "
            "15 to 17 times smaller than raw), or lower decode.height and decode.width"
        )


def declared_span(recording: Recording) -> tuple[float, int]:
    """Return the seconds and frames of a recording's span; 0 if the header does not give them."""
    if recording.video is None:
        return 0.0, 0
    from pdray.data.media.decode import declared_length

    seconds, frames = declared_length(recording.video)
    start, end = recording.start_seconds or 0.0, recording.end_seconds or seconds
    part = max(0.0, min(end, seconds) - start) / seconds if seconds else 0.0
    return seconds * part, round(frames * part)


def _sample(
    recording: Recording, wanted: Sequence[Modality], recipe: Recipe
) -> tuple[float, float] | None:
    """Return bytes and CPU seconds per frame of the first items; None if it cannot be read."""
    found = [_sample_pass(recording, together, recipe) for together in passes(wanted)]
    read = [one for one in found if one is not None]
    if len(read) < len(found):
        return None
    return sum(size for size, _ in read), sum(seconds for _, seconds in read)


def _sample_pass(
    recording: Recording, wanted: Sequence[Modality], recipe: Recipe
) -> tuple[float, float] | None:
    started = time.process_time()
    sizes: list[int] = []
    with closing(extract(recording, wanted, recipe)) as pieces:
        try:
            for piece in islice(pieces, _PIECES):
                data = encode(piece.item, recipe.codec(piece.modality))
                sizes.append(memoryview(data).nbytes)
                if len(sizes) <= len(wanted) < _PIECES:
                    started = time.process_time()  # without the time to reach the span
        except DecodeError:
            return None
    frames = max(1.0, len(sizes) / len(wanted))
    timed = max(1.0, (len(sizes) - len(wanted)) / len(wanted))
    return sum(sizes) / frames, (time.process_time() - started) / timed
