"""Pictures of limbs; that they stay as they are drawn is checked in ``test_cohort.py``."""

from dataclasses import replace

import numpy as np
import pytest

from pdray.demo.body.arm import FORE, NOSE, TARGET, UPPER, reaching_figure
from pdray.demo.body.gait import SHIN, THIGH, walking_figure
from pdray.demo.body.limb import (
    Appearance,
    Figure,
    View,
    draw_appearance,
    draw_frames,
    limb_along,
    still,
)
from pdray.demo.cohort import MOTIONS
from pdray.demo.illness.movement import Movement

SIZE, UNITS = 64, 2.0
SLANTED = [(-0.5, -0.3), (0.6, 0.2)]
EVERY_ITEM = pytest.mark.parametrize("item", MOTIONS)


def plain_look() -> Appearance:
    """A dark flat wall, even light, no noise, no sway: only the person is left."""
    drawn = draw_appearance(np.random.default_rng(0), np.random.default_rng(0), size=SIZE)
    return replace(
        drawn,
        skin=np.array([0.9, 0.7, 0.6], np.float32),
        background=np.full((SIZE, SIZE, 3), 0.1, np.float32),
        light=np.ones((SIZE, SIZE), np.float32),
        scale=1.0, rotation=0.0, centre=np.zeros(2, np.float32), build=1.0, curl=0.4, noise=0.0,
        sway_px=0.0, cloth=np.array([0.5, 0.6, 0.7], np.float32), faces_left=False,
    )  # fmt: skip


def movement(opening: np.ndarray) -> Movement:
    tremor = np.zeros((len(opening), 2), np.float32)
    return Movement(opening.astype(np.float32), tremor, np.linspace(0, 1, len(opening)))


def draw(item: str, opening: float, look: Appearance, side: str = "right") -> np.ndarray:
    figure = MOTIONS[item].figure(movement(np.full(2, opening)), look)
    return draw_frames(figure, side, look, np.random.default_rng(0))[0].astype(int)


@EVERY_ITEM
def test_the_person_is_large_and_moves_and_a_left_one_mirrors_a_right_one(item: str) -> None:
    look = replace(plain_look(), rotation=0.2, centre=np.array([0.1, 0.05], np.float32))
    right, left, wide = (
        draw(item, opening, look, side)
        for opening, side in ((0.5, "right"), (0.5, "left"), (0.9, "right"))
    )
    assert right.shape == (SIZE, SIZE, 3)
    assert 0.07 < (right[..., 1] > 60).mean() < 0.6
    assert np.abs(wide - right).mean() > 0.5
    assert np.abs(right - left[:, ::-1]).max() <= 1
    assert np.abs(right - left).mean() > 3
    # Who has no side faces as the visit does.
    assert np.array_equal(draw(item, 0.5, look, ""), right)
    assert np.array_equal(draw(item, 0.5, replace(look, faces_left=True), ""), left)


def test_a_capsule_covers_the_pixels_that_lie_in_it() -> None:
    (ax, ay), (bx, by) = SLANTED
    limb = limb_along(still(SLANTED, 2), (0.3, 0.15), 1.0)
    figure = Figure((limb,), np.zeros((2, 2), np.float32), View((0.0, 0.0), UNITS, 0.5))
    frame = draw_frames(figure, "right", plain_look(), np.random.default_rng(0))[0, ..., 0]
    inside = np.zeros((SIZE, SIZE), bool)
    for row, column in np.ndindex(SIZE, SIZE):  # every point against every pixel, in float64
        x = (column - (SIZE - 1) / 2) * UNITS / SIZE
        y = ((SIZE - 1) / 2 - row) * UNITS / SIZE
        along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2)
        along = min(max(along, 0.0), 1.0)
        gap = np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay))
        inside[row, column] = gap < 0.3 + along * (0.15 - 0.3)
    # Skin is 0.9 and its rim at least 0.6 of it; the wall is 0.1: half of an edge pixel is between.
    assert ((frame > 255 * (0.1 + 0.9 * 0.6) / 2) != inside).mean() < 0.01


def test_a_limb_outside_the_picture_is_not_seen_and_noise_has_the_size_asked() -> None:
    away = limb_along(still([(5.0, 5.0), (6.0, 5.0)], 2), (0.1, 0.1), 1.0)
    figure = Figure((away,), np.zeros((2, 2), np.float32), View((0.0, 0.0), UNITS, 0.5))
    assert np.ptp(draw_frames(figure, "right", plain_look(), np.random.default_rng(0))) == 0
    noisy = replace(plain_look(), noise=4.0)
    first, second = draw_frames(figure, "right", noisy, np.random.default_rng(0)).astype(int)
    assert 3 < (first - second).std() / np.sqrt(2) < 5


def test_the_finger_goes_from_the_nose_to_the_target() -> None:
    opening = np.linspace(0, 1, 9)
    *_, forearm, palm, finger = reaching_figure(movement(opening), plain_look()).limbs
    tips = finger.joints[:, 0, 1]
    assert tips[0] == pytest.approx(np.array(NOSE), abs=0.005)
    assert tips[-1] == pytest.approx(np.array(TARGET), abs=0.005)
    lengths = np.linalg.norm(forearm.joints[:, 0, 1] - forearm.joints[:, 0, 0], axis=1)
    assert lengths == pytest.approx(np.full(9, FORE), abs=1e-5)
    assert np.array_equal(forearm.joints[:, 0, 1], palm.joints[:, 0, 0])
    assert np.linalg.norm(forearm.joints[:, 0, 1], axis=1).max() < UPPER + FORE


def test_a_walker_keeps_the_length_of_the_bones_and_a_foot_on_the_floor() -> None:
    figure = walking_figure(movement(np.full(50, 0.8)), plain_look())
    # The far foot and leg stand before the near ones among the limbs.
    for place in (5, 9):
        leg = figure.limbs[place].joints
        lengths = np.linalg.norm(leg[:, :, 1] - leg[:, :, 0], axis=2)
        assert lengths == pytest.approx(np.tile([THIGH, SHIN], (50, 1)), abs=1e-5)
    feet = [figure.limbs[place].joints[..., 1].min(axis=(1, 2)) for place in (4, 8)]
    assert np.min(feet, axis=0) == pytest.approx(0.045, abs=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_skin_is_the_subjects_and_stands_out_from_the_wall_of_the_visit(seed: int) -> None:
    look, other_visit = (
        draw_appearance(np.random.default_rng(seed), np.random.default_rng([seed, visit]), size=8)
        for visit in (1, 2)
    )
    assert np.array_equal(look.skin, other_visit.skin)
    assert not np.array_equal(look.background, other_visit.background)
    wall = np.median(look.background)
    assert abs(look.skin.mean() - wall) > 0.1
    assert abs(look.cloth.mean() - wall) > 0.1
    assert (look.skin.mean() > wall) == (look.cloth.mean() > wall)
