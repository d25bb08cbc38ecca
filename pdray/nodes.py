"""Nodes of a Ray cluster: those that run, and the types that its autoscaler may start."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import ray
import yaml

from pdray.display import say

DECODE, TRAIN = "decode", "train"
"""Custom resources of nodes that are meant for one kind of work; ``cluster.yaml`` gives them."""

_SHARE = 0.001  # of such a resource: it says where a task runs, not how much the task takes
_HEAD = "node:__internal_head__"
HEAD = {_HEAD: _SHARE}
"""Resource of a process that takes no CPU and runs on the head node."""

WAITING_SECONDS = 15.0
"""Time between two lines while work waits for nodes [s]."""

_FILE_OPTION = "--autoscaling-config="
_MOST_NODES = 1000  # of a type, also where a platform names no limit


@dataclass(frozen=True)
class Node:
    """CPUs and GPUs of a node [count], and the kinds of work that it is meant for."""

    cpus: float
    gpus: float = 0.0
    roles: frozenset[str] = frozenset()

    @classmethod
    def of(cls, resources: Mapping[str, float]) -> "Node":
        """Return the node with these resources of Ray."""
        roles = frozenset(role for role in (DECODE, TRAIN) if resources.get(role))
        return cls(float(resources.get("CPU", 0)), float(resources.get("GPU", 0)), roles)


@dataclass(frozen=True)
class NodeType:
    """Nodes of one kind that an autoscaler may start, at most ``most`` at once [count]."""

    name: str
    node: Node
    most: int


def types_of(config: Mapping[str, Any]) -> tuple[NodeType, ...]:
    """Return the node types of a cluster file such as ``cluster.yaml``, without that of the head.

    Args:
        config: ``available_node_types`` and, if known, ``head_node_type`` and ``max_workers``.

    Returns:
        Empty if the file leaves the size of a type to the cloud.
    """
    most, found = min(_MOST_NODES, int(config.get("max_workers", _MOST_NODES))), []
    for name, one in config["available_node_types"].items():
        resources = one.get("resources") or {}
        if name == config.get("head_node_type"):
            continue
        if "CPU" not in resources:
            return ()
        found.append(NodeType(name, Node.of(resources), min(most, one.get("max_workers", most))))
    return tuple(one for one in found if one.most > 0)


def reported_types() -> tuple[NodeType, ...]:
    """Return the node types that the joined cluster may start; empty if nobody says.

    Some platforms report them to Ray. Otherwise they stand in the file that the autoscaler of this
    cluster reads, which is known on its head node: a submitted job runs there.
    """
    told = ray._private.state.state.get_cluster_config()
    if told is not None and told.node_group_configs:
        groups = {
            one.name: {
                "resources": dict(one.resources),
                "max_workers": one.max_count if one.max_count >= 0 else _MOST_NODES,
            }
            for one in told.node_group_configs
        }
        return types_of({"available_node_types": groups})
    for path in _autoscaler_files(ray.get_runtime_context().gcs_address):
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        if isinstance(config, dict) and config.get("available_node_types"):
            return types_of(config)
    return ()


def _autoscaler_files(address: str) -> Iterator[Path]:
    """Yield the file of each autoscaler on this machine that serves a cluster."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if f"--gcs-address={address}" in words:
            files = [word for word in words if word.startswith(_FILE_OPTION)]
            yield from (Path(word.removeprefix(_FILE_OPTION)).expanduser() for word in files)


def running_nodes() -> tuple[Node, ...]:
    """Return the nodes of the joined cluster that run."""
    return tuple(Node.of(resources) for resources in _running())


def possible_nodes(types: tuple[NodeType, ...]) -> tuple[Node, ...]:
    """Return the nodes that a cluster may have: all of its types, and running ones of no type."""
    sizes = {one.node for one in types}
    others = [
        Node.of(resources)
        for resources in _running()
        if _HEAD in resources or Node.of(resources) not in sizes
    ]
    return (*others, *(one.node for one in types for _ in range(one.most)))


def place(role: str | None) -> dict[str, float]:
    """Return the resource that a task asks for, so that it runs on nodes of a role; None: any."""
    return {} if role is None else {role: _SHARE}


def role_if_known(role: str) -> str | None:
    """Return the role if some node of the joined cluster has it or may have it, else None."""
    if any(role in node.roles for node in running_nodes()):
        return role
    return role if any(role in one.node.roles for one in reported_types()) else None


@contextmanager
def telling_of_no_node(role: str | None, cpus: float) -> Iterator[None]:
    """Print at intervals that tasks wait for the first node on which they can run.

    Args:
        role: The role of the nodes; None: any.
        cpus: CPUs of each task [count].
    """
    ended, started = threading.Event(), time.monotonic()

    def watch() -> None:
        while not ended.wait(WAITING_SECONDS):
            if not any(
                one.cpus >= cpus and place(role).keys() <= one.roles for one in running_nodes()
            ):
                name = f"{role} node" if role else f"node with {cpus:g} CPUs"
                say(f"waiting for the first {name}, {time.monotonic() - started:.0f} s")

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _running() -> list[Mapping[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
