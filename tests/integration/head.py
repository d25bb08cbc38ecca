"""A head as ``make head`` starts it, and a small cohort, for tests of submitted jobs."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from pdray.head.running import Head, processes
from pdray.head.start import start_head
from pdray.head.stop import stop_head
from tests.places import ROOT

COMMIT = "0123456789abcdef0123456789abcdef01234567"
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
    head: Head
    source: Path
    manifest: Path
    env: dict[str, str]

    def get(self, path: str) -> Any:
        """Ask the dashboard with the token."""
        question = urllib.request.Request(f"{self.head.dashboard}{path}")
        question.add_header("Authorization", f"Bearer {self.head.token.read_text()}")
        with urllib.request.urlopen(question, timeout=30) as answer:
            return json.load(answer)

    def submit(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Submit the main job from the source folder and follow it to its end."""
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "job", "submit"),
            *("--address", self.head.dashboard, "--working-dir", str(self.source)),
            *("--metadata-json", json.dumps({"git_commit": COMMIT}), "--"),
            *("python", *self.job(name, *words)),
        ]
        return run(command, self.env, self.folder)

    def job(self, name: str, *words: str) -> list[str]:
        """Return the command line of the main job behind ``python``."""
        return [
            *("jobs/tune_tsa.py", "--config", "search_spaces/submitted.yaml"),
            *(f"data.manifest={self.manifest}", f"output={self.folder / 'output'}"),
            *(f"search.name={name}", f"tracking.uri={self.head.tracking}"),
            *words,
        ]

    def uploaded(self) -> list[Path]:
        """Return the files of the working folders that the head unpacked."""
        folders = self.head.private.glob(
            "ray/session_*/runtime_resources/working_dir_files/_ray_pkg_*/"
        )
        return [path for folder in folders for path in folder.rglob("*") if path.is_file()]

    def witnesses(self) -> list[list[str]]:
        """Return (file of pdray, command line) of every process that imported it."""
        return [path.read_text().splitlines() for path in (self.folder / "imports").iterdir()]


@contextlib.contextmanager
def running_cluster(settings: str) -> Iterator[Cluster]:
    """Start a cluster whose source has ``settings`` as its search space; end it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="pdray"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        head = start_head(folder / "output" / "head", print)
        stack.callback(_end, folder / "output" / "head", head)
        yield _make_cluster(folder, settings, head)


def _make_cluster(folder: Path, settings: str, head: Head) -> Cluster:
    (folder / "home").mkdir()
    (folder / "imports").mkdir()
    env = {
        key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "MLFLOW"))
    }
    config = DemoConfig(num_subjects=12, num_visits=1, size=32, min_seconds=1, max_seconds=1.4)
    return Cluster(
        folder=folder,
        head=head,
        source=_copy_source(folder, settings),
        manifest=make_cohort(folder / "cohort", config, num_processes=1),
        env=env | head.environment | {"HOME": str(folder / "home")},
    )


def _end(folder: Path, head: Head) -> None:
    assert stop_head(folder) > 0
    left = [process.cmdline() for process in processes(head)]
    assert not left, f"left behind: {left}"


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
