from pathlib import Path

import numpy as np
import pytest

from pdray.errors import StudyError
from pdray.search import budget
from pdray.search.budget import Budget, Spent, fold_scores, num_since_better, share_hours
from pdray.search.course import Course, Work
from pdray.search.plan import plan_study
from pdray.search.settings import SearchConfig
from pdray.tracking.run_log import StudyLog

WORK = Work(num_trials=9, steps=4, num_whole=9, share=1.0, at_once=1, refit_steps=2.0)


class Clock:
    """A clock that tests set."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(budget, "time", found)
    return found


def write_trial(study: StudyLog, number: int, scores: list[list[float]], chosen: int) -> None:
    log = study.trial(number)
    log.start(number=number, num_epochs=len(scores[0]), params={}, settings={})
    for fold, row in enumerate(scores):
        for epoch, value in enumerate(row):
            log.write_epoch(fold=fold, epoch=epoch, metrics={"val/mcc": value})
    log.finish(state="complete", value=0.0, chosen_epoch=chosen)


def make(tmp_path: Path, step_seconds: float | None, **settings: object) -> Budget:
    study = StudyLog(tmp_path)
    course = Course(WORK, step_seconds=step_seconds)
    return Budget(SearchConfig(**settings), study, Spent(study), course)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("folds", "expected"),
    [
        ([], 0),
        ([[0.5, 0.5]], 0),
        # Better by 0.1 in both folds, then by 0.1 +- 0.5: a quarter of the standard error is 0.125.
        ([[0.5, 0.5], [0.6, 0.6], [1.2, 0.2]], 1),
        ([[0.5, 0.5], [0.4, 0.4], [0.3, 0.3]], 2),
        # Small steps of one sign add up against the last trial that counted.
        ([[0.5, 0.5], [0.55, 0.56], [0.6, 0.62]], 0),
        ([[np.nan, 0.5], [0.9, 0.6]], 0),
        ([[np.nan, 0.5], [0.9, np.nan]], 1),
    ],
)
def test_trials_are_counted_since_the_last_one_that_was_better_beyond_noise(
    folds: list[list[float]], expected: int
) -> None:
    assert num_since_better([np.array(one) for one in folds]) == expected


def test_patience_ends_a_search_but_not_a_trial_that_was_interrupted(tmp_path: Path) -> None:
    found = make(tmp_path, None, patience=2)
    study = StudyLog(tmp_path)
    write_trial(study, 0, [[0.1, 0.9], [0.1, 0.8]], chosen=1)
    assert fold_scores(study.trial(0), "mcc").tolist() == [0.9, 0.8]
    write_trial(study, 1, [[0.95, 0.3], [0.7, 0.2]], chosen=1)
    assert found.may_start(None)
    write_trial(study, 2, [[0.2, 0.9], [0.2, 0.8]], chosen=1)
    assert not found.may_start(None)
    assert found.reason == (
        "the last 2 complete trials brought no improvement beyond noise (search.patience=2)"
    )
    assert found.may_start(2)


def test_patience_knows_that_less_is_better_for_some_scores(tmp_path: Path) -> None:
    found = make(tmp_path, None, patience=1, metric="mae")
    study = StudyLog(tmp_path)
    for number, value in enumerate([0.9, 0.5]):
        log = study.trial(number)
        log.start(number=number, num_epochs=1, params={}, settings={})
        log.write_epoch(fold=0, epoch=0, metrics={"val/mae": value})
        log.finish(state="complete", value=value, chosen_epoch=0)
    assert found.may_start(None)


def test_no_trial_starts_that_would_not_leave_time_for_the_refit(
    tmp_path: Path, clock: Clock
) -> None:
    # 100 s: a trial takes 4 x 10 s, the refit 2 x 10 s.
    found = make(tmp_path, 10.0, hours=100 / 3600)
    write_trial(StudyLog(tmp_path), 0, [[0.1]], chosen=0)
    clock.now = 39.0
    assert found.may_start(None)
    clock.now = 41.0
    assert not found.may_start(None)
    assert "would not end within its 0.0278 hours (search.hours)" in str(found.reason)
    write_trial(StudyLog(tmp_path), 1, [[0.1], [0.1]], chosen=0)
    assert found.may_start(1)  # two of its four epochs are behind it
    clock.now = 79.0
    assert not found.stop_all()
    clock.now = 81.0
    assert found.stop_all()
    assert found.is_over


def test_the_first_trial_starts_even_if_the_forecast_says_that_it_takes_too_long(
    tmp_path: Path,
) -> None:
    assert make(tmp_path, 10.0, hours=30 / 3600).may_start(None)
    assert not make(tmp_path, 20.0, hours=30 / 3600).may_start(None)  # no time beside the refit
    assert make(tmp_path, 1e9).may_start(None)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"seconds": null}', '{"seconds": NaN}', '{"seconds": 1, "forecast": "2"}']
)
def test_damaged_times_are_refused_with_a_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "time.json").write_text(text)
    with pytest.raises(StudyError, match=r"time\.json: .*; restore the file, or delete it"):
        Spent(StudyLog(tmp_path))


def test_the_time_of_earlier_sessions_counts_and_the_first_forecast_stays(
    tmp_path: Path, clock: Clock
) -> None:
    study = StudyLog(tmp_path)
    first = Spent(study)
    first.begin(500.0)
    first.ended = "its hours are over"  # with more hours it goes on
    clock.now = 30.0
    first.keep()
    clock.now = 32.0
    first.keep()  # too soon: not written
    clock.now = 1000.0
    again = Spent(study)
    again.begin(7.0)
    clock.now = 1010.0
    assert (again.seconds, again.forecast) == (40.0, 500.0)
    again.keep(now=True)
    assert Spent(study).seconds == 40.0
    assert again.told() == (
        "time       trials and refit took 0m40s; forecast before the first trial: 8m20s (+1150%)"
    )
    assert again.told(folds=True).startswith("time       trials, refit and kept folds took 0m40s;")


@pytest.mark.parametrize("hours", [0, -1])
def test_hours_that_are_no_time_are_refused_with_the_way_out(hours: float) -> None:
    with pytest.raises(ValueError, match="or null for no limit"):
        SearchConfig(hours=hours)


def test_searches_that_are_not_complete_share_the_hours_that_are_left(
    tmp_path: Path, clock: Clock
) -> None:
    plan = plan_study({"data": {"manifest": "/x.csv"}, "search": {"hours": 1.0}})
    study = StudyLog(tmp_path / "demo")
    for key, seconds in (("00", 900.0), ("01", 300.0)):
        outer = study.outer(key)
        outer.start(name=key, settings={}, tags={})
        clock.now = 0.0
        spent = Spent(outer)
        clock.now = seconds
        spent.keep(now=True)
    study.outer("00").finish(state="complete", best=0)
    # 2400 s are left for the rest of this search, and for two more.
    shared = share_hours(plan, study, study.outer("01"), num_searches=4)
    assert shared.config.search.hours == pytest.approx((2400 / 3 + 300) / 3600)
    unlimited = plan_study({"data": {"manifest": "/x.csv"}})
    assert share_hours(unlimited, study, study, num_searches=4) is unlimited
