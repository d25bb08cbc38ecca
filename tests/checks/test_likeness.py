import numpy as np

from pdray.checks.likeness import links

PERSON = np.arange(6).repeat(2)


def between(rooms: np.ndarray) -> np.ndarray:
    distance = np.abs(rooms[:, None] - rooms[None, :]).astype(float)
    np.fill_diagonal(distance, np.nan)
    return distance


def test_persons_before_one_plain_background_are_not_one_person() -> None:
    rooms = np.array([0, 0, 0, 0, 0, 0, 5, 5.5, 9, 9.5, 20, 20.5])
    found = links(between(rooms), PERSON, ratio=0.3, share=0.75)
    assert found == []  # the first three have no distance at all


def test_two_persons_in_a_room_of_their_own_are_one_person() -> None:
    rooms = np.array([0, 0, 0, 0, 3, 3.5, 5, 5.5, 9, 9.5, 20, 20.5])
    found = links(between(rooms), PERSON, ratio=0.3, share=0.75)
    assert [one[:2] for one in found] == [(0, 1)]
