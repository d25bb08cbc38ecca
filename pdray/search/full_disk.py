"""Ends a search, but none of its trials, when a disk is full."""

import os
from collections.abc import Mapping
from typing import Any

from ray.tune import Stopper

FULL_DISK = "full_disk"
"""Key of a trial's report: number of the system's error, and the file that had no room."""


class FullDisk(Stopper):
    """Ends all trials once one of them reported a full disk.

    Restarts would not help, and failed trials could not be continued.

    Args:
        other: Also ends all trials; None: nothing else does.
    """

    def __init__(self, other: Stopper | None) -> None:
        self._other = other
        self._report = ""

    def __getstate__(self) -> dict[str, Any]:
        """Give Tune nothing to save: the study's folder holds everything."""
        return {}

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Look at a report; end no single trial."""
        self._report = str(result.get(FULL_DISK, self._report))
        return False if self._other is None else self._other(trial_id, result)

    def stop_all(self) -> bool:
        """Return whether all trials must end."""
        return bool(self._report) or (self._other is not None and self._other.stop_all())

    def check(self) -> None:
        """Raise the error of the full disk, if there was one."""
        if self._report:
            code, _, place = self._report.partition(" ")
            raise OSError(int(code), os.strerror(int(code)), place)
