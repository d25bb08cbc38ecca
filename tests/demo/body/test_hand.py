from dataclasses import replace

import numpy as np
import pytest

from pdray.demo.body.hand import opening_figure, tapping_figure, turning_figure
from tests.fixtures.scene import SIZE, draw, held, opened, plain_look

HANDS = {"tapping": tapping_figure, "opening": opening_figure, "turning": turning_figure}
EVERY_HAND = pytest.mark.parametrize("hand", sorted(HANDS))


@EVERY_HAND
def test_the_hand_is_large_and_inside_the_picture(hand: str) -> None:
    frame = draw(HANDS[hand], held(0.2), plain_look())[0]
    covered = (frame[..., 0] > 60).mean()
    assert frame.shape == (SIZE, SIZE, 3)
    assert frame.dtype == np.uint8
    assert 0.15 < covered < 0.6


@EVERY_HAND
def test_moving_changes_the_picture_and_holding_does_not(hand: str) -> None:
    look = plain_look()
    half, also_half = draw(HANDS[hand], held(0.5), look).astype(int)
    wide = draw(HANDS[hand], held(0.9), look)[0].astype(int)
    assert np.array_equal(half, also_half)
    assert np.abs(wide - half).mean() > 3


@EVERY_HAND
def test_a_left_hand_mirrors_a_right_one(hand: str) -> None:
    look = replace(plain_look(), rotation=0.2, centre=np.array([0.1, 0.05], np.float32))
    right = draw(HANDS[hand], held(0.6), look, "right")[0].astype(int)
    left = draw(HANDS[hand], held(0.6), look, "left")[0].astype(int)
    assert np.abs(right - left[:, ::-1]).max() <= 1
    assert np.abs(right - left).mean() > 3


def test_tremor_moves_the_whole_hand() -> None:
    look = plain_look()
    pixel = 2.45 / SIZE
    still = draw(opening_figure, held(0.5), look)[0]
    moved = draw(opening_figure, held(0.5, shift=pixel), look)[0]
    # One pixel to the right and one up; the last row and the first column come from outside.
    assert np.abs(moved[:-1, 1:].astype(int) - still[1:, :-1]).max() <= 1


def test_a_frame_does_not_depend_on_the_frames_drawn_with_it() -> None:
    opening = np.linspace(0, 1, 40, dtype=np.float32)
    rising = draw(tapping_figure, opened(opening), plain_look())
    assert np.array_equal(rising[33], draw(tapping_figure, held(opening[33]), plain_look())[0])


def test_a_turned_hand_has_its_thumb_on_the_other_side_and_is_narrow_between() -> None:
    palm, edge, back = (
        (draw(turning_figure, held(opening), plain_look())[0, ..., 0] > 60)
        for opening in (0.0, 0.5, 1.0)
    )
    assert np.array_equal(palm, back[:, ::-1])
    assert edge.sum() < 0.7 * palm.sum()
    assert (palm != back).mean() > 0.05
