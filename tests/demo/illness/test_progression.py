import numpy as np
import pytest

from pdray.config import build
from pdray.demo.illness.progression import draw_stages
from pdray.demo.illness.severity import GRADE_SHARES, POSED_ITEMS, DemoConfig, plan_cohort
from pdray.errors import SettingsError

RISING = DemoConfig(
    items=("finger_tapping", "face_interview", *POSED_ITEMS), progression=True, num_visits=4,
    num_subjects=60, missing=0.0,
)  # fmt: skip


def test_the_visits_of_each_person_rise_from_grade_0_to_a_grade_of_its_own() -> None:
    courses: dict[tuple[int, str], list[set[int]]] = {}
    for one in plan_cohort(RISING):
        visits = courses.setdefault((one.subject, one.item), [set() for _ in range(4)])
        visits[one.visit].add(one.grade)
    for visits in courses.values():
        assert all(len(grades) == 1 for grades in visits)  # both sides alike
        (first, *_, last) = grades = [min(one) for one in visits]
        assert first == 0
        assert last >= 1
        assert grades == sorted(grades)
    ends = [min(visits[-1]) for (_, item), visits in courses.items() if item == "face_interview"]
    shares = np.bincount(ends, minlength=6)[1:] / len(ends)
    ill = np.array(GRADE_SHARES[5][1:]) / sum(GRADE_SHARES[5][1:])
    np.testing.assert_allclose(shares, ill, atol=1.5 / 60)


def test_stages_by_hand() -> None:
    # Of three people the mildest ends at 1, the middle one at 2 and the worst at 3.
    stages = draw_stages([0.3, -1.0, 2.0], 3, {4: (0.2, 0.3, 0.3, 0.1, 0.1)})
    assert stages == {4: [[0, 1, 2], [0, 1, 1], [0, 2, 3]]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"progression": True, "num_visits": 1},
            "progression=true needs 2 visits",
        ),
        ({"progression": True, "healthy": True}, "progression=true and healthy=true exclude"),
        ({"static_signs": 1}, "static_signs needs faces: finger_tapping, hand_opening show none"),
        (
            {"counterfactual": True},
            "counterfactual=true needs faces: .*add face_interview",
        ),
        ({"static_signs": -0.5}, "static_signs"),
    ],
)
def test_what_cannot_be_drawn_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build(DemoConfig, settings)
