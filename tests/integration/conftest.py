"""A small rendered cohort and the main job as a user starts it: another process, real files."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from pdray.config import build
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from tests.fixtures.outcome import outcome
from tests.places import ROOT

SPACE = """\
decode: {height: 32, width: 32}
snippet: {num_frames: 16}
model:
  {depth: 10, width_factor: 0.125, temporal_stride: "221111", stem_time_kernel: 3, num_heads: 2}
optim: {optimizer: adamw, learning_rate: 0.003, batch_size: 8, epochs: 2}
folds: {num_folds: 2, num_outer: 4}
search: {trials: 2, prune_quantile: 0, protocol: holdout, keep_folds: false}
space:
  optim.weight_decay: {low: 1.0e-4, high: 0.1, log: true}
  loss.gamma: {low: 0.0, high: 2.0}
  model.attention_depth: {choices: [0, 1]}
"""


@pytest.fixture(scope="session")
def small_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render 12 synthetic subjects; return their manifest."""
    config = build(
        DemoConfig, {"num_subjects": 12, "num_visits": 1, "size": 64, "max_seconds": 4.0}
    )
    return make_cohort(tmp_path_factory.mktemp("cohort"), config, num_processes=2)


@dataclass(frozen=True)
class Job:
    """One way to start ``jobs/tune_tsa.py`` on the small cohort, and what it leaves."""

    manifest: Path
    folder: Path

    @property
    def output(self) -> Path:
        return self.folder / "output"

    def study(self, name: str = "study") -> Path:
        return self.output / "studies" / name

    def words(self, *words: str) -> list[str]:
        config = self.folder / "space.yaml"
        config.write_text(SPACE, encoding="utf-8")
        base = ["--config", str(config), f"data.manifest={self.manifest}"]
        return [*base, f"output={self.output}", "search.name=study", *words]

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start the job in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "jobs/tune_tsa.py", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "RAY_DISABLE_IMPORT_WARNING": "1"},
        )

    def run(self, *words: str, timeout: float = 400) -> subprocess.CompletedProcess[str]:
        """Run the job to its end."""
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            kill_all(process)
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def watch(
        self, *words: str
    ) -> tuple[subprocess.CompletedProcess[str], list[tuple[float, str]]]:
        """Run the job to its end; return the silence before each line, and before the end."""
        times, lines, errors = [time.monotonic()], [], []
        with self.start(*words) as process:
            reader = threading.Thread(target=lambda: errors.append(process.stderr.read()))
            reader.start()
            for line in process.stdout:
                times.append(time.monotonic())
                lines.append(line)
            code = process.wait(timeout=60)
            reader.join()
        silences = [after - before for before, after in pairwise([*times, time.monotonic()])]
        gaps = list(zip(silences, [*lines, "the end"], strict=True))
        done = subprocess.CompletedProcess(process.args, code, "".join(lines), "".join(errors))
        return done, gaps

    def wait_for_epochs(self, process: subprocess.Popen[str], number: int) -> None:
        """Wait until trials have logged so many epochs."""
        deadline = time.monotonic() + 200
        while self.num_epochs() < number:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "no epoch came"
            time.sleep(0.02)

    def num_epochs(self) -> int:
        logs = self.study().glob("trials/*/epochs.jsonl")
        return sum(len(log.read_text(encoding="utf-8").splitlines()) for log in logs)

    def trials(self) -> list[dict[str, object]]:
        paths = sorted(self.study().glob("trials/*/trial.json"))
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths]

    def outcome(self) -> dict[str, object]:
        """Return everything of the study that must not depend on a fault."""
        return outcome(self.study())


def kill_all(process: subprocess.Popen[str]) -> None:
    """Kill a job and everything it started, its private Ray included, without warning."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.kill()
    for child in family:
        try:
            child.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=20)
    process.communicate(timeout=20)  # closes its pipes


def kill_named(
    process: subprocess.Popen[str], *titles: str, by: signal.Signals = signal.SIGKILL
) -> None:
    """Send a signal to the processes of a job with such a title, as soon as there are some."""
    deadline = time.monotonic() + 60
    while True:
        family = psutil.Process(process.pid).children(recursive=True)
        told = []
        for child in family:
            with suppress(psutil.Error):  # it has ended since
                told.append((child, " ".join(child.cmdline())))
        sent = []
        for child, title in told:
            if title.startswith(titles):
                with suppress(psutil.NoSuchProcess):  # it ends by itself just now
                    child.send_signal(by)
                    sent.append(child)
        if sent:
            if by == signal.SIGKILL:
                psutil.wait_procs(sent, timeout=20)  # so that the next call finds another
            return
        assert time.monotonic() < deadline, sorted({title[:60] for _, title in told})
        time.sleep(0.02)


@pytest.fixture
def job(small_cohort: Path, tmp_path: Path) -> Job:
    return Job(small_cohort, tmp_path)


@pytest.fixture
def make_job(small_cohort: Path, tmp_path: Path) -> Callable[[str], Job]:
    """Return jobs that write to folders of their own."""

    def make(name: str) -> Job:
        folder = tmp_path / name
        folder.mkdir()
        return Job(small_cohort, folder)

    return make
