from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from pdray.demo.face.movement import Expression, draw_expression
from pdray.demo.face.voice import SYLLABLE_SECONDS

GRADES = range(6)
FPS = 25


@cache
def draw(grade: int, seed: int, num_frames: int = 150, liveliness: float = 1.0) -> Expression:
    rng = np.random.default_rng([seed, grade])
    return draw_expression(grade, liveliness, rng, num_frames=num_frames, fps=FPS)


def blinks(expression: Expression) -> int:
    """Count how often the eye goes below two thirds of its usual opening."""
    low = expression.eye < 0.67 * np.median(expression.eye)
    return int((np.diff(low.astype(int), prepend=0) == 1).sum())


@pytest.mark.parametrize("grade", GRADES)
def test_every_value_is_finite_and_in_its_range(grade: int) -> None:
    one = draw(grade, 3)
    shapes = {name: getattr(one, name).shape[1:] for name in vars(one)}
    assert shapes == {
        "eye": (), "gaze": (2,), "brow": (), "mouth": (), "spread": (), "smile": (), "turn": (3,),
    }  # fmt: skip
    for value in vars(one).values():
        assert value.dtype == np.float32
        assert len(value) == 150
        assert np.isfinite(value).all()
    assert 0 <= one.eye.min() <= one.eye.max() <= 1.4
    assert np.abs(one.gaze).max() <= 1
    assert np.abs(one.smile).max() <= 1
    assert 0 <= one.mouth.min() <= one.mouth.max() < 0.8
    assert np.abs(one.turn).max() < 0.4
    assert np.abs(one.brow).max() < 0.4


def test_two_frames_are_enough() -> None:
    assert np.isfinite(draw(0, 1, num_frames=2).turn).all()


def test_the_same_generator_gives_the_same_expression() -> None:
    one, again, other = draw(2, 5), draw(2, 5), draw(2, 6)
    assert all(np.array_equal(getattr(one, name), getattr(again, name)) for name in vars(one))
    assert not np.array_equal(one.mouth, other.mouth)


@pytest.mark.parametrize("part", ["mouth", "brow", "smile", "spread", "turn"])
def test_every_part_moves_less_with_every_grade(part: str) -> None:
    means = [
        np.mean([getattr(draw(grade, seed), part).std(axis=0).mean() for seed in range(40)])
        for grade in GRADES
    ]
    assert all(milder > worse for milder, worse in pairwise(means))
    assert means[0] > 3 * means[5]


def test_blinks_grow_rarer_with_every_grade() -> None:
    # A minute each: a short recording of a severe face has none at all.
    counts = [sum(blinks(draw(grade, seed, 1500)) for seed in range(10)) for grade in GRADES]
    assert all(milder > worse for milder, worse in pairwise(counts))
    assert counts[0] > 4 * counts[5]
    assert 20 < counts[0] / 10 < 50


def test_a_blink_of_a_healthy_face_closes_the_eyes_within_a_quarter_second() -> None:
    eye = np.concatenate([draw(0, seed, 1500).eye for seed in range(10)])
    shut = eye < 0.05
    assert shut.any()
    runs = np.diff(np.flatnonzero(np.diff(np.r_[0, shut.astype(int), 0])))[::2]
    assert runs.max() <= 6
    rest = np.median(eye)
    low = eye < 0.8 * rest
    assert 0.03 < low.mean() < 0.25


def test_severe_blinks_stay_incomplete() -> None:
    def lowest(grade: int) -> float:
        shares = [
            one.eye.min() / np.median(one.eye)
            for one in (draw(grade, seed, 1500) for seed in range(10))
        ]
        return float(np.mean(shares))

    assert lowest(0) < 0.05
    assert lowest(5) > 0.15


def test_the_mouth_moves_once_a_syllable() -> None:
    strongest = []
    for seed in range(10):
        mouth = draw(0, seed, 500).mouth
        power = np.abs(np.fft.rfft(mouth - mouth.mean())) ** 2
        hertz = np.fft.rfftfreq(len(mouth), 1 / FPS)
        fast = hertz > 2.5
        strongest.append(hertz[fast][np.argmax(power[fast])])
    assert np.median(strongest) == pytest.approx(1 / SYLLABLE_SECONDS, abs=0.15)


@pytest.mark.parametrize("part", ["mouth", "brow", "smile", "spread", "gaze"])
def test_where_the_face_rests_does_not_tell_the_grade(part: str) -> None:
    def rests(grade: int) -> np.ndarray:
        return np.array([getattr(draw(grade, seed), part).mean() for seed in range(120)])

    milder, worse = rests(0), rests(5)
    share = (milder[:, None] < worse).mean()  # the area under the curve
    assert 0.37 < share < 0.63


def test_a_lively_person_moves_more_at_the_same_grade() -> None:
    calm, lively = draw(2, 8, liveliness=0.7), draw(2, 8, liveliness=1.4)
    np.testing.assert_allclose(2 * calm.turn, lively.turn, rtol=1e-4)
    assert lively.mouth.std() > 1.5 * calm.mouth.std()
    np.testing.assert_array_equal(calm.gaze, lively.gaze)
