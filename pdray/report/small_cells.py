"""Hides counts of few people, and as many others as totals would give them away by.

A count of fewer people than the limit is printed as "<" the limit. Where a total and its other
parts would tell it, one more count is hidden (complementary suppression; Cox 1980), until no sum
tells any of them. A reader is taken to know every printed count, every sum, and that a count that
is hidden for the sake of another is not small. Where nothing is left to hide, the small counts of
a sum are not printed as small either.
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from pdray.evaluation.printed_table import Count

HIDDEN = "hidden"
"""Printed in place of a count that would give a small one away."""
Key = TypeVar("Key", bound=Hashable)
_UNITS = ("subjects", "recordings")
_Range = tuple[float, float]
_ZERO = 1e-9
_PASSES = 100  # a handful are enough
# Why a count is hidden: it is small, and is printed so; it is not; or nothing is told of it.
_SMALL, _APART, _UNKNOWN = "small", "apart", "unknown"


class Sum(NamedTuple, Generic[Key]):
    """A total and its parts; a person may be counted in several parts.

    Attributes:
        total: Key of the total.
        parts: Keys of its parts.
        units: Which of their counts it is of.
    """

    total: Key
    parts: tuple[Key, ...]
    units: tuple[str, ...] = _UNITS


class Shown(NamedTuple):
    """A count as it is printed.

    Attributes:
        people: Such as "12", "<5" or "hidden".
        recordings: Such as "48" or "hidden".
    """

    people: str
    recordings: str


def protect(
    counts: Mapping[Key, Count],
    sums: Sequence[Sum[Key]],
    least: int,
    settled: Mapping[Key, Shown] | None = None,
) -> dict[Key, Shown]:
    """Return counts as they may be printed.

    Args:
        counts: Counts by key. Those that come first are hidden first where one more must be.
        sums: Totals and parts that a reader could add up.
        least: Fewest people whose count is printed.
        settled: Counts that are printed elsewhere already, as they are printed there.
    """
    settled = settled or {}
    state = {key: _SMALL for key, one in counts.items() if 0 < one.subjects < least}
    state |= {
        key: _APART
        for key, shown in settled.items()
        if shown.recordings == HIDDEN and key not in state
    }
    while told := _told(counts, sums, state, least):
        near = {key for one in sums if told in (keys := {one.total, *one.parts}) for key in keys}
        free = [key for key in counts if key not in state and key not in settled]
        small = {key for key in near if state.get(key) == _SMALL and key not in settled}
        if not small and not free:
            break
        if small and not near & {*free}:
            state |= dict.fromkeys(small, _UNKNOWN)
            continue
        # A count of zero hides little, so that it comes last.
        chosen = min(free, key=lambda key: (key not in near, counts[key].subjects == 0))
        state[chosen] = _APART
    return {key: _shown(one, state.get(key), least) for key, one in counts.items()}


def _shown(count: Count, state: str | None, least: int) -> Shown:
    if state is None:
        return Shown(str(count.subjects), str(count.recordings))
    return Shown(f"<{least}" if state == _SMALL else HIDDEN, HIDDEN)


def _told(
    counts: Mapping[Key, Count], sums: Sequence[Sum[Key]], state: Mapping[Key, str], least: int
) -> Key | None:
    """Return a small count that sums tell exactly; None if there is none."""
    small = [key for key in state if 0 < counts[key].subjects < least]
    if not small or least < 3:  # "<2" tells a count in any case
        return None
    for unit in _UNITS:
        numbers: dict[Key, int] = {key: getattr(one, unit) for key, one in counts.items()}
        open_ranges: dict[str | None, _Range] = {
            _SMALL: (1, least - 1 if unit == "subjects" else math.inf),
            _APART: (least, math.inf),
            _UNKNOWN: (0, math.inf),
        }
        ranges: dict[Key, _Range] = {
            key: (number, number) if key not in state
            else open_ranges[state[key] if number else _UNKNOWN]
            for key, number in numbers.items()
        }  # fmt: skip
        some = [one for one in sums if unit in one.units]
        _narrow(ranges, numbers, some)
        solved = _solved(state, numbers, some)
        for key in small:
            low, high = ranges[key]
            if low == high or key in solved:
                return key
    return None


def _solved(
    state: Mapping[Key, str], numbers: Mapping[Key, int], sums: Sequence[Sum[Key]]
) -> set[Key]:
    """Return the hidden counts that all sums together tell, as a system of equations does."""
    place: dict[Key, int] = {key: number for number, key in enumerate(state)}
    equations = np.zeros((len(sums), len(place)))
    for row, one in zip(equations, sums, strict=True):
        if numbers[one.total] == sum(numbers[part] for part in one.parts):
            for key, sign in ((one.total, 1.0), *((part, -1.0) for part in one.parts)):
                if key in place:
                    row[place[key]] = sign
    _, sizes, directions = np.linalg.svd(equations)
    rank = int((sizes > _ZERO).sum())
    open_ways = np.abs(directions[rank:]).sum(axis=0)
    return {key for key, number in place.items() if open_ways[number] < _ZERO}


def _narrow(
    ranges: dict[Key, _Range], numbers: Mapping[Key, int], sums: Sequence[Sum[Key]]
) -> None:
    """Narrow the ranges of counts to what sums leave open."""
    for _ in range(_PASSES):
        changed = False
        for one in sums:
            adds_up = numbers[one.total] == sum(numbers[part] for part in one.parts)
            for key, low, high in list(_bounds(one, ranges, adds_up=adds_up)):
                before = ranges[key]
                ranges[key] = max(low, before[0]), min(high, before[1])
                changed |= ranges[key] != before
        if not changed:
            return


def _bounds(
    one: Sum[Key], ranges: Mapping[Key, _Range], *, adds_up: bool
) -> Iterator[tuple[Key, float, float]]:
    """Yield the smallest and largest possible value of each count of a sum.

    Where people are counted in several parts, the total is at least the largest part.
    """
    lows = {part: ranges[part][0] for part in one.parts}
    highs = {part: ranges[part][1] for part in one.parts}
    sum_low, sum_high = sum(lows.values()), sum(highs.values())
    finite = sum(high for high in highs.values() if high < math.inf)
    num_open = sum(high == math.inf for high in highs.values())
    yield one.total, sum_low if adds_up else max(lows.values(), default=0), sum_high
    low, high = ranges[one.total]
    for part in one.parts:
        is_open = highs[part] == math.inf
        # Of the other parts: a sum over them for each part would be quadratic.
        others = math.inf if num_open > is_open else finite - (0 if is_open else highs[part])
        yield part, low - others, high - (sum_low - lows[part]) if adds_up else high
