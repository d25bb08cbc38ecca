"""Colours under the landmarks, on flat pictures without noise."""

from dataclasses import fields, replace

import numpy as np
import pytest

from pdray.data.face.points import INDEX
from pdray.demo.face.drawing import SIDES, paint_face
from pdray.demo.face.head import Scene
from pdray.demo.face.look import Look, draw_look
from pdray.demo.face.movement import Expression
from pdray.demo.face.shape import Placement, chin_of, draw_shape, place_points

SIZE = 192
SHAPE = draw_shape(np.random.default_rng(4))
TURN = (0.12, 0.03, 0.06)


def plain_look(**changes: object) -> Look:
    """Grey wall, light skin, no glasses, no lamp."""
    look = draw_look(np.random.default_rng(0), np.random.default_rng(0), size=SIZE)
    plain = {
        "skin": (0.8, 0.65, 0.58), "lips": (0.7, 0.2, 0.2), "hair": (0.1, 0.1, 0.1),
        "iris": (0.1, 0.2, 0.6), "clothes": (0.1, 0.6, 0.1),
    }  # fmt: skip
    colours = {name: np.array(value, np.float32) for name, value in plain.items()}
    flat = replace(
        look,
        **colours,
        background=np.full((3, SIZE, SIZE), 0.4, np.float32),
        hair_length=-0.2,
        has_glasses=False,
        lamp=(0.0, 0.0),
    )
    return replace(flat, **changes)


def expression(**values: float) -> Expression:
    rest = {field.name: 0.0 for field in fields(Expression)} | {"eye": 1.2, "mouth": 0.3} | values
    axes = {"gaze": (2,), "turn": (3,)}
    return Expression(
        **{
            name: np.full((1, *axes.get(name, ())), value, np.float32)
            for name, value in rest.items()
        }
    )


def draw(look: Look | None = None, **values: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (H, W, 3) float32 picture and (106, 2) landmarks."""
    look, face = look or plain_look(), expression(**values)
    placement = Placement(SIZE / 4, np.full((1, 2), SIZE / 2), np.array([TURN]))
    points, _ = place_points(SHAPE, face, placement)
    picture = look.background[:, None].copy()
    paint_face(Scene(SHAPE, look, placement, chin_of(SHAPE, face), points, picture))
    return picture[:, 0].transpose(1, 2, 0), points[0]


def colour_at(picture: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Read between the pixels, whose centres stand at halves."""
    x, y = point - 0.5
    column, row = int(x), int(y)
    right, down = x - column, y - row
    patch = picture[row : row + 2, column : column + 2]
    across = patch[:, 0] * (1 - right) + patch[:, 1] * right
    return across[0] * (1 - down) + across[1] * down


def step(picture: np.ndarray, points: np.ndarray, name: str, middle: np.ndarray) -> tuple:
    """Return the colour three pixels inwards of a landmark and three outwards."""
    point = points[INDEX[name]]
    away = (point - middle) / np.linalg.norm(point - middle)
    return tuple(colour_at(picture, point + pixels * away) for pixels in (-3.0, 3.0))


def redness(colour: np.ndarray) -> float:
    return float(colour[0] / colour[1:].mean())


@pytest.mark.parametrize("side", SIDES)
def test_the_iris_is_at_the_pupil_with_white_beside_it_between_the_lids(side: str) -> None:
    picture, points = draw()
    pupil = points[INDEX[f"{side}_eye_pupil"]]
    assert colour_at(picture, pupil).max() < 0.15
    iris = colour_at(picture, pupil + np.array([0.075, 0.01]) * SIZE / 4)
    assert iris[2] > 2 * iris[0]
    for corner in ("left", "right"):
        white = 0.3 * pupil + 0.7 * points[INDEX[f"{side}_eye_{corner}_corner"]]
        assert colour_at(picture, white).min() > 0.6
    assert points[INDEX[f"{side}_eye_top"]][1] < pupil[1] < points[INDEX[f"{side}_eye_bottom"]][1]


@pytest.mark.parametrize("side", SIDES)
def test_a_closed_eye_shows_neither_white_nor_iris(side: str) -> None:
    opened, points = draw()
    closed, _ = draw(eye=0.0)
    x, y = points[INDEX[f"{side}_eye_center"]].astype(int)
    box = slice(y - 6, y + 6), slice(x - 9, x + 9)
    assert opened[box].min(axis=-1).max() > 0.8
    assert closed[box].min(axis=-1).max() < 0.7
    assert (closed[box][..., 2] <= closed[box][..., 0] + 1e-3).all()


def test_irises_follow_the_gaze() -> None:
    left, right = (draw(gaze=gaze) for gaze in (-1.0, 1.0))
    for picture, points in (left, right):
        assert colour_at(picture, points[INDEX["left_eye_pupil"]]).max() < 0.15
    assert right[1][INDEX["left_eye_pupil"]][0] - left[1][INDEX["left_eye_pupil"]][0] > 4


OUTER_LIPS = [
    "mouth_upper_lip_top", "mouth_upper_lip_left_contour1", "mouth_upper_lip_right_contour1",
    "mouth_upper_lip_left_contour2", "mouth_upper_lip_right_contour2", "mouth_lower_lip_bottom",
    "mouth_lower_lip_left_contour3", "mouth_lower_lip_right_contour3",
    "mouth_lower_lip_left_contour2", "mouth_lower_lip_right_contour2",
]  # fmt: skip


@pytest.mark.parametrize("name", OUTER_LIPS)
@pytest.mark.parametrize("smile", [-0.6, 0.6])
def test_outer_lip_landmarks_are_where_red_becomes_skin(name: str, smile: float) -> None:
    picture, points = draw(smile=smile)
    middle = points[[INDEX["mouth_upper_lip_bottom"], INDEX["mouth_lower_lip_top"]]].mean(axis=0)
    inner, outer = step(picture, points, name, middle)
    assert redness(inner) > 2.5
    assert redness(outer) < 1.8
    on_edge = redness(colour_at(picture, points[INDEX[name]]))
    assert redness(outer) < on_edge < redness(inner)


@pytest.mark.parametrize("name", ["mouth_lower_lip_top", "mouth_lower_lip_left_contour1"])
def test_inner_lip_landmarks_are_where_the_dark_begins(name: str) -> None:
    picture, points = draw()
    middle = points[[INDEX["mouth_upper_lip_bottom"], INDEX["mouth_lower_lip_top"]]].mean(axis=0)
    inner, outer = step(picture, points, name, middle)
    assert inner.max() < 0.25
    assert outer[0] > 0.6


def test_teeth_show_below_the_upper_lip_and_only_in_an_open_mouth() -> None:
    picture, points = draw()
    below = points[INDEX["mouth_upper_lip_bottom"]] + (0, 3)
    assert colour_at(picture, below).min() > 0.5
    shut, points = draw(mouth=0.0)
    x, y = points[INDEX["mouth_upper_lip_bottom"]].astype(int)
    assert shut[y - 3 : y + 4, x - 8 : x + 8].min(axis=-1).max() < 0.5


@pytest.mark.parametrize("side", SIDES)
def test_brows_are_dark_between_their_edges_and_rise(side: str) -> None:
    rest, raised = draw(), draw(brow=0.12)
    for picture, points in (rest, raised):
        edges = [points[INDEX[f"{side}_eyebrow_{edge}_middle"]] for edge in ("upper", "lower")]
        assert colour_at(picture, np.mean(edges, axis=0)).max() < 0.15
        assert colour_at(picture, edges[0] - (0, 4)).max() > 0.4
    middle = INDEX[f"{side}_eyebrow_upper_middle"]
    assert rest[1][middle][1] - raised[1][middle][1] > 4


def test_nostrils_are_dark_and_glasses_change_only_what_is_near_the_eyes() -> None:
    picture, points = draw()
    for side in SIDES:
        pair = [INDEX[f"nose_{side}_contour4"], INDEX[f"nose_{side}_contour5"]]
        nostril = points[pair].mean(axis=0) - (0, 0.03 * SIZE / 4)
        assert colour_at(picture, nostril).max() < 0.35
    with_glasses, _ = draw(plain_look(has_glasses=True))
    rows = np.flatnonzero((with_glasses != picture).any(axis=(1, 2)))
    assert len(rows) > 20
    eyes = points[INDEX["nose_bridge1"]][1]
    assert eyes - 30 < rows.min() < rows.max() < eyes + 35
