"""A real Ray head with a token, an MLflow server and a small cohort, for tests of submitted jobs.

Every process carries a tag in its environment and is ended by it: ``ray stop`` would end every
Ray of the machine, other people's too.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from tests.places import ROOT

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TAG = "PDRAY_TEST_CLUSTER"
# Leaves a file a process that says which pdray it imported, and in which process.
WITNESS = """
import os, pathlib, sys
_witness = pathlib.Path({folder!r}) / str(os.getpid())
_witness.write_text(__file__ + "\\n" + " ".join(sys.orig_argv))
"""


@dataclass(frozen=True)
class Cluster:
    """A head, an MLflow server and a rendered cohort, all of one test module."""

    folder: Path
    source: Path
    manifest: Path
    address: str
    dashboard: str
    tracking: str
    token: str
    env: dict[str, str]

    def get(self, path: str) -> Any:
        """Ask the dashboard with the token."""
        question = urllib.request.Request(f"{self.dashboard}{path}")
        question.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(question, timeout=30) as answer:
            return json.load(answer)

    def submit(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Submit the main job from the source folder and follow it to its end."""
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "job", "submit"),
            *("--address", self.dashboard, "--working-dir", str(self.source)),
            *("--metadata-json", json.dumps({"git_commit": COMMIT}), "--"),
            *("python", *self.job(name, *words)),
        ]
        return run(command, self.env, self.folder)

    def job(self, name: str, *words: str) -> list[str]:
        """Return the command line of the main job behind ``python``."""
        return [
            *("jobs/tune_tsa.py", "--config", "search_spaces/submitted.yaml"),
            *(f"data.manifest={self.manifest}", f"output={self.folder / 'output'}"),
            *(f"search.name={name}", f"tracking.uri={self.tracking}"),
            *words,
        ]

    def uploaded(self) -> list[Path]:
        """Return the files of the working folders that the head unpacked."""
        folders = self.folder.glob("ray/session_*/runtime_resources/working_dir_files/_ray_pkg_*/")
        return [path for folder in folders for path in folder.rglob("*") if path.is_file()]

    def witnesses(self) -> list[list[str]]:
        """Return (file of pdray, command line) of every process that imported it."""
        return [path.read_text().splitlines() for path in (self.folder / "imports").iterdir()]


@contextlib.contextmanager
def running_cluster(settings: str) -> Iterator[Cluster]:
    """Start a cluster whose source has ``settings`` as its search space; end it afterwards."""
    # A short path: the sockets of Ray allow about a hundred characters.
    folder = Path(tempfile.mkdtemp(prefix="pdray"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield _start(folder, settings, stack)


def _start(folder: Path, settings: str, stack: contextlib.ExitStack) -> Cluster:
    tag = secrets.token_hex(8)
    token = secrets.token_hex(32)
    (folder / "home").mkdir()
    (folder / "imports").mkdir()
    (folder / "token").write_text(token)
    env = {
        key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "MLFLOW"))
    }
    env |= {
        TAG: tag,
        "HOME": str(folder / "home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    tracking_port, port, dashboard_port, *others = _free_ports(8)
    stack.enter_context(_start_tracking(folder, tracking_port, env))
    stack.callback(_end, tag, folder)
    _start_head(folder, (port, dashboard_port, *others), env)
    config = DemoConfig(num_subjects=12, num_visits=1, size=32, min_seconds=1, max_seconds=1.4)
    cluster = Cluster(
        folder=folder,
        source=_copy_source(folder, settings),
        manifest=make_cohort(folder / "cohort", config, num_processes=1),
        address=f"127.0.0.1:{port}",
        dashboard=f"http://127.0.0.1:{dashboard_port}",
        tracking=f"http://127.0.0.1:{tracking_port}",
        token=token,
        env=env,
    )
    _wait_for(f"{cluster.tracking}/health", folder / "mlflow.log")
    return cluster


def _start_tracking(folder: Path, port: int, env: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--workers", "1"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    with (folder / "mlflow.log").open("w") as log:
        return subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log)


def _start_head(folder: Path, ports: tuple[int, ...], env: dict[str, str]) -> None:
    names = ("port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port")
    names = (*names, "dashboard-agent-grpc-port", "metrics-export-port", "runtime-env-agent-port")
    done = run(
        [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--num-cpus=2"),
            *(f"--{name}={port}" for name, port in zip(names, ports, strict=True)),
            *("--min-worker-port=0", "--max-worker-port=0", "--dashboard-host=127.0.0.1"),
            *("--node-ip-address=127.0.0.1", f"--object-store-memory={400 << 20}"),
            f"--temp-dir={folder / 'ray'}",
        ],
        env,
        folder,
    )
    assert done.returncode == 0, output_of(done)


def _copy_source(folder: Path, settings: str) -> Path:
    """Copy the source, add the study's YAML and a witness, and decoys that must stay behind."""
    source = folder / "source"
    for name in ("pdray", "jobs", "search_spaces", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "constraints.txt", ".gitignore", ".rayignore"):
        shutil.copyfile(ROOT / name, source / name)
    (source / "search_spaces" / "submitted.yaml").write_text(settings)
    witness = WITNESS.format(folder=str(folder / "imports"))
    (source / "pdray" / "__init__.py").write_text(witness)
    for name in (
        ".venv/lib/decoy.py",
        ".git/HEAD",
        "pdray_output/demo/cohort/videos/decoy.mp4",
        "videos/decoy.mp4",
        "predictions/decoy.parquet",
        "mlflow.db",
    ):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(bytes(1 << 20))
    return source


def run(command: list[str], env: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=env, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


def output_of(done: subprocess.CompletedProcess[str]) -> str:
    return f"{done.stdout}\n{done.stderr}"


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait_for(url: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.3)
    pytest.fail(f"{url} gives no answer:\n{log.read_text()}")


def _end(tag: str, folder: Path) -> None:
    """End every process of this cluster, and only those."""
    for _ in range(5):
        ours = _tagged(tag, folder)
        for process in ours:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(ours, timeout=10)
        if not _tagged(tag, folder):
            return
    pytest.fail(f"left behind: {[process.cmdline() for process in _tagged(tag, folder)]}")


def _tagged(tag: str, folder: Path) -> list[psutil.Process]:
    """Find processes by their environment or folder; a worker hides both, its parent does not."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            words = " ".join(process.cmdline())
            if process.environ().get(TAG) == tag or f"{folder}/ray/" in words:
                family = [process, *process.children(recursive=True)]
                found |= {member.pid: member for member in family}
    return list(found.values())
