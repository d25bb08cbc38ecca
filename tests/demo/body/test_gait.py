from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pdray.demo.body.gait import MARKS_METRES, SHIN, THIGH, draw_walk, walking_figure
from pdray.demo.illness.movement import Movement, Reach
from tests.fixtures.scene import SIZE, draw, held, plain_look

GRADES = range(5)
FPS = 25
NUM_FRAMES = 110
FLOOR, POSTS, LEGS = 0, 1, (5, 9)  # places of a figure's limbs


def walk(grade: int, seed: int, width: float = 0.6) -> Movement:
    rng = np.random.default_rng([seed, grade])
    return draw_walk(grade, Reach(0.2, 0.2 + width), rng, num_frames=NUM_FRAMES, fps=FPS)


def striding(num_frames: int = 50, length: float = 0.8) -> Movement:
    """Two strides at an even pace."""
    step = held(length, num_frames)
    return Movement(step.opening, step.tremor, np.linspace(0, 2, num_frames))


def test_one_value_a_frame() -> None:
    movement = walk(3, 0)
    assert movement.opening.shape == movement.cycles.shape == (NUM_FRAMES,)
    assert movement.tremor.shape == (NUM_FRAMES, 2)
    assert movement.opening.dtype == movement.tremor.dtype == np.float32
    assert 0 < movement.opening.min() < movement.opening.max() <= 1


def test_the_same_generator_gives_the_same_walk() -> None:
    assert np.array_equal(walk(2, 5).cycles, walk(2, 5).cycles)
    assert not np.array_equal(walk(2, 5).cycles, walk(2, 6).cycles)


def test_strides_grow_fewer_and_steps_a_little_shorter_with_every_grade() -> None:
    walks = [[walk(grade, seed) for seed in range(60)] for grade in GRADES]
    strides = [np.mean([np.ptp(one.cycles) for one in of_grade]) for of_grade in walks]
    steps = [np.mean([one.opening.mean() for one in of_grade]) for of_grade in walks]
    assert all(milder > worse for milder, worse in pairwise(strides))
    assert strides[0] > 2 * strides[4]
    assert all(milder > worse for milder, worse in pairwise(steps))
    assert steps[4] > 0.7 * steps[0]


def test_the_length_of_a_step_is_the_persons() -> None:
    assert walk(1, 3, width=0.8).opening.mean() > 1.3 * walk(1, 3, width=0.4).opening.mean()


def test_severe_walks_halt_and_tremble_and_normal_ones_do_not() -> None:
    def halts(grade: int) -> float:
        paces = [np.diff(walk(grade, seed).cycles) for seed in range(60)]
        return float(np.mean([(pace < 0.2 * np.median(pace)).sum() >= 5 for pace in paces]))

    assert halts(0) < 0.05
    assert halts(4) > 0.4
    assert np.abs(walk(0, 1).tremor).max() == 0
    assert max(np.abs(walk(4, seed).tremor).max() for seed in range(10)) > 0.01


def test_the_walker_is_upright_and_inside_the_picture() -> None:
    frame = draw(walking_figure, striding(), plain_look(), "")[10]
    person = frame[..., 1] > 60
    rows, columns = person.any(axis=1), person.any(axis=0)
    assert frame.shape == (SIZE, SIZE, 3)
    assert 0.7 < rows.sum() / SIZE < 0.98
    assert 0.1 < columns.sum() / SIZE < 0.6


def test_who_faces_left_mirrors_who_faces_right() -> None:
    look = plain_look()
    right = draw(walking_figure, striding(), look, "")[7].astype(int)
    left = draw(walking_figure, striding(), replace(look, faces_left=True), "")[7].astype(int)
    assert np.abs(right - left[:, ::-1]).max() <= 1
    assert np.abs(right - left).mean() > 3


def test_bones_keep_their_length_and_a_foot_is_always_on_the_floor() -> None:
    figure = walking_figure(striding(), plain_look())
    legs = [figure.limbs[place].joints for place in LEGS]
    for leg in legs:
        lengths = np.linalg.norm(leg[:, :, 1] - leg[:, :, 0], axis=2)
        assert lengths == pytest.approx(np.tile([THIGH, SHIN], (50, 1)), abs=1e-5)
    feet = [figure.limbs[place - 1].joints for place in LEGS]
    lowest = np.min([foot[..., 1].min(axis=(1, 2)) for foot in feet], axis=0)
    assert lowest == pytest.approx(0.045, abs=1e-5)


def test_the_legs_swing_half_a_stride_apart() -> None:
    far, near = (
        walking_figure(striding(51), plain_look()).limbs[place].joints[:, 0, 1, 0] for place in LEGS
    )
    half = 25 // 2
    assert far[: 50 - half] == pytest.approx(near[half:50], abs=0.06)
    assert np.corrcoef(far, near)[0, 1] < -0.8


def test_posts_pass_by_at_the_pace_and_stand_while_the_walk_halts() -> None:
    def places(movement: Movement) -> np.ndarray:
        return walking_figure(movement, plain_look()).limbs[POSTS].joints[:, :, 0, 0]

    def passed(x: np.ndarray) -> np.ndarray:
        width = MARKS_METRES * x.shape[1]
        return (np.diff(x, axis=0) + width / 2) % width - width / 2

    assert (passed(places(striding())) < -0.01).all()
    longer = -passed(places(striding(length=0.9))).mean()
    assert longer > -1.5 * passed(places(striding(length=0.5))).mean()
    assert np.abs(passed(places(held(0.8, 5, cycles=0.3)))).max() == 0
