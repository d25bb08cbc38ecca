"""The time that a run of Ray Tune takes beside its trials: it starts processes, and ends."""

import time
from typing import Any

from ray import tune

PER_START = 3.0
"""This time, in starts of a worker process, where no run was measured (docs/results/speed.md)."""

_measured: list[float] = []


class Overhead(tune.Callback):
    """Measures the overhead of one run, for the forecasts of the next ones in this process."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._times: list[float] = []

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Note the time of a result: an epoch of one fold."""
        self._times.append(time.monotonic())

    def end(self) -> None:
        """Note what was no training, of the first result on; a run without results says nothing."""
        if not self._times:
            return
        busy = self._times[-1] - self._times[0]
        step = busy / max(1, len(self._times) - 1)
        _measured.append(max(0.0, time.monotonic() - self._started - busy - step))


def run_overhead(start: float) -> float:
    """Return the expected overhead of a run [s].

    Args:
        start: Measured start of a worker process [s].
    """
    return _measured[-1] if _measured else PER_START * start
