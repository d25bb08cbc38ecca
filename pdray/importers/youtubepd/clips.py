"""Clips of the YouTubePD benchmark: labels, split and missing data.

Zhou et al. 2023, "YouTubePD" (NeurIPS 2023 Datasets and Benchmarks). A clip is labelled 0 (no sign
of Parkinson's disease) to 10; each of its six severity classes joins two labels. The authors number
a second collection, which has only negatives, from 134. So the collection of a clip says much about
its label, and every report must mention it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pdray.data.cohort.marks import Mark
from pdray.importers.youtubepd.tracks import Frames

HIGHEST_LABEL = 10
SPLITS = ("train", "test")
# Withdrawn by the authors; a list with them is from before the data were anonymised.
WITHDRAWN = frozenset({"video187", "video188", "video241"})

_NAME = re.compile(r"video(0|[1-9][0-9]{0,5})")
_SECOND_BATCH = 134  # number of its first clip


class Clip(NamedTuple):
    """One labelled clip.

    Attributes:
        name: ``video`` and its number.
        label: 0 to 10.
        split: train or test.
        place: File and row of the entry.
    """

    name: str
    label: int
    split: str
    place: str


class Lack(NamedTuple):
    """Missing or irregular data, which are never guessed.

    Attributes:
        what: Kind, by which the summary counts.
        name: Name of the clip or file; may be empty.
        detail: Number or names of the missing parts.
    """

    what: str
    name: str
    detail: str = ""


@dataclass(frozen=True)
class Content:
    """Checked content of a pack or release.

    Attributes:
        clips: By number, each once.
        landmarks: By clip; a clip without a face has no frames.
        regions: By clip.
        marks: In the order of the clips' numbers; also of clips without a label.
        lacks: Missing data of the pack or release.
    """

    clips: tuple[Clip, ...]
    landmarks: dict[str, Frames]
    regions: dict[str, Frames]
    marks: tuple[Mark, ...]
    lacks: tuple[Lack, ...]


def number_of(name: str) -> int | None:
    """Return the number of a clip; None if the name is not that of a clip."""
    match = _NAME.fullmatch(name)
    return None if match is None else int(match[1])


def severity(label: int) -> int:
    """Return the class, 0 to 5, of a label: half the label, rounded up."""
    return (label + 1) // 2


def batch(name: str) -> str:
    """Return A or B, the collection of a clip."""
    return "A" if (number_of(name) or 0) < _SECOND_BATCH else "B"


def parse_clip(name: str, label: str, split: str, place: str) -> tuple[Clip | None, list[str]]:
    """Return the clip of a row, or None and the faults of the row."""
    faults = []
    if number_of(name) is None:
        faults.append(f"{place}: clip {name!r} is wrong, expected 'video' and a number")
    if name in WITHDRAWN:
        faults.append(
            f"{place}: {name} was withdrawn by the authors; use their lists of October 2023"
        )
    if not re.fullmatch(r"[0-9]{1,4}", label) or int(label) > HIGHEST_LABEL:
        faults.append(
            f"{place}: {name}: label {label!r} is wrong, expected a whole number 0..{HIGHEST_LABEL}"
        )
    if split not in SPLITS:
        faults.append(f"{place}: {name}: split {split!r} is wrong, expected train or test")
    return (None, faults) if faults else (Clip(name, int(label), split, place), [])


def unique_clips(clips: Sequence[Clip]) -> tuple[tuple[Clip, ...], list[str], list[Lack]]:
    """Keep each clip once.

    Args:
        clips: Clips as listed.

    Returns:
        The clips by number; faults (a clip with two labels or on two sides of the split); and the
        clips that are listed several times with equal entries.
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
    """Return the sort key of a clip."""
    return number_of(clip.name) or 0
