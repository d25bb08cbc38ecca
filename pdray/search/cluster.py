"""The size of a Ray cluster, and how many trials of a study fit it."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pdray.errors import ClusterError
from pdray.nodes import (
    TRAIN,
    Node,
    NodeType,
    place,
    possible_nodes,
    reported_types,
    running_nodes,
    types_of,
)
from pdray.search.settings import ResourcesConfig, StudyConfig
from pdray.training.loop.launch import Workers


@dataclass(frozen=True)
class Capacity:
    """CPUs and GPUs that a cluster has, or may grow to.

    Attributes:
        cpus: CPUs [count].
        gpus: GPUs [count].
        num_nodes: Nodes that run now [count].
        nodes: All nodes that there are or may be, since a worker must fit on one; empty if the
            cluster may grow and the size of new nodes is unknown.
        types: Node types that it may start.
        grows: Whether it may start nodes.
    """

    cpus: float
    gpus: float
    num_nodes: int
    nodes: tuple[Node, ...] = ()
    types: tuple[NodeType, ...] = ()
    grows: bool = False


@dataclass(frozen=True)
class Reservation:
    """The resources of each trial, and how many trials run at once.

    Attributes:
        workers: Workers of a trial.
        concurrent_trials: Trials that run at once at the start [count].
        cpus_per_trial: CPUs of the workers and of reading [count].
        most: Trials that run at once however large the cluster becomes [count].
        resources: Settings of the cluster.
        types: Its node types.
        folds_at_once: Folds of a trial that train at once, each with the resources of ``workers``.
    """

    workers: Workers
    concurrent_trials: int
    cpus_per_trial: float
    most: int = sys.maxsize
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)
    types: tuple[NodeType, ...] = ()
    folds_at_once: int = 1

    def now(self) -> tuple[Capacity, int]:
        """Return the size of the joined cluster, and how many trials run at once on it."""
        capacity = measure(self.resources, self.types)
        return capacity, max(1, min(self.most, self._fitting(capacity)))

    def fits(self, capacity: Capacity) -> bool:
        """Return whether a cluster has room for a trial."""
        return self._fitting(capacity) > 0

    def sharing(self, per_gpu: int) -> "Reservation":
        """Return the same trials, so many of them on each GPU."""
        share = math.floor(1e4 / per_gpu) / 1e4  # Ray counts in ten thousandths
        found = replace(self, workers=replace(self.workers, gpus_per_worker=share))
        return replace(found, concurrent_trials=found.now()[1])

    def lacking(self, num_trials: int) -> tuple[str, str] | None:
        """Return what trials wait for, and how much of it there is; None: they wait for nothing.

        Args:
            num_trials: Trials that run or wait.

        Returns:
            Such as ``("2 train nodes", "1 of 3 up")``.
        """
        nodes = running_nodes()
        fitting = self._fitting(_of_nodes(nodes, len(nodes)))
        if fitting >= num_trials:
            return None
        for one in self.types:
            if each := _workers_on((one.node,), self.workers):
                num = num_trials * self.workers.num_workers * self.folds_at_once
                wanted = min(one.most, -(-num // each))
                up = sum(_workers_on((node,), self.workers) > 0 for node in nodes)
                if up < wanted:
                    return counted(wanted - up, f"{one.name} node"), f"{up} of {wanted} up"
        short = counted(num_trials - fitting, "trial")
        return f"room for {short}", f"{fitting} of {num_trials} have room"

    def _fitting(self, capacity: Capacity) -> int:
        return _fitting(capacity, self.workers, self.cpus_per_trial, self.folds_at_once)


def measure(config: ResourcesConfig, types: tuple[NodeType, ...] | None = None) -> Capacity:
    """Return what the cluster has now, or what it may grow to.

    Args:
        config: May name node types, or its largest size.
        types: Its node types; None: those of the settings, else those that the cluster reports.
    """
    if types is None:
        types = _types_in(config) or reported_types()
    is_told = config.cluster_cpus is not None or config.cluster_gpus is not None
    found = _of_nodes(possible_nodes(types), len(running_nodes()))
    return Capacity(
        cpus=config.cluster_cpus or found.cpus,
        gpus=found.gpus if config.cluster_gpus is None else config.cluster_gpus,
        num_nodes=found.num_nodes,
        nodes=found.nodes if types or not is_told else (),
        types=types,
        grows=is_told or bool(types),
    )


def _types_in(config: ResourcesConfig) -> tuple[NodeType, ...]:
    return types_of(
        {
            "available_node_types": {
                name: {"resources": one, "max_workers": int(one["max_workers"])}
                for name, one in config.node_types.items()
            }
        }
    )


def _of_nodes(nodes: tuple[Node, ...], num_nodes: int) -> Capacity:
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    return Capacity(cpus=cpus, gpus=gpus, num_nodes=num_nodes, nodes=nodes)


def reserve(config: StudyConfig, capacity: Capacity, *, reads_through_ray: bool) -> Reservation:
    """Compute how many trials fit, and refuse those that would wait for ever.

    A trial holds its workers. A trial that reads through Ray Data also needs CPUs for one reading
    task, or it would never get a batch. Workers run on nodes that are meant for training, where
    such nodes exist and are large enough.

    Raises:
        ClusterError: If one trial does not fit, or ``search.max_concurrent_trials`` do not; gives
            what is needed, what there is and which setting to change.
    """
    asked = config.resources
    gpus = asked.gpus_per_worker
    if gpus is None:
        gpus = 1.0 if capacity.gpus else 0.0
    role = _role(capacity.nodes, Workers(asked.num_workers, asked.cpus_per_worker, gpus))
    workers = Workers(asked.num_workers, asked.cpus_per_worker, gpus, place(role))
    reading = config.stream.cpus_per_task * asked.num_workers if reads_through_ray else 0.0
    cpus = asked.num_workers * asked.cpus_per_worker + reading
    fitting = _fitting(capacity, workers, cpus)
    needs = describe_workers(workers) + (f", and {reading:g} CPUs for reading" if reading else "")
    has = describe_capacity(capacity)
    if not fitting:
        way = "" if capacity.grows else (
            "; if the cluster can grow, set resources.cluster_cpus and resources.cluster_gpus to "
            "its largest size, or name its node types with resources.node_types"
        )  # fmt: skip
        raise ClusterError(
            f"one trial needs {needs}, but the cluster has {has}, so no trial can start; lower "
            "resources.num_workers, resources.cpus_per_worker, resources.gpus_per_worker or "
            f"stream.cpus_per_task{way}"
        )
    wanted = config.search.max_concurrent_trials
    if wanted is not None and wanted > fitting:
        raise ClusterError(
            f"search.max_concurrent_trials: got {wanted}, but only {fitting} fit: one trial needs "
            f"{needs}, and the cluster has {has}; lower it, or the resources of a trial"
        )
    most = min(wanted or sys.maxsize, config.search.trials)
    at_once, folds = min(fitting, most), 1
    if config.search.parallel_folds == "auto" and asked.num_workers == 1 and not reading:
        folds = min(fitting // at_once, config.folds.num_folds)
    return Reservation(workers, at_once, cpus, most, asked, capacity.types, folds)


def _role(nodes: Sequence[Node], workers: Workers) -> str | None:
    """Return the role of the nodes that train; None: any node, also where these are too small."""
    train = [node for node in nodes if TRAIN in node.roles]
    is_wasted = not workers.gpus_per_worker and any(node.gpus for node in train)
    return TRAIN if _workers_on(train, workers) and train and not is_wasted else None


def _fitting(capacity: Capacity, workers: Workers, cpus: float, folds_at_once: int = 1) -> int:
    """Return how many trials fit, each with so many CPUs and workers for each of its folds."""
    num = workers.num_workers * folds_at_once
    return min(
        _times(capacity.cpus, cpus * folds_at_once),
        _times(capacity.gpus, workers.gpus_per_worker * num),
        _workers_on(capacity.nodes, workers) // num if capacity.nodes else sys.maxsize,
    )


def describe_workers(workers: Workers) -> str:
    """Return the resources of a trial, such as ``2 workers, each with 1 CPU and no GPU``."""
    text = (
        f"{counted(workers.cpus_per_worker, 'CPU')} and {counted(workers.gpus_per_worker, 'GPU')}"
    )
    return text if workers.num_workers == 1 else f"{workers.num_workers} workers, each with {text}"


def describe_capacity(capacity: Capacity) -> str:
    """Return the resources of a cluster, such as ``2 CPUs and no GPU on 1 node``."""
    size = f"{counted(capacity.cpus, 'CPU')} and {counted(capacity.gpus, 'GPU')}"
    nodes = counted(capacity.num_nodes, "node")
    if not capacity.grows:
        return f"{size} on {nodes}"
    types = ", ".join(
        f"up to {one.most} {one.name} with {counted(one.node.cpus, 'CPU')} and "
        f"{counted(one.node.gpus, 'GPU')}"
        for one in capacity.types
    )
    return f"at most {size} ({nodes} now{f'; {types}' if types else ''})"


def counted(number: float, noun: str) -> str:
    """Return a number with its noun: ``no GPU``, ``1 GPU``, ``2 GPUs``."""
    return f"{number:g} {noun}{'s' if number > 1 else ''}" if number else f"no {noun}"


def _times(has: float, needs: float) -> int:
    """Return how often ``needs`` fits into ``has``; without limit if nothing is needed."""
    return math.floor(has / needs + 1e-9) if needs else sys.maxsize


def _workers_on(nodes: Sequence[Node], workers: Workers) -> int:
    """Return how many workers fit on the nodes; a worker needs one node for itself."""
    return sum(
        min(_times(node.cpus, workers.cpus_per_worker), _times(node.gpus, workers.gpus_per_worker))
        for node in nodes
        if node.roles >= workers.place.keys()
    )
