from dataclasses import replace

import numpy as np
import pytest

from pdray.data.face.points import INDEX
from pdray.data.face.portraits import (
    LACKS,
    MOUTH,
    SMALLEST,
    align_portraits,
    paste_change,
    take_portrait,
)
from pdray.data.face.shape import LEFT_EYE, RIGHT_EYE
from pdray.demo.face.interview import Interview, draw_face, draw_interview, draw_points
from pdray.demo.face.static_signs import draw_static_signs
from tests.fixtures.landmark_made import SIZE, face, moved, shaken

ABSENT, TURNED, OUTSIDE, SMALL = range(1, len(LACKS))
WIDE = (2000.0, 2000.0)


def rotate90(way: np.ndarray) -> np.ndarray:
    """A quarter turn to the left, of x to the right and y down."""
    return np.array([way[1], -way[0]])


def square(points: np.ndarray) -> np.ndarray:
    """The (4, 2) corners of Karras et al. 2018, appendix C, of one face, line by line.

    The mouth is the middle of the upper lip, in place of the middle between its corners.
    """
    e0, e1 = points[LEFT_EYE].mean(0), points[RIGHT_EYE].mean(0)
    mouth = points[INDEX["mouth_upper_lip_bottom"]]
    x_way = e1 - e0
    y_way = 0.5 * (e0 + e1) - mouth
    centre = 0.5 * (e0 + e1) - 0.1 * y_way
    side = max(4.0 * np.linalg.norm(x_way), 3.6 * np.linalg.norm(y_way))
    x = x_way - rotate90(y_way)
    x = x / np.linalg.norm(x)
    y = rotate90(x)  # up, as y_way
    return np.array([centre + side / 2 * (a * x + b * y) for b in (1, -1) for a in (-1, 1)])


def fitted(size: int, corners: np.ndarray) -> np.ndarray:
    """The similarity that takes a portrait's corners nearest to others, by least squares."""
    rows, values = [], []
    for (x, y), (u, v) in zip([(0, 0), (size, 0), (0, size), (size, size)], corners, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        values += [u, v]
    (a, b, right, down), *_ = np.linalg.lstsq(np.array(rows, float), np.array(values), rcond=None)
    return np.array([[a, -b, right], [b, a, down]])


def turned_by(matrix: np.ndarray) -> float:
    return float(np.arctan2(matrix[1, 0], matrix[0, 0]))


def applied(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def smooth(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A picture of slow waves, at any place, 0 to 255."""
    waves = [np.sin(x / 17 + k) * np.cos(y / (23 + k)) for k in range(3)]
    return 127.5 + 100 * np.stack(waves, axis=-1)


def picture(width: int, height: int) -> np.ndarray:
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.rint(smooth(x, y)).astype(np.uint8)


def drawn(seed: int, *, size: int = 160, num_frames: int = 3) -> Interview:
    rng = np.random.default_rng
    who = draw_face(rng(seed), rng(seed + 100), size=size)
    return draw_interview(1, who, rng(seed + 200), num_frames=num_frames, fps=10)


def test_square_is_that_of_the_paper_by_least_squares() -> None:
    faces = shaken(face(20), np.random.default_rng(0))
    got = align_portraits(faces, picture=WIDE, size=96)
    assert not got.lack.any()
    for matrix, points in zip(got.matrix, faces, strict=True):
        np.testing.assert_allclose(matrix, fitted(96, square(points)), atol=1e-9)


def test_rotation_is_that_which_brings_eyes_across_and_mouth_down_best() -> None:
    rng = np.random.default_rng(1)
    faces = shaken(face(5), rng) + rng.normal(scale=6.0, size=(5, 106, 2))
    got = align_portraits(faces, picture=WIDE, size=64).matrix
    angles = np.linspace(-np.pi, np.pi, 200_001)
    for matrix, points in zip(got, faces, strict=True):
        across = points[RIGHT_EYE].mean(0) - points[LEFT_EYE].mean(0)
        middle = (points[RIGHT_EYE].mean(0) + points[LEFT_EYE].mean(0)) / 2
        down = points[MOUTH].mean(0) - middle
        cos, sin = np.cos(angles), np.sin(angles)
        away = (cos - across[0]) ** 2 + (sin - across[1]) ** 2
        away += (-sin - down[0]) ** 2 + (cos - down[1]) ** 2
        assert turned_by(matrix) == pytest.approx(angles[np.argmin(away)], abs=5e-5)


def test_a_moved_face_has_the_moved_portrait() -> None:
    points = face()
    turn, scale, shift = np.array([0.7]), np.array([1.3]), np.array([[300.0, 250.0]])
    where = {"turn": turn, "scale": scale, "shift": shift}
    still, other = (
        align_portraits(one, picture=WIDE, size=128).matrix[0]
        for one in (points, moved(points, **where))
    )
    assert turned_by(other) - turned_by(still) == pytest.approx(0.7, abs=1e-12)
    corners = np.array([(0.0, 0.0), (128.0, 0.0), (31.0, 77.0)])
    expected = moved(applied(still, corners)[None], **where)[0]
    np.testing.assert_allclose(applied(other, corners), expected, atol=1e-9)


def test_eyes_and_mouth_of_the_usual_face_come_to_their_places() -> None:
    points = np.zeros((1, 106, 2))
    points[0, LEFT_EYE], points[0, RIGHT_EYE] = (300, 300), (390, 300)
    points[0, MOUTH] = (345, 400)  # 4 x 90 = 3.6 x 100: both fill the square
    matrix = align_portraits(points, picture=WIDE, size=72).matrix[0]
    np.testing.assert_allclose(matrix, [[5, 0, 165], [0, 5, 130]], atol=1e-12)
    # So a quarter of the side is between the eyes, in 34 of 72 rows; the mouth is in 54.
    np.testing.assert_allclose(applied(matrix, np.array([(27.0, 34.0)])), [(300, 300)])
    np.testing.assert_allclose(applied(matrix, np.array([(36.0, 54.0)])), [(345, 400)])


def test_a_blink_does_not_move_the_portrait() -> None:
    points = face(2)
    for side in ("left", "right"):
        for part in ("top", "upper_left_quarter", "upper_right_quarter", "pupil", "center"):
            points[1, INDEX[f"{side}_eye_{part}"], 1] += 20.0
    open_eyes, blink = align_portraits(points, picture=SIZE, size=96).matrix
    np.testing.assert_array_equal(open_eyes, blink)


def test_an_ill_face_has_the_size_of_the_same_face_when_healthy() -> None:
    """Else a network could read the grade from the zoom, as it could from the mouth's corners."""
    corners = [INDEX[f"mouth_{side}_corner"] for side in ("left", "right")]
    zooms, farther = [], []
    for number in range(20):
        rng = np.random.default_rng
        who = draw_face(rng([number, 1]), rng([number, 2]), size=112)
        who = replace(who, signs=draw_static_signs(1.0, rng([number, 3]), rng([number, 4])))
        healthy, ill = (
            draw_points(grade, one, rng([number, 5]), num_frames=2, fps=10)[0]
            for grade, one in ((0, who), (4, replace(who, source_grade=0)))
        )
        scales, ways = [], []
        for track in (healthy, ill):
            matrix = align_portraits(track.points, picture=track.size, size=64).matrix[0]
            scales.append(np.hypot(*matrix[:, 0]))
            eyes = track.points[0, [*LEFT_EYE, *RIGHT_EYE]].mean(0)
            ways.append(np.linalg.norm(track.points[0, corners].mean(0) - eyes))
        zooms.append(scales[1] / scales[0])
        farther.append(ways[1] / ways[0])
    assert np.mean(farther) > 1.05
    assert np.abs(np.mean(zooms) - 1) < 0.01


def test_frames_that_cannot_be_aligned_say_why() -> None:
    points = face(8)
    points[1, MOUTH[0]] = np.nan
    points[2, [*LEFT_EYE, *RIGHT_EYE]] = 50.0  # one point: no line between the eyes
    upside_down = {"turn": np.array([np.pi]), "scale": np.ones(1), "shift": np.array([SIZE])}
    points[3] = moved(points[3:4], **upside_down)
    points[4, MOUTH, 1] -= 300.0  # above the eyes
    points[5] += (0, 300)  # the mouth is below the picture
    side = np.linalg.norm(np.diff(square(points[0])[:2], axis=0))
    for number, wanted in ((6, SMALLEST - 0.01), (7, SMALLEST + 0.01)):
        points[number] = (points[number] - (200, 120)) * (wanted / side) + (200, 120)
    got = align_portraits(points, picture=SIZE, size=96)
    assert got.lack.tolist() == [0, ABSENT, TURNED, 0, TURNED, OUTSIDE, SMALL, 0]
    np.testing.assert_array_equal(np.isnan(got.matrix).any(axis=(1, 2)), got.lack > 0)


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.7, 5.0])
def test_pixels_are_those_at_their_places(scale: float) -> None:
    size = 64
    cos, sin = scale * np.cos(0.3), scale * np.sin(0.3)
    matrix = np.array([[cos, -sin, 140.0], [sin, cos, 60.0]])
    got = take_portrait(picture(520, 480), matrix, size).astype(float)
    x, y = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    place = applied(matrix, np.stack([x, y], axis=-1))
    # Rounded twice. A triangle of 2 x 5 px flattens these waves by 1.5 %.
    limit = 1.5 if scale < 2 else 3.0
    assert np.abs(got - smooth(place[..., 0], place[..., 1])).max() <= limit


def test_what_is_outside_the_picture_is_mirrored_at_its_edge() -> None:
    frame = picture(90, 80)
    matrix = np.array([[1.0, 0.0, -20.0], [0.0, 1.0, 25.0]])
    got = take_portrait(frame, matrix, 64)
    wide = np.pad(frame, ((0, 64), (20, 0), (0, 0)), mode="symmetric")
    np.testing.assert_array_equal(got, wide[25 : 25 + 64, :64])


def test_a_fine_pattern_does_not_turn_into_a_coarse_one() -> None:
    stripes = np.zeros((480, 480, 3), np.uint8)
    stripes[:, ::2] = 255
    matrix = np.array([[5.02, 0.0, 50.0], [0.0, 5.02, 50.0]])
    got = take_portrait(stripes, matrix, 64).astype(float)
    assert np.abs(got - 127.5).max() < 8


@pytest.mark.parametrize("seed", [1, 2])
def test_a_turned_film_has_the_same_portraits(seed: int) -> None:
    film = drawn(seed)
    points, side = film.landmarks.points, film.landmarks.size
    turned = np.stack([points[..., 1], side[0] - points[..., 0]], axis=2)  # by np.rot90
    for size in (64, 200):
        ways = [align_portraits(one, picture=side, size=size).matrix for one in (points, turned)]
        for frame, way, other in zip(film.frames, *ways, strict=True):
            still = take_portrait(frame, way, size).astype(int)
            again = take_portrait(np.rot90(frame), other, size).astype(int)
            assert np.abs(still - again).max() <= 2


@pytest.mark.parametrize("size", [64, 160, 256])
def test_what_has_changed_in_a_portrait_comes_into_the_frame(size: int) -> None:
    film = drawn(3, size=192)
    places = align_portraits(film.landmarks.points, picture=film.landmarks.size, size=size)
    x, y = np.meshgrid(*[np.linspace(0, 2 * np.pi, size)] * 2)
    wave = 30 * np.sin(x)[..., None] * np.cos(y)[..., None] * np.array([1.0, 0.5, -1.0])
    for frame, matrix in zip(film.frames, places.matrix, strict=True):
        source = take_portrait(frame, matrix, size)
        np.testing.assert_array_equal(paste_change(frame, source, source, matrix), frame)
        made = (source + wave).round().clip(0, 255).astype(np.uint8)
        got = take_portrait(paste_change(frame, made, source, matrix), matrix, size)
        inside = slice(size // 8 + 1, -size // 8 - 1)
        away = np.abs(got.astype(float) - made)[inside, inside]
        assert np.abs(made.astype(float) - source)[inside, inside].mean() > 8
        assert away.mean() < 1.0


def test_outside_the_portrait_the_frame_stays_and_inside_the_change_is_added() -> None:
    frame = picture(300, 240)
    cos, sin = 1.5 * np.cos(-0.4), 1.5 * np.sin(-0.4)
    matrix = np.array([[cos, -sin, 90.0], [sin, cos, 80.0]])
    source = np.full((64, 64, 3), 100, np.uint8)
    change = np.array([20, -20, 155])  # with the last one some pixels are full
    before = frame.copy()
    got = paste_change(frame, (source + change).astype(np.uint8), source, matrix)
    np.testing.assert_array_equal(frame, before)
    x, y = np.meshgrid(np.arange(300) + 0.5, np.arange(240) + 0.5)
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    place = applied(back, np.stack([x, y], axis=-1))
    depth = np.minimum(place, 64 - place).min(axis=2)
    assert (depth > 8).sum() > 2000
    np.testing.assert_array_equal(got[depth <= 0], frame[depth <= 0])
    deep = depth >= 8
    np.testing.assert_array_equal(got[deep], (frame[deep] + change).clip(0, 255))
    # Half-way into the edge half of it is added.
    half = np.abs(depth - 4) < 0.05
    expected = (frame[half] + change / 2).clip(0, 255)
    assert np.abs(got[half] - expected).max() < 2.5


def test_a_portrait_beside_the_picture_changes_nothing() -> None:
    frame = picture(80, 70)
    matrix = np.array([[1.0, 0.0, 90.0], [0.0, 1.0, 5.0]])
    np.testing.assert_array_equal(
        paste_change(frame, *np.full((2, 64, 64, 3), [[[[0]]], [[[9]]]], np.uint8), matrix), frame
    )
