"""A recording with its grade and its entries, and which recordings each fold learns from.

Raters disagree, and a class that one of three saw is not the class that all three saw. The shares
of their grades say so to the loss; what is scored stays the class of the consensus grade.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pdray.data.cohort.manifest import Recording, grade_class
from pdray.data.media.part import WHOLE, Part
from pdray.data.modalities import Modality
from pdray.errors import FoldsError, ManifestError

FACTS = ("side", "visit_id", "medication_state", "stimulation_state", "site", "sex")
_ROW = ("recording_id", "subject_id", "item", "grade", "target")


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """Where a recording is in the store.

    Attributes:
        recording_id: As in the manifest.
        paths: The entry of each modality.
        mended: Modalities whose entry had changed on disk and was made again.
    """

    recording_id: str
    paths: Mapping[Modality, Path]
    mended: tuple[Modality, ...] = ()


@dataclass(frozen=True, slots=True)
class RatedRecording:
    """A recording with a grade, ready to be read.

    Attributes:
        recording_id: The manifest's id.
        subject_id: The pseudonymous person.
        item: What was rated.
        grade: The rater's integer.
        target: Class of the grade, 0..K-1.
        video: The encoded file; None where only tracks or sound of it are there.
        part: What it takes of ``video``.
        shares: Share of the raters that saw each class; None is the class of the grade alone.
        stored: Its entries in the frame store; None when it is decoded at every read.
        marks: A clinician's mark of each of the 14 regions of the face, 0 to 10, None where a
            region has none; None where nobody's marks are known.
        group: One name for the subjects whose recordings are in one file and never apart; empty
            is the subject alone.
        views: Entries that are read in the place of its pictures, one a view, the plain one first;
            None where the pictures are read.
        facts: Those of :data:`FACTS` that the manifest has for it (text), and the grade by each
            rater (``rater_1``, ..., float). Predictions tables carry them; no network sees them.
        votes: Class by each rater, -1 where one did not rate; empty if the manifest has no raters.
        carries: Subjects whom a made recording carries; empty is a real recording. A made one is
            learnt from where all of them are, and never evaluated.
    """

    recording_id: str
    subject_id: str
    item: str
    grade: int
    target: int
    video: Path | None
    part: Part = WHOLE
    shares: tuple[float, ...] | None = None
    stored: Mapping[Modality, Path] | None = None
    marks: tuple[int | None, ...] | None = None
    views: tuple[Path, ...] | None = None
    group: str = ""
    facts: Mapping[str, str | float] = field(default_factory=dict)
    votes: tuple[int, ...] = ()
    carries: frozenset[str] = frozenset()

    @property
    def people(self) -> str:
        """What a split keeps on one side: the subject, or those who share a file with it."""
        return self.group or self.subject_id


@dataclass(frozen=True)
class FoldSides:
    """Positions of the recordings a fold trains on and is evaluated on."""

    training: tuple[int, ...]
    evaluation: tuple[int, ...]


def with_made(recordings: Sequence[RatedRecording], side: FoldSides, share: float) -> FoldSides:
    """Return a fold whose training side has the made recordings that belong on it.

    Args:
        recordings: Real and made.
        side: Positions of real ones.
        share: Most made recordings of a class, for each real one that is learnt from. Those that
            are left out are drawn by their ids, so that the same ones take part in every run.

    Returns:
        The fold; the made ones are those that carry nobody but subjects of its training side.
    """
    learnt = {recordings[i].subject_id for i in side.training}
    of_class: dict[int, list[int]] = {}
    for place, one in enumerate(recordings):
        if one.carries and one.carries <= learnt:
            of_class.setdefault(one.target, []).append(place)
    real = Counter(recordings[i].target for i in side.training)
    chosen: list[int] = []
    for target, places in of_class.items():
        drawn = sorted(places, key=lambda place: _draw(recordings[place].recording_id))
        chosen += drawn[: int(share * real[target])]
    return replace(side, training=(*side.training, *sorted(chosen)))


def _draw(recording_id: str) -> bytes:
    return hashlib.sha256(recording_id.encode()).digest()


def manifest_facts(recording: Recording) -> dict[str, str | float]:
    """Return what the manifest knows of a recording, as :attr:`RatedRecording.facts`."""
    texts = {name: getattr(recording, name) for name in FACTS}
    grades = {f"rater_{n}": grade for n, grade in enumerate(recording.raters, start=1)}
    return {
        **{name: text for name, text in texts.items() if text is not None},
        **{name: float(grade) for name, grade in grades.items() if grade is not None},
    }


def table_rows(recordings: Sequence[RatedRecording], num_snippets: int = 1) -> dict[str, list[Any]]:
    """Return the rows of recordings in a predictions table, without its numbers.

    Args:
        recordings: N recordings.
        num_snippets: Rows of each.

    Returns:
        N x ``num_snippets`` entries of each column. A fact has a column if one of the recordings
        has it; the others then have None.

    Raises:
        FoldsError: If one of them is made; names the first.
    """
    if made := [one.recording_id for one in recordings if one.carries]:
        raise FoldsError(
            f"{len(made)} of {len(recordings)} recordings are made ones, the first {made[0]}; "
            "nothing made is scored, so no predictions table has them"
        )
    each = [one for one in recordings for _ in range(num_snippets)]
    known = dict.fromkeys(name for one in recordings for name in one.facts)
    return {
        **{name: [getattr(one, name) for one in each] for name in _ROW},
        "snippet": [*range(num_snippets)] * len(recordings),
        **{name: [one.facts.get(name) for one in each] for name in known},
    }


def check_sides(
    recordings: Sequence[RatedRecording], sides: Sequence[FoldSides], *, scored: bool = True
) -> None:
    """Refuse folds that have a subject on both sides, or a side without recordings.

    Args:
        recordings: To which the positions refer.
        sides: Both sides of each fold.
        scored: Whether there must be recordings to evaluate.

    Raises:
        FoldsError: Naming the fold and the subjects, or the made recordings that would be scored.
    """
    for fold, side in enumerate(sides):
        if not side.training or (scored and not side.evaluation):
            raise FoldsError(
                f"fold {fold}: {len(side.training)} recordings to train on and "
                f"{len(side.evaluation)} to evaluate; each side needs at least one"
            )
        if any(recordings[i].carries for i in side.evaluation):
            raise FoldsError(f"fold {fold}: made recordings on the side that is evaluated")
        learnt = (recordings[i].carries | {recordings[i].subject_id} for i in side.training)
        both = frozenset().union(*learnt) & {recordings[i].subject_id for i in side.evaluation}
        if both:
            raise FoldsError(f"fold {fold}: subjects on both sides: {', '.join(sorted(both))}")


def rater_shares(
    raters: Sequence[int | None], grade: int | None, cuts: Sequence[int]
) -> NDArray[np.float64]:
    """Return the share of raters that saw each class.

    Every rater who gave a grade has one vote; one who did not (None) has none. The consensus grade
    has no vote beside them: it was made from their grades, so it would count some of them twice.
    It speaks alone, for one class, where nobody else did.

    Args:
        raters: Grade by each rater, None where one did not rate.
        grade: The consensus grade; None where there is none.
        cuts: First grade of each class but the lowest, rising; K-1 of them.

    Returns:
        (K,) from 0 to 1 that sum to 1.

    Raises:
        ManifestError: If nobody gave a grade.
    """
    votes = [vote for vote in raters if vote is not None]
    if not votes and grade is not None:
        votes = [grade]
    if not votes:
        raise ManifestError(
            f"none of {len(raters)} raters gave a grade and there is no consensus grade; a soft "
            "target needs at least one of them"
        )
    counts = np.bincount([grade_class(vote, cuts) for vote in votes], minlength=len(cuts) + 1)
    return counts / len(votes)


def expected_counts(shares: Sequence[NDArray[np.float64]]) -> list[float]:
    """Return how many members each class has when every recording counts by its shares.

    A class with less than one whole vote counts as one member, so that a weight by rarity does not
    grow beyond that of a class seen once; a class that nobody saw keeps 0.

    Args:
        shares: (K,) from 0 to 1 of each recording, at least one.

    Returns:
        K counts.
    """
    totals = np.sum(shares, axis=0)
    counts: list[float] = np.where(totals > 0, np.maximum(totals, 1.0), 0.0).tolist()
    return counts
