from dataclasses import replace

import numpy as np
import pytest

from pdray.data.face.points import INDEX
from pdray.demo.face.head import (
    Plane,
    Scene,
    paint_body,
    paint_glasses,
    paint_hair,
    paint_head,
    plane_between,
)
from pdray.demo.face.look import Look, draw_look
from pdray.demo.face.movement import draw_expression
from pdray.demo.face.shape import MIDDLE_Y, Placement, chin_of, draw_shape, place_points

SIZE = 160
UNIT = SIZE / 4


def scene(seed: int = 4, turn: tuple = (0.1, 0.0, 0.1), **changes: object) -> Scene:
    """Two frames before a black wall, the second three pixels to the right and 5 degrees on."""
    shape = draw_shape(np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    expression = draw_expression(0, 1.0, rng, num_frames=2, fps=5)
    pivot = np.array([[80.0, 82.0], [83.0, 82.0]])
    placement = Placement(UNIT, pivot, np.array([turn, (turn[0], turn[1], turn[2] + 0.09)]))
    points, _ = place_points(shape, expression, placement)
    picture = np.zeros((3, 2, SIZE, SIZE), np.float32)
    return Scene(shape, look(**changes), placement, chin_of(shape, expression), points, picture)


def look(**changes: object) -> Look:
    drawn = draw_look(np.random.default_rng(0), np.random.default_rng(0), size=SIZE)
    white = np.ones(3, np.float32)
    return replace(
        drawn, **{"skin": white, "hair": white, "clothes": white, "lamp": (0.0, 0.0)} | changes
    )


def whole(one: Scene) -> Plane:
    return plane_between(one, (-9, -9), (9, 9))


def at(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return (N, P) of (N, H, W) between its pixels, whose centres stand at halves."""
    x, y = (points - 0.5)[..., 0], (points - 0.5)[..., 1]
    left, top = x.astype(int), y.astype(int)
    frame = np.arange(len(points))[:, None]
    right, down = x - left, y - top
    upper = picture[frame, top, left] * (1 - right) + picture[frame, top, left + 1] * right
    lower = picture[frame, top + 1, left] * (1 - right) + picture[frame, top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


@pytest.mark.parametrize("seed", range(4))
def test_contour_landmarks_lie_on_the_edge_of_the_painted_head(seed: int) -> None:
    one = scene(seed)
    paint_head(one, whole(one))
    contour = one.points[:, :33]
    middle = one.placement.pivot[:, None].astype(np.float32)
    away = (contour - middle) / np.linalg.norm(contour - middle, axis=-1, keepdims=True)
    covered = one.picture[0] > 0
    inner, edge, outer = (at(one.picture[0], contour + px * away) for px in (-2.5, 0.0, 2.5))
    assert covered.any()
    assert inner.min() > 0.7
    assert outer.max() == 0
    # Half of the rim's brightness, which is 0.84 of the skin's.
    assert edge.mean() == pytest.approx(0.42, abs=0.05)
    assert edge.min() > 0.2
    assert edge.max() < 0.65


def test_plane_counts_from_the_middle_of_the_head_without_its_roll() -> None:
    one = scene(turn=(0, 0, 0.4))
    plane = whole(one)
    ends = one.placement.on_plane(np.tile([[(0.0, MIDDLE_Y), (0.5, 1.0)]], (2, 1, 1)))
    np.testing.assert_allclose(at(plane.u, ends), [[0, 0.5]] * 2, atol=1e-4)
    np.testing.assert_allclose(at(plane.v, ends), [[0, 1.0 - MIDDLE_Y]] * 2, atol=1e-4)


def test_between_keeps_the_rows_that_show_a_range_and_drops_the_others() -> None:
    plane = whole(scene())
    part = plane.between(-0.5, 0.5)
    assert 0.9 * UNIT < part.v.shape[1] < 2.2 * UNIT
    rows = slice(part.place.rows.start, part.place.rows.stop)
    np.testing.assert_array_equal(plane.v[:, rows], part.v)
    outside = np.delete(plane.v, np.arange(SIZE)[rows], axis=1)
    assert not ((outside > -0.5) & (outside < 0.5)).any()
    assert plane.between(50.0, 60.0).v.size == 0


def test_ellipse_is_the_distance_near_its_edge_and_outside_far_away() -> None:
    one = scene(turn=(0, 0, 0))
    plane = whole(one)
    distance = plane.ellipse(0.2, (0.9, 1.4))
    for angle in np.linspace(0, 2 * np.pi, 16):
        on_edge = np.array([0.9 * np.cos(angle), MIDDLE_Y + 0.2 + 1.4 * np.sin(angle)])
        point = one.placement.on_plane(np.tile(on_edge, (2, 1, 1)))
        assert np.abs(at(distance, point)).max() < 0.1
    corner = distance[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert corner.min() > 10
    assert distance.min() < -15
    slope = np.hypot(*np.gradient(distance[0]))[np.abs(distance[0]) < 1]
    assert slope.min() > 0.7
    assert slope.max() < 1.3


def test_hair_is_over_the_forehead_and_not_over_the_face() -> None:
    one = scene()
    paint_hair(one, whole(one))
    hair = one.picture[0]
    for name in ("nose_tip", "left_eye_center", "right_eye_center", "contour_chin"):
        assert at(hair, one.points[:, [INDEX[name]]]).max() == 0
    top = one.placement.on_plane(np.tile([0.0, MIDDLE_Y - 1.55], (2, 1, 1)))
    assert at(hair, top).min() > 0.5


def test_long_hair_falls_to_its_length_and_short_hair_shows_the_ears() -> None:
    def painted(**changes: object) -> np.ndarray:
        black = np.zeros(3, np.float32)
        one = scene(turn=(0, 0, 0), clothes=black, **changes)
        paint_body(one, whole(one))
        beside = one.placement.on_plane(
            np.tile([[(1.09 * one.shape.width, y) for y in (0.1, 0.4, 1.0)]], (2, 1, 1))
        )
        return at(one.picture[0], beside)[0]

    black = np.zeros(3, np.float32)
    assert (painted(hair_length=1.4, skin=black) > 0.6).all()
    assert painted(hair_length=0.7, skin=black)[2] == 0
    assert painted(hair_length=-0.2, hair=black)[1] > 0.8  # the ear
    assert painted(hair_length=-0.2, skin=black)[1] == 0


def test_shoulders_reach_the_lower_end_of_the_picture() -> None:
    one = scene(turn=(0, 0, 0), hair_length=-0.2)
    paint_body(one, whole(one))
    assert one.picture[0, 0, -1, SIZE // 2 - 35 : SIZE // 2 + 35].min() > 0.6
    assert one.picture[0, :, :10].max() == 0


def test_the_lamp_makes_one_half_of_the_head_brighter() -> None:
    one = scene(turn=(0, 0, 0), lamp=(0.2, 0.0))
    paint_head(one, whole(one))
    left, right = (at(one.picture[0], one.points[:, [INDEX[f"{side}_eye_center"]]])
                   for side in ("left", "right"))  # fmt: skip
    assert right - left == pytest.approx(0.2, abs=0.03)


def test_glasses_are_rings_round_the_eyes() -> None:
    one = scene(turn=(0, 0, 0))
    one.picture[:] = 1
    paint_glasses(one)
    eyes = one.points[:, [INDEX["left_eye_center"], INDEX["right_eye_center"]]]
    assert at(one.picture[0], eyes).min() == 1
    dark = one.picture[0] < 0.6
    assert 100 < dark[0].sum() < 0.1 * SIZE**2
    x, y = np.nonzero(dark[0])[::-1]
    assert (np.abs(y - eyes[0, 0, 1]) < 0.6 * UNIT).all()
    assert x.min() < eyes[0, 0, 0] - 0.3 * UNIT
    assert x.max() > eyes[0, 1, 0] + 0.3 * UNIT
