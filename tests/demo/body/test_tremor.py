from itertools import pairwise

import numpy as np
import pytest

from pdray.demo.body.tremor import AMPLITUDE_METRES, draw_posture, draw_reaching
from pdray.demo.illness.movement import Movement, Reach

DRAWS = {"posture": draw_posture, "reaching": draw_reaching}
EVERY_DRAW = pytest.mark.parametrize("kind", sorted(DRAWS))
GRADES = range(5)
FPS = 25
NUM_FRAMES = 110


def draw(kind: str, grade: int, seed: int) -> Movement:
    rng = np.random.default_rng([seed, grade])
    return DRAWS[kind](grade, Reach(0.2, 0.8), rng, num_frames=NUM_FRAMES, fps=FPS)


@EVERY_DRAW
def test_one_value_a_frame_and_openings_between_none_and_all(kind: str) -> None:
    movement = draw(kind, 4, 0)
    assert movement.opening.shape == movement.cycles.shape == (NUM_FRAMES,)
    assert movement.tremor.shape == (NUM_FRAMES, 2)
    assert movement.opening.dtype == movement.tremor.dtype == np.float32
    assert 0 <= movement.opening.min() < movement.opening.max() <= 1


@EVERY_DRAW
def test_the_same_generator_gives_the_same_movement(kind: str) -> None:
    assert np.array_equal(draw(kind, 2, 5).tremor, draw(kind, 2, 5).tremor)
    assert not np.array_equal(draw(kind, 2, 5).tremor, draw(kind, 2, 6).tremor)


@EVERY_DRAW
def test_the_tremor_grows_with_every_grade_as_its_table_says(kind: str) -> None:
    sizes = [
        np.median(
            [np.linalg.norm(draw(kind, grade, seed).tremor, axis=1).max() for seed in range(60)]
        )
        for grade in GRADES
    ]
    assert all(milder < worse for milder, worse in pairwise(sizes))
    assert sizes == pytest.approx(list(AMPLITUDE_METRES), rel=0.25)


@EVERY_DRAW
def test_the_tremor_has_three_to_six_cycles_a_second_at_every_grade(kind: str) -> None:
    peaks = np.empty((5, 40))
    for grade, seed in np.ndindex(peaks.shape):
        wave = draw(kind, grade, seed).tremor[:, 1]
        power = np.abs(np.fft.rfft(wave * np.hanning(NUM_FRAMES), 512))
        peaks[grade, seed] = np.fft.rfftfreq(512, 1 / FPS)[power.argmax()]
    assert 2.6 < peaks.min() < peaks.max() < 6.6
    assert np.ptp(peaks.mean(axis=1)) < 0.8


@EVERY_DRAW
def test_what_the_arm_does_besides_knows_nothing_of_the_grade(kind: str) -> None:
    first, *others = (
        DRAWS[kind](
            grade, Reach(0.2, 0.8), np.random.default_rng(3), num_frames=NUM_FRAMES, fps=FPS
        ).opening
        for grade in GRADES
    )
    assert all(np.array_equal(first, other) for other in others)


def test_the_held_arm_drifts_slowly_within_the_reach() -> None:
    for seed in range(20):
        height = draw("posture", 4, seed).opening
        assert 0.2 - 1e-6 <= height.min() < height.max() <= 0.8 + 1e-6
        assert np.abs(np.diff(height)).max() < 0.12


def test_the_finger_comes_near_both_ends_and_dwells_there() -> None:
    for seed in range(20):
        way = draw("reaching", 0, seed).opening
        assert way.min() < 0.1
        assert way.max() > 0.9
        assert ((way < 0.15) | (way > 0.85)).mean() > 0.4
