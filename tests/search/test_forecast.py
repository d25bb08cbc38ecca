"""A study says before its first trial how long it takes, and a way out of more than a day."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from pdray.command import console
from pdray.config import merge
from pdray.search import forecast, overhead
from pdray.search.cluster import Reservation
from pdray.search.forecast import Measured, foresee_study
from pdray.search.overhead import Overhead
from pdray.search.plan import plan_study
from pdray.training.loop.launch import Workers
from pdray.training.loop.timing import Pace
from pdray.training.task import FitTask

# 1 trial of 2 folds of 10 epochs, whose sides have 8 recordings together, a refit, no kept folds.
TREE = {"data": {"manifest": "/data/m.csv"}, "optim": {"epochs": 10}, "folds": {"num_folds": 2},
        "search": {"name": "a", "trials": 1, "prune_quantile": 0, "keep_folds": False}}  # fmt: skip


@pytest.fixture
def foreseen(
    make_task: Callable[..., FitTask], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[float | None, list[str]]]:
    """Return a function that forecasts a study of so many searches, and the lines it prints."""

    def foresee(epoch: float, num_searches: int, **more: Any) -> tuple[float | None, list[str]]:
        task, lines = make_task(), []
        size = len(task.sides[0].training) + len(task.sides[0].evaluation)
        measured = Measured(Pace(epoch=epoch / size, once=0.0), start=2.0)
        monkeypatch.setattr(forecast, "measure", lambda *of, **how: measured)
        sides = task.sides[:1] * 2
        trials: Any = SimpleNamespace(task=lambda number, params: task, sides=sides)
        alone = Reservation(Workers(1, 1, 0), concurrent_trials=1, cpus_per_trial=1)
        found = foresee_study(
            plan_study(merge(merge({}, TREE), more)), trials, alone, num_searches, lines.append
        )
        return found, lines

    monkeypatch.setattr(overhead, "_measured", [])
    return foresee


def test_the_start_of_each_run_counts(
    foreseen: Callable[..., tuple[float | None, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 2 * 10 + 10
    assert foreseen(1.0, 1) == (pytest.approx(steps + 2 * overhead.PER_START * 2.0), [])
    times = iter([0.0, 9.0, 10.0, 11.0, 13.0])
    monkeypatch.setattr(overhead.time, "monotonic", lambda: next(times))
    run = Overhead()
    for _ in range(3):
        run.on_trial_result(0, [], None, {})
    run.end()  # 13 s, of which three steps took a second each
    assert foreseen(1.0, 6)[0] == pytest.approx(6 * (steps + 2 * 10.0))


def test_more_than_a_day_is_said_with_a_way_out(
    foreseen: Callable[..., tuple[float | None, list[str]]],
) -> None:
    seconds, lines = foreseen(3600.0, 1)
    assert seconds is not None
    assert seconds > forecast.DAY
    assert lines == [
        "time       about 30h00m, more than a day: for a first result in an hour run "
        f"{console('quick-look')} data.manifest=/data/m.csv; or limit it with search.hours, or use "
        "a cluster (docs/how-to/cluster.md)"
    ]
    assert foreseen(10.0, 6)[1] == ["time       about 31m12s for 6 searches, one after the other"]


def test_a_limit_and_exchanged_grades_are_in_the_forecast(
    foreseen: Callable[..., tuple[float | None, list[str]]],
) -> None:
    limited = foreseen(3600.0, 1, search={"hours": 23})
    told = "time       all trials would take about 30h00m; search.hours=23 ends them before"
    assert limited == (None, [told])
    seconds, lines = foreseen(10.0, 1, evaluation={"permutations": 5})
    assert seconds == pytest.approx(300 + 12)
    assert lines == ["time       about 31m12s for 6 searches, one after the other"]


@pytest.mark.parametrize(("trials", "timed"), [(200, 5), (4, 1)])
def test_of_a_long_search_of_estimators_drawn_settings_are_timed(
    make_task: Callable[..., FitTask],
    monkeypatch: pytest.MonkeyPatch,
    trials: int,
    timed: int,
) -> None:
    plan = plan_study(
        {"data": {"manifest": "/m.csv"}, "modality": "features", "optim": {"epochs": 1},
         "model": {"name": "feature_head", "classifier": "forest"}, "search": {"trials": trials},
         "space": {"model.classifier": {"choices": ["linear", "svm", "ordinal"]},
                   "model.strength": {"low": 0.01, "high": 1.0}}}
    )  # fmt: skip
    asked: list[FitTask] = []
    monkeypatch.setattr(forecast, "_measured", {})
    monkeypatch.setattr(forecast, "_ask_workers", lambda found, *_: asked.extend(found))
    task = replace(make_task(), config=plan.config.fit)
    forecast.measure(plan, task, Reservation(Workers(1, 1, 0), 1, 1))
    found = {one.config.model.classifier for one in asked}  # type: ignore[union-attr]
    assert len(asked) == timed
    assert found <= ({"linear", "svm", "ordinal"} if timed > 1 else {"forest"})
