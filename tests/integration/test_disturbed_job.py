"""Full disks and killed processes while a study runs change none of its scores."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fixtures.outcome import differences, outcome
from tests.integration.conftest import Job
from tests.places import ROOT

pytestmark = pytest.mark.chaos

SETTINGS = ("search.max_concurrent_trials=1", "search.trials=2", "optim.epochs=3")

# $1: the folder that gets a disk of its own, which fills up after three epochs; $2: the study's
# folder; then the job. Afterwards there is room, and the study goes on.
FULL_DISK = """
set -u
disk=$1 study=$2; shift 2
mount -t tmpfs -o size=200m tmpfs "$disk" || exit 77
"$@" &
job=$!
while kill -0 $job 2>/dev/null; do
  lines=$(cat "$study"/trials/*/epochs.jsonl 2>/dev/null | wc -l)
  if [ "$lines" -ge 3 ]; then cat /dev/zero > "$disk/filler" 2>/dev/null; break; fi
  sleep 0.02
done
wait $job; echo "== ended with $?"
grep -l '"state": "failed"' "$study"/trials/*/trial.json
rm -f "$disk/filler"
mount -o remount,size=1g "$disk"
"$@" ; echo "== ended with $?"
cp -r "$disk/studies" "$disk.kept"
"""


@pytest.fixture(scope="module")
def whole(small_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of the study when nothing happens to it."""
    job = Job(small_cohort, tmp_path_factory.mktemp("whole"))
    done = job.run(*job.words(*SETTINGS))
    assert done.returncode == 0, done.stderr
    return outcome(job.study())


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's mounts")
def test_a_study_whose_disk_was_full_goes_on_when_there_is_room(
    job: Job, whole: dict[str, Any]
) -> None:
    disk = job.output
    disk.mkdir()
    study = job.study()
    command = [sys.executable, "jobs/tune_tsa.py", *job.words(*SETTINGS)]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", FULL_DISK, "sh", disk, study, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "RAY_DISABLE_IMPORT_WARNING": "1"},
    )
    if done.returncode == 77 or "unshare: " in done.stderr:
        pytest.skip("mounting is not allowed here")
    first, second = [line for line in done.stdout.splitlines() if line.startswith("== ended")]
    assert (first, second) == ("== ended with 2", "== ended with 0")
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith("error: the disk is full (")
    assert '"state": "failed"' not in done.stdout
    assert differences(outcome(Path(f"{disk}.kept/study")), whole) == []


def kill_while_running(process: subprocess.Popen[str], most: Mapping[str, int]) -> Counter[str]:
    """Kill processes of a job by the start of their titles, each as often; return the counts."""
    killed: Counter[str] = Counter()
    while process.poll() is None and any(killed[title] < most[title] for title in most):
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                told = " ".join(child.cmdline())
                for title in most:
                    if told.startswith(title) and killed[title] < most[title]:
                        child.kill()
                        killed[title] += 1
        time.sleep(0.2)
    return killed


def test_reading_tasks_that_are_killed_again_and_again_change_nothing(
    job: Job, whole: dict[str, Any]
) -> None:
    process = job.start(*job.words(*SETTINGS, "stream.reader=ray"))
    killed = kill_while_running(process, {"ray::Map(add)": 2, "ray::MapBatches": 8})
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert min(killed["ray::Map(add)"], killed["ray::MapBatches"]) >= 1, killed
    assert differences(outcome(job.study()), whole) == []
