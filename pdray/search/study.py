"""A study from start to end: cohort, frames, trials, refit of the winner, one look at the test."""

import math
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune import FailureConfig, ResultGrid, RunConfig, TuneConfig, Tuner

from pdray.atomic import write_text
from pdray.data.folds import folds_to_json
from pdray.data.manifest import load_manifest
from pdray.data.plan import RatedRecording
from pdray.data.prepare import check_failures, prepare_store
from pdray.data.store import StoredRecording
from pdray.errors import StudyError
from pdray.evaluation.aggregate import by_recording
from pdray.evaluation.metrics import METRICS, absent_classes
from pdray.evaluation.predictions import Origin, read_predictions, targets
from pdray.evaluation.report import held_out_sentence, leaderboard
from pdray.evaluation.uncertainty import subject_bootstrap
from pdray.search.cluster import (
    DISTRIBUTED_TRIAL_CPUS,
    Reservation,
    check_shared,
    join_cluster,
    measure,
    reserve,
    submitted_commit,
)
from pdray.search.cohort import Cohort, inner_sides, make_cohort, outer_sides, rated
from pdray.search.preflight import describe_plan
from pdray.search.progress import Extent, Mirror, Progress, Say
from pdray.search.proposals import StudySearch
from pdray.search.settings import StudyConfig, StudyPlan, default_name
from pdray.search.trial import FoldTrial, Pruner, TrialPlan, distributed_trial
from pdray.tracking.address import check_tracking, default_uri
from pdray.tracking.mlflow_log import prepare_tracking
from pdray.tracking.provenance import source_identity, versions
from pdray.tracking.run_log import REPORT, StudyLog
from pdray.training.launch import MAX_LOST_WORKERS


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
    study = _start_log(plan, cohort)
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
    check_tracking(uri, capacity.num_nodes)
    kind = config.stream.chosen(
        num_workers=config.resources.num_workers, stored=config.frames == "store"
    )
    reservation = reserve(config, capacity, reads_through_ray=kind == "ray")
    say(describe_plan(plan, cohort, capacity, reservation))
    check_shared([config.output, study.folder])
    recordings = rated(cohort, config.data, _prepare_frames(plan, cohort, study, say))
    mirror = Mirror(study, uri=uri, experiment=config.tracking.experiment, say=say)
    _prepare_mirror(mirror, config, uri)
    trials = _trial_plan(plan, cohort, study, recordings, reservation)
    search = _search(plan, trials, study, reservation, (mirror, say))
    if not search.completed():
        study.finish(state="failed")
        mirror.update(now=True)
        reasons = [log.read()["reason"] for log in study.trials()]
        raise StudyError(
            f"none of the {search.num_ended()} trials completed, so there is no winner; the last "
            f"one: {reasons[-1]} (all are in {study.folder / 'trials'})"
        )
    best = search.best()
    _refit(trials, study, (best.number, best.params), cohort, say)
    board, held_out = _report(plan, cohort, study)
    study.finish(state="complete", best=best.number)
    mirror.update(now=True)
    return StudyOutcome(study.folder, uri, mirror.error is None, board, held_out)


def _start_log(plan: StudyPlan, cohort: Cohort) -> StudyLog:
    """Open the study's folder, new or to be continued."""
    config = plan.config
    name = config.search.name or default_name()
    study = StudyLog(config.output / "studies" / name)
    tags = {
        "manifest_digest": cohort.manifest.digest,
        "seed": str(config.search.seed),
        "source": source_identity(submitted=submitted_commit()),
        **{f"version.{package}": found for package, found in versions().items()},
        **({"synthetic": "true"} if cohort.is_synthetic else {}),
    }
    if study.exists() and study.trials():
        check_same(plan, study, cohort.manifest.digest)
    else:  # stopped before its first trial, by an unreadable recording, say: nothing depends on it
        (study.folder / "study.json").unlink(missing_ok=True)
    study.start(name=name, settings=plan.tree, tags=tags)
    write_text(study.folds_path, folds_to_json(cohort.folds))
    return study


def check_same(plan: StudyPlan, study: StudyLog, digest: str) -> None:
    """Refuse to continue a study under settings or data that change its scores."""
    saved = study.read()
    if saved["tags"]["manifest_digest"] != digest:
        raise StudyError(
            f"study {saved['name']}: the manifest has changed since it started; start a new study "
            "with another search.name"
        )
    old, new = _flat(saved["settings"]), _flat(plan.tree)
    changed = sorted(
        key for key in old.keys() | new.keys() if old.get(key) != new.get(key) and _decides(key)
    )
    if changed:
        told = "; ".join(f"{key} was {old.get(key)!r}, is {new.get(key)!r}" for key in changed)
        raise StudyError(
            f"study {saved['name']} exists in {study.folder} with other settings: {told}; "
            "give the new study another search.name"
        )


def _decides(key: str) -> bool:
    free = ("resources.", "tracking.", "stream.", "search.trials", "search.max_concurrent_trials")
    return not key.startswith((*free, "search.name", "output"))


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix[:-1]: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(_flat(value, f"{prefix}{key}."))
    return flat


def _prepare_frames(
    plan: StudyPlan, cohort: Cohort, study: StudyLog, say: Say
) -> dict[str, StoredRecording] | None:
    config = plan.config
    if config.frames == "video":
        return None
    said = 0

    def progress(done: int, total: int) -> None:
        nonlocal said
        tenth = 10 * done // total
        if tenth != said:
            said = tenth
            say(f"frames: {done}/{total} recordings in the store")

    root = config.output / "store"
    stored, failures = prepare_store(cohort.recordings, root, config.decode, progress=progress)
    table = study.folder / "decode_failures.csv"
    check_failures(failures, table, allowed=config.data.max_decode_failures)
    if failures:
        say(f"frames: {len(failures)} recordings cannot be read and take no part, see {table}")
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
    pruner = Pruner.remote(
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
    _run_trials(
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


def _refit(
    trials: TrialPlan,
    study: StudyLog,
    best: tuple[int, dict[str, Any]],
    cohort: Cohort,
    say: Say,
) -> None:
    """Train the best settings on all development subjects; score the test subjects once."""
    if study.winner.exists() and study.winner.read()["state"] == "complete":
        return
    number, params = best
    chosen = int(study.trial(number).read()["chosen_epoch"])
    plan = replace(
        trials,
        sides=outer_sides(cohort.folds, trials.recordings),
        origin=replace(trials.origin, split="test", fold=-1),
        role="winner",
        epochs=chosen + 1,
        pruner=None,
    )
    say(f"refit: trial {number} on all development subjects, {chosen + 1} epochs")
    config = {"number": number, "params": params}
    results = _run_trials(plan, TuneConfig(), callbacks=[], param_space=config)
    winner = study.winner.read()
    if winner["state"] == "failed" or results.errors:
        reason = winner["reason"] or results.errors[0]
        raise StudyError(f"the refit of trial {number} failed: {reason}")
    if winner["state"] != "complete":
        raise KeyboardInterrupt


def _run_trials(
    plan: TrialPlan,
    how: TuneConfig,
    *,
    callbacks: list[tune.Callback],
    param_space: dict[str, Any] | None = None,
) -> ResultGrid:
    workers = plan.workers
    run = RunConfig(
        name="tune",
        storage_path=str(plan.folder / "ray"),
        verbose=0,
        callbacks=callbacks,
        failure_config=FailureConfig(max_failures=MAX_LOST_WORKERS),
    )
    trainable: Any = distributed_trial
    resources = {"CPU": DISTRIBUTED_TRIAL_CPUS}
    if workers.num_workers == 1:
        trainable = FoldTrial
        resources = {"CPU": workers.cpus_per_worker, "GPU": workers.gpus_per_worker}
    trainable = tune.with_resources(tune.with_parameters(trainable, plan=plan), resources)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuner = Tuner(trainable, param_space=param_space or {}, tune_config=how, run_config=run)
        return tuner.fit()


def _report(plan: StudyPlan, cohort: Cohort, study: StudyLog) -> tuple[str, str]:
    """Return leaderboard and held-out sentence, and leave both in the study's folder."""
    metric = plan.config.search.metric
    table = by_recording(read_predictions(study.winner.predictions_path))
    rows = [{**log.read(), "note": "; ".join(cohort.notes)} for log in study.trials()]
    board = leaderboard(rows, metric=f"val/{metric}", synthetic=cohort.is_synthetic)
    held_out = held_out_sentence(
        f"test/{metric}",
        subject_bootstrap(table, metric),
        num_recordings=len(table),
        absent=absent_classes(targets(table), cohort.num_classes),
        synthetic=cohort.is_synthetic,
    )
    write_text(study.folder / REPORT, f"{board}\n\n{held_out}\n")
    return board, held_out
