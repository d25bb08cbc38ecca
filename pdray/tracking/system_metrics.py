"""Writes CPU, memory, disk, network and GPU use of this machine to a study's log, at intervals."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# First, since it keeps MLflow from warning, and from sending anything to third parties.
import pdray.tracking.server  # noqa: F401

# isort: split
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

_SECONDS = 30.0


@contextmanager
def recorded(file: Path, *, seconds: float = _SECONDS) -> Iterator[None]:
    """Append a line of system metrics to a file at intervals, until the block ends.

    GPUs are measured if the package ``nvidia-ml-py`` is installed. The numbers are those of the
    whole machine, not of this process.

    Args:
        file: JSON lines: ``time`` [unix s] and ``metrics``, under MLflow's names.
        seconds: Interval between lines [s].
    """
    monitors: list[Any] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with suppress(Exception):  # no GPU, or no package that reads it
        monitors.append(GPUMonitor())
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(seconds):
            try:
                _append(file, monitors)
            except Exception as error:  # noqa: BLE001 - a study does not end with its monitor
                logging.getLogger(__name__).warning("system metrics ended: %s", error)
                return

    thread = threading.Thread(target=watch, name="system metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _append(file: Path, monitors: list[Any]) -> None:
    found: dict[str, float] = {}
    for monitor in monitors:
        monitor.collect_metrics()
        found |= {f"system/{name}": value for name, value in monitor.aggregate_metrics().items()}
        monitor.clear_metrics()
    line = json.dumps({"time": time.time(), "metrics": found})
    with file.open("a", encoding="utf-8") as lines:
        lines.write(f"{line}\n")
