"""Measures time and memory of a command with all its processes, for example ``make demo``.

    python benchmarks/footprint.py make demo

Memory is the proportional set size (PSS) summed over the process tree: pages that several
processes share are counted once. Sampled twice a second; Linux only. The target for ``make demo``
on two cores without a GPU is 6 minutes after installation and 4 GB.
"""

import subprocess
import sys
import time

import psutil

_PAUSE_SECONDS = 0.5


def tree_pss(root: psutil.Process) -> int:
    """Return the summed proportional set size of a process and its descendants [byte]."""
    total = 0
    try:
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def main(command: list[str]) -> int:
    """Run the command, print its wall time and peak memory, and return its exit code."""
    if not command:
        print("usage: python benchmarks/footprint.py COMMAND [WORD ...]", file=sys.stderr)
        return 2
    started = time.monotonic()
    process = subprocess.Popen(command)
    root = psutil.Process(process.pid)
    peak, at = 0, 0.0
    while process.poll() is None:
        now = tree_pss(root)
        if now > peak:
            peak, at = now, time.monotonic() - started
        time.sleep(_PAUSE_SECONDS)
    seconds = time.monotonic() - started
    print(f"wall {seconds:.0f} s; peak {peak / 1e9:.2f} GB summed PSS, at {at:.0f} s")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
