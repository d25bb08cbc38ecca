"""Lets several small trials share a GPU, if the memory that they were measured to take fits."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import ray
import torch

from pdray.command import Say
from pdray.display import step
from pdray.errors import PdrayError
from pdray.search.cluster import Reservation
from pdray.search.plan import StudyPlan
from pdray.search.space import Choices, Range, Value
from pdray.search.trial_plan import TrialPlan
from pdray.training.loop.timing import can_measure, measure_memory
from pdray.training.task import FitTask

MOST = 8
"""Trials that share a GPU at most [count]."""
ROOM = 0.8
"""Share of a GPU's memory that the measured trials may fill; sizes between those vary."""

_MOST_MEASURED = 16
_SECONDS = 120.0
# Numbers of these sections change no tensor's size.
_WITHOUT_SIZE = ("optim.", "loss.")


def share_gpus(
    plan: StudyPlan, trials: TrialPlan, reservation: Reservation, say: Say
) -> tuple[TrialPlan, Reservation]:
    """Return trials that share GPUs, if more of them run at once so and the user did not choose.

    Args:
        plan: The search.
        trials: What its trials share.
        reservation: Resources of a trial and how many trials run at once.
        say: Prints a line.

    Returns:
        The trials and their resources; unchanged if they cannot share, or if nobody knows.
    """
    workers, whole = reservation.workers, (trials, reservation)
    is_asked = plan.config.resources.gpus_per_worker is not None
    if is_asked or workers.gpus_per_worker != 1 or workers.num_workers > 1:
        return whole
    found = [(per_gpu, reservation.sharing(per_gpu)) for per_gpu in range(1, MOST + 1)]
    most = max(one.concurrent_trials for _, one in found)
    if most <= reservation.concurrent_trials:
        return whole
    share = measured_share(trials, reservation, largest(plan))
    if share is None:
        return whole
    possible = [(per_gpu, one) for per_gpu, one in found if per_gpu * share <= ROOM]
    # The fewest on a GPU that run as many at once.
    per_gpu, best = max(
        possible, key=lambda one: one[1].concurrent_trials, default=(1, reservation)
    )
    if per_gpu == 1:
        return whole
    say(
        f"resources  a trial takes at most {share:.0%} of a GPU's memory, so {per_gpu} share a "
        f"GPU: {best.concurrent_trials} trials run at once"
    )
    return replace(trials, workers=best.workers, reservation=best), best


def largest(plan: StudyPlan) -> list[dict[str, Any]]:
    """Return settings among which those are that need the most memory; empty: too many.

    These are the combinations of the smallest and the largest number of each searched setting, and
    of all its other choices.
    """
    start = dict(plan.starts[0].params) if plan.starts else {}
    ends = {key: list(_ends(key, entry)) for key, entry in plan.space.items()}
    sized = {key: values for key, values in ends.items() if values}
    if math.prod(map(len, sized.values())) > _MOST_MEASURED:
        return []
    return [start | dict(zip(sized, values, strict=True)) for values in product(*sized.values())]


def _ends(key: str, entry: Choices | Range) -> Iterator[Value]:
    values: Sequence[Value] = (
        entry.values if isinstance(entry, Choices) else (entry.low, entry.high)
    )
    numbers = [one for one in values if isinstance(one, float | int) and not isinstance(one, bool)]
    if len(numbers) < len(values):
        yield from values
    elif not key.startswith(_WITHOUT_SIZE) or key.endswith(".batch_size"):
        whole = isinstance(entry, Range) and entry.whole
        yield from (int(one) if whole else one for one in {min(numbers), max(numbers)})


def measured_share(
    trials: TrialPlan, reservation: Reservation, settings: Sequence[dict[str, Any]]
) -> float | None:
    """Return the largest share of a GPU's memory that trials with these settings take."""
    tasks = [trials.task(0, params) for params in settings]
    if not tasks or not all(map(can_measure, tasks)):
        return None
    asked = _ask.options(**reservation.workers.options).remote(tasks)
    with step("measuring the memory of trials on a GPU"):
        ready, late = ray.wait([asked], timeout=_SECONDS)
    for one in late:  # of a cluster that has yet to grow
        ray.cancel(one, force=True)
    try:
        shares: list[float] = ray.get(ready[0]) if ready else []
    except ray.exceptions.RayError:  # the trials will say what is wrong
        return None
    return max(shares, default=None)


@ray.remote(max_retries=0)
def _ask(tasks: Sequence[FitTask]) -> list[float]:
    try:
        return [measure_memory(task, torch.device("cuda")) for task in tasks]
    except (PdrayError, RuntimeError):  # too large for a GPU of its own, for example
        return []
