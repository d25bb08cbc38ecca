"""From a manifest to rated recordings and the sides of every fold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pdray.data.folds import Folds, FoldsConfig, absent_classes, make_folds
from pdray.data.manifest import DataConfig, Manifest, Recording, grade_class, select
from pdray.data.plan import FoldSides, RatedRecording
from pdray.data.raters import rater_shares
from pdray.data.store import StoredRecording
from pdray.errors import FoldsError, ManifestError
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


def readable(cohort: Cohort, config: StudyConfig, stored: Mapping[str, StoredRecording]) -> Cohort:
    """Leave out the recordings that could not be read; the subjects keep their sides.

    Raises:
        ManifestError: If a file of one subject is, byte for byte, that of another.
        FoldsError: If a training side has lost a class, or a side all its recordings.
    """
    kept = tuple(one for one in cohort.recordings if one.recording_id in stored)
    owners: dict[Path, Recording] = {}
    for one in kept:
        (entry, *_) = stored[one.recording_id].paths.values()
        owner = owners.setdefault(entry, one)
        if owner.subject_id != one.subject_id:
            raise ManifestError(
                f"recordings {owner.recording_id} of subject {owner.subject_id} and "
                f"{one.recording_id} of subject {one.subject_id} have the same content; a person "
                "must not be on both sides under two names"
            )
    subjects = [one.subject_id for one in kept]
    classes = [_class(one, config.data) for one in kept]
    for number in range(len(cohort.folds.folds) + 1):
        inner = number < len(cohort.folds.folds)
        side = cohort.folds.train(number) if inner else cohort.folds.development
        seen = {label for who, label in zip(subjects, classes, strict=True) if who in side}
        missing = set(range(cohort.num_classes)) - seen
        if missing:
            raise FoldsError(
                f"without the {len(cohort.recordings) - len(kept)} recordings that cannot be read, "
                f"class {min(missing)} has no recording to train on in "
                f"{f'fold {number}' if inner else 'the development subjects'}"
            )
    notes = absent_classes(cohort.folds, subjects, classes, num_classes=cohort.num_classes)
    return replace(cohort, recordings=kept, notes=tuple(notes))


def rated(
    cohort: Cohort, config: DataConfig, stored: Mapping[str, StoredRecording] | None
) -> tuple[RatedRecording, ...]:
    """Return the recordings as a fit reads them.

    Args:
        cohort: The study's recordings.
        config: Grade cuts.
        stored: Store entries by recording id; None decodes every recording at every read.
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
            side=recording.side,
            shares=tuple(rater_shares(recording.raters, recording.grade, config.grade_cuts)),
            stored=None if stored is None else stored[recording.recording_id].paths,
        )
        for recording in cohort.recordings
        if recording.grade is not None and recording.video is not None
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


def every_side(
    cohort: Cohort, recordings: Sequence[RatedRecording], config: FoldsConfig
) -> tuple[FoldSides, ...]:
    """Return the folds of a comparison.

    They are the ``num_outer`` folds in which every subject is held out exactly once, or the one
    fold that the cohort's owner has fixed.

    Raises:
        FoldsError: If the subjects cannot be split as asked, or a side has lost its recordings.
    """
    if config.from_split:
        return (_fixed_side(cohort, recordings),)
    subjects = [recording.subject_id for recording in recordings]
    classes = [recording.target for recording in recordings]
    sides: list[FoldSides] = []
    for number in range(config.num_outer):
        asked = config.model_copy(update={"outer_fold": number})
        folds = make_folds(subjects, classes, asked, num_classes=cohort.num_classes)
        sides += outer_sides(folds, recordings)
    return tuple(sides)


def _fixed_side(cohort: Cohort, recordings: Sequence[RatedRecording]) -> FoldSides:
    split = {one.recording_id: one.split for one in cohort.recordings}
    strange = sorted({str(side) for side in split.values()} - {"train", "test"})
    if strange:
        raise FoldsError(
            f"folds.from_split: the manifest's column split holds {', '.join(strange)}; expected "
            "train or test in every row that is used"
        )
    places = range(len(recordings))
    return FoldSides(
        training=tuple(i for i in places if split[recordings[i].recording_id] == "train"),
        evaluation=tuple(i for i in places if split[recordings[i].recording_id] == "test"),
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
