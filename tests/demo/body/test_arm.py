from dataclasses import replace

import numpy as np
import pytest

from pdray.demo.body.arm import FORE, NOSE, TARGET, UPPER, held_figure, reaching_figure
from pdray.demo.body.limb import Appearance, Figure
from pdray.demo.illness.movement import Movement
from tests.fixtures.scene import SIZE, draw, held, opened, plain_look

ARMS = {"held": held_figure, "reaching": reaching_figure}
EVERY_ARM = pytest.mark.parametrize("arm", sorted(ARMS))
OPENING = np.linspace(0, 1, 9)


def bones(figure: Figure) -> np.ndarray:
    """Return (N, 4, 2) shoulder, elbow, wrist and knuckles."""
    limbs = figure.limbs[-7:-4] if len(figure.limbs) == 11 else figure.limbs[-4:-1]
    sleeve, forearm, palm = (limb.joints[:, 0] for limb in limbs)
    assert np.array_equal(sleeve[:, 1], forearm[:, 0])
    assert np.array_equal(forearm[:, 1], palm[:, 0])
    return np.stack([sleeve[:, 0], sleeve[:, 1], forearm[:, 1], palm[:, 1]], axis=1)


def tip(figure: Figure) -> np.ndarray:
    return figure.limbs[-1].joints[:, 0, 1]


@EVERY_ARM
def test_the_person_is_large_and_inside_the_picture(arm: str) -> None:
    frame = draw(ARMS[arm], held(0.5), plain_look())[0]
    assert frame.shape == (SIZE, SIZE, 3)
    assert 0.15 < (frame[..., 0] > 60).mean() < 0.6


@EVERY_ARM
def test_a_left_arm_mirrors_a_right_one(arm: str) -> None:
    right, left = (
        draw(ARMS[arm], held(0.6), plain_look(), side)[0].astype(int) for side in ("right", "left")
    )
    assert np.abs(right - left[:, ::-1]).max() <= 1
    assert np.abs(right - left).mean() > 3


@EVERY_ARM
@pytest.mark.parametrize("curl", [0.1, 0.9])
def test_bones_keep_their_length_and_only_the_arm_moves(arm: str, curl: float) -> None:
    figure = ARMS[arm](opened(OPENING), replace(plain_look(), curl=curl))
    joints = bones(figure)
    lengths = np.linalg.norm(np.diff(joints, axis=1), axis=2)
    assert lengths == pytest.approx(np.tile([UPPER, FORE, 0.09], (len(OPENING), 1)), abs=1e-5)
    moving = [limb for limb in figure.limbs if np.ptp(limb.joints, axis=0).max() > 1e-6]
    assert len(moving) == {"held": 7, "reaching": 4}[arm]


def test_the_held_arm_rises_as_it_opens_and_stays_out() -> None:
    tips = tip(held_figure(opened(OPENING), plain_look()))
    assert (np.diff(tips[:, 1]) > 0).all()
    assert (tips[:, 0] > 0.6).all()
    assert np.abs(tips[:, 1]).max() < 0.2


@pytest.mark.parametrize("curl", [0.1, 0.9])
def test_the_finger_goes_from_the_nose_to_the_target(curl: float) -> None:
    tips = tip(reaching_figure(opened(OPENING), replace(plain_look(), curl=curl)))
    assert tips[0] == pytest.approx(np.array(NOSE), abs=0.005)
    assert tips[-1] == pytest.approx(np.array(TARGET), abs=0.005)
    straight = NOSE[1] + (TARGET[1] - NOSE[1]) * OPENING
    assert (tips[1:-1, 1] < straight[1:-1]).all()


@EVERY_ARM
def test_a_tremor_shows_at_the_tips_as_large_as_it_is(arm: str) -> None:
    def trembling(look: Appearance) -> np.ndarray:
        still, up = held(0.5), held(0.5)
        up = Movement(up.opening, np.array([(0.0, 0.02)] * 2, np.float32), up.cycles)
        return tip(ARMS[arm](up, look)) - tip(ARMS[arm](still, look))

    shift = trembling(plain_look())
    assert shift[:, 1] == pytest.approx(0.02, rel=0.15)
    assert np.abs(shift[:, 0]).max() < 0.004
