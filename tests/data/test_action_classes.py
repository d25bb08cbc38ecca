import pytest

from pdray.data.action_classes import check_action_classes
from pdray.data.manifest import Recording
from pdray.errors import ManifestError


def recordings(*grades: int | None, item: str = "action") -> list[Recording]:
    return [Recording(f"r{at}", f"r{at}", item, grade=grade) for at, grade in enumerate(grades)]


def test_a_class_beyond_the_cuts_is_refused() -> None:
    message = (
        r"item action: 2 of 4 recordings have a class outside 0\.\.8, the first r2 with 9; with "
        r"classes up to 100, data\.grade_cuts must be every number from 1 to 100, got \[1, 2, 3, "
        r"4, 5, 6, 7, 8\]$"
    )
    with pytest.raises(ManifestError, match=message):
        check_action_classes(recordings(0, 8, 9, 100), range(1, 9))


def test_a_gap_between_the_cuts_does_not_make_more_classes() -> None:
    with pytest.raises(
        ManifestError, match=r"1 of 2 .* outside 0\.\.1, the first r1 with 2; .*\[2\]"
    ):
        check_action_classes(recordings(1, 2), (2,))


def test_every_class_of_the_cuts_and_every_grade_is_left_alone() -> None:
    check_action_classes(recordings(0, 1, 57, 100, None), range(1, 101))
    check_action_classes(recordings(0, 4, item="gait"), (2,))
    check_action_classes([], (2,))
