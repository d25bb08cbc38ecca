"""What every study does before its first trial: cluster, frames, log, tracking."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pdray.atomic import write_text
from pdray.command import Say
from pdray.data.cohort.folds import folds_to_json
from pdray.data.cohort.marks import read_marks
from pdray.data.cohort.members import Cohort, compared_sides, inner_sides, rated, readable
from pdray.data.cohort.rated import RatedRecording, StoredRecording
from pdray.data.store.forecast import check_room, forecast
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.prepare import Prepared, check_failures, lack_notes, prepare_store, rate_notes
from pdray.errors import PdrayError, SettingsError, refuse
from pdray.evaluation.predictions import Origin
from pdray.search.cluster import Reservation, check_shared, measure, reserve, submitted_commit
from pdray.search.preflight import describe_plan
from pdray.search.progress import Mirror
from pdray.search.region_preparation import check_regions, with_marks
from pdray.search.resume import keep_entries, keep_weights
from pdray.search.settings import StudyConfig, StudyPlan, recipe
from pdray.search.space import Value, networks, trial_config
from pdray.search.trial import TrialPlan
from pdray.search.view_preparation import prepare_views
from pdray.tracking.address import check_tracking, default_uri
from pdray.tracking.mlflow_log import prepare_tracking
from pdray.tracking.provenance import source_identity, versions
from pdray.tracking.run_log import StudyLog
from pdray.training.frozen.sound import embedding_files
from pdray.training.network import describe_start
from pdray.training.settings import FitConfig


@dataclass(frozen=True)
class OpenStudy:
    """A study that is ready for its trials.

    Attributes:
        cohort: Its recordings, less those that cannot be read.
        trials: What its trials share.
        reservation: What a trial takes and how many run at once.
        uri: Where its runs are, or will be.
        mirror: Keeps the runs up to date.
    """

    cohort: Cohort
    trials: TrialPlan
    reservation: Reservation
    uri: str
    mirror: Mirror


def open_study(plan: StudyPlan, cohort: Cohort, study: StudyLog, say: Say) -> OpenStudy:
    """Fill the frame store, start the log and its mirror, and say what will be done.

    Ray has been joined before.

    Args:
        plan: Settings, and what the study searches or compares.
        cohort: Recordings and folds.
        study: The study's log.
        say: Prints a line.

    Raises:
        PdrayError: If something the user can mend is wrong; nothing has been lost then.
    """
    config = plan.config
    capacity = measure(config.resources)
    uri = config.tracking.uri or default_uri(config.output)
    grows = config.resources.cluster_cpus or config.resources.cluster_gpus
    check_tracking(uri, max(capacity.num_nodes, 2) if grows else capacity.num_nodes)
    kind = config.stream.chosen(
        num_workers=config.resources.num_workers, stored=config.frames == "store"
    )
    reservation = reserve(config, capacity, reads_through_ray=kind == "ray")
    store = FrameStore(config.output / "store", recipe(config))
    wanted = plan.modalities if config.frames == "store" else ()
    expected = forecast(cohort.recordings, store, wanted)
    say(describe_plan(plan, cohort, capacity, reservation, expected))
    for note in start_notes(plan, cohort.num_classes):
        say(note)
    for note in same_people_notes(plan, cohort.manifest.digest):
        say(note)
    marks = read_marks(config.data.marks) if config.data.marks is not None else None
    check_shared([config.output, study.folder])
    tables = [] if config.data.marks is None else [config.data.marks]
    keep_weights(study, [*start_files(plan), *tables])
    stored = None
    if config.frames == "store":
        check_room(expected, store.root)
        stored = prepare_frames(plan, cohort, study, store, say)
        cohort = readable(cohort, config.data, stored)
        check_regions(plan, cohort.recordings)
    recordings = with_marks(plan, rated(cohort, config.data, stored), marks, say)
    prepare_views(plan, recordings, capacity, say)
    start_log(plan, cohort, study, say)
    mirror = Mirror(study, uri=uri, experiment=config.tracking.experiment, say=say)
    _prepare_mirror(mirror, config, uri)
    trials = _trial_plan(plan, cohort, study, recordings, reservation)
    return OpenStudy(cohort, trials, reservation, uri, mirror)


def start_notes(plan: StudyPlan, num_classes: int) -> list[str]:
    """Load every file that trials start from into every network, and say what became of it.

    Args:
        plan: What the study searches or compares.
        num_classes: K.

    Returns:
        Lines of text; none where all weights are drawn.

    Raises:
        SettingsError: If a file cannot be read, or does not belong into a network that a trial may
            have; with every such network.
    """
    notes: dict[str, None] = {}
    faults: dict[str, str] = {}
    met: set[str] = set()
    for params, config in _starts(plan):
        backbone = getattr(config.model, "backbone", None)
        loaded = (config.network, backbone, config.sees, config.loss.kind, config.pretrained)
        if repr(loaded) in met:  # what differs behind a frozen network loads nothing else
            continue
        met.add(repr(loaded))
        try:
            lines = _heard(config)
        except PdrayError as error:  # of a folder, whatever else a trial sets
            faults.setdefault(str(error), str(error))
            continue
        try:
            lines += describe_start(config, num_classes)
        except PdrayError as error:
            told = ", ".join(f"{key} = {value!r}" for key, value in params.items())
            faults.setdefault(str(error), f"pretrained{f' with {told}' if told else ''}: {error}")
            continue
        notes |= dict.fromkeys(f"pretrained {line}" for line in lines)
    refuse(list(faults.values()), SettingsError, "settings")
    for file in start_files(plan):
        if learnt_from_rendered(file):
            notes[f"pretrained note: {file} was learnt from SYNTHETIC recordings"] = None
    return list(notes)


def _heard(config: FitConfig) -> list[str]:
    """Say that the network that hears a waveform is there."""
    if "waveform" not in config.sees:
        return []
    return [f"embedding: {embedding_files(config.embedding)['weights']}"]


def start_files(plan: StudyPlan) -> list[Path]:
    """Return the files that trials start from, each once."""
    files: list[Path] = []
    for _, config in _starts(plan):
        files += [config.pretrained] if config.pretrained is not None else []
        if "waveform" in config.sees:
            files += embedding_files(config.embedding).values()
    return list(dict.fromkeys(files))


def _starts(plan: StudyPlan) -> list[tuple[Mapping[str, Value], FitConfig]]:
    """Return the settings of each network that may start from a file, and what is set for it."""
    every = list(plan.fixed.values()) or networks(plan.space)
    return [(params, trial_config(plan.fit, params)) for params in every]


def same_people_notes(plan: StudyPlan, manifest_digest: str) -> list[str]:
    """Say which files were learnt from recordings of the very manifest that is studied."""
    notes = []
    for file in start_files(plan):
        study = _study_of(file)
        if study is not None and study.read()["tags"].get("manifest_digest") == manifest_digest:
            notes.append(
                f"note: {file} has learnt from recordings of this manifest: of people whom it has "
                "seen no score here is one of unseen people"
            )
    return notes


def learnt_from_rendered(file: Path) -> bool:
    """Whether a file of weights is the winner of a study on rendered recordings."""
    study = _study_of(file)
    return study is not None and study.read()["tags"].get("synthetic") == "true"


def _study_of(file: Path) -> StudyLog | None:
    """Return the study whose winner a file of weights is."""
    file = file.absolute()
    study = StudyLog(file.parent.parent)
    return study if file == study.winner.model_path and study.exists() else None


def start_log(plan: StudyPlan, cohort: Cohort, study: StudyLog, say: Say) -> None:
    """Write what the study is, or that it goes on.

    Args:
        plan: Its settings.
        cohort: Its recordings and folds.
        study: Its log.
        say: Prints a line.
    """
    config = plan.config
    tags = {
        "manifest_digest": cohort.manifest.digest,
        "seed": str(config.search.seed),
        "source": source_identity(submitted=submitted_commit()),
        **{f"version.{package}": found for package, found in versions().items()},
        **({"synthetic": "true"} if cohort.is_synthetic else {}),
    }
    if study.exists() and (before := study.read()["tags"].get("source")) != tags["source"]:
        say(f"note: the study began with source {before} and goes on with {tags['source']}")
    study.start(name=study.folder.name, settings=plan.tree, tags=tags)
    write_text(study.folds_path, folds_to_json(cohort.folds))


def prepare_frames(
    plan: StudyPlan, cohort: Cohort, study: StudyLog, store: FrameStore, say: Say
) -> dict[str, StoredRecording]:
    """Fill the frame store with every modality that a trial may see.

    Args:
        plan: Settings.
        cohort: Whose recordings are wanted.
        study: Where those that cannot be read are listed, and which entries are read.
        store: The frame store.
        say: Prints a line.

    Returns:
        Entries by recording id, of the recordings that could be read.

    Raises:
        DecodeError: If more recordings than allowed cannot be read.
        StudyError: If the study goes on and a recording's file has changed.
    """
    config = plan.config
    said = 0

    def progress(done: int, total: int) -> None:
        nonlocal said
        tenth = 10 * done // total
        if tenth != said:
            said = tenth
            say(f"frames: {done}/{total} recordings in the store")

    prepared, failures = prepare_store(
        cohort.recordings, store, plan.modalities, progress=progress, needed=plan.needs
    )
    failures |= unjudged(plan, prepared)
    prepared = {name: one for name, one in prepared.items() if name not in failures}
    table = study.folder / "decode_failures.csv"
    check_failures(failures, table, allowed=config.data.max_decode_failures)
    if failures:
        say(f"frames: {len(failures)} recordings cannot be read and take no part, see {table}")
    for note in [*rate_notes(prepared), *lack_notes(prepared)]:
        say(f"note: {note}")
    stored = {name: one.stored for name, one in prepared.items()}
    keep_entries(study, stored)
    return stored


def unjudged(plan: StudyPlan, prepared: Mapping[str, Prepared]) -> dict[str, str]:
    """Return the reason by id of each recording that some trial could not judge.

    Trials are compared on the same recordings, so each must have one of what any trial sees.
    """
    asked = dict.fromkeys(config.sees for config in plan.fits)
    return {
        name: f"recording {name}: has none of {', '.join(sees)}, which is all that a trial may see"
        for name, one in prepared.items()
        for sees in asked
        if not set(sees) & set(one.stored.paths)
    }


def _prepare_mirror(mirror: Mirror, config: StudyConfig, uri: str) -> None:
    if uri.startswith("sqlite:"):
        prepare_tracking(uri, config.tracking.experiment)
    mirror.update(now=True)


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
        fit=plan.fit,
        recordings=recordings,
        sides=(compared_sides if plan.fixed else inner_sides)(cohort.folds, recordings),
        num_classes=cohort.num_classes,
        origin=Origin(
            study=study.folder.name,
            trial=0,
            fold=0,
            epoch=0,
            seed=config.search.seed,
            outer_fold=config.folds.outer_fold,
        ),
        metric=config.search.metric,
        workers=reservation.workers,
        synthetic=cohort.is_synthetic,
    )
