"""Runs a study from start to end: frames, trials, refit of the winner, one test score."""

import math
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.tune import TuneConfig
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pdray.command import Say
from pdray.data.cohort.members import Cohort, make_cohort
from pdray.errors import StudyError
from pdray.evaluation.metrics import METRICS
from pdray.search.cluster import Reservation, is_submitted, joined_cluster
from pdray.search.opening import open_study
from pdray.search.plan import StudyPlan
from pdray.search.progress import Extent, Mirror, Progress
from pdray.search.proposals import StudySearch, naming_database
from pdray.search.pruning import FoldRule, QuantileRule
from pdray.search.resume import check_same, manifest_of, only_driver
from pdray.search.trial import TrialPlan, run_trials
from pdray.tracking.address import default_uri
from pdray.tracking.provenance import describe_upload
from pdray.tracking.run_log import REPORT, SEARCH_PICTURES, StudyLog


@dataclass(frozen=True)
class StudyOutcome:
    """Results of a finished study.

    Attributes:
        folder: Folder of its log.
        tracking_uri: Address of its MLflow runs.
        is_mirrored: Whether MLflow has all of the log.
        page: Path and query of MLflow's page that compares the trials.
        leaderboard: Text table of the trials.
        held_out: The winner's score on the test set, and the baselines below it.
        checks: What the checks of the search found; empty if an earlier version ran it.
    """

    folder: Path
    tracking_uri: str
    is_mirrored: bool
    page: str
    leaderboard: str
    held_out: str
    checks: str


def run_plan(plan: StudyPlan, say: Say) -> StudyOutcome:
    """Run or continue the study of a checked plan.

    Args:
        plan: Settings and search space. A study of the same name is continued: its settings must
            be the same, except for trials, resources and tracking.
        say: Prints a line of progress.

    Returns:
        The results and where they are.

    Raises:
        PdrayError: If something is wrong that the user can correct; nothing is lost.
        KeyboardInterrupt: If interrupted; the study can be continued.
    """
    config = plan.config
    study = StudyLog(config.output / "studies" / str(config.search.name))
    manifest = manifest_of(study, config)
    cohort = make_cohort(manifest, config.data, config.folds, needs=plan.needs)
    if plan.start_study is not None and not study.exists():
        from pdray.search.starts import check_same_people

        check_same_people(plan.start_study, cohort)
    with only_driver(study, say):
        check_same(plan, study, cohort.manifest.digest, say)
        if study.is_complete():
            return _read_outcome(plan, study, say)
        try:
            with joined_cluster(config.resources), naming_database(study.optuna_path):
                return _run_on_cluster(plan, cohort, study, say)
        except KeyboardInterrupt as interrupt:
            words = [f"search.name={study.folder.name}", f"output={config.output}"]
            raise KeyboardInterrupt(f"continue with --resume {shlex.join(words)}") from interrupt


def _read_outcome(plan: StudyPlan, study: StudyLog, say: Say) -> StudyOutcome:
    """Return what a complete study found, and send to MLflow what is not there yet.

    Raises:
        StudyError: If its report was removed.
    """
    say(f"study {study.folder.name} is complete; nothing is computed again, this is its report")
    from pdray.search.checking import read_report

    config = plan.config
    uri = config.tracking.uri or default_uri(config.output)
    mirror = Mirror(study, uri=uri, experiment=config.tracking.experiment, say=say)
    mirror.finish()
    try:
        scores, checks = read_report(study.folder)
    except OSError as error:
        raise StudyError(
            f"study {study.folder.name} is complete, but its {REPORT} cannot be read: "
            f"{error.strerror or error}; restore {study.folder / REPORT}, or read the study with "
            "pdray.read_study"
        ) from error
    board, _, held_out = scores.rpartition("\n\n")
    whole = mirror.error is None
    return StudyOutcome(study.folder, uri, whole, mirror.page, board, held_out, checks)


def _run_on_cluster(plan: StudyPlan, cohort: Cohort, study: StudyLog, say: Say) -> StudyOutcome:
    if is_submitted():
        say(describe_upload())
    ready = open_study(plan, cohort, study, say)
    cohort, mirror = ready.cohort, ready.mirror
    search = _search(plan, ready.trials, study, ready.reservation, (mirror, say))
    if not search.completed():
        study.finish(state="failed")
        mirror.finish()
        reasons = [log.read()["reason"] for log in study.trials()]
        raise StudyError(
            f"none of the {search.num_ended()} trials completed, so there is no winner; the last "
            f"one failed: {reasons[-1] if reasons else 'no log'}; read the others in "
            f"{study.folder / 'trials'}, and start a new study with another search.name"
        )
    from pdray.search.checking import check_search
    from pdray.search.winner import refit, report_winner

    best = search.best()
    refit(ready.trials, study, (best.number, search.params_of(best)), cohort, (mirror, say))
    board, held_out = report_winner(plan, cohort, study)
    checks = check_search(plan, cohort, ready.trials.recordings, study)
    _draw(plan, cohort, study, search)
    study.finish(state="complete", best=best.number)
    mirror.finish()
    whole = mirror.error is None
    return StudyOutcome(study.folder, ready.uri, whole, mirror.page, board, held_out, checks)


def _draw(plan: StudyPlan, cohort: Cohort, study: StudyLog, search: StudySearch) -> None:
    from pdray.search.pictures import history_picture, importance_picture

    history, importance = (study.folder / name for name in SEARCH_PICTURES)
    metric, marked = plan.config.search.metric, cohort.is_synthetic
    trials = [log.read() for log in study.trials()]
    maximise = METRICS[metric].greater_is_better
    history_picture(trials, history, metric=f"val/{metric}", maximise=maximise, synthetic=marked)
    if found := search.importance():
        num_trials = len(search.completed())
        importance_picture(found, importance, num_trials=num_trials, synthetic=marked)


def _search(
    plan: StudyPlan,
    trials: TrialPlan,
    study: StudyLog,
    reservation: Reservation,
    listeners: tuple[Mirror, Say],
) -> StudySearch:
    """Run the remaining trials."""
    config, (mirror, say) = plan.config.search, listeners
    better = METRICS[config.metric].greater_is_better
    search = StudySearch(
        plan,
        storage=f"sqlite:///{study.optuna_path}",
        name=study.folder.name,
        mode="max" if better else "min",
    )
    ended, left = search.num_ended(), search.num_left(config.trials)
    if not left:
        return search
    pruner = None
    if config.prune_quantile:
        pruner = _pruner(plan, len(trials.sides))
        _remember(pruner, study, config.metric)
    progress = Progress(
        study,
        mirror,
        say,
        extent=Extent(ended + left, ended, len(trials.sides), plan.config.optim.epochs),
        direction=(f"val/{config.metric}", better),
    )
    if search.completed():
        best = search.best()
        progress.best = (float(best.value or 0.0), best.number)
    run_trials(
        replace(trials, pruner=pruner),
        TuneConfig(
            search_alg=search,
            num_samples=left,
            max_concurrent_trials=reservation.concurrent_trials,
            reuse_actors=reservation.workers.num_workers == 1,
        ),
        callbacks=[progress],
    )
    if search.num_left(config.trials):
        raise KeyboardInterrupt  # Tune caught it and ended its trials
    return search


def _pruner(plan: StudyPlan, num_folds: int) -> Any:
    """Start the actor that ends trials."""
    config = plan.config.search
    rule: Any = FoldRule
    own: dict[str, Any] = {"num_folds": num_folds}
    if config.prune_rule == "quantile":
        rule, own = QuantileRule, {"quantile": config.prune_quantile}
    # Keep it on the driver's node, which stays; a zero-CPU actor could land on a spot machine.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(num_cpus=0, scheduling_strategy=here)(rule)
    return actor.remote(
        num_trials=config.prune_after_trials,
        num_epochs=plan.config.optim.epochs,
        first_epoch=config.prune_after_epochs,
        greater_is_better=METRICS[config.metric].greater_is_better,
        **own,
    )


def _remember(pruner: Any, study: StudyLog, metric: str) -> None:
    """Give the pruning actor the scores of earlier sessions."""
    for log in study.trials():
        scores: list[list[float]] = []
        for record in log.epochs():
            if record.fold == len(scores):
                scores.append([])
            scores[record.fold].append(record.metrics.get(f"val/{metric}", math.nan))
        if scores:
            ray.get(pruner.observe.remote(log.read()["number"], scores))
