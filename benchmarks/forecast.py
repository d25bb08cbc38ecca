"""Replays recorded times of trials, and prints how well the time left of a search is forecast.

    python -m benchmarks.forecast    # a minute on one core

``benchmarks/data/curves.json.xz`` holds scores and CPU seconds of settings by fold and epoch
(``benchmarks/curves.py`` recorded them). A replay puts the settings of a set into a random order,
runs some of them at once, ends trials by the rule ``folds``, and adds a refit: as many epochs as
the winner chose, each as long as its mean epoch. At each tenth of the time of the trials the
forecast of the time left is compared with the truth. The forecast before the start knows the time
of one epoch of the default settings, as a study measures it.
"""

import heapq
import json
import lzma
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmarks.search import KEPT
from pdray.config import Settings, load
from pdray.search.course import SHARES, Course, Work
from pdray.search.pruning import FoldRule, choose_epoch

Floats = NDArray[np.float64]
PRUNE_AFTER = 4  # search.prune_after_trials


class ForecastConfig(Settings):
    """Settings of the replay."""

    replays: int = Field(50, ge=1, description="replays per set [count]")
    trials: int = Field(50, ge=1, description="trials per search [count]")
    at_once: int = Field(2, ge=1, description="trials that run at once [count]")
    seed: int = Field(0, ge=0, description="seed of the orders")


class Step(NamedTuple):
    """The end of an epoch: time [s], trial, its steps so far, whether it has ended."""

    time: float
    trial: int
    steps: int
    is_last: bool


def run(scores: Floats, seconds: Floats, order: Sequence[int], at_once: int) -> Iterator[Step]:
    """Run one search over recorded trials.

    Args:
        scores: (T, F, E) scores; more is better.
        seconds: (T, F, E) times [s].
        order: Trials in the order in which they start.
        at_once: Trials that run at once.

    Yields:
        The end of each epoch by time, and last that of the refit, whose trial is -1.
    """
    _, num_folds, num_epochs = scores.shape
    rule = FoldRule(
        num_folds=num_folds,
        num_epochs=num_epochs,
        num_trials=PRUNE_AFTER,
        first_epoch=num_epochs // 4,
        greater_is_better=True,
    )
    waiting, now = list(enumerate(order)), 0.0
    running: list[tuple[float, int, int, int]] = []  # end of its step, number, trial, steps so far

    def start(time: float) -> None:
        if waiting:
            number, trial = waiting.pop(0)
            heapq.heappush(running, (time + seconds[trial].flat[0], number, trial, 1))

    for _ in range(at_once):
        start(0.0)
    complete: dict[int, tuple[float, float]] = {}  # score and time of the refit
    while running:
        now, number, trial, steps = heapq.heappop(running)
        so_far = scores[trial].ravel()[:steps]
        rows = [so_far[i : i + num_epochs].tolist() for i in range(0, steps, num_epochs)]
        is_pruned, is_whole = rule.decide(number, rows) is not None, steps == scores[trial].size
        yield Step(now, number, steps, is_pruned or is_whole)
        if is_whole:
            epoch, value = choose_epoch(rows, greater_is_better=True)
            complete[trial] = value, (epoch + 1) * float(seconds[trial].mean())
        if is_pruned or is_whole:
            start(now)
        else:
            ends = now + float(seconds[trial].flat[steps])
            heapq.heappush(running, (ends, number, trial, steps + 1))
    yield Step(now + max(complete.values())[1], -1, 0, True)


def errors(found: Sequence[Step], work: Work, step_seconds: float) -> list[float]:
    """Return the relative error of the time left, at each tenth of the time of the trials.

    Args:
        found: From :func:`run`.
        work: The work of the search.
        step_seconds: Time of an epoch as measured before the start [s].
    """
    course, end = Course(work, step_seconds=step_seconds), found[-1].time
    asked = [found[-2].time * tenth / 10 for tenth in range(10)]
    told = []
    for step in found:
        while asked and asked[0] <= step.time:
            now = asked.pop(0)
            left = course.seconds_left(now)
            assert left is not None
            told.append(left / (end - now) - 1)
        course.take(step.trial, step.steps, step.time, is_last=step.is_last)
    return told


def main(argv: list[str]) -> int:
    """Replay every set with recorded times."""
    config = load(ForecastConfig, argv)
    generator = np.random.default_rng(config.seed)
    recorded = json.loads(lzma.decompress(KEPT.read_bytes()))
    print(f"{'':12}{'before the start':>18}{'time left':>12}   by tenths of the time")
    for name, trials in recorded.items():
        if "seconds" not in trials[0]:
            continue
        scores, seconds = (np.array([one[of] for one in trials]) for of in ("mcc", "seconds"))
        work = Work(
            num_trials=min(config.trials, len(scores)),
            steps=scores[0].size,
            num_whole=PRUNE_AFTER + config.at_once - 1,
            share=SHARES["folds"],
            at_once=config.at_once,
            refit_steps=float(scores.shape[2]),
        )
        found = []
        for _ in range(config.replays):
            others = 1 + generator.permutation(len(scores) - 1)
            order = [0, *others.tolist()][: work.num_trials]
            steps = list(run(scores, seconds, order, config.at_once))
            found.append(errors(steps, work, float(np.median(seconds[0, 0]))))
        sizes = np.median(np.abs(found), axis=0)
        left = np.median(np.abs(np.array(found)[:, 1:]))
        told = " ".join(f"{size:4.0%}" for size in sizes[1:])
        print(f"{name:12}{sizes[0]:18.0%}{left:12.0%}   {told}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
