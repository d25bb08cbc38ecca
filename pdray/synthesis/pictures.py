"""Makes videos of people whose faces a translator has changed, frame by frame.

Each frame's portrait is cut out and translated, and what has changed is added to the frame with a
soft edge (:mod:`pdray.data.face.portraits`). Nothing is drawn at random, so that the same frame
gives the same picture. A frame without a portrait stays as it is, and is counted. The landmarks of
a made recording are those of its source: points were not looked for again in the made pictures.
Letters: N frames, S height and width of a portrait.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pdray.data.cohort.manifest import Recording
from pdray.data.face.points import LANDMARKS
from pdray.data.face.portraits import (
    LACKS,
    Alignment,
    Floats,
    align_portraits,
    paste_change,
    take_portrait,
)
from pdray.data.media.marked import write_marked_video
from pdray.data.media.picture import Pixels
from pdray.data.media.tracks import Track, write_track
from pdray.data.store.extract import placed_frames
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.full_frames import FullFrames
from pdray.data.store.settings import Recipe
from pdray.errors import DecodeError
from pdray.evaluation.translation import Flicker
from pdray.predict.translators import finish, translate
from pdray.synthesis.methods import Edit, Faces, Written
from pdray.training.translators.method import Method

SAMPLE = 8  # portraits of a made recording that are compared with other people's
_AT_ONCE = 16  # frames
_LEAST_SHARE = 0.5  # of a source's frames, which must have a portrait
_COARSE = 1.2  # times as large as the portrait, from which a change is said to be coarse


def place(source: Recording, recipe: Recipe, size: int) -> tuple[FullFrames, Alignment]:
    """Open the frames of a recording in their full size and rate, and place their portraits.

    Args:
        source: With a video and landmarks.
        recipe: Settings of the decoder.
        size: Height and width of a portrait [px].

    Raises:
        DecodeError: If a file cannot be read; without the recording's id.
    """
    decode = recipe.decode.model_copy(update={"frame_rate": None})
    full = placed_frames(source, "portraits", recipe.model_copy(update={"decode": decode}))
    return full, align_portraits(full.points, picture=full.size, size=size)


def picture_faults(source: Recording, recipe: Recipe, size: int) -> list[str]:
    """Return why a translator cannot change a recording; empty if it can.

    Args:
        source: With a video and landmarks.
        recipe: Settings of the decoder.
        size: Height and width of the translator's pictures [px].
    """
    name = f"recording {source.recording_id}"
    try:
        full, places = place(source, recipe, size)
    except DecodeError as error:
        return [f"{name}: {error}"]
    if len(full.seconds) < 2:
        return [f"{name}: one frame is no video"]
    num_without = int((places.lack > 0).sum())
    if num_without > (1 - _LEAST_SHARE) * len(places.lack):
        reasons = Counter(LACKS[one] for one in places.lack if one)
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        return [f"{name}: {num_without} of {len(places.lack)} frames have no portrait: {told}"]
    side = float(np.median(_sides(places.matrix[places.lack == 0], size)))
    if side < size:
        return [
            f"{name}: its face fills a square of {side:.0f} px (median), smaller than the "
            f"network's pictures of {size} px"
        ]
    return []


def _sides(matrix: Floats, size: int) -> Floats:
    """Return the (N,) sides of the squares that are cut out of the frames [px]."""
    sides: Floats = np.linalg.norm(matrix[:, :, 0], axis=1) * size
    return sides


@dataclass
class Sources:
    """What was found in the sources of all sets so far, by the recording.

    Attributes:
        num_frames: Frames.
        without: Those without a portrait, by the reason.
        times: Median side of the face's square over that of the network's pictures.
    """

    num_frames: dict[str, int] = field(default_factory=dict)
    without: dict[str, Counter[str]] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)

    def add(self, source: Recording, places: Alignment, size: int) -> None:
        """Take in a source."""
        name, there = source.recording_id, places.lack == 0
        self.num_frames[name] = len(there)
        self.without[name] = Counter(LACKS[one] for one in places.lack if one)
        self.times[name] = float(np.median(_sides(places.matrix[there], size))) / size

    def notes(self) -> list[str]:
        """Return what must be known of what is made of them, in lines."""
        found = []
        without = sum(self.without.values(), Counter[str]())
        if without:
            told = ", ".join(f"{count} {reason}" for reason, count in without.items())
            found.append(
                f"{without.total()} of {sum(self.num_frames.values())} frames have no portrait and "
                f"are those of the source ({told})."
            )
        times = float(np.median([*self.times.values()])) if self.times else 1.0
        if times >= _COARSE:
            found.append(
                f"Faces in the videos are {times:.1f} times as large as the network's pictures "
                "(median), so that changes are coarser than the video, and a classifier may tell "
                "made faces by that; train with a larger portraits.size."
            )
        return found


@dataclass
class PictureEditor:
    """Makes videos and landmarks of faces that a translator changes.

    Attributes:
        method: The translator, with trained weights.
        size: Height and width of its pictures [px].
        store: Where portraits of its study are; its settings decode the sources.
        learnt_subjects, learnt_contents, weights, study, seed, told: As
            :class:`~pdray.synthesis.methods.Editor`.
        found: Shared by the editors of all sets.
    """

    method: Method
    size: int
    store: FrameStore
    learnt_subjects: Sequence[str]
    learnt_contents: Sequence[str]
    weights: str
    study: str
    seed: int
    told: Sequence[str]
    found: Sources

    def write(self, edit: Edit, stem: Path) -> Written:
        """Write a video and its landmarks; see :meth:`pdray.synthesis.methods.Editor.write`.

        The video of strength 1, which is to be learnt from, has no loss; others have a small one.
        """
        full, places = place(edit.source, self.store.recipe, self.size)
        self.found.add(edit.source, places, self.size)
        video, track = (stem.with_name(f"{stem.name}{suffix}") for suffix in (".mp4", ".npz"))
        changed = _Changed(full, places, self, edit)
        is_row = edit.strength == 1
        crop = write_marked_video(
            video, changed.frames(), full.seconds.tolist(), edit.mark, lossless=is_row
        )
        width, height = full.size
        points = Track(
            points=full.points,
            seconds=full.seconds - full.seconds[0],
            size=(float(width), float(height)),
            names=LANDMARKS,
            made=edit.text,
        )
        write_track(track, points)
        return Written(
            {"video": video, "landmarks": track},
            changed.flicker.value,
            # The file begins at the first frame of the source's span.
            {"crop": crop, "start_seconds": "", "end_seconds": ""},
            Faces(*map(np.stack, changed.sample)) if is_row else None,
            num_unchanged=int((places.lack > 0).sum()),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be known of the made recordings; complete when all are made."""
        points = (
            "The landmarks of a made recording are those of its source: points were not looked for "
            "again."
        )
        mixed = (
            "The method makes one edit only: at strengths between 0 and 1 the pictures mix the "
            "source and that edit pixel by pixel, and show both."
        )
        return (points, *[mixed] * self.method.blends, *self.found.notes())


class _Changed:
    """Frames of a recording that are being changed, and what is found on the way."""

    def __init__(
        self, full: FullFrames, places: Alignment, editor: PictureEditor, edit: Edit
    ) -> None:
        self._full, self._places, self._editor, self._edit = full, places, editor, edit
        there = np.flatnonzero(places.lack == 0)
        chosen = np.linspace(0, len(there) - 1, min(SAMPLE, len(there))).round().astype(np.int64)
        self._sampled = frozenset(there[chosen].tolist())
        self.flicker = Flicker()
        self.sample: tuple[list[Pixels], list[Pixels]] = [], []

    def frames(self) -> Iterator[Pixels]:
        """Yield the made frames in their order."""
        frames, first = (frame for _, frame in self._full.frames), 0
        while some := [*islice(frames, _AT_ONCE)]:
            matrix = self._places.matrix[first : first + len(some)]
            is_there = self._places.lack[first : first + len(some)] == 0
            yield from self._put_back(some, matrix, is_there, first)
            first += len(some)

    def _put_back(
        self, frames: Sequence[Pixels], matrix: Floats, is_there: NDArray[np.bool_], first: int
    ) -> Iterator[Pixels]:
        editor, edit = self._editor, self._edit
        sources = {
            n: take_portrait(frames[n], matrix[n], editor.size)
            for n in np.flatnonzero(is_there).tolist()
        }
        made: dict[int, Pixels] = {}
        if sources:
            portraits = np.stack([*sources.values()])
            changed = translate(editor.method, portraits, edit.target_class, strength=edit.strength)
            made = dict(zip(sources, finish(editor.method, changed, portraits), strict=True))
        for n, frame in enumerate(frames):
            if n not in made:
                self.flicker.skip()
                yield frame
                continue
            self.flicker.add(made[n], sources[n])
            if first + n in self._sampled:
                self.sample[0].append(made[n])
                self.sample[1].append(sources[n])
            yield paste_change(frame, made[n], sources[n], matrix[n])
