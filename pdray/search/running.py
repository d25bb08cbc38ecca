"""Runs the trials of a study with Ray Tune until all have ended."""

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ray import tune
from ray.tune import (
    CheckpointConfig,
    FailureConfig,
    PlacementGroupFactory,
    ResultGrid,
    RunConfig,
    TuneConfig,
    TuneError,
    Tuner,
)

from pdray.errors import ClusterError, full_disk
from pdray.nodes import HEAD
from pdray.search.files import TrialFiles
from pdray.search.full_disk import FullDisk
from pdray.search.growth import Growth
from pdray.search.overhead import Overhead
from pdray.search.restarts import Restarts
from pdray.search.trial import FoldTrial, distributed_trial
from pdray.search.trial_plan import TrialPlan
from pdray.training.loop.launch import MAX_RESTARTS

_LOW_MEMORY = "running low on memory"


def run_trials(
    plan: TrialPlan,
    how: TuneConfig,
    *,
    callbacks: list[tune.Callback],
    param_space: dict[str, Any] | None = None,
    stopper: tune.Stopper | None = None,
) -> ResultGrid:
    """Run trials with Ray Tune until all have ended.

    Args:
        plan: Everything that the trials share.
        how: Search algorithm, number of trials, and how many run at once.
        callbacks: Listeners on the driver.
        param_space: Numbers and values of the trials, if no search algorithm proposes them.
        stopper: Ends all trials; None: nothing does.

    Returns:
        Tune's results; those of pdray are in the log.

    Raises:
        ClusterError: If a node runs out of memory.
        OSError: If a disk is full; the trials that ran are not marked as ended.
    """
    overhead, room = Overhead(), FullDisk(stopper)
    listeners = [*callbacks, Restarts(plan), TrialFiles(plan), overhead]
    if plan.reservation is not None:
        growth = Growth(plan.reservation, how, callbacks)
        how, plan = growth.how, replace(plan, reservation=None)
        listeners.append(growth)
    run = RunConfig(
        name="tune",
        storage_path=str(plan.folder / "ray"),
        verbose=0,
        callbacks=listeners,
        stop=room,
        failure_config=FailureConfig(max_failures=MAX_RESTARTS),
        # The trial's folder holds everything that a restart needs.
        checkpoint_config=CheckpointConfig(checkpoint_at_end=False),
    )
    with warnings.catch_warnings(), _naming_faults():
        warnings.simplefilter("ignore")
        found = Tuner(
            _trainable(plan), param_space=param_space or {}, tune_config=how, run_config=run
        ).fit()
        overhead.end()
        room.check()
        return found


def _trainable(plan: TrialPlan) -> Any:
    is_one = plan.workers.num_workers == 1
    trainable: Any = tune.with_parameters(FoldTrial if is_one else distributed_trial, plan=plan)
    resources: Any = plan.workers.resources
    if not is_one:
        # The process of a distributed trial only waits. It takes no CPU, because its workers may
        # need all of a node, and it runs on the head node, which stays.
        resources = HEAD
    elif plan.lanes > 1:  # its process waits, too, beside one of its folds
        resources = PlacementGroupFactory([{}, *([plan.workers.resources] * plan.lanes)])
    return tune.with_resources(trainable, resources)


@contextmanager
def _naming_faults() -> Iterator[None]:
    try:
        yield
    except TuneError as error:  # what a callback of Tune raised, as text
        full = full_disk(error)
        if full is not None:
            raise full from error
        if "BrokenPipeError" in str(error):  # nobody reads its lines any more: | head
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from error
        raise
    except RuntimeError as error:
        # Tune raises this if Ray killed one of its own processes; anything else is a defect.
        if _LOW_MEMORY not in str(error):
            raise
        raise ClusterError(
            "a node ran low on memory, and Ray ended processes that the trials need; complete "
            "trials are kept; lower search.max_concurrent_trials or close other programs, and "
            "run it again"
        ) from error
