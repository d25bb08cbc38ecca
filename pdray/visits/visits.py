"""Patient visits: the unit that the patient-level tables of TSA classify.

A visit is one person's examination on one occasion: a subject and a ``visit_id``. Its score is
the manifest's ``visit_score``, or the sum of its grades. Absent is not zero: a sum is taken over
every (item, side) that the cohort grades, and a visit that lacks more of them than allowed has no
score. What an allowed visit lacks is filled by proportion, the sum times all over present, as
Goetz et al. 2015 (Mov Disord 30:1632) examine for the MDS-UPDRS. Left and right are graded
separately and so count separately; two recordings of one (item, side) count as their mean.

Levels are slight, moderate and severe, cut so that each holds a third of the *training* visits
(TSA, section IV-B; its 23 and 40 are such cuts). A score on a cut belongs to the lower level, as
there. The two-class question leaves the moderate visits out, by the same cuts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pdray.data.cohort.manifest import Recording
from pdray.errors import ManifestError, StudyError, refuse
from pdray.visits.settings import LevelsConfig

LEVELS = ("slight", "moderate", "severe")
MODERATE = 1
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit with a score.

    Attributes:
        subject_id: Who.
        visit_id: Which of the subject's visits.
        score: Its severity; any finite number, more is worse.
        recordings: Ids of its recordings by item; an item it has none of is not there.
    """

    subject_id: str
    visit_id: str
    score: float
    recordings: Mapping[str, tuple[str, ...]]

    @property
    def name(self) -> str:
        """Return what no other visit of a manifest is called."""
        return f"{self.subject_id}/{self.visit_id}"


def make_visits(
    recordings: Sequence[Recording], config: LevelsConfig
) -> tuple[tuple[Visit, ...], list[str]]:
    """Join recordings to visits and score them.

    Args:
        recordings: Of the items in question.
        config: What the score is.

    Returns:
        The visits that have a score, sorted by name, and one sentence for each kind of recording
        or visit that is left out.

    Raises:
        ManifestError: If two recordings of a visit have different visit scores, or no visit has a
            score.
    """
    by_visit: dict[tuple[str, str], list[Recording]] = {}
    homeless = [one.recording_id for one in recordings if one.visit_id is None]
    for one in recordings:
        if one.visit_id is not None:
            by_visit.setdefault((one.subject_id, one.visit_id), []).append(one)
    scores = _told(by_visit) if config.score == "visit_score" else _summed(by_visit, config)
    notes = left_out("recordings without a visit_id", homeless)
    without = ["/".join(key) for key in sorted(by_visit.keys() - scores.keys())]
    if not scores:
        raise ManifestError(_no_score(config, len(by_visit)))
    reason = "visits without a visit_score"
    if config.score == "grades":
        reason = f"visits that lack more than {config.max_missing} grades of those the cohort has"
    notes += left_out(reason, without)
    visits = [
        Visit(*key, score=scores[key], recordings=_by_item(by_visit[key])) for key in sorted(scores)
    ]
    return tuple(visits), notes


def level_cuts(scores: Sequence[float]) -> tuple[float, float]:
    """Return the two scores that cut training visits into thirds as equal as ties allow.

    Args:
        scores: Of the training visits.

    Returns:
        The highest score of the slight and of the moderate third.

    Raises:
        StudyError: If there are fewer than three different scores.
    """
    values, counts = np.unique(np.asarray(scores, dtype=np.float64), return_counts=True)
    if len(values) < len(LEVELS):
        raise StudyError(
            f"{len(scores)} training visits have {len(values)} different scores; three levels "
            "need at least 3: use more visits, or fewer folds"
        )
    below = np.cumsum(counts)
    thirds = [len(scores) * k / len(LEVELS) for k in (1, 2)]
    # One value each must be left for the levels above.
    first = int(np.abs(below[:-2] - thirds[0]).argmin())
    second = first + 1 + int(np.abs(below[first + 1 : -1] - thirds[1]).argmin())
    return float(values[first]), float(values[second])


def level_of(score: float, cuts: Sequence[float]) -> int:
    """Return the level of a score: the number of cuts below it."""
    return sum(score > cut for cut in cuts)


def visit_class(score: float, cuts: Sequence[float], num_classes: int) -> int | None:
    """Return the class of a visit.

    Args:
        score: The visit's.
        cuts: From :func:`level_cuts`.
        num_classes: 3 for the levels; 2 for slight (0) against severe (1).

    Returns:
        The class; None for a moderate visit where there are two.
    """
    level = level_of(score, cuts)
    if num_classes == len(LEVELS):
        return level
    return None if level == MODERATE else int(level > MODERATE)


Key = tuple[str, str]  # subject, visit


def _told(by_visit: Mapping[Key, Sequence[Recording]]) -> dict[Key, float]:
    """Return the visit scores that the manifest gives."""
    scores: dict[Key, float] = {}
    faults = []
    for key, members in by_visit.items():
        told = {one.visit_score: one.recording_id for one in members if one.visit_score is not None}
        if len(told) > 1:
            named = ", ".join(f"{score:g} in recording {name}" for score, name in told.items())
            faults.append(
                f"visit {'/'.join(key)} has several visit scores: {named}; a visit has one"
            )
        elif told:
            scores[key] = next(iter(told))
    refuse(faults, ManifestError, "visits")
    return scores


def _summed(by_visit: Mapping[Key, Sequence[Recording]], config: LevelsConfig) -> dict[Key, float]:
    """Return the sums of grades of the visits that lack few enough."""
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
    """Say how many recordings or visits take no part, and name the first; empty if none."""
    if not names:
        return []
    told = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return [f"{len(names)} {what} are left out: {told}"]


def _no_score(config: LevelsConfig, num_visits: int) -> str:
    if not num_visits:
        return "no recording has a visit_id; patient-level severity needs visits"
    if config.score == "visit_score":
        return (
            f"none of {num_visits} visits has a visit_score; fill that column, or sum the grades "
            "with levels.score=grades"
        )
    return (
        f"each of {num_visits} visits lacks more than {config.max_missing} of the grades that the "
        "cohort has; raise levels.max_missing, or use fewer items"
    )
