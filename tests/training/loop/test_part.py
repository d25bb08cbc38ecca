"""Fits that end inside an epoch, after a notice, and go on in another process."""

import os
import random
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from pdray.training.loop import worker
from pdray.training.loop.launch import EndsSoon, Workers, run_in_process
from pdray.training.loop.part import NoticeError
from pdray.training.task import FitTask
from tests.training.loop.test_worker import RICH, run, same, saved

FIVE = {"optim": {**RICH["optim"], "batch_size": 2}}  # batches per epoch, two of them evaluation
ONE = Workers(num_workers=1, cpus_per_worker=1.0, gpus_per_worker=0.0)


class Saving:
    """A listener that keeps the last state, as a file would, and all results."""

    def __init__(self) -> None:
        self.state: Mapping[str, Any] | None = None
        self.results: list[Any] = []

    def resume(self) -> Mapping[str, Any] | None:
        return self.state

    def record(self, result: Any) -> dict[str, Any]:
        self.state = saved(result.state)
        self.results.append(result)
        return {"last": False}

    def keep(self, state: Mapping[str, Any]) -> None:
        self.state = saved(state)

    def fail(self, reason: str) -> dict[str, Any]:
        raise AssertionError(reason)


@pytest.mark.parametrize(("optimizer", "numbers"), [("sgd", (1, 3, 4, 5, 8)), ("adamw", (7,))])
def test_a_fit_that_ends_after_any_batch_goes_on_with_the_same_numbers(
    make_task: Callable[..., FitTask], optimizer: str, numbers: Sequence[int]
) -> None:
    task = make_task({**RICH, "optim": {**FIVE["optim"], "optimizer": optimizer}})
    task = replace(task, sides=task.sides[1:])
    whole = run(task)
    for number in numbers:
        listener, asked = Saving(), iter([False] * (number - 1) + [True])
        done = f": {number % 5} of 5 batches are done" if number % 5 else " is done"
        with pytest.raises(NoticeError, match=f"^fold 1 epoch {-(-number // 5)}{done}$"):
            list(run_in_process(task, listener, ONE, partial(next, asked)))
        assert len(listener.results) == number // 5
        assert ("parts" in (listener.state or {})) == bool(number % 5)
        rest = run(task, resume=listener.state)
        for one, other in zip(whole[number // 5 :], rest, strict=True):
            same(one, other)


@pytest.mark.chaos
def test_a_hundred_sigterms_at_random_moments_lose_no_step(
    make_task: Callable[..., FitTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task({**RICH, "optim": {**FIVE["optim"], "epochs": 14}})
    whole, train_step = run(task), worker.train_step
    steps: list[bool] = []

    def counted(*args: Any, **settings: Any) -> Any:
        steps.append(True)
        return train_step(*args, **settings)

    monkeypatch.setattr(worker, "train_step", counted)
    draw, num_signals = random.Random(5), 0
    while num_signals < 100:  # a fast machine ends a fit after fewer of them
        steps.clear()
        num_signals += _fit_under_signals(task, whole, draw)
        assert len(steps) == 2 * 14 * 3


def _fit_under_signals(task: FitTask, whole: Sequence[Any], draw: random.Random) -> int:
    """Fit under SIGTERMs and compare with the undisturbed fit; return how many ended a part."""
    listener, num_signals = Saving(), 0
    while len(listener.results) < len(whole):
        ends_soon = EndsSoon()
        seconds = draw.uniform(0.0, 0.02)
        sender = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
        with ends_soon.heeding_sigterm():
            sender.start()
            try:
                list(run_in_process(task, listener, ONE, ends_soon))
            except NoticeError:
                num_signals += 1
            sender.join()
    for one, other in zip(whole, listener.results, strict=True):
        same(one, other)
    return num_signals
