"""Forecasts how long a study takes, from times measured in its workers before it starts."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import optuna
import ray
import torch
from optuna.samplers import RandomSampler

from pdray.command import Say, console
from pdray.config import dump
from pdray.data.cohort.members import Cohort, inner_sides, rated
from pdray.display import clock, step
from pdray.errors import PdrayError
from pdray.evaluation.predictions import Origin
from pdray.search.cluster import Reservation, counted
from pdray.search.course import Course, Work, last_end, work_of
from pdray.search.overhead import run_overhead
from pdray.search.plan import StudyPlan
from pdray.search.progress import Extent
from pdray.search.proposals import distribution
from pdray.search.protocol import num_with_permutations
from pdray.search.space import trial_config
from pdray.search.trial_plan import TrialPlan
from pdray.training.loop.launch import Workers
from pdray.training.loop.timing import Pace, can_measure, measure_pace
from pdray.training.loop.worker import Place
from pdray.training.task import FitTask

DAY = 86_400.0
"""Forecast above which a search says that it takes long [s]."""

LONGEST = 30.0
"""Time that the first trial waits for the measurement at most [s]."""
_MOST_AT_ONCE = 4  # measured workers
_DRAWN = 5  # timed settings of a search of estimators
_measured: dict[str, "Measured | None"] = {}


@dataclass(frozen=True)
class Measured:
    """Times measured in workers before a search.

    Attributes:
        pace: Of a fit, with as many fits at once as trials.
        start: Start of a worker process [s].
    """

    pace: Pace
    start: float


def hours_of(
    plan: StudyPlan,
    cohort: Cohort,
    reservation: Reservation,
    *,
    num_searches: int,
    longest: float = LONGEST,
) -> float | None:
    """Return the hours that a whole study will take, refits included; None if nobody knows.

    Args:
        plan: Its settings.
        cohort: Its recordings and folds.
        reservation: Resources of a trial and how many trials run at once.
        num_searches: Searches that run one after the other: 1 of protocol ``holdout``, the number
            of outer folds and one more of ``nested``.
        longest: Time after which it is not known [s].
    """
    recordings = rated(cohort, plan.config.data, None)
    sides = inner_sides(cohort.folds, recordings)
    origin = Origin(study="forecast", trial=0, fold=0, epoch=0, split="val")
    task = FitTask(origin, plan.config.fit, recordings, sides, cohort.num_classes, plan.epochs)
    measured = measure(plan, task, reservation, longest=longest)
    if measured is None:
        return None
    work = work_of(plan, reservation, num_folds=len(sides))
    return _of_searches(work, measured, task, num_searches) / 3600


def foresee_study(
    plan: StudyPlan, trials: TrialPlan, reservation: Reservation, num_searches: int, say: Say
) -> float | None:
    """Print how long a study of several searches takes, and the way out if it exceeds a day.

    Args:
        plan: The search whose winner is kept.
        trials: What its trials share.
        reservation: Resources of a trial and how many trials run at once.
        num_searches: Searches that run one after the other.
        say: Prints a line.

    Returns:
        The seconds of these searches, without those on exchanged grades; None: unknown, or
        ``search.hours`` ends them before.
    """
    task = trials.task(0, {})
    measured = measure(plan, task, reservation)
    if measured is None:
        return None
    work = work_of(plan, reservation, num_folds=len(trials.sides))
    seconds = _of_searches(work, measured, task, num_searches)
    hours, num_all = plan.config.search.hours, num_with_permutations(plan, num_searches)
    if hours is not None and seconds > 3600 * hours:
        say(f"time       all trials would take about {clock(seconds)}; search.hours={hours:g} ends "
            "them before")  # fmt: skip
        return None
    whole = _of_searches(work, measured, task, num_all)
    if num_all > 1:
        say(f"time       about {clock(whole)} for {num_all} searches, one after the other")
    if whole > DAY:
        quick = console("quick-look", f"data.manifest={plan.config.data.manifest}")
        say(
            f"time       about {clock(whole)}, more than a day: for a first result in an hour "
            f"run {quick}; or limit it with search.hours, or use a cluster (docs/how-to/cluster.md)"
        )
    return seconds


def _of_searches(work: Work, measured: Measured, task: FitTask, num_searches: int) -> float:
    """Return the expected seconds of searches that run one after the other."""
    last = work.fold_steps * step_seconds(measured, task)  # after the last search alone
    of_each = seconds_of(replace(work, fold_steps=0.0), measured, task)
    return num_searches * of_each + last


def foresee(
    plan: StudyPlan,
    trials: TrialPlan,
    reservation: Reservation,
    extent: Extent,
    say: Say,
) -> tuple[Course, float | None]:
    """Measure the first trial's settings, print how long the trials that are left will take.

    Args:
        plan: The search.
        trials: What its trials share.
        reservation: Resources of a trial and how many trials run at once.
        extent: Trials of the whole search, and those that ended before this session.
        say: Prints a line.

    Returns:
        What estimates the time left, and the forecast of trials and refit [s]; None: unknown.
    """
    task, left = trials.task(0, {}), extent.num_trials - extent.num_ended
    whole = work_of(plan, reservation, num_folds=len(trials.sides))
    work = replace(
        whole,
        num_trials=left,
        num_whole=max(0, whole.num_whole - extent.num_ended),
        at_once=min(whole.at_once, left),
    )
    measured = measure(plan, task, reservation)
    if measured is None:
        say("time       not known before the first trial: it could not be measured")
        return Course(work), None
    step, seconds = step_seconds(measured, task), seconds_of(work, measured, task)
    length = f"{work.steps}" if work.share == 1 else f"up to {work.steps}"
    at_once = "" if work.at_once == 1 else f", {work.at_once} trials at once"
    say(
        f"time       about {clock(seconds)}: {counted(left, 'trial')} of {length} epochs of "
        f"{step:.2g} s{at_once}; then the refit"
        + (f" and its {counted(extent.num_folds, 'fold')}" if work.fold_steps else "")
    )
    return Course(work, step_seconds=step, start_seconds=measured.start), seconds


def seconds_of(work: Work, measured: Measured, task: FitTask) -> float:
    """Return the expected seconds of a search, its refit and the folds that are kept."""
    step = step_seconds(measured, task)
    steps = last_end([], map(work.length, range(work.num_trials)), work.at_once)
    once = measured.pace.once * len(task.recordings) + run_overhead(measured.start)
    starts = 1 + bool(work.refit_steps) + bool(work.fold_steps)
    return starts * once + step * (steps + work.refit_steps + work.fold_steps)


def step_seconds(measured: Measured, task: FitTask) -> float:
    """Return the expected seconds of one epoch of one fold."""
    return measured.pace.epoch * fmean(
        len(side.training) + len(side.evaluation) for side in task.sides
    )


def measure(
    plan: StudyPlan, task: FitTask, reservation: Reservation, *, longest: float = LONGEST
) -> Measured | None:
    """Time the first trial's settings in workers of this study, or return None.

    Classifiers of one search differ in cost by orders of magnitude, so of a long search of
    estimators some drawn settings are timed instead. As many workers run at once as trials will, up
    to four, since they slow each other down. What was measured once in this process is not measured
    again.

    Args:
        plan: The study.
        task: A trial; without stored recordings it is measured on random pictures.
        reservation: Resources of a trial and how many trials run at once.
        longest: Time after which it is given up [s].
    """
    if plan.starts:
        task = replace(task, config=trial_config(plan.config.fit, plan.starts[0].params))
    if not can_measure(task):
        return None
    stored = task.recordings[0].stored is not None
    asked = _drawn(plan, task)
    configs = [dump(one.config) for one in asked]
    key = json.dumps([configs, stored, str(reservation)], default=str)
    if key not in _measured:
        with step("timing a few steps of training"):
            _measured[key] = _ask_workers(asked, reservation, longest)
    return _measured[key]


def _drawn(plan: StudyPlan, task: FitTask) -> list[FitTask]:
    """Return trials that a long search of estimators may propose; of another study the first."""
    if task.config.entry.loop != "once" or plan.num_trials <= 2 * _DRAWN or not plan.space:
        return [task]
    draws = optuna.create_study(sampler=RandomSampler(seed=0))
    space = {key: distribution(entry) for key, entry in plan.space.items()}
    settings = [draws.ask(space).params for _ in range(_DRAWN)]
    return [replace(task, config=trial_config(plan.config.fit, one)) for one in settings]


def _ask_workers(
    trials: Sequence[FitTask], reservation: Reservation, longest: float
) -> Measured | None:
    workers, started = reservation.workers, time.perf_counter()
    num_fits = reservation.concurrent_trials * reservation.folds_at_once
    asked = ray.put([_of_one_worker(one, workers.num_workers) for one in trials])
    tasks = [
        _measure.options(**workers.options).remote(asked, workers)
        for _ in range(min(num_fits, _MOST_AT_ONCE))
    ]
    ready, late = ray.wait(tasks, num_returns=len(tasks), timeout=longest)
    for one in late:  # of a cluster that has yet to grow, or a network that is very slow
        ray.cancel(one, force=True)
    passed = time.perf_counter() - started
    found = [one for one in map(_got, ready) if one is not None]
    if not found:
        return None
    pace = Pace(
        epoch=fmean(pace.epoch for pace, _ in found)
        / workers.num_workers
        / reservation.folds_at_once,
        once=fmean(pace.once for pace, _ in found),
    )
    return Measured(pace, start=max(0.0, passed - max(seconds for _, seconds in found)))


def _of_one_worker(task: FitTask, num_workers: int) -> FitTask:
    """Return a task with the batches that one of several workers takes."""
    optim = task.config.optim
    batch_size = max(1, optim.batch_size // num_workers)
    optim = optim.model_copy(update={"batch_size": batch_size})
    return replace(task, config=task.config.model_copy(update={"optim": optim}))


def _got(reference: Any) -> tuple[Pace, float] | None:
    try:
        found: tuple[Pace, float] | None = ray.get(reference)
    except ray.exceptions.RayError:  # the trials will say what is wrong
        return None
    return found


@ray.remote(max_retries=0)
def _measure(trials: Sequence[FitTask], workers: Workers) -> tuple[Pace, float] | None:
    torch.set_num_threads(max(1, int(workers.cpus_per_worker)))
    started = time.perf_counter()
    device = torch.device("cuda" if workers.gpus_per_worker else "cpu")
    paces = []
    for task in trials:
        with suppress(PdrayError):  # the trials will say it
            paces.append(measure_pace(task, place=Place(device=device), seconds=2 / len(trials)))
    if not paces:
        return None
    # The first of them describes the recordings, once per process.
    pace = Pace(fmean(one.epoch for one in paces), max(one.once for one in paces))
    return pace, time.perf_counter() - started
