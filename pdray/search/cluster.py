"""The cluster a study runs on: joined or started, measured, and refused when it cannot serve."""

import json
import logging
import math
import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pdray.atomic import write_text
from pdray.cpus import granted_cpus
from pdray.errors import ClusterError
from pdray.search.settings import ResourcesConfig, StudyConfig
from pdray.training.loop.launch import Workers

# A distributed trial's own process only waits for its workers, but Tune insists on a share.
DISTRIBUTED_TRIAL_CPUS = 0.01

_LOCAL_STORE_BYTES = 400 << 20
_JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
_NONCE_SECONDS = 60
_NO_ANSWER = (
    "; is it running, and is its token here, in ~/.ray/auth_token or at RAY_AUTH_TOKEN_PATH, with "
    "RAY_AUTH_MODE=token?"
)


@dataclass(frozen=True)
class Capacity:
    """What a cluster has, or may grow to.

    Attributes:
        cpus: CPUs [count].
        gpus: GPUs [count].
        num_nodes: Nodes now [count].
        nodes: CPUs and GPUs of each node, since a worker must fit one of them; empty where the
            cluster may grow, as nobody says here what it grows by.
    """

    cpus: float
    gpus: float
    num_nodes: int
    nodes: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Reservation:
    """What each trial reserves and how many run at once."""

    workers: Workers
    concurrent_trials: int
    cpus_per_trial: float


@contextmanager
def joined_cluster(config: ResourcesConfig) -> Iterator[None]:
    """Be connected to the cluster of a submitted job or of ``address``, else to a local Ray.

    Raises:
        ClusterError: If the cluster cannot be reached.
    """
    _join(config)
    try:
        yield
    finally:
        ray.shutdown()


def _join(config: ResourcesConfig) -> None:
    # Ray Tune's plain output, which RunConfig(verbose=0) silences; its newer one it does not.
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    address = config.address or ("auto" if is_submitted() else None)
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address is not None:
            ray.init(address=address, **quiet)
        else:
            ray.init(
                address="local",
                num_cpus=granted_cpus(),  # Ray itself would take all CPUs of the machine
                include_dashboard=False,
                object_store_memory=_LOCAL_STORE_BYTES,
                **quiet,
            )
    except ray.exceptions.AuthenticationError as error:
        # Its text goes on about where tokens come from; the first sentence says what is wrong.
        reason = str(error).partition(" Ensure that")[0]
        raise ClusterError(f"Ray cluster at {address or 'this machine'}: {reason}") from error
    except (ConnectionError, RuntimeError) as error:
        hint = "" if address is None else _NO_ANSWER
        raise ClusterError(f"Ray cluster at {address or 'this machine'}: {error}{hint}") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)


def is_submitted() -> bool:
    """Whether this process is the driver of a submitted job."""
    return _JOB_VARIABLE in os.environ


def submitted_commit() -> str | None:
    """Return the ``git_commit`` of a submitted job's metadata; there is no ``.git`` there."""
    metadata = json.loads(os.environ.get(_JOB_VARIABLE, "{}")).get("metadata", {})
    commit = metadata.get("git_commit")
    return str(commit) if commit else None


def measure(config: ResourcesConfig) -> Capacity:
    """Return what the cluster has now, or what the settings say it may grow to."""
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
    """Work out how many trials fit, and refuse what would wait for ever.

    A trial holds its workers and, when distributed, the process that starts them; a trial that
    reads through Ray Data also needs room for one reading task, or no batch would
    ever come.

    Raises:
        ClusterError: If one trial does not fit, or more trials at once are asked for than fit;
            says what is needed, what there is and which setting to change.
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
    needs = f"{asked.num_workers} x {asked.cpus_per_worker:g} CPUs"
    needs += f" and {reading:g} CPUs for reading" if reading else ""
    needs += f" and {asked.num_workers} x {gpus:g} GPUs" if gpus else ""
    has = f"{capacity.cpus:g} CPUs and {capacity.gpus:g} GPUs on {capacity.num_nodes} nodes"
    if not fitting:
        raise ClusterError(
            f"one trial needs {needs}, the cluster has {has}, so no trial could ever start; lower "
            "resources.num_workers, resources.cpus_per_worker, resources.gpus_per_worker or "
            "stream.cpus_per_task, or say with resources.cluster_cpus and resources.cluster_gpus "
            "what the cluster may grow to"
        )
    wanted = config.search.max_concurrent_trials
    if wanted is not None and wanted > fitting:
        raise ClusterError(
            f"search.max_concurrent_trials = {wanted}, but only {fitting} fit: a trial needs "
            f"{needs}, the cluster has {has}; lower it or what a trial reserves"
        )
    concurrent = min(wanted or fitting, config.search.trials)
    return Reservation(workers, concurrent, cpus)


def _times(has: float, needs: float) -> int:
    """Return how often something fits, any number of times when nothing is needed."""
    return math.floor(has / needs + 1e-9) if needs else sys.maxsize


def _workers_on(nodes: Sequence[tuple[float, float]], workers: Workers) -> int:
    """Return how many workers the nodes hold; a worker is never spread over two."""
    if not nodes:
        return sys.maxsize
    return sum(
        min(_times(cpus, workers.cpus_per_worker), _times(gpus, workers.gpus_per_worker))
        for cpus, gpus in nodes
    )


def check_shared(folders: list[Path]) -> None:
    """Have every node read back a nonce from every folder.

    Raises:
        ClusterError: Naming each node and folder where it failed.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2:
        return
    nonce = uuid.uuid4().hex
    paths = [folder / f".nonce-{nonce}" for folder in folders]
    for path in paths:
        write_text(path, nonce)
    try:
        faults = [
            f"node {node['NodeManagerAddress']} cannot read {path.parent}: {reason}"
            for node in nodes
            for path, reason in _read_on(node["NodeID"], paths, nonce).items()
        ]
    finally:
        for path in paths:
            path.unlink(missing_ok=True)
    if faults:
        raise ClusterError(
            "the output folder must be shared by all nodes (NFS, say): " + "; ".join(faults)
        )


def _read_on(node_id: str, paths: list[Path], nonce: str) -> dict[Path, str]:
    strategy = NodeAffinitySchedulingStrategy(node_id=node_id, soft=False)
    asked = _read_nonces.options(scheduling_strategy=strategy).remote(paths, nonce)
    try:
        found: dict[Path, str] = ray.get(asked, timeout=_NONCE_SECONDS)
    except ray.exceptions.GetTimeoutError:
        return dict.fromkeys(paths, f"no answer within {_NONCE_SECONDS} s")
    return found


@ray.remote(num_cpus=0)
def _read_nonces(paths: list[Path], nonce: str) -> dict[Path, str]:
    found = {}
    for path in paths:
        try:
            if path.read_text(encoding="utf-8") != nonce:
                found[path] = "another content"
        except OSError as error:
            found[path] = error.strerror or str(error)
    return found
