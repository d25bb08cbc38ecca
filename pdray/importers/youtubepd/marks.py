"""Reads the clinician's marks of YouTubePD: facial region, moment and severity of a sign.

The frame of a mark counts on another timeline than the processed clip (a mark at frame 84 of 84,
where the clip has 140), so only its share of the total gives the moment. Some marks name no region
or all of them; they are kept unchanged, with a note.
"""

import re
from collections.abc import Iterator, Sequence

from pdray.data.cohort.marks import HIGHEST, Mark
from pdray.data.face.points import REGIONS
from pdray.importers.youtubepd.clips import Clip, Lack

_MOMENT = re.compile(r"([0-9]{1,9})\s*/\s*([0-9]{1,9})")
_WHOLE = re.compile(r"[0-9]{1,9}")
_FAR = 5  # from the label, both of 0 to 10, to the mean severity of the marks


def parse_mark(clip: str, text: str) -> Mark:
    """Read a mark as the release writes it: ``frame/total, region, severity, confidence``.

    Args:
        clip: Name of the clip.
        text: Not blank.

    Returns:
        The mark. Uncertain fields are None, and the note then holds the text; a text with three
        fields gives only a total and a region.
    """
    fields = [field.strip() for field in text.split(",")]
    moment = _MOMENT.fullmatch(fields[0])
    named = fields[1] if len(fields) > 1 else ""
    region = int(named) if _WHOLE.fullmatch(named) else None
    total = None if moment is None else int(moment[2])
    if len(fields) == 4 and moment and all(_WHOLE.fullmatch(field) for field in fields[2:]):
        note = "" if region is not None else f"incomplete: {text.strip()!a}"
        return Mark(clip, region, int(moment[1]), total, int(fields[2]), int(fields[3]), note)
    return Mark(clip, region, None, total, None, None, f"incomplete: {text.strip()!a}")


def mark_faults(mark: Mark, place: str) -> list[str]:
    """List the faults of a mark; ``place`` is its file and row."""
    faults = []
    where = f"{place}: {mark.clip}"
    if mark.region is not None and not 0 <= mark.region < len(REGIONS):
        faults.append(f"{where}: region {mark.region} is outside 0..{len(REGIONS) - 1}")
    if mark.total is not None and mark.total < 1:
        faults.append(f"{where}: total of {mark.total} frames, expected at least 1")
    elif mark.frame is not None and mark.total is not None and not 0 <= mark.frame <= mark.total:
        faults.append(f"{where}: frame {mark.frame} is outside its total of {mark.total}")
    for name, value in (("severity", mark.severity), ("confidence", mark.confidence)):
        if value is not None and not 0 <= value <= HIGHEST:
            faults.append(f"{where}: {name} {value} is outside 0..{HIGHEST}")
    return faults


def is_whole(mark: Mark) -> bool:
    """Return whether a mark has region, moment, severity and confidence."""
    return None not in mark[:-1]


def mark_lacks(marks: Sequence[Mark], clips: Sequence[Clip]) -> Iterator[Lack]:
    """List marks that are irregular, and labels that the marks contradict."""
    of_clip: dict[str, list[Mark]] = {}
    for mark in marks:
        of_clip.setdefault(mark.clip, []).append(mark)
        if not is_whole(mark):
            yield Lack("marks incomplete", mark.clip, mark.note)
    for clip in clips:
        if clip.name in of_clip:
            yield from _contradictions(clip.name, clip.label, of_clip.pop(clip.name))
        elif clip.label and marks:
            yield Lack("labels above 0 without a mark", clip.name, f"label {clip.label}")
    for name, found in of_clip.items():
        yield Lack("marks without a label", name, str(len(found)))


def _contradictions(name: str, label: int, marks: Sequence[Mark]) -> Iterator[Lack]:
    told = [mark.severity for mark in marks if mark.severity is not None]
    mean = sum(told) / len(told) if told else label
    if abs(mean - label) > _FAR:
        words = f"label {label}, mean of {len(told)} marks {mean:.1f}"
        yield Lack("labels far from the marks", name, words)
    totals = sorted({mark.total for mark in marks if mark.total is not None})
    if len(totals) > 1:
        yield Lack("marks count frames in two ways", name, " and ".join(map(str, totals)))
