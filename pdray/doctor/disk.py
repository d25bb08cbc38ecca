"""Looks at the disk of the output folder: space, speed, locks, clock."""

import math
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from pdray.atomic import LEASE_SECONDS, folder_faults, held
from pdray.doctor.finding import Line

_LEAST, _USUAL = 1e9, 10e9  # free space [byte]
_SPEEDS = ((200.0, "fast"), (50.0, "usual"), (0.0, "slow"))  # from so many MB per second
_CHUNK, _TIMED = bytes(8 << 20), 0.3  # written until this time is over [s]
_MOST_CHUNKS = 16
_DIFFERS = 2.0  # clocks of this machine and of the disk [s]


def look_at_disk(output: Path) -> Iterator[Line]:
    """Yield what the disk of the output folder can do; nothing stays on it.

    Args:
        output: The output folder; it may be missing.
    """
    if faults := folder_faults(output, key="output"):
        yield Line("output", "fault", faults[0], "give another folder with output=...")
        return
    there = next(one for one in (output, *output.parents) if one.is_dir())
    yield space(output, there)
    with TemporaryDirectory(prefix=".doctor-", dir=there) as folder:
        yield speed(Path(folder))
        yield locks(Path(folder))
        yield clock(Path(folder))


def space(output: Path, there: Path) -> Line:
    """Look at the free space.

    Args:
        output: The output folder.
        there: The folder above it that exists.
    """
    free = shutil.disk_usage(there).free
    told = f"{output} on {filesystem(there)}, {free / 1e9:.1f} GB free"
    if free < _LEAST:
        return Line("output", "fault", told, "make room, or give another folder with output=...")
    if free < _USUAL:
        way = "frames take much room: give data.manifest=... to see how much, or store.codec=jpeg"
        return Line("output", "warning", told, way)
    return Line("output", "ok", told)


def filesystem(folder: Path) -> str:
    """Return the kind of a folder's file system, such as "ext4" or "nfs4"."""
    whole = folder.resolve()
    mounts = [
        one for one in psutil.disk_partitions(all=True) if whole.is_relative_to(one.mountpoint)
    ]
    if not mounts:
        return "an unknown file system"
    return str(max(mounts, key=lambda one: len(one.mountpoint)).fstype)


def speed(folder: Path) -> Line:
    """Measure how fast new files reach the disk, in about a third of a second."""
    path, written, started = folder / "speed", 0, time.monotonic()
    with path.open("wb", buffering=0) as file:
        while time.monotonic() < started + _TIMED and written < _MOST_CHUNKS * len(_CHUNK):
            written += file.write(_CHUNK)
            os.fsync(file.fileno())
    rate = written / 1e6 / (time.monotonic() - started)
    path.unlink()
    name = next(word for least, word in _SPEEDS if rate >= least)
    told = f"{name}: {rate:.0f} MB per second are written"
    if name != "slow":
        return Line("speed", "ok", told)
    way = "frames are read in each epoch: give an output on a local SSD, or store.codec=jpeg"
    return Line("speed", "warning", told, way)


def locks(folder: Path) -> Line:
    """Take a lock twice; the second one must be refused, or two jobs could run one study."""
    path = folder / "lock"
    with held(path) as has_locks:
        try:
            with held(path):
                told = "a file that is locked can be locked again"
                way = "never run two jobs of one study at once, or give an output on another disk"
                return Line("locks", "fault", told, way)
        except BlockingIOError:
            if has_locks:
                return Line("locks", "ok", "a second job of one study is refused")
    told = f"no file locks; leases of {LEASE_SECONDS:g} s keep a second job of one study away"
    way = f"after a kill, wait {LEASE_SECONDS:g} s before you continue a study"
    return Line("locks", "warning", told, way)


def clock(folder: Path, *, now: float | None = None) -> Line:
    """Compare the clock of this machine with that of the disk.

    Args:
        folder: A folder of the disk.
        now: Time of this machine [unix s]; None: as it is.
    """
    path = folder / "clock"
    path.touch()
    gap = (time.time() if now is None else now) - path.stat().st_mtime
    if math.fabs(gap) <= _DIFFERS:
        return Line("clock", "ok", f"agrees with the disk's; now {time.strftime('%Y-%m-%d %H:%M')}")
    told = f"{math.fabs(gap):.0f} s {'after' if gap > 0 else 'before'} that of the disk"
    return Line("clock", "warning", told, "let both machines follow a time server (timedatectl)")
