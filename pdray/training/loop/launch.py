"""Runs a fit in the calling process, or on several workers in a Ray Train worker group."""

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import ray.train
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, get_device
from ray.tune.integration.ray_train import TuneReportCallback
from torch import distributed as dist

from pdray.errors import DivergedError, PdrayError
from pdray.training.loop.worker import Place, fit
from pdray.training.task import EpochResult, FitTask

MAX_RESTARTS = 3
"""How often a trial is resumed after its process was lost, such as with a spot machine, before it
ends another epoch."""


class Listener(Protocol):
    """Takes the result of each epoch, stores it, and decides when to stop."""

    def resume(self) -> Mapping[str, Any] | None:
        """Return the state to resume from, or None to start from the beginning."""

    def record(self, result: EpochResult) -> dict[str, Any]:
        """Store a result; return plain values to report, with ``last`` true to end the fit."""

    def fail(self, reason: str) -> dict[str, Any]:
        """Store why the fit cannot continue; return plain values to report."""


@dataclass(frozen=True)
class Workers:
    """The number of workers of a fit, the CPUs and GPUs of each, and where they run.

    Attributes:
        place: Custom resources that only the nodes meant for training have; empty: any node.
    """

    num_workers: int
    cpus_per_worker: float
    gpus_per_worker: float
    place: Mapping[str, float] = field(default_factory=dict)

    @property
    def resources(self) -> dict[str, float]:
        """Resources of each worker, as Ray Train and Ray Tune take them."""
        gpus = {"GPU": self.gpus_per_worker} if self.gpus_per_worker else {}
        return {"CPU": self.cpus_per_worker, **gpus, **self.place}

    @property
    def options(self) -> dict[str, Any]:
        """Resources of each worker, as the options of a Ray task."""
        return {
            "num_cpus": self.cpus_per_worker,
            "num_gpus": self.gpus_per_worker,
            "resources": dict(self.place),
        }


def run_in_process(
    task: FitTask, listener: Listener, workers: Workers
) -> Generator[dict[str, Any]]:
    """Fit in this process and yield the listener's reports, one per epoch.

    Closing the iterator stops the fit and its reading ahead.
    """
    # A process to which Ray gave no GPU still sees those of the machine.
    place = Place(device=torch.device("cuda" if workers.gpus_per_worker else "cpu"))
    with closing(fit(task, place=place, resume=listener.resume())) as results:
        try:
            for result in results:
                report = listener.record(result)
                yield report
                if report["last"]:
                    return
        except PdrayError as error:  # a restart would fail in the same way
            yield listener.fail(str(error))


def run_distributed(
    task: FitTask, make_listener: Callable[[], Listener], workers: Workers, *, folder: Path
) -> None:
    """Fit with DDP in a Ray Train worker group, from inside a Tune function.

    Each report of rank 0 reaches Tune through a callback. The fit ends itself, because a worker
    group that is stopped from outside may keep its CPUs. If a worker is lost, Tune resumes the
    trial from its checkpoint.

    Args:
        task: What to train.
        make_listener: Called on rank 0, and on a rank where an error ends the fit.
        workers: Workers of the fit.
        folder: Folder for Ray Train's own files; unique to this fit.

    Raises:
        WorkerGroupError: If a worker was lost or failed; a ``PdrayError``, which a restart would
            repeat, was reported to a listener first.
    """
    trainer = TorchTrainer(
        _train_loop,
        train_loop_config={"task": task, "make_listener": make_listener},
        scaling_config=ScalingConfig(
            num_workers=workers.num_workers,
            use_gpu=workers.gpus_per_worker > 0,
            resources_per_worker=workers.resources,
        ),
        run_config=RunConfig(
            name=folder.name,
            storage_path=str(folder.parent),
            callbacks=[TuneReportCallback()],
            failure_config=FailureConfig(max_failures=0),
        ),
    )
    trainer.fit()


def _train_loop(config: dict[str, Any]) -> None:
    """Fit on one worker; only rank 0 has a listener, but every worker reports equally often."""
    context = ray.train.get_context()
    place = Place(context.get_world_rank(), context.get_world_size(), get_device())
    listener: Listener | None = config["make_listener"]() if place.rank == 0 else None
    resume = _broadcast(listener.resume() if listener else None)
    with closing(fit(config["task"], place=place, resume=resume)) as results:
        try:
            for result in results:
                report = _broadcast(listener.record(result) if listener else None)
                ray.train.report(report)
                if report["last"]:
                    return
        except DivergedError as error:  # on every rank at once: see worker.py
            ray.train.report(_broadcast(listener.fail(str(error)) if listener else None))
        except PdrayError as error:  # on this rank only; the others wait for it: do not report
            (listener or config["make_listener"]()).fail(str(error))
            raise


def _broadcast(value: Any) -> Any:
    """Return rank 0's value on every rank."""
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]
