"""Runs a fit in the calling process, or on several workers in a Ray Train worker group."""

import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import ray
import ray.train
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.tune.integration.ray_train import TuneReportCallback
from torch import distributed as dist

from pdray.errors import DivergedError, PdrayError, full_disk
from pdray.training.loop.part import Notice, NoticeError
from pdray.training.loop.worker import Place, fit
from pdray.training.task import EpochResult, FitTask

MAX_RESTARTS = 3
"""How often a trial is resumed after its process was lost, such as with a spot machine, before it
ends another epoch."""
_LOOK_SECONDS = 2.0


class Listener(Protocol):
    """Takes the result of each epoch, stores it, and decides when to stop."""

    def resume(self) -> Mapping[str, Any] | None:
        """Return the state to resume from, or None to start from the beginning."""

    def record(self, result: EpochResult) -> dict[str, Any]:
        """Store a result; return plain values to report, with ``last`` true to end the fit."""

    def keep(self, state: Mapping[str, Any]) -> None:
        """Store a state inside an epoch, from which the fit resumes in another process."""

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


class EndsSoon:
    """Whether this process will end soon: it got SIGTERM, or Ray drains its machine.

    A machine is drained before a spot machine is taken back, a pod is deleted, or the cluster
    shrinks; what runs on it goes on until it ends.
    """

    def __init__(self) -> None:
        self._is_told = False
        if ray.is_initialized():
            threading.Thread(target=self._watch, daemon=True).start()

    def __call__(self) -> bool:
        """Return whether the process will end soon."""
        return self._is_told

    @contextmanager
    def heeding_sigterm(self) -> Iterator[None]:
        """Take SIGTERM as a notice until the block ends; Ray would end the process at once."""
        before = signal.signal(signal.SIGTERM, self.note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def note(self, *_: Any) -> None:
        """Note that the process will end; a handler of signals."""
        self._is_told = True

    def _watch(self) -> None:
        node = ray.get_runtime_context().get_node_id()
        while not self._is_told:
            with suppress(Exception):  # a cluster that does not answer now may do so later
                self._is_told = node in ray._private.state.state.get_draining_nodes()
            time.sleep(_LOOK_SECONDS)


def run_in_process(
    task: FitTask,
    listener: Listener,
    workers: Workers,
    ends_soon: Callable[[], bool] = bool,
) -> Generator[dict[str, Any]]:
    """Fit in this process and yield the listener's reports, one per epoch.

    Closing the iterator stops the fit and its reading ahead.

    Args:
        task: What to train.
        listener: Takes the results.
        workers: The resources of this process.
        ends_soon: Returns whether this process will end soon; default: it will not.

    Raises:
        OSError, PdrayError: If a disk is full.
        NoticeError: If it will end soon; what was done is stored.
    """
    # A process to which Ray gave no GPU still sees those of the machine.
    place = Place(device=torch.device("cuda" if workers.gpus_per_worker else "cpu"))
    notice = Notice(ends_soon, listener.keep)
    with closing(fit(task, place=place, resume=listener.resume(), notice=notice)) as results:
        try:
            for result in results:
                report = listener.record(result)
                yield report
                if report["last"]:
                    return
                if ends_soon():
                    raise NoticeError(f"fold {result.fold + 1} epoch {result.epoch + 1} is done")
        except PdrayError as error:  # a restart would fail in the same way
            if full_disk(error):  # but not when there is room again
                raise
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
        WorkerGroupError: If a worker was lost, had notice to end, or failed; a ``PdrayError``,
            which a restart would repeat, was reported to a listener first.
    """
    trainer = TorchTrainer(
        _train_loop,
        train_loop_config={"task": task, "make_listener": make_listener},
        torch_config=_TorchConfig(),
        scaling_config=ScalingConfig(
            num_workers=workers.num_workers,
            use_gpu=workers.gpus_per_worker > 0,
            resources_per_worker=workers.resources,
        ),
        run_config=RunConfig(
            name=folder.name,
            storage_path=str(folder.parent),
            callbacks=[TuneReportCallback()],
            failure_config=FailureConfig(max_failures=0, max_preemption_failures=0),
        ),
    )
    trainer.fit()


class _TorchConfig(TorchConfig):
    """Torch's process group, whose workers take SIGTERM as a notice."""

    @property
    def backend_cls(self) -> type:
        return _Backend


class _Backend(TorchConfig().backend_cls):  # type: ignore[misc] # Ray does not name it
    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        super().on_start(worker_group, backend_config)
        # Not in the training loop, whose thread may not set handlers of signals.
        worker_group.execute(lambda: signal.signal(signal.SIGTERM, _worker_ends_soon().note))


@lru_cache(maxsize=1)
def _worker_ends_soon() -> EndsSoon:
    """Return the one instance of a process in a worker group."""
    return EndsSoon()


def _train_loop(config: dict[str, Any]) -> None:
    """Fit on one worker; only rank 0 has a listener, but every worker reports equally often."""
    context = ray.train.get_context()
    place = Place(context.get_world_rank(), context.get_world_size(), get_device())
    listener: Listener | None = config["make_listener"]() if place.rank == 0 else None
    resume = _broadcast(listener.resume() if listener else None)
    notice = Notice(_worker_ends_soon(), listener.keep if listener else _not_here)
    with closing(fit(config["task"], place=place, resume=resume, notice=notice)) as results:
        try:
            for result in results:
                report = _broadcast(listener.record(result) if listener else None)
                ray.train.report(report)
                if report["last"]:
                    return
        except DivergedError as error:  # on every rank at once: see worker.py
            ray.train.report(_broadcast(listener.fail(str(error)) if listener else None))
        except PdrayError as error:  # on this rank only; the others wait for it: do not report
            if full_disk(error):
                raise
            (listener or config["make_listener"]()).fail(str(error))
            raise


def _not_here(state: Mapping[str, Any]) -> None:
    raise AssertionError("rank 0 alone saves a state")


def _broadcast(value: Any) -> Any:
    """Return rank 0's value on every rank."""
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]
