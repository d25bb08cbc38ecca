from collections import Counter

import numpy as np

from pdray.checks.label_exchange import Slot, exchanges

SUBJECTS = [f"S{number:02d}" for number in range(12) for _ in range(4)]
SLOTS = [Slot(visit, side, "tap") for _ in range(12) for visit in (0, 1) for side in "LR"]


def test_all_labels_of_a_subject_go_to_one_other_subject() -> None:
    for places in exchanges(SUBJECTS, SLOTS, count=5):
        assert sorted(places) == list(range(48))
        assert all(len({SUBJECTS[i] for i in places[s : s + 4]}) == 1 for s in range(0, 48, 4))


def test_visits_and_sides_change_places_whole() -> None:
    first = Counter()
    for places in exchanges(SUBJECTS, SLOTS, count=20):
        for start in range(0, 48, 4):
            visits, sides = zip(*(SLOTS[i][:2] for i in places[start : start + 4]), strict=True)
            assert visits in [(0, 0, 1, 1), (1, 1, 0, 0)]
            assert sides in [tuple("LRLR"), tuple("RLRL")]
            first[visits[0], sides[0]] += 1
    assert min(first.values()) > 30  # each of the four in a quarter of 240


def test_subjects_of_other_sizes_get_labels_of_one_subject() -> None:
    subjects = ["A"] * 7 + ["B"] * 2
    slots = [Slot(0, None, "tap")] * 9
    found = exchanges(subjects, slots, count=30)
    assert all(len({subjects[i] for i in row[:7]}) == 1 for row in found)
    assert {subjects[row[0]] for row in found} == {"A", "B"}
    assert all(len(np.unique(row[:7])) == 2 for row in found if subjects[row[0]] == "B")
