"""Reads the clinician's marks of YouTubePD: facial region, moment and severity of a sign.

The frame of a mark counts on another timeline than the processed clip (a mark at frame 84 of 84,
where the clip has 140), so only its share of the total gives the moment. Some marks name no region
or all of them; they are kept unchanged, with a note.
"""

import re

from pdray.data.cohort.marks import HIGHEST, Mark
from pdray.data.face.points import REGIONS

_MOMENT = re.compile(r"([0-9]{1,9})\s*/\s*([0-9]{1,9})")
_WHOLE = re.compile(r"[0-9]{1,9}")


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
