"""The clips of the YouTubePD benchmark: their labels, their split, what is lacking of them.

Zhou et al. 2023, "YouTubePD" (NeurIPS 2023 Datasets and Benchmarks). A clip is labelled 0 (no sign
of Parkinson's disease) to 10; its six classes of severity join two labels each. The owners'
preparation numbers a second collection, of negatives only, from 134 up: which collection a clip is
from tells much of its label, and every report has to say so.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pdray.data.cohort.marks import Mark
from pdray.importers.youtubepd.tracks import Frames

HIGHEST_LABEL = 10
SPLITS = ("train", "test")
# Taken back by the owners, who anonymised the data; a list that names them is older than that.
WITHDRAWN = frozenset({"video187", "video188", "video241"})

_NAME = re.compile(r"video(0|[1-9][0-9]{0,5})")
_SECOND_BATCH = 134  # number of its first clip


class Clip(NamedTuple):
    """One labelled clip.

    Attributes:
        name: ``video`` and its number.
        label: 0 to 10.
        split: train or test.
        place: File and row that say so.
    """

    name: str
    label: int
    split: str
    place: str


class Lack(NamedTuple):
    """Something that is not there, or not as it should be, and that no one guesses.

    Attributes:
        what: Its kind, as the summary counts them.
        name: The clip, or a file's name; may be empty.
        detail: How much of it, or which.
    """

    what: str
    name: str
    detail: str = ""


@dataclass(frozen=True)
class Content:
    """What a layout holds, checked.

    Attributes:
        clips: By number, each once.
        landmarks: By clip; a clip without a face has no frames.
        regions: By clip.
        marks: In the order of the clips' numbers; also of clips that are not labelled.
        lacks: What the layout itself lacks.
    """

    clips: tuple[Clip, ...]
    landmarks: dict[str, Frames]
    regions: dict[str, Frames]
    marks: tuple[Mark, ...]
    lacks: tuple[Lack, ...]


def number_of(name: str) -> int | None:
    """Return the number of a clip, or None if this is no clip's name."""
    match = _NAME.fullmatch(name)
    return None if match is None else int(match[1])


def severity(label: int) -> int:
    """Return the class, 0 to 5, of a label: half of it, rounded up."""
    return (label + 1) // 2


def batch(name: str) -> str:
    """Return A or B, the collection that a clip is from."""
    return "A" if (number_of(name) or 0) < _SECOND_BATCH else "B"


def parse_clip(name: str, label: str, split: str, place: str) -> tuple[Clip | None, list[str]]:
    """Return the clip that a row names, or None and what is wrong with the row."""
    faults = []
    if number_of(name) is None:
        faults.append(f"{place}: clip {name!r} is not 'video' and a number")
    if name in WITHDRAWN:
        faults.append(
            f"{place}: {name} was withdrawn by the owners; use their lists of October 2023"
        )
    if not re.fullmatch(r"[0-9]{1,4}", label) or int(label) > HIGHEST_LABEL:
        faults.append(f"{place}: {name}: label {label!r} is not a whole number 0..{HIGHEST_LABEL}")
    if split not in SPLITS:
        faults.append(f"{place}: {name}: split {split!r} is not train or test")
    return (None, faults) if faults else (Clip(name, int(label), split, place), [])


def unique_clips(clips: Sequence[Clip]) -> tuple[tuple[Clip, ...], list[str], list[Lack]]:
    """Take each clip once.

    Args:
        clips: As listed.

    Returns:
        The clips by number; what is wrong - a clip with two labels or on two sides of the split;
        and the clips that are listed more than once and say the same each time.
    """
    first: dict[str, Clip] = {}
    faults, lacks = [], []
    for clip in clips:
        known = first.setdefault(clip.name, clip)
        if known is clip:
            continue
        if known.label != clip.label:
            faults.append(
                f"{clip.place}: {clip.name} has label {clip.label}, but {known.label} in "
                f"{known.place}"
            )
        elif known.split != clip.split:
            faults.append(
                f"{clip.place}: {clip.name} is in {clip.split}, but in {known.split} in "
                f"{known.place}"
            )
        else:
            lacks.append(Lack("listed twice, taken once", clip.name))
    return tuple(sorted(first.values(), key=by_number)), faults, lacks


def by_number(clip: Clip) -> int:
    """Return what clips are sorted by."""
    return number_of(clip.name) or 0
