"""What a reader who adds and subtracts can learn of counts of few people."""

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from pdray.evaluation.printed_table import Count
from pdray.report.small_cells import HIDDEN, Shown, Sum, protect

LEAST = 5


def cross_table(draws, rows, columns):
    """Return drawn counts of a table with its totals, and every sum of them."""
    inner = draws.choice([0, 1, 2, 3, 4, 5, 7, 9, 20], size=(rows, columns))
    whole = np.pad(inner, ((0, 1), (0, 1)))
    whole[-1] = whole.sum(axis=0)
    whole[:, -1] = whole.sum(axis=1)
    counts = {(r, c): Count(2 * int(n), int(n)) for (r, c), n in np.ndenumerate(whole)}
    sums = [Sum((rows, c), tuple((r, c) for r in range(rows))) for c in range(columns + 1)]
    sums += [Sum((r, columns), tuple((r, c) for c in range(columns))) for r in range(rows + 1)]
    return dict(sorted(counts.items(), key=lambda pair: pair[1].subjects)), sums


def possible(counts, sums, shown, wanted):
    """Return the smallest and the largest number of people that fit all that is printed."""
    place = {key: number for number, key in enumerate(counts)}
    bounds = [
        (1, LEAST - 1) if text == f"<{LEAST}" else (0, None) if text == HIDDEN else (int(text),) * 2
        for text in (shown[key].people for key in counts)
    ]
    equal = np.zeros((len(sums), len(counts)))
    for row, one in zip(equal, sums, strict=True):
        row[place[one.total]] = 1
        for part in one.parts:
            row[place[part]] -= 1
    goal = np.zeros(len(counts))
    goal[place[wanted]] = 1
    ends = [linprog(s * goal, A_eq=equal, b_eq=np.zeros(len(sums)), bounds=bounds) for s in (1, -1)]
    assert all(one.success for one in ends)
    return ends[0].fun, -ends[1].fun


@pytest.mark.parametrize("seed", range(12))
def test_no_sum_of_a_table_tells_a_small_count(seed):
    draws = np.random.default_rng(seed)
    counts, sums = cross_table(draws, *draws.integers(1, 5, size=2))
    shown = protect(counts, sums, LEAST)
    for key, one in counts.items():
        if 0 < one.subjects < LEAST:
            assert not shown[key].people.isdigit()
            assert not shown[key].recordings.isdigit()
            low, high = possible(counts, sums, shown, key)
            assert high - low > 0.5, (key, one, shown)
        elif shown[key].people != HIDDEN:
            assert shown[key] == Shown(str(one.subjects), str(one.recordings))


def test_a_total_and_the_other_part_do_not_tell_a_small_one():
    counts = {"female": Count(6, 3), "male": Count(40, 20), "all": Count(46, 23)}
    shown = protect(counts, [Sum("all", ("female", "male"))], LEAST)
    assert [one.people for one in shown.values()] == ["<5", HIDDEN, "23"]


def test_nothing_is_hidden_that_need_not_be():
    counts = {"a": Count(6, 3), "b": Count(6, 2), "c": Count(40, 20), "all": Count(52, 25)}
    shown = protect(counts, [Sum("all", ("a", "b", "c"))], LEAST)
    assert [one.people for one in shown.values()] == ["<5", "<5", "20", "25"]
    shown = protect({"a": Count(9, 9), "none": Count(0, 0)}, [], LEAST)
    assert [one.people for one in shown.values()] == ["9", "0"]


def test_two_small_parts_of_a_printed_total_are_not_both_the_largest_small_number():
    counts = {"a": Count(8, 4), "b": Count(8, 4), "all": Count(16, 8)}
    known = {"all": Shown("8", "16")}
    shown = protect(counts, [Sum("all", ("a", "b"))], LEAST, known)
    assert {one.people for key, one in shown.items() if key != "all"} == {HIDDEN}
    assert shown["all"].people == "8"


def test_recordings_do_not_tell_a_count_whose_people_stay_open():
    # Everybody of "few" is in "many" too, so that people do not add up; recordings do.
    counts = {"few": Count(1, 1), "many": Count(39, 20), "all": Count(40, 20)}
    shown = protect(counts, [Sum("all", ("few", "many"))], LEAST, {"all": Shown("20", "40")})
    assert shown["few"] == Shown("<5", HIDDEN)
    assert shown["many"] == Shown(HIDDEN, HIDDEN)


@pytest.mark.parametrize("least", [1, 2])
def test_a_limit_that_hides_nothing_hides_nothing(least):
    counts = {key: Count(1, n) for key, n in zip("ab", itertools.count(1), strict=False)}
    shown = protect(counts, [], least)
    assert shown["b"].people == "2"
    assert shown["a"].people == ("1" if least == 1 else "<2")
