"""Lengths of recordings, from the frame store or from headers of videos, without decoding."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from pdray.data.cohort.manifest import Recording
from pdray.data.store.entry import Entry
from pdray.data.store.forecast import declared_span
from pdray.data.store.frame_store import FrameStore
from pdray.errors import DecodeError, StoreError

_READERS = 8  # threads that open files; they mostly wait for the disk


class Length(NamedTuple):
    """Length of one recording.

    Attributes:
        seconds: Length of its span [s]; None if unknown.
        frames: Recorded frames of its span; None if unknown.
        lack: Reason why one is None; empty if both are known.
    """

    seconds: float | None
    frames: int | None
    lack: str = ""


def lengths(recordings: Sequence[Recording], store: FrameStore) -> dict[str, Length]:
    """Return the length of each recording by its id.

    The frame store has the exact number of frames; from a header it is estimated by the length of
    the span. A resampled store (``decode.frame_rate``) does not have the recorded frames and is not
    used. Without a video the seconds are those of the manifest's span, if it has start and end.
    """
    uses_store = store.recipe.decode.frame_rate is None and store.root.is_dir()

    def length(recording: Recording) -> Length:
        stored = _stored(recording, store) if uses_store else None
        return stored or _declared(recording)

    with ThreadPoolExecutor(_READERS) as pool:
        found = list(pool.map(length, recordings))
    return {one.recording_id: length for one, length in zip(recordings, found, strict=True)}


def _stored(recording: Recording, store: FrameStore) -> Length | None:
    """Return the length of an entry of pictures; None without one, or with a single frame."""
    if not store.is_known(recording, ("rgb",)):
        return None
    try:
        times = Entry(store.entry(recording, "rgb")).seconds
    except (DecodeError, StoreError):
        return None
    if len(times) < 2:
        return None
    # The last frame lasts as long as the others do on average.
    step = (times[-1] - times[0]) / (len(times) - 1)
    return Length(float(step * len(times)), len(times))


def _declared(recording: Recording) -> Length:
    seconds, frames = declared_span(recording)
    if seconds and frames:
        return Length(seconds, frames)
    start, end = recording.start_seconds, recording.end_seconds
    span = None if start is None or end is None else end - start
    return Length(seconds or span, frames or None, _lack(recording))


def _lack(recording: Recording) -> str:
    if recording.video is None:
        return "the manifest names no video"
    if not recording.video.is_file():
        return "the video file is missing"
    return "the header of the video cannot be read or does not give the length"
