"""Movement that is split, measured and scaled, against loops over frames and points in float64."""

import cmath
from dataclasses import replace

import numpy as np
import pytest

from pdray.data.face.damping import (
    PARTS,
    at_strength,
    damped,
    damping_factors,
    movement_amounts,
    movement_ratios,
    split_movement,
)
from pdray.data.face.points import LANDMARKS
from pdray.data.face.shape import GROUPS, STABLE, align_frames
from tests.fixtures.landmark_made import face, moved, track_of

NUM = 30


def waving(num: int = NUM, seed: int = 0) -> np.ndarray:
    """A face of which each point moves on its own, on a head that sways, rolls and comes nearer."""
    rng = np.random.default_rng(seed)
    time = np.arange(num)[:, None, None] / 10
    waves = 2.0 * np.sin(2 * np.pi * (rng.uniform(0.3, 1.5, (1, 106, 2)) * time + rng.random()))
    beat = np.sin(2 * np.pi * 0.4 * time[:, 0, 0])
    return moved(
        face(num) + waves,
        turn=0.1 * beat,
        scale=1 + 0.05 * beat,
        shift=np.stack([12 * beat, 5 * beat], axis=1),
    )


def fitted(track):
    """Return per frame a, b and the fitted face, so that picture = a * face + b."""
    shapes = align_frames(track)
    found = []
    for points, picture in zip(shapes.points, track.points.astype(np.float64), strict=True):
        x, y = points[:, 0] + 1j * points[:, 1], picture[:, 0] + 1j * picture[:, 1]
        (a, b), *_ = np.linalg.lstsq(np.stack([x, np.ones(106)], axis=1), y, rcond=None)
        found.append((a, b, x))
    return shapes, found


def slow_damped(track, factors):
    """The formula of the module, frame by frame and point by point."""
    shapes, frames = fitted(track)
    part_of = {n: k for k, numbers in enumerate(GROUPS.values()) for n in numbers.tolist()}
    points = np.zeros((len(frames), 106, 2))
    for run in sorted(set(shapes.run.tolist())):
        members = [n for n in range(len(frames)) if shapes.run[n] == run]
        mean = [sum(frames[n][k] for n in members) / len(members) for k in range(3)]
        for n in members:
            a, b, x = frames[n]
            place = mean[1] + factors[-1] * (b - mean[1])
            ratio = a / mean[0]
            turn = (
                mean[0]
                * abs(ratio) ** factors[-1]
                * cmath.exp(1j * factors[-1] * cmath.phase(ratio))
            )
            for point in range(106):
                still = mean[2][point]
                z = place + turn * (still + factors[part_of[point]] * (x[point] - still))
                points[n, point] = z.real, z.imag
    return points


def two_shots():
    points = waving()
    points[NUM // 2 :] = moved(
        points[NUM // 2 :, :, :],
        turn=np.full(NUM - NUM // 2, 0.5),
        scale=np.full(NUM - NUM // 2, 1.3),
        shift=np.full((NUM - NUM // 2, 2), 30.0),
    )
    others = np.setdiff1d(np.arange(106), STABLE)
    points[NUM // 2 :, others] += 30.0  # another face: a cut
    return track_of(points)


@pytest.mark.parametrize("head", [1.0, 0.3])
def test_each_part_is_scaled_about_its_mean_in_each_run(head):
    track = two_shots()
    factors = np.array([0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, head])
    assert len(set(align_frames(track).run.tolist())) == 2
    got = damped(split_movement(track), factors)
    np.testing.assert_allclose(got, slow_damped(track, factors), atol=1e-6)


def test_strength_0_is_the_source_and_factor_0_stands_still():
    track = track_of(waving())
    movement = split_movement(track)
    source = damped(movement, at_strength(np.zeros(8), 0.0))
    np.testing.assert_allclose(source, track.points, atol=1e-4)
    still = damped(movement, at_strength(np.zeros(8), 1.0))
    np.testing.assert_allclose(still, np.broadcast_to(still[0], still.shape), atol=1e-9)
    np.testing.assert_array_equal(at_strength(np.array([0.2, 1.0]), 0.25), [0.8, 1.0])


def test_head_movement_alone_is_left_as_it_is():
    sway = np.stack([np.linspace(0, 40, NUM), np.zeros(NUM)], axis=1)
    swayed = face(NUM) + sway[:, None]
    got = damped(split_movement(track_of(swayed)), [0, 0, 0, 0, 0, 0, 0, 1])
    np.testing.assert_allclose(got, swayed, atol=1e-3)


def test_absent_points_and_frames_stay_absent_and_move_nothing_else():
    points = waving()
    points[4] = np.nan
    points[7, GROUPS["mouth"][0]] = np.nan
    track = track_of(points)
    got = damped(split_movement(track), np.full(8, 0.5))
    np.testing.assert_array_equal(np.isnan(got), np.isnan(points))
    assert np.isfinite(movement_amounts(split_movement(track))).all()


def test_whole_pixels_stay_whole():
    track = track_of(np.round(waving()))
    got = damped(split_movement(track), np.full(8, 0.5))
    np.testing.assert_array_equal(got, np.round(got))
    assert not np.array_equal(got, track.points)


def test_points_of_another_order_are_those_of_their_names():
    track = track_of(waving())
    order = np.random.default_rng(2).permutation(106)
    other = replace(track, points=track.points[:, order], names=tuple(LANDMARKS[n] for n in order))
    factors = np.linspace(0, 1, 8)
    np.testing.assert_allclose(
        damped(split_movement(other), factors), damped(split_movement(track), factors), atol=1e-9
    )


def slow_amounts(track):
    shapes, frames = fitted(track)
    runs = [[n for n in range(len(frames)) if shapes.run[n] == r] for r in set(shapes.run)]
    found = []
    for numbers in GROUPS.values():
        squares = sum(
            abs(frames[n][2][point] - sum(frames[m][2][point] for m in run) / len(run)) ** 2
            for run in runs for n in run for point in numbers
        )  # fmt: skip
        found.append((squares / sum((len(run) - 1) * len(numbers) for run in runs)) ** 0.5)
    squares = 0.0
    for run in runs:
        a, b = (sum(frames[n][k] for n in run) / len(run) for k in (0, 1))
        for n in run:
            squares += abs(frames[n][1] - b) ** 2 / abs(a) ** 2
            squares += abs(cmath.log(frames[n][0] / a)) ** 2
    return [*found, (squares / sum(len(run) - 1 for run in runs)) ** 0.5]


def test_amounts_are_standard_deviations_pooled_over_runs():
    track = two_shots()
    np.testing.assert_allclose(
        movement_amounts(split_movement(track)), slow_amounts(track), rtol=1e-6
    )


def test_half_the_movement_has_half_the_amount():
    movement = split_movement(track_of(waving()))
    half = split_movement(track_of(damped(movement, np.full(8, 0.5))))
    # The fit of the frames to their median face is a little another one.
    np.testing.assert_allclose(movement_amounts(half), movement_amounts(movement) / 2, rtol=0.03)


def test_one_frame_has_no_amount():
    assert np.isnan(movement_amounts(split_movement(track_of(face(1))))).all()


def test_ratios_are_of_medians_in_which_each_subject_counts_once():
    amounts = np.array([[2.0], [4.0], [9.0], [9.0], [9.0], [1.0], [np.nan]])
    subjects = ["A", "B", "C", "C", "C", "D", "E"]
    got = movement_ratios(amounts, [0, 0, 0, 0, 0, 1, 1], subjects, num_classes=3)
    np.testing.assert_allclose(got, [[1.0], [0.25], [np.nan]])


def test_factors_are_at_most_1_and_leave_the_head_unless_asked():
    ratios = np.array([0.5, 1.7, np.nan, 0.0, 0.1, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(
        damping_factors(ratios, head=True), [0.5, 1, 1, 0, 0.1, 0.2, 0.3, 0.4]
    )
    assert damping_factors(ratios, head=False)[PARTS.index("head")] == 1
