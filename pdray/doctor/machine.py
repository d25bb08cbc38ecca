"""Looks at the machine: cores, memory, GPUs and the folder of temporary files."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from pdray.cpus import control_folders, granted_cpus, limit_text
from pdray.doctor.finding import Line

# A search took 1.4 to 1.7 GB in all its processes; with little more, Ray ends trials.
_LEAST, _USUAL = 2e9, 4e9  # [byte]
_OBJECTS = 0.5e9  # of a Ray that a job starts: 400 MiB in /dev/shm [byte]
_LONGEST_PATH = 35  # characters, as Ray's sockets below it may have 107
_FULL = 0.95  # share of a disk from which Ray writes no objects to it
_SHM = Path("/dev/shm")
_DRIVER = Path("/proc/driver/nvidia/version")
_QUERY = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
_SECONDS = 20


def look_at_machine() -> Iterator[Line]:
    """Yield what this machine can do."""
    yield cores()
    yield memory()
    yield from shared_memory()
    yield graphics()
    yield temporary()


def cores(granted: int | None = None, present: int | None = None) -> Line:
    """Look at the CPUs that a job may use.

    Args:
        granted: How many [count]; None: as they are.
        present: How many the machine has [count]; None: as they are.
    """
    granted, present = granted or granted_cpus(), present or os.cpu_count() or 1
    told = f"{granted} of {present} may be used"
    if granted < present:
        told += " (affinity, control group or Slurm grant no more)"
    if granted > 1:
        return Line("cores", "ok", told)
    way = "one trial runs at a time; ask for more, such as --cpus-per-task=8 under Slurm"
    return Line("cores", "warning", told, way)


def granted_memory(
    groups: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")
) -> int:
    """Return the memory that this process may use [byte]: of the machine, or of a control group."""
    limits = [int(psutil.virtual_memory().total)]
    for folder in control_folders("memory", groups, mount):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = limit_text(folder / name).strip()
            limits += [int(text)] if text.isdecimal() else []
    return min(limits)


def memory(granted: int | None = None, free: int | None = None) -> Line:
    """Look at the memory that a job may use.

    Args:
        granted: How much [byte]; None: as it is.
        free: How much of the machine no program uses [byte]; None: as it is.
    """
    granted = granted or granted_memory()
    free = min(granted, free or int(psutil.virtual_memory().available))
    told = f"{granted / 1e9:.1f} GB may be used, {free / 1e9:.1f} GB are free"
    if granted < _LEAST:
        way = "a search takes about 2 GB; ask for more, such as --mem=8G under Slurm"
        return Line("memory", "fault", told, way)
    if free < _USUAL:
        way = "if Ray ends trials, close other programs or lower search.max_concurrent_trials"
        return Line("memory", "warning", told, way)
    return Line("memory", "ok", told)


def shared_memory(folder: Path = _SHM) -> Iterator[Line]:
    """Look at the memory that processes share, in which Ray keeps what it sends them."""
    if not folder.is_dir():
        return
    size = shutil.disk_usage(folder).total
    told = f"{size / 1e9:.1f} GB in {folder}"
    if size >= _OBJECTS:
        yield Line("shared", "ok", told)
    else:
        way = "Ray uses the disk, which is slow; start the container with --shm-size=2g"
        yield Line("shared", "warning", told, way)


def graphics(query: Sequence[str] = _QUERY, driver: Path = _DRIVER) -> Line:
    """Look at GPUs, their driver, and whether torch can use them.

    torch, which takes seconds to import, is asked only where there is a GPU.

    Args:
        query: Command that prints name, driver and memory of each GPU.
        driver: File that exists where a driver is loaded.
    """
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        if not driver.exists():
            told = "no NVIDIA GPU; networks train on CPUs"
            return Line("GPU", "ok", told, "jobs/quick_look.py says how long that takes")
        reason = "does not answer" if isinstance(error, subprocess.TimeoutExpired) else "is missing"
        told = f"a driver is loaded, but {query[0]} {reason}"
        return Line("GPU", "fault", told, "install the driver's tools, or restart the machine")
    found = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode or not found:
        told = f"{query[0]} fails: {(done.stderr or done.stdout).strip() or 'no GPU'}"
        return Line("GPU", "fault", told, "install the driver that fits the kernel, then restart")
    told = "; ".join(f"{name}, driver {version}, {size}" for name, version, size in _parts(found))
    return _seen_by_torch(told)


def _parts(lines: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    for line in lines:
        name, version, size = [*line.split(", "), "?", "?"][:3]
        yield name, version, size


def _seen_by_torch(told: str) -> Line:
    import torch

    if torch.cuda.is_available():
        seen = torch.cuda.device_count()
        return Line("GPU", "ok", f"{told}; torch {torch.__version__} uses {seen}")
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        told += "; CUDA_VISIBLE_DEVICES hides it"
        return Line("GPU", "warning", told, "unset CUDA_VISIBLE_DEVICES, or ask Slurm for a GPU")
    if torch.version.cuda is None:
        way = "install torch with CUDA: https://pytorch.org/get-started/locally"
        return Line("GPU", "fault", f"{told}; torch {torch.__version__} is built for CPUs", way)
    told += f"; torch {torch.__version__} needs CUDA {torch.version.cuda} and cannot use it"
    return Line("GPU", "fault", told, "install a newer driver, or torch for an older CUDA")


def temporary(folder: Path | None = None) -> Line:
    """Look at the folder of temporary files, in which Ray keeps sockets and logs.

    Args:
        folder: The folder; None: that of this process.
    """
    folder = folder or Path(tempfile.gettempdir())
    usage = shutil.disk_usage(folder)
    told = f"{folder}, {usage.free / 1e9:.1f} GB free"
    if len(str(folder)) > _LONGEST_PATH:
        way = f"Ray's sockets need a short path: set TMPDIR to one of at most {_LONGEST_PATH} "
        return Line("temporary", "fault", told, f"{way}characters, such as /tmp")
    if usage.used >= _FULL * usage.total:
        told += f", {usage.used / usage.total:.0%} used"
        way = "Ray refuses a disk that is 95% full: make room, or set TMPDIR to another folder"
        return Line("temporary", "warning", told, way)
    return Line("temporary", "ok", told)
