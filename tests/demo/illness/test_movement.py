from itertools import pairwise

import numpy as np
import pytest

from pdray.demo.illness.movement import (
    LEGS,
    TAPPING,
    TOES,
    TURNING,
    Movement,
    Profile,
    Reach,
    at_severity,
    draw_movement,
)

GRADES = range(5)
FPS = 25


def draw(grade: int, seed: int, profile: Profile = TAPPING) -> Movement:
    rng = np.random.default_rng([seed, grade])
    reach = Reach(closed=0.1, opened=0.9)
    return draw_movement(grade, reach, rng, num_frames=110, fps=FPS, profile=profile)


def taps(movement: Movement) -> int:
    above = movement.opening > movement.opening.mean()
    return int((np.diff(above.astype(int)) == 1).sum())


@pytest.mark.parametrize("grade", GRADES)
def test_opening_stays_between_closed_and_wide_open(grade: int) -> None:
    movement = draw(grade, 3)
    assert movement.opening.shape == movement.cycles.shape == (110,)
    assert movement.tremor.shape == (110, 2)
    assert movement.opening.dtype == movement.tremor.dtype == np.float32
    assert 0 <= movement.opening.min() < movement.opening.max() <= 1
    assert np.abs(movement.tremor).max() < 0.1


def test_the_same_generator_gives_the_same_movement() -> None:
    assert np.array_equal(draw(2, 5).opening, draw(2, 5).opening)
    assert not np.array_equal(draw(2, 5).opening, draw(2, 6).opening)


def test_taps_grow_fewer_with_every_grade() -> None:
    means = [np.mean([taps(draw(grade, seed)) for seed in range(40)]) for grade in GRADES]
    assert all(milder > worse for milder, worse in pairwise(means))
    assert means[0] > 2 * means[4]


def test_amplitude_falls_over_a_severe_recording_and_hardly_over_a_normal_one() -> None:
    def kept(grade: int) -> float:
        opening = np.array([draw(grade, seed).opening for seed in range(60)])
        return float((np.ptp(opening[:, -37:], axis=1) / np.ptp(opening[:, :37], axis=1)).mean())

    assert kept(0) > 0.9
    assert kept(3) < 0.8


def test_severe_hands_halt() -> None:
    def share_with_halt(grade: int) -> float:
        """Six frames (0.24 s) below a third of the speed of a slow tap."""
        speed = np.array([np.abs(np.diff(draw(grade, seed).opening)) for seed in range(60)])
        slow = [np.convolve(row < 0.03, np.ones(6), "valid").max() == 6 for row in speed]
        return float(np.mean(slow))

    assert share_with_halt(0) < 0.1
    assert share_with_halt(3) > 0.4


def test_tremor_is_absent_at_grade_zero_and_grows() -> None:
    sizes = [np.mean([draw(grade, seed).tremor.std() for seed in range(40)]) for grade in GRADES]
    assert sizes[0] < 0.2 * sizes[2] < 0.2 * sizes[4]


@pytest.mark.parametrize("profile", [TAPPING, TURNING, TOES, LEGS])
def test_every_item_slows_with_every_grade_by_its_own_row(profile: Profile) -> None:
    cycles = [
        np.mean([np.ptp(draw(grade, seed, profile).cycles) for seed in range(40)])
        for grade in GRADES
    ]
    assert all(milder > worse for milder, worse in pairwise(cycles))
    # Of grade 0, nearly without halts: 110 frames last 4.4 s.
    assert cycles[0] / 4.4 == pytest.approx(profile.frequency_hz[0], rel=0.08)
    rows = [profile.ends_hz[0], *profile.frequency_hz, profile.ends_hz[1]]
    assert rows == sorted(rows, reverse=True)


def test_cycles_count_what_the_limb_does() -> None:
    movement = draw(0, 4)
    assert (np.diff(movement.cycles) >= 0).all()
    assert taps(movement) == pytest.approx(np.ptp(movement.cycles), abs=1.01)


def test_a_row_is_read_between_its_grades_and_held_outside() -> None:
    row = (0.0, 1.0, 3.0)
    assert at_severity(row, 0.5) == 0.5
    assert at_severity(row, 1.5) == 2.0
    assert at_severity(row, -1.0) == 0.0
    assert at_severity(row, 9.0) == 3.0
