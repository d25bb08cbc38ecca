import numpy as np

from pdray.demo.face.look import Look, draw_look

SIZE = 32
OF_SUBJECT = ("skin", "lips", "hair", "iris")
OF_VISIT = ("clothes", "background", "light")


def look(subject: int, visit: int) -> Look:
    return draw_look(
        np.random.default_rng(subject), np.random.default_rng([subject, visit]), size=SIZE
    )


def test_skin_hair_and_glasses_belong_to_the_subject_and_the_wall_to_the_visit() -> None:
    one, other_visit, other_subject = look(1, 1), look(1, 2), look(2, 1)
    for name in OF_SUBJECT:
        assert np.array_equal(getattr(one, name), getattr(other_visit, name))
    for name in ("hairline", "hair_length", "has_glasses"):
        assert getattr(one, name) == getattr(other_visit, name)
    for name in OF_VISIT:
        assert not np.array_equal(getattr(one, name), getattr(other_visit, name))
    assert one.lamp != other_visit.lamp
    assert not np.array_equal(one.skin, other_subject.skin)


def test_the_same_generators_give_the_same_look() -> None:
    one, again = look(3, 1), look(3, 1)
    for name in (*OF_SUBJECT, *OF_VISIT):
        assert np.array_equal(getattr(one, name), getattr(again, name))


def test_colours_are_colours_and_people_are_of_all_kinds() -> None:
    looks = [look(subject, 1) for subject in range(60)]
    for one in looks:
        for name in (*OF_SUBJECT, *OF_VISIT):
            value = getattr(one, name)
            assert value.dtype == np.float32
            assert value.min() > 0
            assert value.max() < 1.4
        assert one.background.shape == one.light.shape == (3, SIZE, SIZE)
        assert one.lips[0] > one.lips[1]
        assert 1 <= one.noise <= 3
    assert 0.1 < np.mean([one.has_glasses for one in looks]) < 0.5
    assert 0.2 < np.mean([one.hair_length > 0 for one in looks]) < 0.7
    assert np.ptp([one.skin[0] for one in looks]) > 0.3
