"""Counts the CPUs that this process may use, which may be fewer than the machine has."""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

_SLURM = ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")


def granted_cpus(
    environment: Mapping[str, str] = os.environ,
    *,
    groups: Path = Path("/proc/self/cgroup"),
    mount: Path = Path("/sys/fs/cgroup"),
) -> int:
    """Return how many CPUs this process may use, at least 1 [count].

    This is the smallest of: the CPUs that the process may run on, the limit of Linux control groups
    (versions 1 and 2, as in containers), and the CPUs granted by Slurm.

    Args:
        environment: Variables of the process; Slurm sets some.
        groups: File that names the control groups of the process.
        mount: Folder of the control groups.
    """
    may_run_on = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    limits = [float(may_run_on or os.cpu_count() or 1)]
    limits += [float(environment[name]) for name in _SLURM if environment.get(name, "").isdecimal()]
    limits += _quotas(groups, mount)
    return max(1, math.floor(min(limits) + 1e-9))


def control_folders(
    controller: str,
    groups: Path = Path("/proc/self/cgroup"),
    mount: Path = Path("/sys/fs/cgroup"),
) -> Iterator[Path]:
    """Yield the folder of each Linux control group of this process, and of its parents.

    Args:
        controller: What is limited in version 1: "cpu" or "memory"; version 2 limits all of it.
        groups: File that names the control groups of the process.
        mount: Folder of the control groups.
    """
    for line in limit_text(groups).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        top = mount / controllers if controllers else mount
        # In a container, the group is mounted as the top and its path leads nowhere.
        inside = Path(path.lstrip("/"))
        yield from (top / inside, *(top / parent for parent in inside.parents))


def _quotas(groups: Path, mount: Path) -> Iterator[float]:
    """Yield the CPU limit of each control group of the process and of its parents."""
    for folder in control_folders("cpu", groups, mount):
        words = limit_text(folder / "cpu.max").split()
        if not words:
            words = [*limit_text(folder / "cpu.cfs_quota_us").split(),
                     *limit_text(folder / "cpu.cfs_period_us").split()]  # fmt: skip
        if len(words) == 2 and all(word.isdecimal() and int(word) for word in words):
            yield int(words[0]) / int(words[1])


def limit_text(path: Path) -> str:
    """Return the text of a file of the kernel; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
