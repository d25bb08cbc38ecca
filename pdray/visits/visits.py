"""Patient visits, which the patient-level tables of TSA classify.

A visit is one examination of a person: a subject and a ``visit_id``. Its score is the manifest's
``visit_score``, or the sum of its grades over every (item, side) that the cohort grades. Missing is
not zero: a visit that lacks more grades than allowed has no score. Otherwise missing grades are
filled by proportion (the sum times all grades divided by those present), as Goetz et al. 2015 (Mov
Disord 30:1632) examine for the MDS-UPDRS. Left and right are graded and counted separately; two
recordings of the same (item, side) count as their mean.

The levels are slight, moderate and severe. The cuts give each level a third of the *training*
visits (TSA, section IV-B; its 23 and 40 are such cuts). A score on a cut belongs to the lower
level, as there. With two classes, the moderate visits are left out, by the same cuts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pdray.data.cohort.manifest import Recording
from pdray.errors import ManifestError, StudyError, refuse
from pdray.visits.settings import LevelsConfig

LEVELS = ("slight", "moderate", "severe")
MODERATE = 1
_SHOWN = 5
_SHARED = ("medication_state", "stimulation_state", "site", "sex")


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit with a score.

    Attributes:
        subject_id: Subject.
        visit_id: Visit of the subject.
        score: Severity; any finite number, higher is worse.
        recordings: Ids of its recordings by item, without items that have none.
        facts: Medication and stimulation state, site and sex, where all its recordings have the
            same.
    """

    subject_id: str
    visit_id: str
    score: float
    recordings: Mapping[str, tuple[str, ...]]
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Unique name of the visit in a manifest."""
        return f"{self.subject_id}/{self.visit_id}"


def make_visits(
    recordings: Sequence[Recording], config: LevelsConfig
) -> tuple[tuple[Visit, ...], list[str]]:
    """Join recordings to visits and score them.

    Args:
        recordings: Recordings of the chosen items.
        config: Settings of the score.

    Returns:
        The visits with a score, sorted by name, and one sentence for each kind of recording or
        visit that is left out.

    Raises:
        ManifestError: If two recordings of a visit have different visit scores, or no visit has a
            score.
    """
    by_visit: dict[tuple[str, str], list[Recording]] = {}
    without_visit = [one.recording_id for one in recordings if one.visit_id is None]
    for one in recordings:
        if one.visit_id is not None:
            by_visit.setdefault((one.subject_id, one.visit_id), []).append(one)
    scores = _given(by_visit) if config.score == "visit_score" else _summed(by_visit, config)
    notes = left_out("recordings without a visit_id", without_visit)
    without = ["/".join(key) for key in sorted(by_visit.keys() - scores.keys())]
    if not scores:
        raise ManifestError(_no_score(config, len(by_visit)))
    reason = "visits without a visit_score"
    if config.score == "grades":
        reason = f"visits with more than {config.max_missing} missing grades"
    notes += left_out(reason, without)
    visits = [
        Visit(
            *key,
            score=scores[key],
            recordings=_by_item(by_visit[key]),
            facts=_shared(by_visit[key]),
        )
        for key in sorted(scores)
    ]
    return tuple(visits), notes


def _shared(members: Sequence[Recording]) -> dict[str, str]:
    """Return the facts in which the recordings of a visit agree."""
    kinds = {name: {getattr(one, name) for one in members} for name in _SHARED}
    return {name: min(kind) for name, kind in kinds.items() if len(kind) == 1 and None not in kind}


def level_cuts(scores: Sequence[float]) -> tuple[float, float]:
    """Return the two scores that cut training visits into thirds, as equal as ties allow.

    Args:
        scores: Scores of the training visits.

    Returns:
        The highest score of the slight and of the moderate third.

    Raises:
        StudyError: If there are fewer than three different scores.
    """
    values, counts = np.unique(np.asarray(scores, dtype=np.float64), return_counts=True)
    if len(values) < len(LEVELS):
        raise StudyError(
            f"{len(scores)} training visits have {len(values)} different scores, but three levels "
            "need at least 3; use more visits, or fewer folds"
        )
    below = np.cumsum(counts)
    thirds = [len(scores) * k / len(LEVELS) for k in (1, 2)]
    # At least one value must be left for each level above.
    first = int(np.abs(below[:-2] - thirds[0]).argmin())
    second = first + 1 + int(np.abs(below[first + 1 : -1] - thirds[1]).argmin())
    return float(values[first]), float(values[second])


def level_of(score: float, cuts: Sequence[float]) -> int:
    """Return the level of a score: the number of cuts below it."""
    return sum(score > cut for cut in cuts)


def visit_class(score: float, cuts: Sequence[float], num_classes: int) -> int | None:
    """Return the class of a visit.

    Args:
        score: Score of the visit.
        cuts: From :func:`level_cuts`.
        num_classes: 3 for the levels; 2 for slight (0) against severe (1).

    Returns:
        The class; None for a moderate visit if there are two classes.
    """
    level = level_of(score, cuts)
    if num_classes == len(LEVELS):
        return level
    return None if level == MODERATE else int(level > MODERATE)


Key = tuple[str, str]  # subject, visit


def _given(by_visit: Mapping[Key, Sequence[Recording]]) -> dict[Key, float]:
    """Return the visit scores in the manifest."""
    scores: dict[Key, float] = {}
    faults = []
    for key, members in by_visit.items():
        found = {
            one.visit_score: one.recording_id for one in members if one.visit_score is not None
        }
        if len(found) > 1:
            named = ", ".join(f"{score:g} in recording {name}" for score, name in found.items())
            faults.append(
                f"visit {'/'.join(key)} has several visit scores: {named}; give the same score in "
                "all of them"
            )
        elif found:
            scores[key] = next(iter(found))
    refuse(faults, ManifestError, "visits")
    return scores


def _summed(by_visit: Mapping[Key, Sequence[Recording]], config: LevelsConfig) -> dict[Key, float]:
    """Return the sums of grades of visits with few enough missing grades."""
    grades: dict[Key, dict[tuple[str, str | None], list[int]]] = {key: {} for key in by_visit}
    for key, members in by_visit.items():
        for one in members:
            if one.grade is not None:
                grades[key].setdefault((one.item, one.side), []).append(one.grade)
    wanted = {part for parts in grades.values() for part in parts}
    scores = {}
    for key, parts in grades.items():
        if parts and len(wanted) - len(parts) <= config.max_missing:
            total = sum(float(np.mean(values)) for values in parts.values())
            scores[key] = total * len(wanted) / len(parts)
    return scores


def _by_item(members: Sequence[Recording]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for one in sorted(members, key=lambda one: (one.item, one.recording_id)):
        found.setdefault(one.item, []).append(one.recording_id)
    return {item: tuple(names) for item, names in found.items()}


def left_out(what: str, names: Sequence[str]) -> list[str]:
    """Return a note on recordings or visits that are left out; empty if there are none."""
    if not names:
        return []
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return [f"{len(names)} {what} are left out: {shown}"]


def _no_score(config: LevelsConfig, num_visits: int) -> str:
    if not num_visits:
        return "no recording has a visit_id; fill this column of the manifest"
    if config.score == "visit_score":
        return (
            f"none of {num_visits} visits has a visit_score; fill this column of the manifest, or "
            "set levels.score=grades to use the sum of the grades"
        )
    return (
        f"each of {num_visits} visits has more than {config.max_missing} missing grades; raise "
        "levels.max_missing, or use fewer items"
    )
