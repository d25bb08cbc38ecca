import os
import subprocess
import sys
from pathlib import Path

import pytest

from pdray.cpus import granted_cpus

# Of a machine with 64 CPUs, or the limits of this one would come first.
MANY = 64


@pytest.fixture(autouse=True)
def many_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(MANY)), raising=False)


def granted(folder: Path, files: dict[str, str], **environment: str) -> int:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return granted_cpus(environment, groups=folder / "cgroup", mount=folder / "mount")


@pytest.mark.parametrize(
    ("files", "environment", "expected"),
    [
        ({}, {}, MANY),
        ({}, {"SLURM_CPUS_PER_TASK": "4"}, 4),
        ({}, {"SLURM_CPUS_PER_TASK": "4", "SLURM_CPUS_ON_NODE": "2"}, 2),
        ({}, {"SLURM_CPUS_ON_NODE": "128"}, MANY),
        ({}, {"SLURM_CPUS_PER_TASK": ""}, MANY),
        ({"cgroup": "0::/a/b\n", "mount/a/b/cpu.max": "max 100000\n"}, {}, MANY),
        ({"cgroup": "0::/a/b\n", "mount/a/b/cpu.max": "350000 100000\n"}, {}, 3),
        ({"cgroup": "0::/a/b\n", "mount/a/cpu.max": "150000 50000\n"}, {}, 3),
        ({"cgroup": "0::/a/b\n", "mount/cpu.max": "20000 100000\n"}, {}, 1),
        (
            {
                "cgroup": "3:memory:/d\n2:cpu,cpuacct:/d/e\n1:cpuset:/d\n",
                "mount/cpu,cpuacct/d/e/cpu.cfs_quota_us": "800000\n",
                "mount/cpu,cpuacct/d/e/cpu.cfs_period_us": "100000\n",
                "mount/cpuset/d/cpu.max": "100000 100000\n",
            },
            {},
            8,
        ),
        (
            {
                "cgroup": "2:cpu,cpuacct:/somewhere/else\n",
                "mount/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "mount/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            {},
            MANY,
        ),
    ],
)
def test_the_least_of_what_was_granted_counts(
    tmp_path: Path, files: dict[str, str], environment: dict[str, str], expected: int
) -> None:
    assert granted(tmp_path, files, **environment) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="CPUs of a process are set on Linux alone")
def test_a_process_that_is_kept_to_one_cpu_may_use_one() -> None:
    script = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from pdray.cpus import granted_cpus; print(granted_cpus({}))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "1\n"
