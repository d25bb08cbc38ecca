"""Runs several folds of a fit at once, each in a Ray task; results are those of one process."""

import pickle
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import ray
import torch

from pdray.errors import PdrayError, full_disk
from pdray.remote import Answer
from pdray.training.loop.launch import Listener, Workers
from pdray.training.loop.part import NoticeError
from pdray.training.loop.worker import Place, fit
from pdray.training.task import EpochResult, FitTask


def run_folds(
    task: FitTask,
    listener: Listener,
    workers: Workers,
    folds_at_once: int,
    ends_soon: Callable[[], bool] = bool,
) -> Generator[dict[str, Any]]:
    """Fit several folds at once and yield the listener's reports, one fold after the other.

    Seeds and batches of a fold do not depend on other folds, so the listener takes the same results
    as from :func:`~pdray.training.loop.launch.run_in_process`, and may end the fit as early. A fit
    that resumes begins its folds again, except those that the listener has taken whole.

    Args:
        task: What to train.
        listener: Takes the results.
        workers: The resources of each fold.
        folds_at_once: Folds that train at once [count].
        ends_soon: Returns whether this process will end soon; default: it will not.

    Raises:
        PdrayError: If a disk is full.
        NoticeError: If the process will end soon.
        RayError: If the process of a fold was lost.
    """
    found = listener.resume() or _start(task, 0)
    first = int(found["step"]) // task.epochs
    waiting, shared = list(range(first, len(task.sides))), ray.put(task)
    running: list[Any] = []
    remote = ray.remote(fit_fold).options(max_retries=0, **workers.options)
    try:
        while waiting or running:
            while waiting and len(running) < folds_at_once:
                fold = waiting.pop(0)
                start = found if fold == first else _start(task, fold)
                running.append(remote.remote(shared, start, workers))
            for reference in running[0]:
                report = _taken(listener, ray.get(reference))
                yield report
                if report["last"]:
                    return
                if ends_soon():
                    raise NoticeError("the folds that train at once begin again")
            running.pop(0)
    finally:
        for one in running:
            ray.cancel(one, force=True)


def _start(task: FitTask, fold: int) -> dict[str, Any]:
    return {"step": fold * task.epochs, "num_steps": task.num_steps}


def _taken(listener: Listener, found: Answer[EpochResult]) -> dict[str, Any]:
    result, fault = found
    if result is not None:
        return listener.record(result)
    error = pickle.loads(fault)
    if full_disk(error):
        raise error
    return listener.fail(str(error))


def fit_fold(
    task: FitTask, resume: Mapping[str, Any], workers: Workers
) -> Generator[Answer[EpochResult]]:
    """Fit the fold that ``resume`` is in; yield its results without weights, which stay here."""
    torch.set_num_threads(max(1, int(workers.cpus_per_worker)))
    place = Place(device=torch.device("cuda" if workers.gpus_per_worker else "cpu"))
    with closing(fit(task, place=place, resume=resume)) as results:
        try:
            for result in results:
                state = {name: result.state[name] for name in ("step", "num_steps")}
                yield replace(result, state=state), b""
                if result.epoch + 1 == task.epochs:
                    return
        except PdrayError as error:
            yield None, pickle.dumps(error)
