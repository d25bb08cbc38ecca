from collections.abc import Sequence

import pytest

from pdray.config import build
from pdray.data.cohort.persons import NUM_PERSONS, person_sides
from pdray.data.cohort.settings import FoldsConfig
from pdray.errors import FoldsError, SettingsError

ROWS = [(f"H{n}", 0) for n in range(7)] * 2 + [
    (f"P{n}", grade) for n in range(6) for grade in (0, 1 + n % 2)
]


def held(rows: Sequence[tuple[str, int]], person: int, seed: int = 0) -> set[str]:
    subjects, classes = zip(*rows, strict=True)
    sides = person_sides(subjects, classes, person=person, seed=seed)
    found = {
        side: {s for s, at in zip(subjects, sides, strict=True) if at == side} for side in sides
    }
    assert found["test"].isdisjoint(found["train"])
    assert set(classes) == {c for c, at in zip(classes, sides, strict=True) if at == "train"}
    return found["test"]


def test_each_split_tests_an_ill_person_of_its_own_and_each_healthy_one_once() -> None:
    tested = [held(ROWS, person) for person in range(NUM_PERSONS)]
    ill = [sorted(name for name in one if name[0] == "P") for one in tested]
    assert [len(one) for one in ill] == [1, 1, 1]
    assert len({*ill[0], *ill[1], *ill[2]}) == 3
    assert sorted(name for one in tested for name in one if name[0] == "H") == sorted(
        {name for name, _ in ROWS if name[0] == "H"}
    )
    assert [held(ROWS[::-1], person) for person in range(NUM_PERSONS)] == tested
    drawn = {next(n for n in held(ROWS, 0, seed) if n[0] == "P") for seed in range(20)}
    assert len(drawn) > 3


def test_a_person_without_whom_a_class_cannot_be_learnt_is_never_held_out() -> None:
    rows = [*ROWS, ("P0", 3)]
    for seed in range(20):
        assert all("P0" not in held(rows, person, seed) for person in range(NUM_PERSONS))
    few = [*ROWS, *((f"P{n}", 3 + n) for n in range(4))]
    with pytest.raises(FoldsError, match=r"there are 2 of 6 ill subjects and 7 healthy$"):
        held(few, 0)


def test_a_split_is_made_in_one_way() -> None:
    with pytest.raises(SettingsError, match="from_split and person are two ways to split"):
        build(FoldsConfig, {"from_split": True, "person": 1})
