"""Labels of recordings: their grade, or whether their subject is ill (``data.target``).

A study learns a class of the grade. Where the diagnosis is the target, it stands in the place of
the grade from the moment that the manifest is read: 0 is healthy and 1 ill, with the cut 1 between
them, whatever the item. These are no grades of a scale, where 1 is slight.
"""

from collections.abc import Sequence
from dataclasses import replace

from pdray.data.cohort.manifest import Manifest, Recording
from pdray.data.cohort.settings import Target
from pdray.errors import ManifestError


def with_labels(recordings: Sequence[Recording], target: Target) -> tuple[Recording, ...]:
    """Return recordings whose grade is their label.

    Args:
        recordings: Of a manifest.
        target: ``grade`` leaves them as they are. ``diagnosis`` gives 0 to the healthy and 1 to
            everybody with another diagnosis, whether they were rated or not, and no grade to those
            without one; the grades of raters are left out.
    """
    if target == "grade":
        return tuple(recordings)
    return tuple(
        replace(one, grade=_is_ill(one), raters=(), grade_status=None) for one in recordings
    )


def labelled(manifest: Manifest, target: Target) -> Manifest:
    """Return a manifest with the labels of its recordings, and a note on what they are."""
    if target == "grade":
        return manifest
    recordings = with_labels(manifest.recordings, target)
    made = tuple(
        replace(one, recording=with_labels([one.recording], target)[0]) for one in manifest.made
    )
    notes = (*manifest.notes, _told(recordings))
    return replace(manifest, recordings=recordings, made=made, notes=notes)


def check_diagnoses(recordings: Sequence[Recording]) -> None:
    """Refuse a study of the diagnosis whose subjects are all ill or all healthy.

    Raises:
        ManifestError: Says what there is, and how the others are written.
    """
    found = {one.grade for one in recordings}
    if len(found) == 2:
        return
    from pdray.data.cohort.people import HEALTHY  # few studies learn the diagnosis

    kind = "healthy" if found == {0} else "ill"
    words = ", ".join(sorted({str(one.diagnosis) for one in recordings}))
    raise ManifestError(
        f"data.target=diagnosis: all {len(recordings)} recordings are of {kind} subjects (column "
        f"diagnosis: {words}); add the others (healthy is one of: {', '.join(sorted(HEALTHY))}; "
        "any other word is ill), or set data.target=grade"
    )


def check_grades(recordings: Sequence[Recording]) -> None:
    """Refuse grades that say who is ill: 0 of each healthy person and 1 of each ill one.

    Raises:
        ManifestError: Counts both and says what to write.
    """
    grades = [one.grade for one in recordings]
    if set(grades) == {0, 1} and grades == [_is_ill(one) for one in recordings]:
        raise ManifestError(
            f"data.target=grade: the {grades.count(0)} recordings of healthy people have grade 0 "
            f"and the {grades.count(1)} of ill people grade 1, which is slight on the scale of "
            "MDS-UPDRS, not ill; to learn who is ill, set data.target=diagnosis and leave the "
            "grades empty"
        )


def _is_ill(recording: Recording) -> int | None:
    if recording.diagnosis is None:
        return None
    from pdray.data.cohort.people import HEALTHY
    from pdray.data.cohort.spelling import normal_form

    return int(normal_form(recording.diagnosis) not in HEALTHY)


def _told(recordings: Sequence[Recording]) -> str:
    words = [
        ", ".join(sorted({str(one.diagnosis) for one in recordings if one.grade == label}))
        or "none"
        for label in (0, 1)
    ]
    return (
        f"the classes are those of the diagnosis: healthy ({words[0]}) and ill ({words[1]}); "
        "grades are not used"
    )
