"""Ends a search before its last trial: its hours are over, or nothing improves any more."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.tune import Stopper

from pdray.atomic import write_text
from pdray.display import clock
from pdray.errors import StudyError
from pdray.evaluation.metrics import greater_is_better
from pdray.search.course import Course
from pdray.search.plan import StudyPlan, with_search
from pdray.search.settings import SearchConfig
from pdray.tracking.run_log import StudyLog, TrialLog, read_json

NOISE = 0.25
"""Standard errors, paired over the folds, by which a trial must be better to count as better."""

_KEPT_SECONDS = 5.0


def num_since_better(complete: Sequence[NDArray[np.float64]]) -> int:
    """Return how many trials came after the last one that was better beyond noise.

    Args:
        complete: (F,) score by fold of each complete trial in their order; more is better, nan
            where undefined.
    """
    since, best = 0, None
    for folds in complete:
        since += 1
        if best is None or _is_better(folds - best):
            since, best = 0, folds
    return since


def _is_better(gaps: NDArray[np.float64]) -> bool:
    gaps = gaps[~np.isnan(gaps)]
    if len(gaps) < 2:
        return bool((gaps > 0).any())
    return bool(gaps.mean() > max(0.0, NOISE * gaps.std(ddof=1) / math.sqrt(len(gaps))))


class Spent:
    """Seconds that a search has taken in all sessions, kept in ``time.json`` of its folder.

    Attributes:
        forecast: Forecast of these seconds before the first trial; None: unknown.
        ended: Why the search ended before its last trial; None: it did not.
    """

    def __init__(self, study: StudyLog) -> None:
        self._path = study.folder / "time.json"
        saved = _read_times(self._path) if self._path.is_file() else {}
        self._is_new, self._kept = not saved, -math.inf
        self._before, self._started = float(saved.get("seconds", 0.0)), time.monotonic()
        self.forecast: float | None = saved.get("forecast")
        self.ended: str | None = saved.get("ended")

    @property
    def seconds(self) -> float:
        """Seconds of trials, refit and kept folds so far."""
        return self._before + time.monotonic() - self._started

    def begin(self, forecast: float | None) -> None:
        """Start the clock before the first trial; later sessions keep the first forecast."""
        self._started = time.monotonic()
        self.ended = None  # with more hours, a search goes on that had ended
        if self._is_new:
            self.forecast = forecast

    def keep(self, *, now: bool = False) -> None:
        """Write them, at most every five seconds unless ``now``; a kill loses what came since."""
        if not now and self.seconds < self._kept + _KEPT_SECONDS:
            return
        self._kept = self.seconds
        content = {"seconds": self._kept, "forecast": self.forecast, "ended": self.ended}
        write_text(self._path, json.dumps(content) + "\n")

    def told(self, *, folds: bool = False) -> str:
        """Return forecast and truth as a line; ``folds``: the folds of the winner were kept."""
        what = "trials, refit and kept folds" if folds else "trials and refit"
        # The forecast was of all trials.
        return told_time(what, self.seconds, None if self.ended else self.forecast)


def _read_times(path: Path) -> Mapping[str, Any]:
    way = "restore the file, or delete it: search.hours then counts from 0 again"
    try:
        saved = read_json(path)
    except StudyError as error:
        raise StudyError(f"{str(error).removesuffix('; restore the file')}; {way}") from error
    for key, other in (("seconds", 0.0), ("forecast", None)):
        value = saved.get(key, other)
        is_time = isinstance(value, int | float) and 0 <= value < math.inf
        if not is_time and (key == "seconds" or value is not None):
            raise StudyError(f"{path}: {key}: got {value!r}; {way}")
    return saved


def told_time(what: str, seconds: float, forecast: float | None) -> str:
    """Return truth and forecast of a time [s] as a line; no forecast: the truth alone."""
    taken = f"time       {what} took {clock(seconds)}"
    if not forecast:
        return taken
    told = f"{taken}; forecast before the first trial: {clock(forecast)}"
    return f"{told} ({forecast / seconds - 1:+.0%})"


def share_hours(
    plan: StudyPlan, study: StudyLog, search: StudyLog, *, num_searches: int
) -> StudyPlan:
    """Return the plan of a search with its share of the hours of the whole study.

    Searches that are not complete share equally what the others have left of ``search.hours``.

    Args:
        plan: The search.
        study: The whole study.
        search: The log of the search: the study's own, or that of an outer fold.
        num_searches: Searches of the whole study.
    """
    hours = plan.config.search.hours
    if hours is None:
        return plan
    outer = study.outer_studies()
    spent = sum(Spent(one).seconds for one in [*outer, study]) / 3600
    num_left = num_searches - sum(one.is_complete() for one in outer)
    share = max(hours - spent, 0.0) / num_left + Spent(search).seconds / 3600
    return with_search(plan, hours=share)


class Budget(Stopper):
    """Decides whether a search goes on; Tune asks it after every result.

    Args:
        config: ``hours`` and ``patience``.
        study: The study's log.
        spent: Its time so far.
        course: Estimates how long a trial and the refit take.
    """

    def __init__(self, config: SearchConfig, study: StudyLog, spent: Spent, course: Course) -> None:
        self._config, self._study, self._spent, self._course = config, study, spent, course
        self._sign = 1.0 if greater_is_better(config.metric) else -1.0
        self._folds: dict[int, NDArray[np.float64]] = {}
        self.reason: str | None = None
        self.is_over = False

    def __getstate__(self) -> dict[str, Any]:
        """Give Tune nothing to save: the study's folder holds everything."""
        return {}

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """End no single trial."""
        return False

    def stop_all(self) -> bool:
        """Return whether running trials must end, so that there is time for the refit."""
        self._spent.keep()
        left = self._seconds_left()
        if left is not None and left <= 0:
            self.is_over = True
            self.reason = (
                f"its {self._config.hours:.3g} hours (search.hours) are over, but for those of the "
                "refit"
            )
        return self.is_over

    def may_start(self, begun: int | None) -> bool:
        """Return whether a further trial can start; else ``reason`` says why not.

        Args:
            begun: Number of a trial that was interrupted; None: a new one starts.
        """
        if begun is None:
            self.reason = self._patience_reason() or self._hours_reason(0)
        else:  # without the interruption it would go on
            self.reason = self._hours_reason(len(self._study.trial(begun).epochs()))
        return self.reason is None

    def none_complete(self) -> str:
        """Return a message for a search that ended before any trial was complete."""
        step = self._course.trial_seconds()
        needed = (
            ""
            if step is None
            else (
                f"; one trial and the refit take about "
                f"{(step + self._course.refit_seconds()) / 3600:.2g} hours"
            )
        )
        return (
            f"no trial is complete, so there is no winner: {self.reason}{needed}; nothing is lost: "
            "continue with --resume and a larger search.hours"
        )

    def _patience_reason(self) -> str | None:
        patience = self._config.patience
        if patience is None:
            return None
        new = [log for log in self._study.trials() if int(log.folder.name) not in self._folds]
        # In the order in which they are seen, since a clock may jump; those of before by its time.
        for trial, log in sorted(((log.read(), log) for log in new), key=_ended):
            if trial["state"] == "complete":
                folds = self._sign * fold_scores(log, self._config.metric)
                self._folds[trial["number"]] = folds
        since = num_since_better([*self._folds.values()])
        if since < patience:
            return None
        return (
            f"the last {since} complete trials brought no improvement beyond noise "
            f"(search.patience={patience})"
        )

    def _hours_reason(self, steps_done: int) -> str | None:
        left, needed = self._seconds_left(), self._course.trial_seconds(steps_done)
        if left is None or left > (needed or 0.0):
            return None
        # A forecast may be wrong, so the first trial starts if there is any time at all.
        if left > 0 and not self._study.trials():
            return None
        return (
            f"a further trial would not end within its {self._config.hours:.3g} hours "
            "(search.hours), refit included"
        )

    def _seconds_left(self) -> float | None:
        """Return the seconds left for trials; None without a limit."""
        if self._config.hours is None:
            return None
        return self._config.hours * 3600 - self._spent.seconds - self._course.refit_seconds()


def _ended(found: tuple[Mapping[str, Any], TrialLog]) -> float:
    return float(found[0]["ended"] or math.inf)


def fold_scores(log: TrialLog, metric: str) -> NDArray[np.float64]:
    """Return the (F,) validation scores of a complete trial at its chosen epoch."""
    epoch = log.read()["chosen_epoch"]
    found = [
        one.metrics.get(f"val/{metric}", math.nan) for one in log.epochs() if one.epoch == epoch
    ]
    return np.array(found)
