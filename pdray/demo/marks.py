"""SYNTHETIC marks on the regions of drawn faces: no clinician made them.

The table is that of YouTubePD's marks (Zhou et al. 2023): a region of an ill face, a moment, how
severe from 0 to 10, how sure. Which regions can be marked follows from how a face is drawn: the
worse the grade, the less eyes, mouth and brows move, and what lies round the mouth and between the
brows moves with them; the forehead and what lies outside the eyes stay as they are. The grade's
loss of movement decides both how often a region is marked and how severe its marks are; within a
grade all else is chance, and an ill recording may have no mark at all.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pdray.data.cohort.marks import HIGHEST, Mark
from pdray.data.face.points import REGIONS
from pdray.demo.face.movement import BLINK_DEPTH, BLINKS_PER_SECOND, LIVELINESS
from pdray.demo.face.voice import PAUSE_SHARE
from pdray.demo.illness.movement import at_severity
from pdray.demo.illness.severity import DemoConfig, DemoRecording, Purpose, stream

MARKED_ITEM = "face_interview"
NOTE = "SYNTHETIC"
RATER_NOISE, REGION_NOISE = 1.0, 0.7  # standard deviations, in steps of a mark
LEAST_SURE = 5


class Seen(NamedTuple):
    """Visible movement of a region.

    Attributes:
        moves: Movement left at each grade, 0 to 5; none lost is 1.
        plainness: Chance of a mark if all of it were lost: how much of the region moves at all.
    """

    moves: Sequence[float]
    plainness: float


_BLINKS = tuple(rate * depth for rate, depth in zip(BLINKS_PER_SECOND, BLINK_DEPTH, strict=True))
_EYE = tuple(share / _BLINKS[0] for share in _BLINKS)
_MOUTH = tuple(
    left * (1 - at_severity(PAUSE_SHARE, grade)) / (1 - PAUSE_SHARE[0])
    for grade, left in enumerate(LIVELINESS)
)
# Regions that are not here never change with the grade.
SEEN = {
    "mouth": Seen(_MOUTH, 1.0),
    "between eyebrows": Seen(LIVELINESS, 0.5),
    "right above between eyebrows": Seen(LIVELINESS, 0.4),
}
for _side in ("right", "left"):
    SEEN[f"{_side} eye"] = Seen(_EYE, 1.0)
    SEEN[f"{_side} eyebrow"] = Seen(LIVELINESS, 1.0)
    SEEN[f"{_side} lip crease"] = Seen(LIVELINESS, 0.3)
    SEEN[f"{_side} nasolabial fold"] = Seen(LIVELINESS, 0.2)


def draw_marks(
    recording: DemoRecording, config: DemoConfig, *, num_frames: int
) -> tuple[Mark, ...]:
    """Draw the marks of one recording, from a stream that nothing else draws from.

    Args:
        recording: Of any item and grade.
        config: The cohort's settings.
        num_frames: Length of the recording, at least 1.

    Returns:
        At most one mark per region, of severity 1 to 10, in the order of the regions; none of a
        healthy face, of another item, and of some ill faces.
    """
    if recording.item != MARKED_ITEM or recording.grade == 0:
        return ()
    rng = stream(config, Purpose.MARKS, *recording.key)
    # Of every region, marked or not: one region's mark does not move another's.
    strict = RATER_NOISE * rng.standard_normal()
    chance, noise = rng.uniform(size=len(REGIONS)), rng.standard_normal(len(REGIONS))
    frames = rng.integers(0, num_frames, len(REGIONS))
    sure = rng.integers(LEAST_SURE, HIGHEST + 1, len(REGIONS))
    marks = []
    for region, name in enumerate(REGIONS):
        if name not in SEEN:
            continue
        lost = 1 - SEEN[name].moves[recording.grade]
        if chance[region] >= SEEN[name].plainness * lost:
            continue
        severity = round(HIGHEST * lost + strict + REGION_NOISE * noise[region])
        mark = Mark(
            recording.recording_id, region, frame=int(frames[region]), total=num_frames,
            severity=int(np.clip(severity, 1, HIGHEST)), confidence=int(sure[region]), note=NOTE,
        )  # fmt: skip
        marks.append(mark)
    return tuple(marks)
