"""Counts the people whom nobody could rate."""

from collections import Counter
from collections.abc import Sequence

from pdray.data.cohort.manifest import Recording


def unable_notes(recordings: Sequence[Recording], items: Sequence[str] | None) -> list[str]:
    """Count who could not be rated, by item, state and site.

    Args:
        recordings: All of a manifest.
        items: Those that are used; None is every one.

    Returns:
        One sentence; none where everybody could be rated.
    """
    asked = [one for one in recordings if items is None or one.item in items]
    unable = [one for one in asked if one.is_unable]
    if not unable:
        return []
    counts = (
        ", ".join(f"{value} {count}" for value, count in sorted(found.items()))
        for found in (
            Counter(one.item for one in unable),
            Counter(_state(one) for one in unable),
            Counter(one.site or "no site given" for one in unable),
        )
    )
    return [
        f"{len(unable)} of {len(asked)} recordings could not be rated and take no part: "
        f"{'; '.join(counts)}. Who cannot be rated is seldom mild, so scores are of milder people"
    ]


def _state(recording: Recording) -> str:
    told = [
        f"{name} {state}"
        for name, state in (
            ("medication", recording.medication_state),
            ("stimulation", recording.stimulation_state),
        )
        if state
    ]
    return " and ".join(told) or "no state given"
