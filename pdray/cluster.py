"""Joins or starts the Ray cluster of a job, and checks what each of its nodes can read."""

import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pdray.address import joined_address
from pdray.atomic import write_text
from pdray.cpus import granted_cpus
from pdray.display import say, step
from pdray.errors import ClusterError, refuse
from pdray.plugins import lacking
from pdray.remote import naming_lost_process

_LOCAL_STORE_BYTES = 400 << 20
_NONCE_SECONDS = 60
_HEAD_LIMIT = "RAY_gcs_rpc_server_reconnect_timeout_s"
_HEAD_SECONDS = 5.0
_HEAD_SHARE = 0.5  # of the time after which Ray aborts
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


@contextmanager
def joined_cluster(asked: str | None) -> Iterator[None]:
    """Connect to the cluster of an address or of a submitted job, else start a local Ray.

    Args:
        asked: Setting ``resources.address``.

    Raises:
        ClusterError: If the cluster cannot be reached.
    """
    if ray.is_initialized():  # by a job of several studies
        yield
        return
    address = joined_address(asked)
    with step("connecting to the Ray cluster" if address else "starting Ray"):
        _join(address)
    ended = threading.Event()
    head = ray.get_runtime_context().gcs_address
    threading.Thread(target=_watch_head, args=(head, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        with step("ending Ray"):
            ray.shutdown()


def _watch_head(address: str, ended: threading.Event) -> None:
    """End this job if the head of its cluster is lost; Ray would abort it later, in its own words.

    A head that keeps its state in Redis may start again within Ray's own limit.
    """
    host, _, port = address.rpartition(":")
    limit = float(os.environ.get(_HEAD_LIMIT, "60"))
    answered = time.monotonic()
    while not ended.wait(_HEAD_SECONDS):
        with (
            suppress(OSError),
            socket.create_connection((host.strip("[]"), int(port)), _HEAD_SECONDS),
        ):
            answered = time.monotonic()
        silent = time.monotonic() - answered
        if silent > _HEAD_SHARE * limit:
            say(
                f"the head of the Ray cluster at {address} has not answered for {silent:.0f} s, so "
                "this job ends; what is in its log stays"
            )
            # The main thread may wait inside Ray, where it takes no signal: say here how to go on.
            on_sigterm = signal.getsignal(signal.SIGTERM)
            with suppress(BaseException):
                if callable(on_sigterm):
                    on_sigterm(signal.SIGTERM, None)
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _join(address: str | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would send them to its makers
    # RunConfig(verbose=0) silences Ray Tune's old output only, so choose that one.
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    # A lost process would be a page of text; restarts.py says it in one line.
    os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")
    # The log of a study holds everything; Ray Tune's would be five files per trial, and its state.
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "inf")
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
    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)  # lists trials that Ctrl-C ended
    # What Tune keeps of a run is not needed; on a full disk it would tell so with a traceback.
    logging.getLogger("ray.tune.execution.experiment_state").setLevel(logging.CRITICAL)


def _start_ray(address: str, options: Mapping[str, Any]) -> None:
    """Connect to Ray, or start it; a second time where a busy machine was too slow."""
    on_sigterm = signal.getsignal(signal.SIGTERM)
    has_clusters = ray_constants.ENABLE_RAY_CLUSTER
    # A Ray that knows of no clusters takes 127.0.0.1 for its address, and listens there alone.
    ray_constants.ENABLE_RAY_CLUSTER = has_clusters and address != "local"
    try:
        ray.init(address=address, **options)
    except Exception as error:
        if _SLOW not in str(error):
            raise
        ray.shutdown()
        ray.init(address=address, **options)
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = has_clusters
    if callable(on_sigterm) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray replaced that of the job


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
