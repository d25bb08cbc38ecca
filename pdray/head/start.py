"""Starts a Ray head and an MLflow server that only this user can use."""

import http.client
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from pdray.atomic import held
from pdray.command import Say
from pdray.cpus import granted_cpus
from pdray.errors import ClusterError
from pdray.head.running import TAG, Head, processes, read_head
from pdray.head.stop import stop_head

_DASHBOARD, _TRACKING = 8265, 5000  # the usual ports; others if these are taken
_OTHERS = (
    "port", "ray-client-server-port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port",
    "metrics-export-port", "runtime-env-agent-port",
)  # fmt: skip
_SECONDS = 120  # to wait for an answer; a busy machine needs half a minute
_SECONDS_KNOWN = 30  # of a head that runs
_LOG_LINES = 5
_THIS = "127.0.0.1"
# A process of its own session, whose parent ends at once: Ctrl-C in this terminal does not end it.
_DETACH = (
    "import subprocess, sys; "
    "print(subprocess.Popen(sys.argv[1:], stdout=2, start_new_session=True).pid)"
)
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy gets no token


def start_head(folder: Path, say: Say) -> Head:
    """Start a Ray head and an MLflow server, or return those that run.

    The dashboard and MLflow listen on this machine alone. Ray listens on all interfaces, and
    refuses whoever has no token.

    Args:
        folder: Folder of the head: token, logs, MLflow's database and files.
        say: Prints a line.

    Returns:
        The head, which answers.

    Raises:
        ClusterError: If one of them does not answer; what was started now is ended then.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except PermissionError as error:
        raise ClusterError(
            f"{folder} belongs to another user; start a head of your own with another output"
        ) from error
    with ExitStack() as stack:
        try:
            stack.enter_context(held(folder / "head.lock"))
        except BlockingIOError as error:
            raise ClusterError(f"a head is being started in {folder}; wait for it") from error
        return _running(folder, say) or _new(folder, say)


def _running(folder: Path, say: Say) -> Head | None:
    """Return the head that runs; what a dead one left is removed."""
    known = read_head(folder)
    if known is None:
        return None
    if not processes(known):
        stop_head(folder)
        return None
    if tool := silent(known, _SECONDS_KNOWN, lambda tool: False):
        raise ClusterError(
            f"the head runs, but {tool} does not answer; make head-stop ends it, with the jobs "
            f"that still run, then start it again; {_last_words(folder / f'{tool}.log')}"
        )
    say("the head runs already")
    return known


def _new(folder: Path, say: Say) -> Head:
    # A short path: the sockets of Ray allow about a hundred characters.
    private = Path(tempfile.mkdtemp(prefix="pdray-"))
    with ExitStack() as taken:
        dashboard, tracking = (_port(taken, usual) for usual in (_DASHBOARD, _TRACKING))
        ports = {name: _port(taken) for name in _OTHERS}
    head = Head(
        address=f"{_own_address()}:{ports['port']}",
        dashboard=f"http://{_THIS}:{dashboard}",
        tracking=f"http://{_THIS}:{tracking}",
        token=_make_token(folder),
        private=private,
    )
    head.write(folder)
    try:
        say("starting Ray and MLflow (about 15 seconds)")
        _start(head, folder, ports)
    except BaseException:
        stop_head(folder)
        raise
    return head


def _start(head: Head, folder: Path, ports: dict[str, int]) -> None:
    dashboard, tracking = (url.rpartition(":")[2] for url in (head.dashboard, head.tracking))
    ray = [
        *("ray.scripts.scripts", "start", "--head", "--block", f"--num-cpus={granted_cpus()}"),
        *(f"--{name}={port}" for name, port in ports.items()),
        *(f"--dashboard-host={_THIS}", f"--dashboard-port={dashboard}"),
        *("--min-worker-port=0", "--max-worker-port=0", f"--temp-dir={head.private / 'ray'}"),
    ]
    mlflow = [
        *("mlflow", "server", "--host", _THIS, "--port", tracking, "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    tools = {"ray": ray, "mlflow": mlflow}
    started = {tool: _spawn(words, head, folder / f"{tool}.log") for tool, words in tools.items()}
    if tool := silent(head, _SECONDS, lambda tool: _has_ended(started[tool])):
        raise ClusterError(f"{tool} does not answer; {_last_words(folder / f'{tool}.log')}")


def silent(head: Head, seconds: float, has_ended: Callable[[str], bool]) -> str | None:
    """Return the tool that does not answer within some seconds; None: both answer."""
    has_answer: dict[str, Callable[[], bool]] = {
        "ray": lambda: '"ALIVE"' in _answer(f"{head.dashboard}/nodes?view=summary", head),
        "mlflow": lambda: bool(_answer(f"{head.tracking}/health", head)),
    }
    deadline = time.monotonic() + seconds
    for tool, answers in has_answer.items():
        while not answers():
            if has_ended(tool) or time.monotonic() > deadline:
                return tool
            time.sleep(0.3)
    return None


def _spawn(words: Sequence[str], head: Head, log: Path) -> int:
    """Start a tool that outlives this process; return its number.

    It inherits no setting of another cluster.
    """
    others = ("RAY_", "MLFLOW_")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(others)}
    own = head.environment | {
        TAG: str(head.private),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', os.defpath)}",
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # ten processes that pdray does not use
    }
    with log.open("w") as file:
        started = subprocess.run(
            [sys.executable, "-c", _DETACH, sys.executable, "-m", *words],
            env=inherited | own,
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            check=True,
        )
    return int(started.stdout)


def _has_ended(number: int) -> bool:
    try:
        return bool(psutil.Process(number).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _answer(url: str, head: Head) -> str:
    question = urllib.request.Request(url)
    question.add_header("Authorization", f"Bearer {head.token.read_text().strip()}")
    try:
        with _DIRECT.open(question, timeout=5) as answer:
            return str(answer.read().decode(errors="replace"))
    except (OSError, http.client.HTTPException):  # nobody listens, or another program does
        return ""


def _make_token(folder: Path) -> Path:
    """Return the file of the token, which is made once; an empty one was left by a kill."""
    path = folder / "token"
    if not path.exists() or not path.stat().st_size:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    path.chmod(0o600)
    return path


def _port(taken: ExitStack, usual: int = 0) -> int:
    """Return a port that is free and that no earlier call returned."""
    for port in (usual, 0):
        one = taken.enter_context(socket.socket())
        try:
            one.bind((_THIS, port))
        except OSError:
            continue
        return int(one.getsockname()[1])
    raise ClusterError(f"no port is free on {_THIS}; end a program that listens on one")


def _own_address() -> str:
    from ray.util import get_node_ip_address  # as Ray itself, so that other nodes can join

    return str(get_node_ip_address())


def _last_words(log: Path) -> str:
    text = log.read_text(errors="replace") if log.is_file() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    return f"the end of {log}:\n" + "\n".join(lines[-_LOG_LINES:])
