"""The Ray cluster of a study: joins or starts it, measures it, and checks that trials fit."""

import json
import logging
import math
import os
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pdray.atomic import write_text
from pdray.cpus import granted_cpus
from pdray.display import step
from pdray.errors import ClusterError, refuse
from pdray.plugins import lacking
from pdray.remote import naming_lost_process
from pdray.search.settings import ResourcesConfig, StudyConfig
from pdray.training.loop.launch import Workers

# The process of a distributed trial only waits for its workers, but Tune requires a CPU share.
DISTRIBUTED_TRIAL_CPUS = 0.01

_LOCAL_STORE_BYTES = 400 << 20
_JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
_NONCE_SECONDS = 60
_NO_ANSWER = (
    "; check that the cluster runs, that its token is in ~/.ray/auth_token or in the file of "
    "RAY_AUTH_TOKEN_PATH, and that RAY_AUTH_MODE=token is set"
)

_SLOW = "timed out during startup"
_HINTS = {
    _SLOW: "; it was tried twice; wait until the machine is less busy and run the job again",
    "AF_UNIX path length": "; the path of the folder for temporary files is too long for Ray's "
    "sockets: set TMPDIR to a folder with a path of at most 35 characters, such as /tmp",
}


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


@contextmanager
def joined_cluster(config: ResourcesConfig) -> Iterator[None]:
    """Connect to the cluster of ``address`` or of a submitted job, else start a local Ray.

    Raises:
        ClusterError: If the cluster cannot be reached.
    """
    if ray.is_initialized():  # by a job of several studies
        yield
        return
    with step("starting Ray" if _starts(config) else "connecting to the Ray cluster"):
        _join(config)
    try:
        yield
    finally:
        with step("ending Ray"):
            ray.shutdown()


def _starts(config: ResourcesConfig) -> bool:
    return config.address is None and not is_submitted()


def _join(config: ResourcesConfig) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would send them to its makers
    # RunConfig(verbose=0) silences Ray Tune's old output only, so choose that one.
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    address = config.address or ("auto" if is_submitted() else None)
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        options |= {
            "num_cpus": granted_cpus(),  # Ray itself would take all CPUs of the machine
            "include_dashboard": False,
            "object_store_memory": _LOCAL_STORE_BYTES,
        }
    try:
        _start_ray(address or "local", options)
    except ray.exceptions.AuthenticationError as error:
        # The first sentence says what is wrong; the rest explains where tokens come from.
        reason = str(error).partition(" Ensure that")[0]
        raise ClusterError(f"Ray cluster at {address or 'this machine'}: {reason}") from error
    except Exception as error:
        hint = "" if address is None else _NO_ANSWER
        hints = [told for words, told in _HINTS.items() if words in str(error)]
        reason = str(error).strip() or type(error).__name__
        raise ClusterError(
            f"Ray cluster at {address or 'this machine'}: {reason}{hints[0] if hints else hint}"
        ) from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    # On a full disk every restart of every trial would print it; the end of the study says it once.
    logging.getLogger("ray.tune.execution.tune_controller").addFilter(_is_not_of_a_full_disk)


def _start_ray(address: str, options: Mapping[str, Any]) -> None:
    """Connect to Ray, or start it; a second time where a busy machine was too slow."""
    try:
        ray.init(address=address, **options)
    except Exception as error:
        if _SLOW not in str(error):
            raise
        ray.shutdown()
        ray.init(address=address, **options)


def _is_not_of_a_full_disk(record: logging.LogRecord) -> bool:
    return "No space left on device" not in str(record.exc_info and record.exc_info[1])


def is_submitted() -> bool:
    """Return whether this process is the driver of a submitted job."""
    return _JOB_VARIABLE in os.environ


def submitted_commit() -> str | None:
    """Return the ``git_commit`` of a submitted job's metadata; such a job has no ``.git``."""
    metadata = json.loads(os.environ.get(_JOB_VARIABLE, "{}")).get("metadata", {})
    commit = metadata.get("git_commit")
    return str(commit) if commit else None


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


def check_shared(folders: list[Path]) -> None:
    """Check that every node can read each folder: each reads a random text from a test file.

    Raises:
        ClusterError: Names each node and folder where it failed.
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
            "the output folder is not shared by all nodes: " + "; ".join(faults) + "; choose an "
            "output that every node can read and write, such as a folder on NFS"
        )


def _read_on(node_id: str, paths: list[Path], nonce: str) -> dict[Path, str]:
    try:
        found: dict[Path, str] = _ask(node_id, _read_nonces, paths, nonce)
    except ray.exceptions.GetTimeoutError:
        return dict.fromkeys(paths, f"no answer within {_NONCE_SECONDS} s")
    return found


def check_plugins(used: Mapping[str, str]) -> None:
    """Have every node look for the plug-ins of a study; a worker imports them.

    Args:
        used: Version of each plug-in.

    Raises:
        ClusterError: Naming each node that lacks one, and what to install there; or one that
            does not answer.
    """
    faults = []
    for node in ray.nodes() if used else ():
        who = f"node {node['NodeManagerAddress']}"
        if node["Alive"]:
            with naming_lost_process(who, "nothing has been started"):
                lacks = _ask(node["NodeID"], _lacking, used)
            faults += [f"{who}: pip install {' '.join(lacks)}"] if lacks else []
    refuse(faults, ClusterError, "plug-ins must be installed on every node")


def _ask(node_id: str, task: Any, *arguments: Any) -> Any:
    strategy = NodeAffinitySchedulingStrategy(node_id=node_id, soft=False)
    asked = task.options(scheduling_strategy=strategy).remote(*arguments)
    return ray.get(asked, timeout=_NONCE_SECONDS)


@ray.remote(num_cpus=0)
def _lacking(used: Mapping[str, str]) -> list[str]:
    return lacking(used)


@ray.remote(num_cpus=0)
def _read_nonces(paths: list[Path], nonce: str) -> dict[Path, str]:
    found = {}
    for path in paths:
        try:
            if path.read_text(encoding="utf-8") != nonce:
                found[path] = "its content differs"
        except OSError as error:
            found[path] = error.strerror or str(error)
    return found
