import numpy as np
import pytest

from pdray.demo.body.leg import TOES_DEGREES, lifted_figure, toes_figure
from pdray.demo.body.limb import Figure
from tests.fixtures.scene import SIZE, draw, held, opened, plain_look

LEGS = {"toes": toes_figure, "leg": lifted_figure}
EVERY_LEG = pytest.mark.parametrize("leg", sorted(LEGS))
OPENING = np.array([0.0, 0.3, 0.6, 1.0])


def moving_joints(figure: Figure) -> list[np.ndarray]:
    return [limb.joints for limb in figure.limbs if np.ptp(limb.joints, axis=0).max() > 1e-6]


@EVERY_LEG
def test_the_leg_is_large_and_inside_the_picture(leg: str) -> None:
    frame = draw(LEGS[leg], held(0.5), plain_look())[0]
    assert frame.shape == (SIZE, SIZE, 3)
    assert 0.1 < (frame[..., 1] > 60).mean() < 0.6


@EVERY_LEG
def test_moving_changes_the_picture_and_holding_does_not(leg: str) -> None:
    half, also_half = draw(LEGS[leg], held(0.5), plain_look()).astype(int)
    wide = draw(LEGS[leg], held(1.0), plain_look())[0].astype(int)
    assert np.array_equal(half, also_half)
    assert np.abs(wide - half).mean() > 0.5


@EVERY_LEG
def test_a_left_leg_mirrors_a_right_one(leg: str) -> None:
    right, left = (
        draw(LEGS[leg], held(0.6), plain_look(), side)[0].astype(int) for side in ("right", "left")
    )
    assert np.abs(right - left[:, ::-1]).max() <= 1
    assert np.abs(right - left).mean() > 3


def test_toes_rise_about_a_heel_that_stays() -> None:
    (foot,) = moving_joints(toes_figure(opened(OPENING), plain_look()))
    toes, heel = foot[:, 0, 0], foot[:, 3, 0]
    assert np.ptp(heel, axis=0).max() < 1e-6
    assert (np.diff(toes[:, 1]) > 0).all()
    turned = np.arctan2(*(foot[:, 4 - 1, 1] - heel).T[::-1])
    assert np.rad2deg(turned) == pytest.approx(OPENING * TOES_DEGREES, abs=1e-3)


def test_knee_and_foot_rise_and_the_other_leg_stays() -> None:
    moving = moving_joints(lifted_figure(opened(OPENING), plain_look()))
    assert len(moving) == 2  # one foot, one leg
    foot, leg = moving
    knee, ankle = leg[:, 0, 1], leg[:, 1, 1]
    assert (np.diff(knee[:, 1]) > 0.04).all()
    assert (np.diff(ankle[:, 1]) > 0.03).all()
    assert np.ptp(leg[:, 0, 0], axis=0).max() < 1e-6  # the hip
    assert foot[..., 1].min() > -0.05
    for bone in (0, 1):
        lengths = np.linalg.norm(leg[:, bone, 1] - leg[:, bone, 0], axis=1)
        assert np.ptp(lengths) < 1e-5


def test_a_body_that_trembles_moves_little() -> None:
    shift = toes_figure(held(0.5, shift=0.1), plain_look()).shift
    assert shift == pytest.approx(np.full((2, 2), 0.01))
