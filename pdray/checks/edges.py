"""PDR007: the winner lies at an edge of its search space, so better settings may lie beyond it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pdray.checks.case import Case
from pdray.checks.finding import Finding
from pdray.config import attempt, merge, nest
from pdray.tracking.run_log import StudyLog
from pdray.training.settings import FitConfig, size_faults

NEAR = 0.03
"""Share of a range, on its scale, that counts as its edge."""
_LEAST_VALUES = 3  # of fewer, each is an edge


def run(case: Case) -> Finding:
    """Look where the winner lies in each range, and in each list of numbers."""
    if not case.study.winner.exists():
        return Finding(state="unknown", found="there is no winner")
    space: Mapping[str, Any] = case.config.get("space") or {}
    outer = [log for log in case.searches if log.folder != case.study.folder]
    found, ends = [], edges(case.study, space)
    others = [edges(log, space) for log in outer]
    for (key, end), words in ends.items():
        alike = sum((key, end) in one for one in others)
        also = f", as in {alike} of {len(outer)} searches in outer folds" if outer else ""
        found.append(f"{words}{also}")
    ordered = [key for key, entry in space.items() if _scale(entry) is not None]
    return Finding(
        state="warning" if found else "passed",
        looked_at=f"the winner in {len(ordered)} of {len(space)} searched settings: those with a "
        "range, or with three numbers or more to choose from",
        found="; ".join(found) or "no searched number of the winner is at an edge",
        sure=f"the place is exact; a setting without effect lies in the outer {NEAR:.0%} at either "
        f"end of a range in about {2 * NEAR:.0%} of searches",
        advice="widen the space beyond this end and search again",
        numbers={f"{key}_{end}": 1.0 for key, end in ends},
    )


def edges(study: StudyLog, space: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Return the ends of the space that the winner of a search has reached, in words.

    An end beyond which the setting cannot go, such as a dropout of 0, is no edge. A setting without
    effect on the winner has none.

    Args:
        study: Log of a finished search.
        space: The space as the user wrote it.
    """
    winner = study.trial(int(study.winner.read()["number"])).read()
    found = {}
    fit, _ = attempt(FitConfig, winner["settings"])
    for key, entry in space.items():
        scale, value = _scale(entry), winner["params"].get(key)
        if scale is None or not isinstance(value, int | float) or _is_idle(fit, key):
            continue
        for end, limit, beyond in scale.reached(value):
            if any(_can_be(winner["settings"], key, one) for one in beyond):
                found[key, end] = f"{key} = {value:.3g} is at the {end} end, {limit:g}"
    return found


@dataclass(frozen=True)
class _Scale:
    """The numbers of a searched setting.

    Attributes:
        low: The lowest.
        high: The highest.
        gap: How far the next number may lie beyond them.
        near: Share of the scale that counts as its end.
        log: Whether the scale is logarithmic.
    """

    low: float
    high: float
    gap: float
    near: float = 0.0
    log: bool = False

    def reached(self, value: float) -> Iterator[tuple[str, float, list[float]]]:
        """Yield each end that a value has reached: its name, its limit, numbers beyond it."""
        low, high, place = (
            (math.log(one) if one > 0 else -math.inf) if self.log else one
            for one in (self.low, self.high, value)
        )
        room = self.near * (high - low)
        if place <= low + room:
            yield "lower", self.low, self._whole([self.low - self.gap, self.low / 2])
        if place >= high - room:
            yield "upper", self.high, self._whole([self.high + self.gap, self.high * 2])

    def _whole(self, numbers: list[float]) -> list[float]:
        """Return numbers beyond the ends, whole ones where the ends are whole."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            numbers = [math.floor(one) for one in numbers]
        return [one for one in numbers if not self.low <= one <= self.high]


def _scale(entry: Mapping[str, Any]) -> _Scale | None:
    """Return the numbers of a setting; None if they have no order, or are fewer than three."""
    if "choices" in entry:
        is_number = [type(one) in (int, float) for one in entry["choices"]]
        numbers = sorted(set(entry["choices"])) if all(is_number) else []
        few = len(numbers) < _LEAST_VALUES
        return None if few else _Scale(numbers[0], numbers[-1], numbers[-1] - numbers[-2])
    low, high, step = entry["low"], entry["high"], entry.get("step")
    if step:
        few = (high - low) / step + 1 < _LEAST_VALUES
        return None if few else _Scale(low, high, step)
    return _Scale(low, high, (high - low) / 10, NEAR, bool(entry.get("log")))


def _is_idle(fit: FitConfig | None, key: str) -> bool:
    """Return whether a setting has no effect on the model: C of one classifier, with another."""
    part: Any = fit
    for name in key.split("."):
        if name in getattr(part, "idle", ()):
            return True
        part = getattr(part, name, None)
    return False


def _can_be(settings: Mapping[str, Any], key: str, value: float) -> bool:
    """Return whether a setting of the winner may have another value."""
    config, _ = attempt(FitConfig, merge(merge({}, settings), nest({key: value})))
    return config is not None and not size_faults(config)
