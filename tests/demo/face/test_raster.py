import numpy as np
import pytest

from pdray.demo.face.raster import (
    Pen,
    blend,
    line_distance,
    paint_line,
    paint_polygon,
    paint_spot,
    polygon_distance,
    smooth,
    window,
)

SIZE = 24
WHITE = np.ones(3, np.float32)
# Bent inwards at one corner, and moved between two frames.
ARROW = np.array([[4, 4], [19, 11], [5, 19.5], [9, 12]], np.float32)
ARROWS = np.stack([ARROW, ARROW + np.float32(0.7)])


def black(num_frames: int = 1) -> np.ndarray:
    return np.zeros((3, num_frames, SIZE, SIZE), np.float32)


def distance_to_segment(point: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    along = np.clip(np.dot(point - a, b - a) / np.dot(b - a, b - a), 0, 1)
    return float(np.linalg.norm(point - a - along * (b - a)))


def slow_distance(point: np.ndarray, corners: np.ndarray) -> float:
    """Signed by the winding of the corners round the point, in float64."""
    corners = corners.astype(np.float64)
    ends = np.roll(corners, -1, axis=0)
    near = min(distance_to_segment(point, a, b) for a, b in zip(corners, ends, strict=True))
    to, on = corners - point, ends - point
    turns = np.arctan2(to[:, 0] * on[:, 1] - to[:, 1] * on[:, 0], (to * on).sum(axis=1)).sum()
    return -near if abs(turns) > np.pi else near


@pytest.mark.parametrize("order", [1, -1])
def test_polygon_distance_is_that_to_the_nearest_edge_negative_inside(order: int) -> None:
    place = window(ARROWS, SIZE)
    found = polygon_distance(ARROWS[:, ::order], place)
    for frame, row, column in np.ndindex(found.shape):
        point = np.array([place.x[0, 0, column], place.y[0, row, 0]], np.float64)
        assert found[frame, row, column] == pytest.approx(
            slow_distance(point, ARROWS[frame]), abs=2e-4
        )


def test_line_distance_is_that_to_the_nearest_segment_and_the_line_stays_open() -> None:
    place = window(ARROWS, SIZE)
    found = line_distance(ARROWS, place)
    for row, column in np.ndindex(found.shape[1:]):
        point = np.array([place.x[0, 0, column], place.y[0, row, 0]], np.float64)
        near = min(distance_to_segment(point, ARROW[k], ARROW[k + 1]) for k in range(3))
        assert found[0, row, column] == pytest.approx(near, abs=2e-4)


def test_a_painted_square_covers_its_area_wherever_it_lies() -> None:
    square = np.array([[[5, 5], [12, 5], [12, 12], [5, 12]]], np.float32)
    for shift in (0.0, 0.3, 0.5):
        picture = black()
        paint_polygon(picture, square + np.float32(shift), WHITE)
        assert picture[0].sum() == pytest.approx(49, abs=1.05)  # a corner counts as an edge
    picture = black()
    paint_polygon(picture, square, WHITE)
    assert picture[:, 0, 5:12, 5:12].min() == 1
    assert picture.sum() == pytest.approx(3 * 49, abs=1e-3)


def test_shapes_half_or_wholly_outside_the_picture_are_cut() -> None:
    square = np.array([[[-5, 5], [5, 5], [5, 12], [-5, 12]]], np.float32)
    picture = black()
    paint_polygon(picture, square, WHITE)
    assert picture[0].sum() == pytest.approx(35, abs=0.1)
    for away in (-100, 100):
        outside = black()
        paint_polygon(outside, square + np.float32(away), WHITE)
        paint_line(outside, square + np.float32(away), Pen(WHITE, 2))
        paint_spot(outside, square[:, 0] + np.float32(away), (3, 3), Pen(WHITE, 0))
        assert not outside.any()


def test_blend_leaves_the_picture_where_nothing_covers() -> None:
    picture = black() + np.float32(0.25)
    place = window(ARROW[None], SIZE)
    cover = np.zeros((1, place.y.size, place.x.size), np.float32)
    cover[0, 3, 3] = 0.5
    blend(picture, place, cover, np.array([1, 0.25, 0], np.float32))
    spot = picture[:, 0, place.rows.start + 3, place.columns.start + 3]
    assert spot.tolist() == [0.625, 0.25, 0.125]
    assert (picture == 0.25).sum() == picture.size - 2


def test_a_line_is_as_dark_as_it_is_wide_even_below_a_pixel() -> None:
    points = np.array([[[4, 12.2], [20, 12.2]]], np.float32)
    sums = []
    for radius in (0.1, 0.4, 1.5):
        picture = black()
        paint_line(picture, points, Pen(WHITE, radius, 0.5))
        sums.append(float(picture[0, 0, :, 8:16].sum() / 8))
    # Half opaque, twice the radius wide.
    assert sums == pytest.approx([0.1, 0.4, 1.5], rel=1e-3)


def test_a_soft_line_fades_and_is_as_dark_as_a_hard_one() -> None:
    points = np.array([[[4, 12.2], [20, 12.2]]], np.float32)
    for radius in (1.0, 3.0):
        picture = black()
        paint_line(picture, points, Pen(WHITE, radius, 0.5, softness=4.0))
        profile = picture[0, 0, :, 12]
        assert profile.sum() == pytest.approx(radius, rel=1e-3)
        assert np.count_nonzero((profile > 0) & (profile < profile.max())) >= 4


def test_a_spot_is_strongest_in_its_middle_and_ends_at_its_edge() -> None:
    picture = black()
    paint_spot(picture, np.array([[12.5, 12.5]], np.float32), (8, 4), Pen(WHITE, 0, 0.6))
    assert picture[0, 0, 12, 12] == pytest.approx(0.6)
    assert 0 < picture[0, 0, 12, 18] < 0.3
    assert picture[0, 0, 12, 21] == picture[0, 0, 17, 12] == 0


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_smooth_curve_goes_through_its_points(steps: int) -> None:
    curve = smooth(ARROWS, steps)
    assert curve.shape == (2, 3 * steps + 1, 2)
    np.testing.assert_allclose(curve[:, ::steps], ARROWS, atol=1e-5)


def test_a_smooth_curve_through_points_of_a_line_is_the_line() -> None:
    line = np.stack([np.arange(5), 2 * np.arange(5)], axis=-1)[None].astype(np.float32)
    curve = smooth(line, 4)[0]
    np.testing.assert_allclose(curve[:, 0], np.linspace(0, 4, 17), atol=1e-5)
    np.testing.assert_allclose(curve[:, 1], 2 * curve[:, 0], atol=1e-5)
