"""From a manifest to rated recordings and the sides of every fold."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pdray.config import Settings, build, lay
from pdray.data.cohort.folds import (
    Folds,
    absent_classes,
    make_fixed_folds,
    make_folds,
    make_held_out_folds,
    with_people,
)
from pdray.data.cohort.manifest import (
    Manifest,
    Recording,
    grade_class,
    select,
)
from pdray.data.cohort.rated import (
    FoldSides,
    RatedRecording,
    StoredRecording,
    manifest_facts,
    rater_shares,
    with_made,
)
from pdray.data.cohort.settings import (
    ACTION,
    POSED,
    PROXY,
    VISIT,
    DataConfig,
    FoldsConfig,
    subject_faults,
)
from pdray.data.modalities import Modality, needed_fields
from pdray.errors import FoldsError, ManifestError, SettingsError, refuse

if TYPE_CHECKING:  # 0.4 s, for a table alone
    import pandas as pd

    from pdray.data.cohort.made_sets import Made


@dataclass(frozen=True)
class Cohort:
    """The recordings of a study and who is on which side.

    Attributes:
        manifest: Where they come from.
        recordings: Those with all that the study needs.
        lacking: Needed fact to the ids of the recordings without it; they take no part.
        folds: Subjects by side.
        notes: What has to be said beside its scores, one sentence each.
        grade_cuts: First grade of each class but the lowest.
        made: Made recordings that a fold may learn from; see :mod:`pdray.data.cohort.made`.
        made_share: Most made recordings of a class in a fold, for each real one of its training.
    """

    manifest: Manifest
    recordings: tuple[Recording, ...]
    lacking: Mapping[str, Sequence[str]]
    folds: Folds
    notes: tuple[str, ...]
    grade_cuts: tuple[int, ...]
    made: "tuple[Made, ...]" = ()
    made_share: float = 0.0

    @property
    def is_synthetic(self) -> bool:
        """Whether any recording was rendered."""
        return any(recording.is_synthetic for recording in self.recordings)

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return len(self.grade_cuts) + 1

    def table(self) -> "pd.DataFrame":
        """Return the recordings with their class and their fold, in the manifest's order.

        Returns:
            The columns of :meth:`Manifest.table` and ``target``, the class 0..K-1, and ``fold``,
            int64: in which fold the recording is held out, from 0; -1 is the test set.
        """
        home = {name: number for number, side in enumerate(self.folds.folds) for name in side}
        from pdray.data.cohort.data_frame import recordings_table

        table = recordings_table(self.recordings)
        classes = [_class(one, self.grade_cuts) for one in self.recordings]
        return table.assign(
            target=classes, fold=[home.get(name, -1) for name in table["subject_id"]]
        )


class _SplitConfig(Settings):
    """Sections of a study that a split depends on."""

    data: DataConfig
    folds: FoldsConfig = FoldsConfig()


def split_subjects(
    manifest: Manifest,
    settings: Mapping[str, Any] | None = None,
    *,
    needs: Collection[Modality] = ("rgb",),
    test_group: bool = True,
) -> Cohort:
    """Choose recordings of a manifest and split their subjects, as a study does.

    A subject, with all its recordings, is on one side of every split; folds are stratified by
    class. The same settings and subjects give the same folds, whatever the order of the rows.

    Args:
        manifest: From :func:`load_manifest`.
        settings: Keys ``data.*`` and ``folds.*`` of a study, such as ``data.items``,
            ``data.grade_cuts`` and ``folds.num_folds``, dotted or nested.
        needs: Modalities that every recording must have; recordings without a grade or without
            one of them are left out.
        test_group: Whether one outer fold is set aside as test set and ``folds.num_folds`` folds
            are made of the other subjects, for a search; else each of ``folds.num_outer`` folds is
            held out in turn.

    Returns:
        The cohort: ``table()`` has each recording with its class and fold, ``folds`` the subjects
        of each side, ``lacking`` what was left out and ``notes`` what must be said beside scores.

    Raises:
        SettingsError: If a setting is unknown or wrong, or people without a name would be split.
        ManifestError: If no recording has what is needed.
        FoldsError: If the subjects cannot be split so; says why and what to change.

    Example:
        >>> manifest = pdray.load_manifest("demo/manifest.csv")
        >>> cohort = pdray.split_subjects(
        ...     manifest, {"data.items": ["finger_tapping"], "folds.num_folds": 2}
        ... )
        >>> sorted(cohort.table()["fold"].unique().tolist())  # -1: test set
        [-1, 0, 1]
        >>> sorted(cohort.folds.train(0) & cohort.folds.validation(0))
        []
    """
    tree = lay(_SplitConfig, {}, {**(settings or {}), "data.manifest": str(manifest.path)})
    config = build(_SplitConfig, tree)
    refuse(subject_faults(config.data, config.folds), SettingsError, "settings")
    from pdray.data.cohort.labels import labelled

    found = labelled(manifest, config.data.target)
    return make_cohort(found, config.data, config.folds, needs=needs, searches=test_group)


def make_cohort(
    manifest: Manifest,
    config: DataConfig,
    split: FoldsConfig,
    *,
    needs: Collection[Modality],
    searches: bool = True,
) -> Cohort:
    """Choose the recordings of a study and split their subjects.

    Args:
        manifest: Its manifest.
        config: Items and grade cuts.
        split: How subjects are split.
        needs: Modalities that every recording must have.
        searches: Whether something is chosen, so that test subjects are set aside; else every
            subject is held out once, or the cohort's owner has said who is.

    Raises:
        ManifestError: If no recording has what is needed, or an action has a class that the cuts
            do not make.
        FoldsError: If the subjects cannot be split as asked.
    """
    recordings, lacking = usable(manifest, config, needs)
    if split.alike is not None:
        from pdray.data.cohort.likeness import keep_alike_together  # few studies split so

        recordings = keep_alike_together(recordings, split.alike)
    people = {recording.subject_id: recording.group for recording in recordings}
    subjects, classes = _rows(recordings, config)
    num_classes = len(config.grade_cuts) + 1
    if split.from_split or split.person is not None:
        sides: list[str | None] = [recording.split for recording in recordings]
        if split.person is not None:
            from pdray.data.cohort.persons import person_sides  # few studies split so

            sides[:] = person_sides(subjects, classes, person=split.person, seed=split.seed)
        inner = split if searches else None
        folds = make_fixed_folds(subjects, classes, sides, num_classes=num_classes, inner=inner)
    else:
        make = make_folds if searches else make_held_out_folds
        folds = make(subjects, classes, split, num_classes=num_classes)
    cohort = Cohort(
        manifest, recordings, lacking, with_people(folds, people), (), config.grade_cuts
    )
    if config.made == "training":
        from pdray.data.cohort.made import usable_made  # few studies learn from them

        made = usable_made(manifest.made, config, needs)
        cohort = replace(cohort, made=made, made_share=config.made_share)
    return replace(cohort, notes=_notes(cohort, config))


def usable(
    manifest: Manifest, config: DataConfig, needs: Collection[Modality]
) -> tuple[tuple[Recording, ...], Mapping[str, Sequence[str]]]:
    """Return the recordings that have all that a study needs, and the ids of those that lack it.

    Raises:
        ManifestError: As of :func:`make_cohort`.
    """
    needed = (*needed_fields(needs), config.target)
    recordings, lacking = select(manifest, items=config.items, needs=needed)
    check_action_classes(recordings, config.grade_cuts)
    if config.target == "diagnosis":
        from pdray.data.cohort.labels import check_diagnoses  # few studies learn it

        check_diagnoses(recordings)
    elif all(one.diagnosis for one in recordings):
        from pdray.data.cohort.labels import check_grades

        check_grades(recordings)
    return recordings, lacking


def split_again(
    cohort: Cohort, config: DataConfig, split: FoldsConfig, make: Callable[..., Folds]
) -> Cohort:
    """Return the same recordings under other folds.

    Args:
        cohort: The recordings.
        config: Grade cuts.
        split: How subjects are split.
        make: :func:`~pdray.data.cohort.folds.make_folds` or one like it.

    Raises:
        FoldsError: If the subjects cannot be split so.
    """
    subjects, classes = _rows(cohort.recordings, config)
    folds = make(subjects, classes, split, num_classes=cohort.num_classes)
    people = {recording.subject_id: recording.group for recording in cohort.recordings}
    found = replace(cohort, folds=with_people(folds, people))
    return replace(found, notes=_notes(found, config))


def _rows(recordings: Sequence[Recording], config: DataConfig) -> tuple[list[str], list[int]]:
    """Return what a split keeps together, and the class, of each recording."""
    classes = [_class(recording, config.grade_cuts) for recording in recordings]
    return [recording.group for recording in recordings], classes


def check_action_classes(recordings: Sequence[Recording], cuts: Sequence[int]) -> None:
    """Refuse actions of a class that the cuts do not make.

    The grades of a rating scale may be joined, so a cut is a threshold and every grade from the
    last one on is of the top class. The number of an action's class has no order: one beyond the
    cuts would be taken for the top class.

    Args:
        recordings: Of any item; those without a grade are not looked at.
        cuts: First number of each class but the lowest.

    Raises:
        ManifestError: If the class of an action is outside 0..len(cuts); counts the recordings,
            names the first one and its class and says which cuts there must be.
    """
    actions = [one for one in recordings if one.item == ACTION and one.grade is not None]
    beyond = [one for one in actions if one.grade not in range(len(cuts) + 1)]
    if beyond:
        highest = max(one.grade or 0 for one in actions)
        raise ManifestError(
            f"item {ACTION}: {len(beyond)} of {len(actions)} recordings have a class outside "
            f"0..{len(cuts)}, the first {beyond[0].recording_id} with {beyond[0].grade}; with "
            f"classes up to {highest}, data.grade_cuts must be every number from 1 to {highest}, "
            f"got {list(cuts)}"
        )


def readable(cohort: Cohort, config: DataConfig, stored: Collection[str]) -> Cohort:
    """Leave out the recordings that could not be read; the subjects keep their sides.

    Raises:
        FoldsError: If a training side has lost a class, or a side all its recordings.
    """
    kept = tuple(one for one in cohort.recordings if one.recording_id in stored)
    left = replace(cohort, recordings=kept)
    for name, (side, _) in cohort.folds.splits.items():
        seen = {_class(one, config.grade_cuts) for one in kept if one.subject_id in side}
        missing = set(range(cohort.num_classes)) - seen
        if missing:
            raise FoldsError(
                f"without the {len(cohort.recordings) - len(kept)} recordings that cannot be read, "
                f"class {min(missing)} has no recording to train on outside the {name}"
            )
    return replace(left, notes=_notes(left, config))


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
        rate(one, config.grade_cuts, stored=None if stored is None else stored[one.recording_id])
        for one in cohort.recordings
        if one.grade is not None
    )


def rated_made(
    cohort: Cohort, stored: Mapping[str, StoredRecording] | None
) -> tuple[RatedRecording, ...]:
    """Return the made recordings that can be read, as a fit reads them; see :func:`rated`."""
    return tuple(
        replace(
            rate(one.recording, cohort.grade_cuts, stored=None if stored is None else stored[name]),
            carries=one.people,
        )
        for one in cohort.made
        for name in [one.recording.recording_id]
        if stored is None or name in stored
    )


def rate(
    recording: Recording, cuts: Sequence[int], *, stored: StoredRecording | None
) -> RatedRecording:
    """Return a recording as a fit reads it.

    Args:
        recording: With a grade.
        cuts: First grade of each class but the lowest.
        stored: Its entries in the frame store; None decodes it at every read.
    """
    assert recording.grade is not None, "recordings without a grade were left out"
    return RatedRecording(
        recording_id=recording.recording_id,
        subject_id=recording.subject_id,
        item=recording.item,
        grade=recording.grade,
        target=grade_class(recording.grade, cuts),
        video=recording.video,
        part=recording.part,
        group=recording.group,
        shares=tuple(rater_shares(recording.raters, recording.grade, cuts)),
        votes=tuple(-1 if one is None else grade_class(one, cuts) for one in recording.raters),
        stored=None if stored is None else stored.paths,
        facts=manifest_facts(recording),
    )


def inner_sides(
    folds: Folds, recordings: Sequence[RatedRecording], made_share: float = 0.0
) -> tuple[FoldSides, ...]:
    """Return both sides of each fold as positions; no test subject is in any.

    Args:
        folds: Subjects by side.
        recordings: Real ones, and made ones with ``carries``.
        made_share: As :func:`~pdray.data.cohort.rated.with_made` takes it.
    """
    return tuple(
        _sides(recordings, folds.train(fold), folds.validation(fold), made_share)
        for fold in range(len(folds.folds))
    )


def outer_sides(
    folds: Folds, recordings: Sequence[RatedRecording], made_share: float = 0.0
) -> tuple[FoldSides, ...]:
    """Return the one fold that trains on all development subjects and scores the test set.

    Arguments as of :func:`inner_sides`.
    """
    return (_sides(recordings, folds.development, folds.test, made_share),)


def compared_sides(
    folds: Folds, recordings: Sequence[RatedRecording], made_share: float = 0.0
) -> tuple[FoldSides, ...]:
    """Return the folds of a comparison: each held out in turn, or the one that its owner fixed.

    Arguments as of :func:`inner_sides`.
    """
    return (outer_sides if folds.test else inner_sides)(folds, recordings, made_share)


def _notes(cohort: Cohort, config: DataConfig) -> tuple[str, ...]:
    """Say which classes a held-out side lacks, and that people may be on both sides."""
    recordings = cohort.recordings
    notes = absent_classes(
        cohort.folds,
        [one.subject_id for one in recordings],
        [_class(one, config.grade_cuts) for one in recordings],
        num_classes=cohort.num_classes,
    )
    unnamed = num_unnamed(recordings, config)
    if unnamed:
        notes.append(
            f"{unnamed} of {len(recordings)} recordings name no subject: a person may be on both "
            "sides, and scores are those of recordings, not of people"
        )
    if config.target == "grade" and any(one.item in (*POSED, VISIT) for one in recordings):
        notes.append(PROXY)
    notes += cohort.manifest.notes
    from pdray.data.cohort.unable import unable_notes  # no trial needs it

    notes += unable_notes(cohort.manifest.recordings, config.items)
    return tuple(notes)


def num_unnamed(recordings: Sequence[Recording], config: DataConfig) -> int:
    """Return how many recordings name no subject, so that each is taken for a subject."""
    return sum(is_unnamed(one, config) for one in recordings)


def is_unnamed(recording: Recording, config: DataConfig) -> bool:
    """Return whether a recording names no subject, so that its own id stands for one."""
    return config.subjects == "none" and recording.subject_id == recording.recording_id


def _class(recording: Recording, cuts: Sequence[int]) -> int:
    if recording.grade is None:
        raise ManifestError(f"recording {recording.recording_id} has no grade")
    return grade_class(recording.grade, cuts)


def _sides(
    recordings: Sequence[RatedRecording],
    learnt: frozenset[str],
    held: frozenset[str],
    made_share: float,
) -> FoldSides:
    real = [place for place, one in enumerate(recordings) if not one.carries]
    training, evaluation = (
        tuple(place for place in real if recordings[place].subject_id in subjects)
        for subjects in (learnt, held)
    )
    return with_made(recordings, FoldSides(training, evaluation), made_share)
