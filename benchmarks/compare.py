"""Measures the costs of two ways to do the same thing in turn, and prints them as one line."""

import gc
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: Name of the task.
        ours: Seconds (or another cost; less is better).
        rival: The same cost of the other tool.
        name: Name of the other tool.
        goal: Smallest accepted ratio rival / ours.
        unit: Unit of the costs.
    """

    what: str
    ours: float
    rival: float
    name: str
    goal: float
    unit: str = "ms"

    def told(self) -> str:
        """Return a line of the table."""
        factor = 1000 if self.unit == "ms" else 1
        ratio = self.rival / self.ours
        return (
            f"{self.what:<48} {self.ours * factor:>9.1f} {self.rival * factor:>9.1f} {self.unit:<3}"
            f" {self.name:<24} {ratio:>7.2f}x  {'>=' if ratio >= self.goal else 'BELOW'} "
            f"{self.goal:g}x"
        )


def cpu() -> float:
    """Return CPU seconds of this process and of its children that have ended."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def best(
    ways: Sequence[Callable[[], object]], *, rounds: int, clock: Callable[[], float] = cpu
) -> list[float]:
    """Return the lowest cost of each way; the ways are run in turn [s]."""
    costs = [float("inf")] * len(ways)
    for _ in range(rounds):
        for number, way in enumerate(ways):
            gc.collect()
            started = clock()
            way()
            costs[number] = min(costs[number], clock() - started)
    return costs
