"""Checks that the files of intensities of a study belong together, and are of new people."""

from collections.abc import Sequence

from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.spelling import look_alike_form
from pdray.data.face.intensities import SHARED, Intensities, read_intensities, text_digest
from pdray.errors import DecodeError, refuse

_LONGEST = 60  # letters of a value in a message
_MEASURE = "measure them with jobs/extract_intensities.py"


def check_intensities(recordings: Sequence[Recording]) -> None:
    """Refuse files that are not of one network, and people that this network learnt from.

    Args:
        recordings: Visits; those without a file of intensities are not looked at.

    Raises:
        DecodeError: If a file cannot be read, has other items, phrases, frames, weights or tau than
            the first, or is of a person that the network learnt from, by id or by the content of a
            file; lists every such visit.
    """
    faults: list[str] = []
    first: tuple[str, Intensities] | None = None
    for one in recordings:
        if one.intensities is None:
            continue
        named = f"recording {one.recording_id}: "
        try:
            found = read_intensities(one.intensities)
        except DecodeError as error:
            faults.append(f"{named}{error}")
            continue
        first = first or (one.recording_id, found)
        faults += [named + fault for fault in _others(found, *first)]
        if told := _is_learnt(one, found):
            faults.append(
                f"{named}the network that measured it learnt from {told}; remove the row, or use a "
                f"network that did not: {_MEASURE}"
            )
    refuse(faults, DecodeError, "intensities")


def _others(found: Intensities, name: str, first: Intensities) -> list[str]:
    """Return in what a file differs from the first one, which is of another visit."""
    pairs = {field: (getattr(found, field), getattr(first, field)) for field in SHARED}
    return [
        f"its {field} {_shown(mine)} differ from {_shown(other)} of recording {name}; all visits "
        f"of a study need the same network: {_MEASURE}"
        for field, (mine, other) in pairs.items()
        if mine != other
    ]


def _is_learnt(recording: Recording, found: Intensities) -> str:
    """Return what the network learnt from that is of this visit; empty if nothing is known."""
    if not set(found.contents).isdisjoint(found.learnt_contents):
        return "a file of this visit"
    digest = text_digest(look_alike_form(recording.subject_id))
    if not found.other_people and digest in found.learnt_subjects:
        return f"subject {recording.subject_id}"
    return ""


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
