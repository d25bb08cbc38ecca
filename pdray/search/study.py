"""A study from start to end: cohort, frames, trials, refit of the winner, one look at the test."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.tune import TuneConfig
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pdray.atomic import write_text
from pdray.data.folds import folds_to_json
from pdray.data.forecast import check_room, forecast
from pdray.data.manifest import load_manifest
from pdray.data.plan import RatedRecording
from pdray.data.prepare import check_failures, prepare_store, rate_notes
from pdray.data.store import FrameStore, StoredRecording
from pdray.errors import StudyError
from pdray.evaluation.metrics import METRICS
from pdray.evaluation.predictions import Origin
from pdray.search.cluster import (
    Reservation,
    check_shared,
    join_cluster,
    measure,
    reserve,
    submitted_commit,
)
from pdray.search.cohort import Cohort, inner_sides, make_cohort, rated, readable
from pdray.search.preflight import describe_plan
from pdray.search.progress import Extent, Mirror, Progress, Say
from pdray.search.proposals import StudySearch
from pdray.search.resume import check_same, keep_entries, only_driver
from pdray.search.settings import StudyConfig, StudyPlan, default_name, recipe
from pdray.search.trial import Pruner, TrialPlan, run_trials
from pdray.search.winner import refit, report_winner
from pdray.tracking.address import check_tracking, default_uri
from pdray.tracking.mlflow_log import prepare_tracking
from pdray.tracking.provenance import source_identity, versions
from pdray.tracking.run_log import StudyLog


@dataclass(frozen=True)
class StudyOutcome:
    """What a finished study leaves.

    Attributes:
        folder: Its log.
        tracking_uri: Where its runs are, or will be once the server is back.
        is_mirrored: Whether MLflow has all of it.
        leaderboard: Text table of the trials.
        held_out: One sentence on the winner's score on the test subjects.
    """

    folder: Path
    tracking_uri: str
    is_mirrored: bool
    leaderboard: str
    held_out: str


def run_study(plan: StudyPlan, say: Say) -> StudyOutcome:
    """Run or continue the study of a checked plan.

    Args:
        plan: Settings and search space. A study of the same name is continued: its settings must
            be the same but for trials, resources and tracking.
        say: Prints a line of progress.

    Returns:
        Where everything is and what was found.

    Raises:
        PdrayError: If something the user can mend is wrong; nothing has been lost then.
        KeyboardInterrupt: If interrupted; the study can be continued.
    """
    config = plan.config
    cohort = make_cohort(load_manifest(config.data.manifest), config)
    study = StudyLog(config.output / "studies" / (config.search.name or default_name()))
    with only_driver(study):
        if study.exists():
            check_same(plan, study, cohort.manifest.digest)
        join_cluster(config.resources)
        try:
            return _run_on_cluster(plan, cohort, study, say)
        finally:
            ray.shutdown()


def _uri(config: StudyConfig) -> str:
    return config.tracking.uri or default_uri(config.output)


def _run_on_cluster(plan: StudyPlan, cohort: Cohort, study: StudyLog, say: Say) -> StudyOutcome:
    config = plan.config
    capacity = measure(config.resources)
    uri = _uri(config)
    grows = config.resources.cluster_cpus or config.resources.cluster_gpus
    check_tracking(uri, max(capacity.num_nodes, 2) if grows else capacity.num_nodes)
    kind = config.stream.chosen(
        num_workers=config.resources.num_workers, stored=config.frames == "store"
    )
    reservation = reserve(config, capacity, reads_through_ray=kind == "ray")
    store = FrameStore(config.output / "store", recipe(config))
    wanted = (config.modality,) if config.frames == "store" else ()
    expected = forecast(cohort.recordings, store, wanted)
    say(describe_plan(plan, cohort, capacity, reservation, expected))
    check_shared([config.output, study.folder])
    stored = None
    if config.frames == "store":
        check_room(expected, store.root)
        stored = _prepare_frames(plan, cohort, study, store, say)
        cohort = readable(cohort, config, stored)
    recordings = rated(cohort, config.data, stored)
    _start_log(plan, cohort, study, say)
    mirror = Mirror(study, uri=uri, experiment=config.tracking.experiment, say=say)
    _prepare_mirror(mirror, config, uri)
    trials = _trial_plan(plan, cohort, study, recordings, reservation)
    search = _search(plan, trials, study, reservation, (mirror, say))
    if not search.completed():
        study.finish(state="failed")
        mirror.finish()
        reasons = [log.read()["reason"] for log in study.trials()]
        raise StudyError(
            f"none of the {search.num_ended()} trials completed, so there is no winner; the last "
            f"one: {reasons[-1] if reasons else 'no log'} (all are in {study.folder / 'trials'})"
        )
    best = search.best()
    refit(trials, study, (best.number, best.params), cohort, (mirror, say))
    board, held_out = report_winner(plan, cohort, study)
    study.finish(state="complete", best=best.number)
    mirror.finish()
    return StudyOutcome(study.folder, uri, mirror.error is None, board, held_out)


def _start_log(plan: StudyPlan, cohort: Cohort, study: StudyLog, say: Say) -> None:
    """Write what the study is, or that it goes on."""
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


def _prepare_frames(
    plan: StudyPlan, cohort: Cohort, study: StudyLog, store: FrameStore, say: Say
) -> dict[str, StoredRecording]:
    config = plan.config
    said = 0

    def progress(done: int, total: int) -> None:
        nonlocal said
        tenth = 10 * done // total
        if tenth != said:
            said = tenth
            say(f"frames: {done}/{total} recordings in the store")

    prepared, failures = prepare_store(
        cohort.recordings, store, (config.modality,), progress=progress
    )
    table = study.folder / "decode_failures.csv"
    check_failures(failures, table, allowed=config.data.max_decode_failures)
    if failures:
        say(f"frames: {len(failures)} recordings cannot be read and take no part, see {table}")
    for note in rate_notes(prepared):
        say(f"note: {note}")
    stored = {name: one.stored for name, one in prepared.items()}
    keep_entries(study, stored)
    return stored


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
        sides=inner_sides(cohort.folds, recordings),
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


def _search(
    plan: StudyPlan,
    trials: TrialPlan,
    study: StudyLog,
    reservation: Reservation,
    listeners: tuple[Mirror, Say],
) -> StudySearch:
    """Run the trials that are still to do."""
    config, (mirror, say) = plan.config.search, listeners
    better = METRICS[config.metric].greater_is_better
    search = StudySearch(
        plan,
        storage=f"sqlite:///{study.optuna_path}",
        name=study.folder.name,
        mode="max" if better else "min",
    )
    ended = search.num_ended()
    if ended >= config.trials:
        return search
    # On the driver's node, which stays: a zero-CPU actor may land anywhere, on a spot machine too.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    pruner = Pruner.options(scheduling_strategy=here).remote(
        quantile=config.prune_quantile,
        num_trials=config.prune_after_trials,
        num_epochs=plan.config.optim.epochs,
        first_epoch=config.prune_after_epochs,
        greater_is_better=better,
    )
    _remember(pruner, study, trials, config.metric)
    progress = Progress(
        study,
        mirror,
        say,
        extent=Extent(config.trials, ended, len(trials.sides), plan.config.optim.epochs),
        direction=(f"val/{config.metric}", better),
    )
    if search.completed():
        best = search.best()
        progress.best = (float(best.value or 0.0), best.number)
    run_trials(
        replace(trials, pruner=pruner),
        TuneConfig(
            search_alg=search,
            num_samples=config.trials - ended,
            max_concurrent_trials=reservation.concurrent_trials,
            reuse_actors=reservation.workers.num_workers == 1,
        ),
        callbacks=[progress],
    )
    if search.num_ended() < config.trials:
        raise KeyboardInterrupt  # Tune caught it, and ended its trials in order
    return search


def _remember(pruner: Any, study: StudyLog, trials: TrialPlan, metric: str) -> None:
    """Give the pruning actor the values of earlier sessions."""
    for log in study.trials():
        number, epochs = log.read()["number"], log.read()["num_epochs"]
        scores: list[list[float]] = [[] for _ in trials.sides]
        for record in log.epochs():
            scores[record.fold].append(record.metrics.get(f"val/{metric}", math.nan))
            seen = [row[record.epoch] for row in scores[: record.fold + 1]]
            defined = [value for value in seen if not math.isnan(value)]
            value = sum(defined) / len(defined) if defined else math.nan
            ray.get(pruner.observe.remote(number, record.fold * epochs + record.epoch, value))
