"""Ends a head: what it started, and nothing else."""

import shutil
from contextlib import suppress
from pathlib import Path

import psutil

from pdray.errors import ClusterError
from pdray.head.running import FILE, processes, read_head

_SECONDS = 20  # that a process has to end by itself


def stop_head(folder: Path) -> int:
    """End the processes of a head; ``ray stop`` would end every Ray of the machine.

    Token, logs and MLflow's database stay; Ray's temporary files are removed.

    Args:
        folder: Folder of the head.

    Returns:
        How many processes were ended [count]; 0: none ran.

    Raises:
        ClusterError: If a process does not end.
    """
    head = read_head(folder)
    if head is None:
        return 0
    running = processes(head)
    for end in (psutil.Process.terminate, psutil.Process.kill):
        left = processes(head)
        for process in left:
            with suppress(psutil.NoSuchProcess):
                end(process)
        psutil.wait_procs(left, timeout=_SECONDS)
    if left := processes(head):
        numbers = ", ".join(str(process.pid) for process in left)
        raise ClusterError(f"processes {numbers} of the head do not end; end them with kill -9")
    shutil.rmtree(head.private, ignore_errors=True)
    (folder / FILE).unlink(missing_ok=True)
    return len(running)
