"""A recording with its grade and its entries, and which recordings each fold learns from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pdray.data.modalities import Modality
from pdray.errors import FoldsError


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """Where a recording is in the store.

    Attributes:
        recording_id: As in the manifest.
        paths: The entry of each modality.
    """

    recording_id: str
    paths: Mapping[Modality, Path]


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
        span: Start and end of the recording inside ``video`` [s]; None is the file's own.
        shares: Share of the raters that saw each class; None is the class of the grade alone.
        stored: Its entries in the frame store; None when it is decoded at every read.
        marks: A clinician's mark of each of the 14 regions of the face, 0 to 10, None where a
            region has none; None where nobody's marks are known.
        group: One name for the subjects whose recordings are in one file and never apart; empty
            is the subject alone.
        views: Entries that are read in the place of its pictures, one a view, the plain one first;
            None where the pictures are read.
    """

    recording_id: str
    subject_id: str
    item: str
    grade: int
    target: int
    video: Path | None
    span: tuple[float | None, float | None] = (None, None)
    shares: tuple[float, ...] | None = None
    stored: Mapping[Modality, Path] | None = None
    marks: tuple[int | None, ...] | None = None
    views: tuple[Path, ...] | None = None
    group: str = ""

    @property
    def people(self) -> str:
        """What a split keeps on one side: the subject, or those who share a file with it."""
        return self.group or self.subject_id


@dataclass(frozen=True)
class FoldSides:
    """Positions of the recordings a fold trains on and is evaluated on."""

    training: tuple[int, ...]
    evaluation: tuple[int, ...]


def check_sides(recordings: Sequence[RatedRecording], sides: Sequence[FoldSides]) -> None:
    """Refuse folds that have a subject on both sides, or a side without recordings.

    Raises:
        FoldsError: Naming the fold and the subjects.
    """
    for fold, side in enumerate(sides):
        if not side.training or not side.evaluation:
            raise FoldsError(
                f"fold {fold}: {len(side.training)} recordings to train on and "
                f"{len(side.evaluation)} to evaluate; each side needs at least one"
            )
        both = {recordings[i].subject_id for i in side.training} & {
            recordings[i].subject_id for i in side.evaluation
        }
        if both:
            raise FoldsError(f"fold {fold}: subjects on both sides: {', '.join(sorted(both))}")
