"""Runs one search: its trials, the refit of the best one, and its report."""

import json
from dataclasses import dataclass, replace

from ray.tune import TuneConfig

from pdray.atomic import write_text
from pdray.command import Say
from pdray.data.cohort.members import Cohort
from pdray.display import step
from pdray.errors import StudyError
from pdray.evaluation.metrics import greater_is_better
from pdray.search.budget import Budget, Spent
from pdray.search.cluster import counted
from pdray.search.course import keeps_folds
from pdray.search.opening import OpenStudy
from pdray.search.plan import StudyPlan
from pdray.search.progress import Extent, Progress
from pdray.search.proposals import StudySearch, naming_database
from pdray.tracking.run_log import IMPORTANCE, SEARCH_PICTURES, StudyLog


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        best: Number of the trial that won.
        leaderboard: Text table of the trials.
        held_out: The winner's score on the test set, and the baselines below it; empty if there is
            no test set.
    """

    best: int
    leaderboard: str
    held_out: str


def run_search(plan: StudyPlan, ready: OpenStudy, study: StudyLog, say: Say) -> Found:
    """Run the remaining trials of a search, and train its winner on all development subjects.

    The winner is scored once on the test set, if the folds have one. The caller ends the log of
    the study.

    Args:
        plan: Its settings.
        ready: Its recordings and folds: from :func:`~pdray.search.opening.open_study`, or of
            another study on the same recordings from :func:`~pdray.search.opening.open_beside`.
        study: Its log, which has been started.
        say: Prints a line.

    Returns:
        What it found.

    Raises:
        StudyError: If no trial completed, or the refit failed.
        KeyboardInterrupt: If interrupted; the study can be continued.
    """
    with naming_database(study.optuna_path):
        spent = Spent(study)
        search = _search(plan, ready, study, spent, say)
        if not search.completed():
            study.finish(state="failed")
            ready.mirror.finish()
            reasons = [log.read()["reason"] for log in study.trials()]
            raise StudyError(
                f"none of the {search.num_ended()} trials completed, so there is no winner; the "
                f"last one failed: {reasons[-1] if reasons else 'no log'}; read the others in "
                f"{study.folder / 'trials'}, and start a new study with another search.name"
            )
        from pdray.search.winner import refit

        best = search.best()
        chosen = best.number, search.params_of(best)
        output = None if ready.is_permuted else plan.config.output
        refit(ready.trials, (study, output), chosen, ready.cohort, (ready.mirror, say))
        if ready.is_permuted:
            return Found(best.number, "", "")
        if keeps_folds(plan):
            from pdray.search.kept_folds import train_folds

            at_once = ready.reservation.concurrent_trials
            train_folds(ready.trials, study, at_once, (ready.mirror, say))
        with step("scoring the winner"):
            board, held_out = _report(plan, ready.cohort, study)
            _draw(plan, ready.cohort, study, search)
        spent.keep(now=True)
        say(spent.told(folds=keeps_folds(plan)))
        return Found(best.number, board, held_out)


def _report(plan: StudyPlan, cohort: Cohort, study: StudyLog) -> tuple[str, str]:
    if not plan.config.entry.predicts:
        from pdray.search.translated import report_translator

        return report_translator(plan, cohort, study)
    from pdray.search.winner import report_winner

    return report_winner(plan, cohort, study)


def _draw(plan: StudyPlan, cohort: Cohort, study: StudyLog, search: StudySearch) -> None:
    from pdray.search.pictures import history_picture, importance_picture

    history, importance = (study.folder / name for name in SEARCH_PICTURES)
    metric, marked = plan.config.search.metric, cohort.is_synthetic
    trials = [log.read() for log in study.trials()]
    maximise = greater_is_better(metric)
    history_picture(trials, history, metric=f"val/{metric}", maximise=maximise, synthetic=marked)
    if found := search.importance():
        num_trials = len(search.completed())
        write_text(study.folder / IMPORTANCE, json.dumps(found) + "\n")
        importance_picture(found, importance, num_trials=num_trials, synthetic=marked)


def _search(
    plan: StudyPlan, ready: OpenStudy, study: StudyLog, spent: Spent, say: Say
) -> StudySearch:
    """Run the remaining trials."""
    config, trials, reservation = plan.config.search, ready.trials, ready.reservation
    better = greater_is_better(config.metric)
    from pdray.search.rebuild import open_search  # no trial needs it

    search = open_search(plan, study, mode="max" if better else "min", say=say)
    ended, left = search.num_ended(), search.num_left(config.trials)
    if not left:
        return search
    from pdray.search.forecast import foresee
    from pdray.search.gpu_sharing import share_gpus

    trials, reservation = share_gpus(plan, trials, reservation, say)
    extent = Extent(ended + left, ended, len(trials.sides), plan.config.optim.epochs)
    course, forecast = foresee(plan, trials, reservation, extent, say)
    spent.begin(forecast)
    budget = Budget(config, study, spent, course)
    search.may_start = budget.may_start
    direction = f"val/{config.metric}", better
    progress = Progress(study, ready.mirror, say, extent=extent, course=course, direction=direction)
    if search.completed():
        best = search.best()
        progress.best = (float(best.value or 0.0), best.number)
    if search.goes_on():
        from pdray.search.pruner import start_pruner
        from pdray.search.running import run_trials

        how = TuneConfig(
            search_alg=search,
            num_samples=left,
            max_concurrent_trials=reservation.concurrent_trials,
            reuse_actors=reservation.workers.num_workers == 1,
        )
        pruned = replace(trials, pruner=start_pruner(plan, study, len(trials.sides)))
        with step("training"):
            run_trials(pruned, how, callbacks=[progress], stopper=budget)
    spent.keep(now=True)
    search.end_failed(study.trial)
    if not budget.is_over and search.num_running() == len(progress.lost):
        progress.refuse_lost()
    if search.num_left(config.trials):
        _end_early(search, budget, (study, spent), say)
    return search


def _end_early(search: StudySearch, budget: Budget, logs: tuple[StudyLog, Spent], say: Say) -> None:
    """End a search before its last trial, if its budget says so.

    Raises:
        KeyboardInterrupt: If it does not: Tune caught Ctrl-C and ended its trials.
        StudyError: If no trial is complete; the search can go on with more time.
    """
    study, spent = logs
    if budget.reason is None or (search.num_running() and not budget.is_over):
        raise KeyboardInterrupt
    if not search.completed():
        raise StudyError(budget.none_complete())
    search.end_running(study.trial, budget.reason)
    spent.ended = f"the search ended after {counted(search.num_ended(), 'trial')}: {budget.reason}"
    spent.keep(now=True)
    say(spent.ended)
