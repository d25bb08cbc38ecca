"""Chooses whose recordings a set may be learnt from and made of: by side, class and consent."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pdray.data.cohort.made_sets import CHANGE, LEARN, SHOW
from pdray.data.cohort.manifest import Recording, grade_class
from pdray.errors import ManifestError, refuse
from pdray.models.networks.translator_settings import FEWEST_SUBJECTS
from pdray.synthesis.methods import Example


@dataclass(frozen=True)
class People:
    """What one set is made of.

    Attributes:
        learnt: Recordings to learn from; empty for a method that learns nothing.
        sources: Recordings of class 0 to change.
        may_show: Subjects of whom a changed recording may be shown outside the study.
    """

    learnt: tuple[Example, ...]
    sources: tuple[Recording, ...]
    may_show: frozenset[str] = frozenset()


def consenting(recordings: Sequence[Recording], word: str) -> frozenset[str]:
    """Return the subjects who agreed to something in every row of theirs.

    Args:
        recordings: All real rows of the manifest.
        word: "learn", "change" or "show".
    """
    refused = {
        one.subject_id for one in recordings if word not in (one.consent_synthesis or "").split()
    }
    return frozenset(one.subject_id for one in recordings) - refused


def choose_people(
    listed: Sequence[Recording],
    usable: Sequence[Recording],
    sides: dict[str, frozenset[str]],
    cuts: Sequence[int],
    *,
    learns: bool,
) -> dict[str, People]:
    """Return what each set is made of.

    Args:
        listed: All real rows of the manifest, whose consent counts.
        usable: Those that a study would use, with grades.
        sides: Subjects of each training side.
        cuts: First grade of each class but the lowest.
        learns: Whether the method learns from others.

    Raises:
        ManifestError: If nobody agreed, or a side has fewer than 5 subjects of a class to learn
            from or no healthy one to change; with every fault.
    """
    may_change, may_learn, may_show = (consenting(listed, word) for word in (CHANGE, LEARN, SHOW))
    asked = {"change": may_change} | ({"learn": may_learn} if learns else {})
    total = len({one.subject_id for one in usable})
    people = {one.subject_id for one in usable}
    refuse(
        [
            f"none of {total} subjects agreed to {word!r}"
            for word, who in asked.items()
            if not who & people
        ],
        ManifestError,
        "nothing can be made: write what each person agreed to (learn change show) into "
        "consent_synthesis, in all rows of that person; an empty cell is no consent",
    )
    examples = [
        Example(one, grade_class(one.grade, cuts)) for one in usable if one.grade is not None
    ]
    found, faults = {}, []
    for name, side in sides.items():
        learnt = [one for one in examples if one.recording.subject_id in side & may_learn]
        sources = tuple(
            recording
            for recording, target in examples
            if not target and recording.subject_id in side & may_change
        )
        if learns:
            faults += [f"set {name}: {text}" for text in _too_few(learnt, len(cuts) + 1)]
        if not sources:
            faults.append(f"set {name}: no subject of class 0 agreed to 'change'")
        found[name] = People(tuple(learnt) if learns else (), sources, may_show)
    headline = (
        f"a method learns from at least {FEWEST_SUBJECTS} training subjects of each class; use "
        "fewer folds or classes, ask more people, or take a method that learns nothing"
    )
    refuse(faults, ManifestError, headline)
    return found


def _too_few(learnt: Sequence[Example], num_classes: int) -> list[str]:
    people = {(one.target, one.recording.subject_id) for one in learnt}
    counts = Counter(target for target, _ in people)
    return [
        f"{counts[number]} subjects of class {number} agreed to 'learn'"
        for number in range(num_classes)
        if counts[number] < FEWEST_SUBJECTS
    ]
