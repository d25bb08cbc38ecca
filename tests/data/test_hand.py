from dataclasses import replace

import numpy as np
import pytest

from pdray.data.hand import POSES, Appearance, draw_appearance, draw_frames
from pdray.data.movement import Movement

SIZE = 64


def plain_look() -> Appearance:
    """A dark flat wall, even light, no noise, no sway: only the hand is left."""
    return Appearance(
        skin=np.array([0.9, 0.7, 0.6], np.float32),
        background=np.full((SIZE, SIZE, 3), 0.1, np.float32),
        light=np.ones((SIZE, SIZE), np.float32),
        scale=1.0,
        rotation=0.0,
        centre=np.zeros(2, np.float32),
        build=1.0,
        curl=0.4,
        noise=0.0,
        sway_px=0.0,
    )


def held(opening: float, num_frames: int = 2, shift: float = 0.0) -> Movement:
    return Movement(
        opening=np.full(num_frames, opening, np.float32),
        tremor=np.full((num_frames, 2), shift, np.float32),
    )


def draw(item: str, movement: Movement, look: Appearance, side: str = "right") -> np.ndarray:
    return draw_frames(item, side, movement, look, np.random.default_rng(0))


@pytest.mark.parametrize("item", sorted(POSES))
def test_the_hand_is_large_and_inside_the_picture(item: str) -> None:
    frame = draw(item, held(0.5), plain_look())[0]
    covered = (frame[..., 0] > 60).mean()
    assert frame.shape == (SIZE, SIZE, 3)
    assert frame.dtype == np.uint8
    assert 0.15 < covered < 0.6


@pytest.mark.parametrize("item", sorted(POSES))
def test_opening_and_closing_changes_the_picture_and_holding_does_not(item: str) -> None:
    look = plain_look()
    half, also_half = draw(item, held(0.5), look).astype(int)
    wide = draw(item, held(0.9), look)[0].astype(int)
    assert np.array_equal(half, also_half)
    assert np.abs(wide - half).mean() > 3


@pytest.mark.parametrize("item", sorted(POSES))
def test_a_left_hand_mirrors_a_right_one(item: str) -> None:
    look = replace(plain_look(), rotation=0.2, centre=np.array([0.1, 0.05], np.float32))
    right = draw(item, held(0.6), look, "right")[0].astype(int)
    left = draw(item, held(0.6), look, "left")[0].astype(int)
    assert np.abs(right - left[:, ::-1]).max() <= 1
    assert np.abs(right - left).mean() > 3


def test_a_quarter_of_a_pixel_moves_the_edges_a_little() -> None:
    look = plain_look()
    pixel = 2.45 / SIZE
    still, quarter, whole = (
        draw("hand_opening", held(0.5, shift=part * pixel), look)[0].astype(int)
        for part in (0.0, 0.25, 1.0)
    )
    assert 0 < np.abs(quarter - still).mean() < 0.5 * np.abs(whole - still).mean()


def test_a_frame_does_not_depend_on_the_frames_drawn_with_it() -> None:
    opening = np.linspace(0, 1, 40, dtype=np.float32)
    rising = Movement(opening=opening, tremor=np.zeros((40, 2), np.float32))
    look = plain_look()
    assert np.array_equal(
        draw("finger_tapping", rising, look)[33], draw("finger_tapping", held(opening[33]), look)[0]
    )


def test_noise_differs_from_frame_to_frame_and_has_the_size_asked() -> None:
    first, second = draw("hand_opening", held(0.5), replace(plain_look(), noise=4.0)).astype(int)
    corner = (first - second)[:8, :8]
    assert 3 < corner.std() / np.sqrt(2) < 5


def test_skin_belongs_to_the_subject_and_the_wall_to_the_visit() -> None:
    def look(subject: int, visit: int) -> Appearance:
        return draw_appearance(
            np.random.default_rng(subject), np.random.default_rng([subject, visit]), size=SIZE
        )

    one, again, other_visit, other_subject = look(1, 1), look(1, 1), look(1, 2), look(2, 1)
    assert np.array_equal(one.background, again.background)
    assert np.array_equal(one.skin, other_visit.skin)
    assert not np.array_equal(one.background, other_visit.background)
    assert not np.array_equal(one.skin, other_subject.skin)
