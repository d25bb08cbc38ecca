"""The size of a Ray cluster, and how many trials of a study fit it."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import ray

from pdray.errors import ClusterError
from pdray.search.settings import ResourcesConfig, StudyConfig
from pdray.training.loop.launch import Workers

# The process of a distributed trial only waits for its workers, but Tune requires a CPU share.
DISTRIBUTED_TRIAL_CPUS = 0.01


@dataclass(frozen=True)
class Capacity:
    """CPUs and GPUs that a cluster has, or may grow to.

    Attributes:
        cpus: CPUs [count].
        gpus: GPUs [count].
        num_nodes: Nodes now [count].
        nodes: CPUs and GPUs of each node, since a worker must fit on one node; empty if the
            cluster may grow, because the size of new nodes is unknown.
    """

    cpus: float
    gpus: float
    num_nodes: int
    nodes: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Reservation:
    """The resources of each trial, and how many trials run at once."""

    workers: Workers
    concurrent_trials: int
    cpus_per_trial: float


def measure(config: ResourcesConfig) -> Capacity:
    """Return what the cluster has now, or what it may grow to by the settings."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    nodes = tuple((node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in alive)
    grows = config.cluster_cpus is not None or config.cluster_gpus is not None
    return Capacity(
        cpus=config.cluster_cpus or sum(cpus for cpus, _ in nodes),
        gpus=sum(gpus for _, gpus in nodes) if config.cluster_gpus is None else config.cluster_gpus,
        num_nodes=len(nodes),
        nodes=() if grows else nodes,
    )


def reserve(config: StudyConfig, capacity: Capacity, *, reads_through_ray: bool) -> Reservation:
    """Compute how many trials fit, and refuse those that would wait for ever.

    A trial holds its workers and, if distributed, the process that starts them. A trial that
    reads through Ray Data also needs CPUs for one reading task, or it would never get a batch.

    Raises:
        ClusterError: If one trial does not fit, or ``search.max_concurrent_trials`` do not; gives
            what is needed, what there is and which setting to change.
    """
    asked = config.resources
    gpus = asked.gpus_per_worker
    if gpus is None:
        gpus = 1.0 if capacity.gpus else 0.0
    workers = Workers(asked.num_workers, asked.cpus_per_worker, gpus)
    reading = config.stream.cpus_per_task * asked.num_workers if reads_through_ray else 0.0
    starting = DISTRIBUTED_TRIAL_CPUS if asked.num_workers > 1 else 0.0
    cpus = asked.num_workers * asked.cpus_per_worker + starting + reading
    fitting = min(
        _times(capacity.cpus, cpus),
        _times(capacity.gpus, gpus * asked.num_workers),
        _workers_on(capacity.nodes, workers) // asked.num_workers,
    )
    needs = describe_workers(workers) + (f", and {reading:g} CPUs for reading" if reading else "")
    has = describe_capacity(capacity)
    if not fitting:
        raise ClusterError(
            f"one trial needs {needs}, but the cluster has {has}, so no trial can start; lower "
            "resources.num_workers, resources.cpus_per_worker, resources.gpus_per_worker or "
            "stream.cpus_per_task; if the cluster can grow, set resources.cluster_cpus and "
            "resources.cluster_gpus to its largest size"
        )
    wanted = config.search.max_concurrent_trials
    if wanted is not None and wanted > fitting:
        raise ClusterError(
            f"search.max_concurrent_trials: got {wanted}, but only {fitting} fit: one trial needs "
            f"{needs}, and the cluster has {has}; lower it, or the resources of a trial"
        )
    concurrent = min(wanted or fitting, config.search.trials)
    return Reservation(workers, concurrent, cpus)


def describe_workers(workers: Workers) -> str:
    """Return the resources of a trial, such as ``2 workers, each with 1 CPU and no GPU``."""
    text = (
        f"{counted(workers.cpus_per_worker, 'CPU')} and {counted(workers.gpus_per_worker, 'GPU')}"
    )
    return text if workers.num_workers == 1 else f"{workers.num_workers} workers, each with {text}"


def describe_capacity(capacity: Capacity) -> str:
    """Return the resources of a cluster, such as ``2 CPUs and no GPU on 1 node``."""
    cpus, gpus = counted(capacity.cpus, "CPU"), counted(capacity.gpus, "GPU")
    return f"{cpus} and {gpus} on {counted(capacity.num_nodes, 'node')}"


def counted(number: float, noun: str) -> str:
    """Return a number with its noun: ``no GPU``, ``1 GPU``, ``2 GPUs``."""
    return f"{number:g} {noun}{'s' if number > 1 else ''}" if number else f"no {noun}"


def _times(has: float, needs: float) -> int:
    """Return how often ``needs`` fits into ``has``; without limit if nothing is needed."""
    return math.floor(has / needs + 1e-9) if needs else sys.maxsize


def _workers_on(nodes: Sequence[tuple[float, float]], workers: Workers) -> int:
    """Return how many workers fit on the nodes; a worker needs one node for itself."""
    if not nodes:
        return sys.maxsize
    return sum(
        min(_times(cpus, workers.cpus_per_worker), _times(gpus, workers.gpus_per_worker))
        for cpus, gpus in nodes
    )
