"""The clinician's marks of YouTubePD: which region of the face showed the disease, when, how much.

A mark's frame counts on another timeline than the processed clip (a mark at frame 84 of 84 where
the clip has 140): only its share of the total says when. Some marks name no region or all of them;
they are kept as they are, with a note.
"""

import csv
import io
import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from pdray.data.face_points import REGIONS

HIGHEST = 10  # of a mark and of a confidence
COLUMNS = ("recording_id", "in_manifest", "region_index", "region", "mark_0_10", "grade_0_5",
           "confidence_0_10", "frame", "total_frames", "time_ratio", "repeated",
           "note")  # fmt: skip

_MOMENT = re.compile(r"([0-9]{1,9})\s*/\s*([0-9]{1,9})")
_WHOLE = re.compile(r"[0-9]{1,9}")
_ALL = "all_regions"


class Mark(NamedTuple):
    """One mark; None where it does not say.

    Attributes:
        clip: Name of the clip.
        region: 0 to 13, the place in :data:`pdray.data.face_points.REGIONS`.
        frame: Of the annotator's timeline, 0 to ``total``.
        total: Frames of that timeline, at least 1.
        severity: 0 to 10.
        confidence: 0 to 10.
        note: What is odd about it; may be empty.
    """

    clip: str
    region: int | None
    frame: int | None
    total: int | None
    severity: int | None
    confidence: int | None
    note: str = ""


def parse_mark(clip: str, text: str) -> Mark:
    """Read a mark as the release writes it: ``frame/total, region, severity, confidence``.

    Args:
        clip: Name of the clip.
        text: Not blank.

    Returns:
        The mark. What cannot be told apart for certain stays None, and the note then holds the
        text; a text of three fields has a total and a region only.
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
    """Say what is wrong with a mark; ``place`` is its file and row."""
    faults = []
    where = f"{place}: {mark.clip}"
    if mark.region is not None and not 0 <= mark.region < len(REGIONS):
        faults.append(f"{where}: region {mark.region} is not 0..{len(REGIONS) - 1}")
    if mark.total is not None and mark.total < 1:
        faults.append(f"{where}: a total of {mark.total} frames")
    elif mark.frame is not None and mark.total is not None and not 0 <= mark.frame <= mark.total:
        faults.append(f"{where}: frame {mark.frame} is not within its total of {mark.total}")
    for name, value in (("severity", mark.severity), ("confidence", mark.confidence)):
        if value is not None and not 0 <= value <= HIGHEST:
            faults.append(f"{where}: {name} {value} is not 0..{HIGHEST}")
    return faults


def is_whole(mark: Mark) -> bool:
    """Return whether a mark says region, moment, severity and confidence."""
    return None not in mark[:-1]


def marks_text(marks: Iterable[Mark], recordings: Collection[str]) -> str:
    """Return the table of marks.

    Args:
        marks: In the order to write.
        recordings: Those of the manifest; marks of others are flagged.

    Returns:
        CSV with the columns :data:`COLUMNS`. ``repeated`` flags a mark that says the same as one
        above it; ``time_ratio`` is the frame's share of the total, 0 to 1.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    seen = set()
    for mark in marks:
        said = mark[:-1]
        region = "" if mark.region is None else REGIONS[mark.region]
        writer.writerow(
            [
                mark.clip,
                int(mark.clip in recordings),
                mark.region,
                region,
                mark.severity,
                None if mark.severity is None else (mark.severity + 1) // 2,
                mark.confidence,
                mark.frame,
                mark.total,
                _share(mark),
                int(said in seen),
                mark.note,
            ]
        )
        seen.add(said)
    return table.getvalue()


def _share(mark: Mark) -> str:
    if mark.frame is None or mark.total is None:
        return ""
    return f"{mark.frame / mark.total:.6f}"
