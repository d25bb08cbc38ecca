from collections import Counter

import numpy as np
import pytest

from pdray.data.cohort.exchange import alike, exchange_grades
from pdray.data.cohort.manifest import Recording
from pdray.errors import FoldsError


def cohort(num_recordings: list[int], **facts: object) -> list[Recording]:
    """Return one subject for each number; the grades of subject s are s % 5, then one higher."""
    return [
        Recording(
            f"S{s}_R{r}", f"S{s}", "gait", grade=(s + r) % 5, raters=((s + r) % 5, r), **facts
        )
        for s, num in enumerate(num_recordings)
        for r in range(num)
    ]


def vectors(recordings) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for one in recordings:
        found[one.subject_id] = (*found.get(one.subject_id, ()), one.grade)
    return found


def test_whole_vectors_move_between_people_with_equally_many_recordings() -> None:
    recordings = cohort([3, 3, 3, 2, 2, 1])
    before = vectors(recordings)
    moved = set()
    for seed in range(20):
        after = vectors(exchange_grades(recordings, seed))
        assert Counter(after.values()) == Counter(before.values())  # no vector is torn apart
        assert {name: len(one) for name, one in after.items()} == {
            name: len(one) for name, one in before.items()
        }
        assert after["S5"] == before["S5"]  # nobody has as many recordings
        moved |= {name for name in after if after[name] != before[name]}
    assert moved == {"S0", "S1", "S2", "S3", "S4"}


def test_only_grades_and_those_of_raters_move() -> None:
    recordings = cohort([2] * 6, site="north")
    for one, other in zip(recordings, exchange_grades(recordings, 1), strict=True):
        assert (one.recording_id, one.subject_id, one.site) == (
            other.recording_id, other.subject_id, "north",
        )  # fmt: skip
        assert other.raters[0] == other.grade


def test_items_keep_their_grades() -> None:
    """A model that knows the item, and nothing of the disease, must not beat chance."""
    taps = cohort([1, 1, 2])
    gait = [
        Recording(f"S{s}_G{r}", f"S{s}", "hand_opening", grade=4)
        for s, num in enumerate([1, 1, 0])
        for r in range(num)
    ]
    assert [[len(person) for person in people] for people in alike([*taps, *gait])] == [[2, 2]]
    after = exchange_grades([*taps, *gait], 3)
    assert {one.grade for one in after if one.item == "hand_opening"} == {4}


def test_the_order_of_the_rows_decides_nothing() -> None:
    recordings = cohort([2] * 8)
    mixed = [recordings[i] for i in np.random.default_rng(0).permutation(len(recordings))]
    one, other = exchange_grades(recordings, 5), exchange_grades(mixed, 5)
    assert {r.recording_id: r.grade for r in one} == {r.recording_id: r.grade for r in other}


def test_every_assignment_is_equally_likely() -> None:
    recordings = cohort([1, 1, 1])
    seen = Counter(
        tuple(one.grade for one in exchange_grades(recordings, seed)) for seed in range(1200)
    )
    assert len(seen) == 6
    assert min(seen.values()) > 150


def test_people_who_share_a_file_move_together() -> None:
    pair = frozenset({"S0", "S1"})
    recordings = [
        *(Recording(f"r{s}", f"S{s}", "gait", grade=s, together=pair) for s in (0, 1)),
        *(Recording(f"r2_{r}", "S2", "gait", grade=4) for r in range(2)),
    ]
    grades = {tuple(one.grade for one in exchange_grades(recordings, s)) for s in range(10)}
    assert grades == {(0, 1, 4, 4), (4, 4, 0, 1)}


def test_nobody_to_change_places_with_is_refused() -> None:
    with pytest.raises(FoldsError, match=r"evaluation.permutations: none of the 3 subjects"):
        exchange_grades(cohort([1, 2, 3]), 0)
