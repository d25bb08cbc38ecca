"""Writes CPU, memory, disk, network and GPU use of this machine to the log of a study."""

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

# First, since it keeps MLflow from warning, and from sending anything to third parties.
import pdray.tracking.server  # noqa: F401

# isort: split
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor


class Machine:
    """This machine, all its processes together.

    GPUs are measured if the package ``nvidia-ml-py`` is installed.
    """

    def __init__(self) -> None:
        self._monitors: list[Any] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
        with suppress(Exception):  # no GPU, or no package that reads it
            self._monitors.append(GPUMonitor())

    def note(self, file: Path) -> None:
        """Append a line to a file: ``time`` [unix s] and ``metrics`` under MLflow's names.

        CPU use is that since the last line.
        """
        found: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            for name, value in monitor.aggregate_metrics().items():
                found[f"system/{name}"] = value
            monitor.clear_metrics()
        line = json.dumps({"time": time.time(), "metrics": found})
        # A full disk ends the study in another place, with a message.
        with suppress(OSError), file.open("a", encoding="utf-8") as lines:
            lines.write(f"{line}\n")
