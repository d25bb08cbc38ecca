"""From a manifest to rated recordings and the sides of every fold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pdray.data.folds import Folds, absent_classes, make_folds
from pdray.data.manifest import DataConfig, Manifest, Recording, grade_class, select
from pdray.data.plan import FoldSides, RatedRecording
from pdray.data.store import StoredRecording
from pdray.errors import ManifestError
from pdray.search.settings import StudyConfig


@dataclass(frozen=True)
class Cohort:
    """The recordings of a study and who is on which side.

    Attributes:
        manifest: Where they come from.
        recordings: Those with all that the study needs.
        lacking: Needed fact to the ids of the recordings without it; they take no part.
        folds: Subjects by side.
        notes: Classes that an evaluation side lacks, one sentence each.
        num_classes: K.
    """

    manifest: Manifest
    recordings: tuple[Recording, ...]
    lacking: Mapping[str, Sequence[str]]
    folds: Folds
    notes: tuple[str, ...]
    num_classes: int

    @property
    def is_synthetic(self) -> bool:
        """Whether any recording was rendered."""
        return any(recording.site == "synthetic" for recording in self.recordings)


def make_cohort(manifest: Manifest, config: StudyConfig) -> Cohort:
    """Choose the recordings of a study and split their subjects.

    Raises:
        ManifestError: If no recording has what is needed.
        FoldsError: If the subjects cannot be split as asked.
    """
    recordings, lacking = select(manifest, items=config.data.items, needs=("video", "grade"))
    subjects = [recording.subject_id for recording in recordings]
    classes = [_class(recording, config.data) for recording in recordings]
    num_classes = len(config.data.grade_cuts) + 1
    folds = make_folds(subjects, classes, config.folds, num_classes=num_classes)
    notes = tuple(absent_classes(folds, subjects, classes, num_classes=num_classes))
    return Cohort(manifest, recordings, lacking, folds, notes, num_classes)


def rated(
    cohort: Cohort, config: DataConfig, stored: Mapping[str, StoredRecording] | None
) -> tuple[RatedRecording, ...]:
    """Return the recordings as a fit reads them.

    Args:
        cohort: The study's recordings.
        config: Grade cuts.
        stored: Store entries by recording id: a recording without one is left out, as it could
            not be read; None decodes every recording at every read.
    """
    return tuple(
        RatedRecording(
            recording_id=recording.recording_id,
            subject_id=recording.subject_id,
            item=recording.item,
            grade=recording.grade,
            target=_class(recording, config),
            video=recording.video,
            span=(recording.start_seconds, recording.end_seconds),
            stored=None if stored is None else stored[recording.recording_id].path,
        )
        for recording in cohort.recordings
        if (stored is None or recording.recording_id in stored)
        and recording.grade is not None
        and recording.video is not None
    )


def inner_sides(folds: Folds, recordings: Sequence[RatedRecording]) -> tuple[FoldSides, ...]:
    """Return both sides of each inner fold as positions; no test subject is in any."""
    return tuple(
        FoldSides(
            training=_positions(recordings, folds.train(fold)),
            evaluation=_positions(recordings, folds.validation(fold)),
        )
        for fold in range(len(folds.folds))
    )


def outer_sides(folds: Folds, recordings: Sequence[RatedRecording]) -> tuple[FoldSides, ...]:
    """Return the one fold that trains on all development subjects and scores the test group."""
    return (
        FoldSides(
            training=_positions(recordings, folds.development),
            evaluation=_positions(recordings, folds.test),
        ),
    )


def _class(recording: Recording, config: DataConfig) -> int:
    if recording.grade is None:
        raise ManifestError(f"recording {recording.recording_id} has no grade")
    return grade_class(recording.grade, config.grade_cuts)


def _positions(recordings: Sequence[RatedRecording], subjects: frozenset[str]) -> tuple[int, ...]:
    return tuple(
        position
        for position, recording in enumerate(recordings)
        if recording.subject_id in subjects
    )
