"""A Ray cluster of this machine whose nodes an autoscaler starts and stops, as a cloud would.

Ray's own ``AutoscalingCluster`` ends every other Ray of the machine, and the example file that it
reads is missing in the wheel; so the head is started here, on its own port and in its own folder.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from ray._private.services import get_node_ip_address
from ray.autoscaler._private.fake_multi_node.node_provider import (
    FAKE_HEAD_NODE_ID,
    FAKE_HEAD_NODE_TYPE,
    FakeMultiNodeProvider,
)
from ray.autoscaler.v2.sdk import get_cluster_status

_OF_RAY_UP = (
    *("initialization_commands", "setup_commands", "head_setup_commands"),
    *("worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands"),
    *("cluster_synced_files", "rsync_exclude", "rsync_filter"),
)
_STORE_BYTES = 100 << 20


@dataclass(frozen=True)
class GrowingCluster:
    """A head without CPUs, and the nodes that it starts."""

    address: str
    folder: Path
    env: dict[str, str]

    def nodes(self) -> list[str]:
        """Return the types of the nodes that run, without the head."""
        status = get_cluster_status(self.address)
        found = [*status.active_nodes, *status.idle_nodes]
        return sorted(one.ray_node_type_name for one in found if one.node_id != FAKE_HEAD_NODE_ID)

    def lose(self, name: str) -> None:
        """Kill a node of a type, as a cloud takes back a spot machine."""
        nodes = [
            one
            for one in get_cluster_status(self.address).active_nodes
            if one.ray_node_type_name == name
        ]
        (raylet,) = self.processes("raylet/raylet", nodes[0].node_id)
        raylet.kill()

    def processes(self, *parts: str) -> list[psutil.Process]:
        """Return the processes of this cluster with such words in their command line."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            words = " ".join(process.info["cmdline"] or [])
            if all(part in words for part in (str(self.folder), *parts)):
                found.append(process)
        return found


@contextlib.contextmanager
def growing_cluster(types: dict[str, dict[str, Any]]) -> Iterator[GrowingCluster]:
    """Start a head that may start such nodes; end everything afterwards.

    Args:
        types: Resources and ``max_workers`` of each type, in the words of ``cluster.yaml``.
    """
    folder = Path(tempfile.mkdtemp(prefix="grow"))
    port = _free_port()
    address = f"{get_node_ip_address()}:{port}"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    env = kept | {
        "RAY_AUTH_MODE": "disabled",
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    }
    config = folder / "cluster.yaml"
    config.write_text(yaml.safe_dump(_written(types, address)), encoding="utf-8")
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", f"--port={port}"),
        *("--num-cpus=0", "--include-dashboard=false", "--disable-usage-stats"),
        *(f"--temp-dir={folder}", f"--autoscaling-config={config}"),
        f"--object-store-memory={_STORE_BYTES}",
    ]
    cluster = GrowingCluster(address, folder, kept | {"RAY_AUTH_MODE": "disabled"})
    try:
        subprocess.run(command, env=env, check=True, capture_output=True, timeout=60)
        yield cluster
    finally:
        _end(cluster)
        shutil.rmtree(folder, ignore_errors=True)


def _written(types: dict[str, dict[str, Any]], address: str) -> dict[str, Any]:
    head = {"resources": {"CPU": 0}, "max_workers": 0, "node_config": {}}
    nodes: dict[str, Any] = {FAKE_HEAD_NODE_TYPE: head}
    for name, one in types.items():
        resources = {**one, "object_store_memory": _STORE_BYTES}
        most = resources.pop("max_workers")
        nodes[name] = {"resources": resources, "max_workers": most, "node_config": {}}
    return {
        "cluster_name": "growing",
        "max_workers": sum(one["max_workers"] for one in types.values()),
        "upscaling_speed": 100.0,
        "idle_timeout_minutes": 0.1,
        "provider": {
            "type": "external",
            "module": f"{FakeMultiNodeProvider.__module__}.{FakeMultiNodeProvider.__name__}",
            "use_node_id_as_ip": True,  # all nodes share the address of this machine
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "launch_multiple": True,
            "head_node_id": FAKE_HEAD_NODE_ID,
            "gcs_address": address,
        },
        "available_node_types": nodes,
        "head_node_type": FAKE_HEAD_NODE_TYPE,
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        **{key: [] for key in _OF_RAY_UP},
    }


def _end(cluster: GrowingCluster) -> None:
    # First the autoscaler, which would start nodes again.
    for parts in (["monitor.py"], []):
        found = cluster.processes(*parts)
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(found, timeout=10)
    left = [process.pid for process in cluster.processes() if process.is_running()]
    assert not left, left


def wait_until(truth: Any, seconds: float) -> None:
    """Wait until ``truth()`` holds."""
    deadline = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < deadline, truth
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("", 0))
        port: int = one.getsockname()[1]
    return port
