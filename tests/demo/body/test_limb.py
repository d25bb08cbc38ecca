from dataclasses import replace

import numpy as np
import pytest

from pdray.demo.body.limb import (
    PALM_UNITS,
    Appearance,
    Figure,
    Limb,
    View,
    chain,
    draw_appearance,
    draw_frames,
    limb_along,
    still_limb,
)
from tests.fixtures.scene import SIZE, plain_look

UNITS = 2.0
VIEW = View(middle=(0.0, 0.0), units=UNITS, tilt=0.5)
SLANTED = [(-0.5, -0.3), (0.6, 0.2)]


def figure(*limbs: Limb, num_frames: int = 2, shift: float = 0.0) -> Figure:
    return Figure(limbs, np.full((num_frames, 2), shift, np.float32), VIEW)


def bar(surface: str = "skin", tone: float = 1.0, num_frames: int = 2) -> Limb:
    return still_limb(SLANTED, (0.3, 0.15), tone, surface, num_frames=num_frames)  # type: ignore[arg-type]


def draw(what: Figure, look: Appearance, side: str = "right") -> np.ndarray:
    return draw_frames(what, side, look, np.random.default_rng(0))


def covered_slowly(size: int) -> np.ndarray:
    """Where a pixel's centre lies inside the bar: every point against every pixel, in float64."""
    (ax, ay), (bx, by) = SLANTED
    inside = np.zeros((size, size), bool)
    for row, column in np.ndindex(size, size):
        x = (column - (size - 1) / 2) * UNITS / size
        y = ((size - 1) / 2 - row) * UNITS / size
        along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2)
        along = min(max(along, 0.0), 1.0)
        gap = np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay))
        inside[row, column] = gap < 0.3 + along * (0.15 - 0.3)
    return inside


def test_a_capsule_covers_the_pixels_that_lie_in_it() -> None:
    look = plain_look()
    frame = draw(figure(bar()), look)[0, ..., 0].astype(float)
    # Skin is 0.9 and its rim at least 0.6 of it; the wall is 0.1: half of an edge pixel is between.
    drawn = frame > 255 * (0.1 + 0.9 * 0.6) / 2
    assert (drawn != covered_slowly(SIZE)).mean() < 0.01


def test_the_same_rim_to_rim_over_chunks_of_frames() -> None:
    frames = draw(figure(bar(num_frames=40), num_frames=40), plain_look())
    assert frames.shape == (40, SIZE, SIZE, 3)
    assert frames.dtype == np.uint8
    assert (frames == frames[0]).all()


def test_a_limb_outside_the_picture_is_not_seen() -> None:
    away = still_limb([(5.0, 5.0), (6.0, 5.0)], (0.1, 0.1), 1.0, "skin", num_frames=2)
    assert np.ptp(draw(figure(away), plain_look())) == 0


def test_a_quarter_of_a_pixel_moves_the_edges_a_little() -> None:
    pixel = UNITS / SIZE
    still, quarter, whole = (
        draw(figure(bar(), shift=part * pixel), plain_look())[0].astype(int)
        for part in (0.0, 0.25, 1.0)
    )
    assert 0 < np.abs(quarter - still).mean() < 0.5 * np.abs(whole - still).mean()


def test_left_mirrors_right_and_no_side_faces_as_the_visit_does() -> None:
    look = replace(plain_look(), rotation=0.3, centre=np.array([0.1, 0.05], np.float32))
    right, left, none = (
        draw(figure(bar()), look, side)[0].astype(int) for side in ("right", "left", "")
    )
    assert np.abs(right - left[:, ::-1]).max() <= 1
    assert np.abs(right - left).mean() > 3
    assert np.array_equal(none, right)
    turned = draw(figure(bar()), replace(look, faces_left=True), "")[0]
    assert np.array_equal(turned, left)


def test_rotation_shows_by_the_share_of_the_view() -> None:
    turned = replace(plain_look(), rotation=0.4)
    half = draw(figure(bar()), turned)[0]
    by_hand = 0.2  # the view shows half of it
    spun = [
        (x * np.cos(by_hand) - y * np.sin(by_hand), x * np.sin(by_hand) + y * np.cos(by_hand))
        for x, y in SLANTED
    ]
    limb = still_limb(spun, (0.3, 0.15), 1.0, "skin", num_frames=2)
    upright = draw(figure(limb), plain_look())[0]
    assert np.abs(half.astype(int) - upright).max() <= 1


def test_the_visit_moves_a_figure_by_the_same_share_of_any_picture() -> None:
    look = replace(plain_look(), centre=np.array([0.1, 0.0], np.float32))
    moved = draw(figure(bar()), look)[0].astype(int)
    shifted = draw(figure(bar(), shift=0.0), plain_look())[0].astype(int)
    right = [(x + 0.1 * UNITS / PALM_UNITS, y) for x, y in SLANTED]
    limb = still_limb(right, (0.3, 0.15), 1.0, "skin", num_frames=2)
    assert np.abs(moved - draw(figure(limb), plain_look())[0]).max() <= 1
    assert np.abs(moved - shifted).mean() > 1


@pytest.mark.parametrize(
    ("surface", "colour"),
    [("skin", (0.9, 0.7, 0.6)), ("cloth", (0.5, 0.6, 0.7)), ("room", (0.1, 0.1, 0.1))],
)
def test_a_limb_has_the_colour_of_its_surface(
    surface: str, colour: tuple[float, float, float]
) -> None:
    frame = draw(figure(bar(surface, tone=0.8)), plain_look())[0]
    middle = frame[SIZE // 2 + 2, SIZE // 2]
    assert np.abs(middle - 255 * 0.8 * np.array(colour)).max() < 2


def test_noise_differs_from_frame_to_frame_and_has_the_size_asked() -> None:
    first, second = draw(figure(bar()), replace(plain_look(), noise=4.0)).astype(int)
    corner = (first - second)[:8, :8]
    assert 3 < corner.std() / np.sqrt(2) < 5


def test_a_chain_goes_up_at_no_angle_and_ahead_at_a_right_one() -> None:
    zero = np.zeros(1, np.float32)
    joints = chain(zero, zero, np.array([[0.0, 90.0]]), np.array([2.0, 3.0]))
    assert joints.shape == (1, 3, 2)
    assert joints[0] == pytest.approx(np.array([(0, 0), (0, 2), (3, 2)]), abs=1e-6)


def test_limbs_join_end_to_end() -> None:
    points = [(0.0, 0.0), (1.0, 0.0), (1.0, 2.0)]
    limb = still_limb(points, (0.3, 0.2, 0.1), 0.9, "cloth", num_frames=4)
    assert limb.joints.shape == (4, 2, 2, 2)
    assert np.array_equal(limb.joints[3, 0, 1], limb.joints[3, 1, 0])
    assert limb.radii == pytest.approx(np.array([(0.3, 0.2), (0.2, 0.1)]))
    moving = limb_along(np.zeros((4, 3, 2), np.float32), np.array([0.3, 0.2, 0.1]), 0.9, "cloth")
    assert moving.joints.shape == limb.joints.shape
    assert np.array_equal(moving.radii, limb.radii)


def test_skin_belongs_to_the_subject_and_wall_and_clothes_to_the_visit() -> None:
    def look(subject: int, visit: int) -> Appearance:
        return draw_appearance(
            np.random.default_rng(subject), np.random.default_rng([subject, visit]), size=SIZE
        )

    one, again, other_visit, other_subject = look(1, 1), look(1, 1), look(1, 2), look(2, 1)
    assert np.array_equal(one.background, again.background)
    assert np.array_equal(one.cloth, again.cloth)
    assert np.array_equal(one.skin, other_visit.skin)
    assert not np.array_equal(one.background, other_visit.background)
    assert not np.array_equal(one.cloth, other_visit.cloth)
    assert not np.array_equal(one.skin, other_subject.skin)


@pytest.mark.parametrize("seed", range(20))
def test_person_and_clothes_stand_out_from_the_wall(seed: int) -> None:
    look = draw_appearance(np.random.default_rng(seed), np.random.default_rng([seed, 1]), size=SIZE)
    wall = np.median(look.background)
    assert abs(look.skin.mean() - wall) > 0.1
    assert abs(look.cloth.mean() - wall) > 0.1
    assert (look.skin.mean() > wall) == (look.cloth.mean() > wall)
