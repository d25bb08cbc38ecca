"""Opens a study in three phases before its first trial: check, prepare, start.

Each phase returns the value that the next phase takes. The check writes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pdray.address import submitted_commit
from pdray.cluster import check_plugins, check_shared
from pdray.command import Say
from pdray.data.cohort.folds import folds_to_json
from pdray.data.cohort.members import (
    Cohort,
    compared_sides,
    inner_sides,
    rated,
    rated_made,
    readable,
)
from pdray.data.cohort.rated import RatedRecording, StoredRecording
from pdray.data.modalities import MODALITIES
from pdray.data.store.forecast import Forecast, check_room, forecast
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.notes import picture_notes
from pdray.data.store.prepare import (
    Prepared,
    check_failures,
    lack_notes,
    mended_notes,
    prepare_store,
    rate_notes,
)
from pdray.display import step
from pdray.evaluation.metrics import greater_is_better
from pdray.evaluation.predictions import Origin
from pdray.plugins import TAG
from pdray.search.cluster import Capacity, Reservation, measure, reserve
from pdray.search.plan import StudyPlan
from pdray.search.preflight import describe_plan
from pdray.search.progress import Mirror
from pdray.search.resume import keep_entries
from pdray.search.trial_plan import TrialPlan
from pdray.search.weights import keep_weights, same_people_notes, start_files, start_notes
from pdray.tracking.address import check_tracking, default_uri
from pdray.tracking.provenance import source_identity, versions
from pdray.tracking.run_log import StudyLog

if TYPE_CHECKING:
    from pdray.data.cohort.marks import MarksTable


@dataclass(frozen=True)
class CheckedStudy:
    """A study that fits the cluster and the disk.

    Attributes:
        plan: Settings, and what the study searches or compares.
        cohort: Recordings and folds.
        study: The study's log.
        capacity: CPUs and GPUs of the cluster.
        reservation: Resources of a trial and how many trials run at once.
        store: The frame store.
        expected: What is still to decode.
    """

    plan: StudyPlan
    cohort: Cohort
    study: StudyLog
    capacity: Capacity
    reservation: Reservation
    store: FrameStore
    expected: Forecast


@dataclass(frozen=True)
class CheckedTrials:
    """A checked study, with the files that its trials start from.

    Attributes:
        within: The checked study.
        uri: Address of its MLflow runs.
        marks: The table of ``data.marks``, or None.
        files: Files whose content must not change.
        notes: Lines about these files for the user.
    """

    within: CheckedStudy
    uri: str
    marks: "MarksTable | None"
    files: tuple[Path, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PreparedTrials:
    """The recordings that the trials of a study read.

    Attributes:
        cohort: Recordings and folds, without recordings that cannot be read.
        recordings: Recordings with their classes and store entries.
    """

    cohort: Cohort
    recordings: tuple[RatedRecording, ...]


@dataclass(frozen=True)
class OpenStudy:
    """A study that is ready for its trials.

    Attributes:
        cohort: Its recordings, without those that cannot be read.
        trials: What its trials share.
        reservation: Resources of a trial and how many trials run at once.
        uri: Address of its MLflow runs.
        mirror: Keeps these runs up to date.
        is_permuted: Whether grades were exchanged, so that no score is one of the test subjects.
    """

    cohort: Cohort
    trials: TrialPlan
    reservation: Reservation
    uri: str
    mirror: Mirror
    is_permuted: bool = False


def open_study(within: CheckedStudy, say: Say) -> OpenStudy:
    """Prepare and start a study on the joined cluster.

    Args:
        within: From :func:`check_study`.
        say: Prints a line.

    Raises:
        PdrayError: If something is wrong that the user can correct; nothing is lost.
    """
    how = within.capacity, within.reservation, within.expected
    say(describe_plan(within.plan, within.cohort, *how))
    checked = check_trials(within)
    for line in checked.notes:
        say(line)
    return start_trials(checked, prepare_trials(checked, say), say)


def check_study(
    plan: StudyPlan, cohort: Cohort, study: StudyLog, *, reads_through_ray: bool | None = None
) -> CheckedStudy:
    """Check that the study fits the cluster and the disk.

    Args:
        plan: Settings, and what the study searches or compares.
        cohort: Recordings and folds.
        study: The study's log.
        reads_through_ray: Whether trials read their batches through Ray Data; None: as set in
            ``stream``.

    Raises:
        ClusterError: If no trial fits the cluster.
        StoreError: If the disk is too small.
    """
    config = plan.config
    is_stored = config.frames == "store"
    if reads_through_ray is None:
        workers = config.resources.num_workers
        reads_through_ray = config.stream.chosen(num_workers=workers, stored=is_stored) == "ray"
    capacity = measure(config.resources)
    reservation = reserve(config, capacity, reads_through_ray=reads_through_ray)
    store = FrameStore(config.output / "store", config.recipe)
    expected = forecast(cohort.recordings, store, plan.modalities if is_stored else ())
    if is_stored:
        check_room(expected, store.root)
    return CheckedStudy(plan, cohort, study, capacity, reservation, store, expected)


def check_trials(within: CheckedStudy) -> CheckedTrials:
    """Load the files that trials start from, and check the tracking server.

    Raises:
        PdrayError: If a file cannot be used, phrases or intensities are of others, or the
            tracking server cannot serve the cluster.
    """
    plan, cohort = within.plan, within.cohort
    config = plan.config
    uri = config.tracking.uri or default_uri(config.output)
    nodes = within.capacity.num_nodes
    check_tracking(uri, max(nodes, 2) if within.capacity.grows else nodes)
    if any("intensities" in one.sees or one.model.name == "expression_clip" for one in plan.fits):
        from pdray.search.expression_checks import check_expressions

        check_expressions(plan.fits, cohort)
    table, marks = config.data.marks, None
    if table is not None:
        from pdray.data.cohort.marks import read_marks

        marks = read_marks(table)
    return CheckedTrials(
        within,
        uri,
        marks=marks,
        files=(*start_files(plan), *_guide_files(plan), *([] if table is None else [table])),
        notes=(
            *start_notes(plan, cohort.num_classes),
            *same_people_notes(plan, cohort.manifest.digest),
        ),
    )


def _guide_files(plan: StudyPlan) -> list[Path]:
    """Return the weights of the guide of a translator; none of other models."""
    folder = plan.config.synthesis.guide
    if folder is None:
        return []
    from pdray.training.translators.guide import open_guide  # few studies have one

    return [file for file, _ in open_guide(folder).models()]


def prepare_trials(checked: CheckedTrials, say: Say) -> PreparedTrials:
    """Fill the frame store with everything that trials read.

    Args:
        checked: From :func:`check_trials`.
        say: Prints a line.

    Raises:
        PdrayError: If a node cannot read the output folder, a recording, a mark or the tracking
            database cannot be used, or a file has changed since the study started.
    """
    plan, cohort = checked.within.plan, checked.within.cohort
    data = plan.config.data
    check_shared([plan.config.output, checked.within.study.folder])
    check_plugins(plan.plugins)
    if checked.uri.startswith("sqlite:"):  # a database of something else is refused before frames
        with step("preparing the database of MLflow"):  # which takes seconds to import
            from pdray.tracking.server import prepare_tracking

            prepare_tracking(checked.uri, plan.config.tracking.experiment)
    keep_weights(checked.within.study, checked.files)
    made = _made(plan, cohort)
    for line in made:
        say(line)
    prepared = prepare_frames(checked.within, say)
    cohort = readable(cohort, data, prepared)
    stored = prepared if plan.config.frames == "store" else None
    recordings = (*rated(cohort, data, stored), *rated_made(cohort, stored))
    cohort = replace(cohort, notes=(*cohort.notes, *made))
    if any("regions" in config.beside for config in plan.fits):
        from pdray.search.region_preparation import check_regions, with_marks

        check_regions(cohort.recordings if stored is not None else ())
        recordings = with_marks(recordings, checked.marks, say)
    if any(config.views is not None for config in plan.fits):
        from pdray.search.view_preparation import prepare_views

        prepare_views(plan, recordings, checked.within.capacity, say)
    return PreparedTrials(cohort, recordings)


def _made(plan: StudyPlan, cohort: Cohort) -> list[str]:
    """Return how many made recordings each fold learns from, in words; nothing without any."""
    if not cohort.made:
        return []
    from pdray.data.cohort.made import made_lines  # few studies learn from them

    recordings = (*rated(cohort, plan.config.data, None), *rated_made(cohort, None))
    split = compared_sides if plan.fixed else inner_sides
    return made_lines(split(cohort.folds, recordings, cohort.made_share), recordings)


def prepare_frames(checked: CheckedStudy, say: Say) -> dict[str, StoredRecording]:
    """Fill the frame store with every modality that a trial may use.

    With ``frames=video`` every video is decoded once and nothing is kept but what was found, so
    that both refuse the same files. Recordings that cannot be read are listed in
    ``decode_failures.csv`` of the study's folder.

    Args:
        checked: From :func:`check_study`.
        say: Prints a line.

    Returns:
        Entries by recording id, of the recordings that could be read; with ``frames=video`` where
        they would be.

    Raises:
        DecodeError: If more recordings than allowed cannot be read.
        StudyError: If the study goes on and a recording's file has changed.
    """
    plan, study = checked.plan, checked.study
    made = tuple(one.recording for one in checked.cohort.made)
    recordings, keeps = checked.cohort.recordings + made, plan.config.frames == "store"
    done = "in the store" if keeps else "decoded once, to check them"
    checked.cohort.manifest.keep_digests()
    checked.store.sweep()
    is_decoded = any(MODALITIES[one].kind in ("pictures", "sound") for one in plan.modalities)
    with step(f"{'decoding' if is_decoded else 'reading'} recordings") as now:
        prepared, failures = prepare_store(
            recordings,
            checked.store,
            plan.modalities,
            progress=now.counting(say, f"frames: {{}} recordings {done}"),
            needed=plan.needs,
            keeps=keeps,
        )
    reasons = dict.fromkeys(failures, "damaged file")
    lacking = unjudged(plan, prepared) if keeps else {}
    reasons |= dict.fromkeys(lacking, "lacks what some trials read")
    failures |= lacking
    prepared = {name: one for name, one in prepared.items() if name not in failures}
    table = study.folder / "decode_failures.csv"
    check_failures(failures, table, allowed=plan.config.data.max_decode_failures)
    if failures:
        say(f"frames: {len(failures)} recordings cannot be read and are left out; see {table}")
    for note in _notes(checked, prepared):
        say(f"note: {note}")
    stored = {name: one.stored for name, one in prepared.items()}
    keep_entries(study, stored)
    if checked.cohort.made:
        from pdray.tracking.made import keep_made  # few studies learn from them

        keep_made(study, checked.cohort.made)
    from pdray.search.recordings import keep_recordings  # pandas' Parquet, once per study

    keep_recordings(study, checked.cohort, plan.config.data.items, prepared, reasons)
    return stored


def _notes(checked: CheckedStudy, prepared: Mapping[str, Prepared]) -> list[str]:
    """Return what is to be known of the recordings, which are told by their running numbers."""
    from pdray.tracking.numbering import number_recordings, number_subjects

    recordings = checked.cohort.recordings + tuple(one.recording for one in checked.cohort.made)
    # All at once, so that numbers do not tell who is on which side of a split.
    number_subjects(checked.study, (one.subject_id for one in recordings))
    numbers = number_recordings(
        checked.study, {one.recording_id: one.subject_id for one in recordings}
    )
    told = {numbers[name]: one for name, one in prepared.items()}
    rows = [replace(one, recording_id=numbers[one.recording_id]) for one in recordings]
    notes = picture_notes(told, rows, checked.plan.config.decode)
    return [*mended_notes(told), *rate_notes(told), *lack_notes(told), *notes]


def unjudged(plan: StudyPlan, prepared: Mapping[str, Prepared]) -> dict[str, str]:
    """Return the recordings that some trial could not classify: reason by id.

    Trials are compared on the same recordings, so every trial must find a modality that it uses.
    """
    asked = dict.fromkeys(config.sees for config in plan.fits)
    return {
        name: f"recording {name}: has no {' or '.join(sees)}, and some trials use nothing else"
        for name, one in prepared.items()
        for sees in asked
        if not set(sees) & set(one.stored.paths)
    }


def start_trials(checked: CheckedTrials, prepared: PreparedTrials, say: Say) -> OpenStudy:
    """Start the study's log and its mirror in MLflow, and build the plan of its trials.

    Args:
        checked: From :func:`check_trials`.
        prepared: From :func:`prepare_trials`.
        say: Prints a line.
    """
    plan, study, reservation = (
        checked.within.plan,
        checked.within.study,
        checked.within.reservation,
    )
    config, cohort, recordings = plan.config, prepared.cohort, prepared.recordings
    start_log(plan, cohort, study, say)
    mirror = Mirror(study, uri=checked.uri, experiment=config.tracking.experiment, say=say)
    mirror.update(now=True)
    trials = _trial_plan(plan, cohort, study, recordings, reservation)
    return OpenStudy(cohort, trials, reservation, checked.uri, mirror)


def open_beside(
    ready: OpenStudy,
    plan: StudyPlan,
    cohort: Cohort,
    study: StudyLog,
    say: Say,
    *,
    recordings: tuple[RatedRecording, ...] | None = None,
) -> OpenStudy:
    """Start another study on the recordings that a study has prepared.

    Args:
        ready: The study that prepared them; its mirror sends the log of both.
        plan: Settings of the other study.
        cohort: Its recordings and folds; those that could not be read are left out of it.
        study: Its log.
        say: Prints a line.
        recordings: Those of ``ready`` with other classes; None: as they are.

    Raises:
        FoldsError: If a training side has lost a class, or a side all its recordings.
    """
    recordings = recordings or ready.trials.recordings
    cohort = readable(cohort, plan.config.data, {one.recording_id for one in recordings})
    start_log(plan, cohort, study, say)
    trials = _trial_plan(plan, cohort, study, recordings, ready.reservation)
    return replace(ready, cohort=cohort, trials=trials)


def _trial_plan(
    plan: StudyPlan,
    cohort: Cohort,
    study: StudyLog,
    recordings: tuple[RatedRecording, ...],
    reservation: Reservation,
) -> TrialPlan:
    config = plan.config
    return TrialPlan(
        folder=study.folder,
        fit=config.fit,
        recordings=recordings,
        sides=(compared_sides if plan.fixed else inner_sides)(
            cohort.folds, recordings, cohort.made_share
        ),
        num_classes=cohort.num_classes,
        origin=Origin(
            study=study.name,
            trial=0,
            fold=0,
            epoch=0,
            seed=plan.seed,
            outer_fold=config.folds.outer_fold,
        ),
        metric=config.search.metric,
        workers=reservation.workers,
        folds_at_once=reservation.folds_at_once,
        reservation=reservation,
        labels=tuple(start.label for start in plan.starts),
        synthetic=cohort.is_synthetic,
        interval=config.evaluation.interval,
        reshuffle=config.search.reshuffle and not plan.fixed,
        target=config.data.target,
        made_share=cohort.made_share,
    )


def start_log(plan: StudyPlan, cohort: Cohort, study: StudyLog, say: Say) -> None:
    """Start the study's log, or continue it.

    Args:
        plan: Its settings.
        cohort: Its recordings and folds.
        study: Its log.
        say: Prints a line.
    """
    cohort.manifest.keep_digests()
    tags = {
        "manifest_digest": cohort.manifest.digest,
        "seed": str(plan.seed),
        "maximise": "true" if greater_is_better(plan.config.search.metric) else "false",
        "recordings": str(len(cohort.recordings)),
        "subjects": str(len({one.subject_id for one in cohort.recordings})),
        "source": source_identity(submitted=submitted_commit()),
        **{f"version.{package}": found for package, found in versions().items()},
        **{f"{TAG}{package}": found for package, found in plan.plugins.items()},
        **({"synthetic": "true"} if cohort.is_synthetic else {}),
        **plan.tags,
    }
    before = study.read()["tags"] if study.exists() else tags
    for tag in sorted(before.keys() | tags.keys()):
        was, now = before.get(tag, "none"), tags.get(tag, "none")
        if was != now and (tag == "source" or tag.startswith(TAG)):
            what = tag.replace(".", " ")
            say(f"note: the study started with {what} {was} and continues with {now}")
    study.start(name=study.name, settings=plan.tree, tags=tags)
    study.write(study.folds_path.name, folds_to_json(cohort.folds))
