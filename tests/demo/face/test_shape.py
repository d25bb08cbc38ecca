from dataclasses import fields, replace

import numpy as np
import pytest

from pdray.data.face.points import INDEX, LANDMARKS, REGIONS, VERTICES
from pdray.demo.face.movement import Expression, draw_expression
from pdray.demo.face.shape import MIDDLE_Y, Placement, chin_of, draw_shape, place_points
from tests.places import YOUTUBEPD

SHAPE = draw_shape(np.random.default_rng(4))


def still(num_frames: int = 1, **values: float) -> Expression:
    """A face at rest but for what is given."""
    rest = {field.name: 0.0 for field in fields(Expression)} | {"eye": 1.0, "mouth": 0.1} | values
    axes = {"gaze": (2,), "turn": (3,)}
    return Expression(
        **{
            name: np.full((num_frames, *axes.get(name, ())), value, np.float32)
            for name, value in rest.items()
        }
    )


def upright(num_frames: int = 1, *, unit_px: float = 1.0, turn: tuple = (0, 0, 0)) -> Placement:
    """Face coordinates are pixels."""
    return Placement(
        unit_px,
        np.tile([0.0, MIDDLE_Y * unit_px], (num_frames, 1)),
        np.tile(np.array(turn, float), (num_frames, 1)),
    )


def place(expression: Expression, turn: tuple = (0, 0, 0)) -> np.ndarray:
    return place_points(SHAPE, expression, upright(turn=turn))[0][0]


def point(points: np.ndarray, name: str) -> np.ndarray:
    return points[INDEX[name]]


def test_eyes_are_one_unit_apart_and_a_face_at_rest_is_symmetric() -> None:
    points = place(still())
    assert point(points, "left_eye_pupil").tolist() == [-0.5, 0]
    assert point(points, "right_eye_pupil").tolist() == [0.5, 0]
    np.testing.assert_allclose(point(points, "right_eye_center"), (0.5, 0), atol=1e-6)
    left = points[[INDEX[name] for name in LANDMARKS if "left_contour2" in name]]
    right = points[[INDEX[name] for name in LANDMARKS if "right_contour2" in name]]
    assert len(left) == 3
    np.testing.assert_allclose(left * (-1, 1), right, atol=1e-6)


def test_a_closed_eye_has_its_lids_together_and_the_rest_of_the_face_where_it_was() -> None:
    opened, closed = place(still()), place(still(eye=0.0))
    for side in ("left", "right"):
        for upper, lower in (("top", "bottom"), ("upper_left_quarter", "lower_left_quarter")):
            lids = point(closed, f"{side}_eye_{upper}") - point(closed, f"{side}_eye_{lower}")
            np.testing.assert_allclose(lids, 0, atol=1e-6)
        gap = point(opened, f"{side}_eye_bottom") - point(opened, f"{side}_eye_top")
        assert gap[1] == pytest.approx(SHAPE.eye_height)
    moved = np.abs(opened - closed).max(axis=1) > 1e-6
    assert {LANDMARKS[k].split("_eye_")[1] for k in np.flatnonzero(moved)} == {
        "top", "upper_left_quarter", "upper_right_quarter", "center",
    }  # fmt: skip


def test_the_mouth_opens_by_its_gap_and_the_jaw_follows() -> None:
    shut, wide = place(still(mouth=0.0)), place(still(mouth=0.4))

    def gap(points: np.ndarray) -> float:
        return point(points, "mouth_lower_lip_top")[1] - point(points, "mouth_upper_lip_bottom")[1]

    assert gap(shut) == pytest.approx(0, abs=1e-6)
    assert gap(wide) == pytest.approx(0.4, abs=1e-6)
    assert point(wide, "contour_chin")[1] - point(shut, "contour_chin")[1] > 0.2
    assert point(wide, "contour_chin")[1] == pytest.approx(
        chin_of(SHAPE, still(mouth=0.4))[0], abs=1e-5
    )
    np.testing.assert_array_equal(wide[INDEX["nose_tip"]], shut[INDEX["nose_tip"]])


def test_brows_rise_smiles_widen_and_irises_look_aside() -> None:
    rest = place(still())
    raised = place(still(brow=0.1)) - rest
    brows = [INDEX[name] for name in LANDMARKS if "eyebrow" in name]
    assert len(brows) == 18
    assert (raised[brows, 1] < -0.07).all()
    smiling = place(still(smile=1.0)) - rest
    assert smiling[INDEX["mouth_right_corner"]][1] < -0.05
    assert smiling[INDEX["mouth_right_corner"]][0] > 0.04 > -0.04
    assert smiling[INDEX["mouth_left_corner"]][0] < -0.04
    aside = place(still(gaze=1.0)) - rest
    np.testing.assert_allclose(
        aside[INDEX["left_eye_pupil"]], aside[INDEX["right_eye_pupil"]], atol=1e-6
    )
    assert (aside[INDEX["left_eye_pupil"]] > 0.02).all()


def test_yaw_moves_the_nose_more_than_the_eyes_and_not_the_outline() -> None:
    rest, turned = place(still()), place(still(), turn=(0.2, 0, 0))
    shift = (turned - rest)[:, 0]
    assert shift[INDEX["nose_tip"]] > shift[INDEX["nose_bridge1"]] > 0.1
    assert shift[INDEX["nose_bridge1"]] > shift[INDEX["right_eye_right_corner"]] > 0
    assert (shift[:33] == 0).all()


def test_roll_turns_every_point_about_the_middle_of_the_head() -> None:
    angle = 0.3
    rest, rolled = place(still()), place(still(), turn=(0, 0, angle))
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = np.array([0, MIDDLE_Y])
    np.testing.assert_allclose(rolled, (rest - middle) @ matrix + middle, atol=1e-5)


def test_placement_scales_and_moves() -> None:
    rest = place(still())
    placement = replace(upright(unit_px=20.0), pivot=np.array([[48.0, 50.0]]))
    landmarks, regions = place_points(SHAPE, still(), placement)
    np.testing.assert_allclose(landmarks[0], (rest - (0, MIDDLE_Y)) * 20 + (48, 50), atol=1e-4)
    assert landmarks.dtype == regions.dtype == np.float32
    assert regions.shape == (1, VERTICES.sum(), 2)


def inside(point: np.ndarray, corners: np.ndarray) -> bool:
    """Whether the corners wind round the point."""
    a, b = corners - point, np.roll(corners, -1, axis=0) - point
    turns = np.arctan2(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], (a * b).sum(axis=1)).sum()
    return abs(turns) > np.pi


@pytest.mark.parametrize("turn", [(0, 0, 0), (0.25, 0.1, -0.1), (-0.25, -0.1, 0.1)])
def test_each_region_holds_what_it_is_named_after(turn: tuple) -> None:
    landmarks, regions = place_points(SHAPE, still(), upright(turn=turn))
    polygons = dict(zip(REGIONS, np.split(regions[0], np.cumsum(VERTICES)[:-1]), strict=True))
    held = {
        "left eye": ["left_eye_center", "left_eye_bottom"],
        "right eye": ["right_eye_center", "right_eye_bottom"],
        "left eyebrow": ["left_eyebrow_upper_middle", "left_eyebrow_lower_middle"],
        "right eyebrow": ["right_eyebrow_upper_middle", "right_eyebrow_lower_middle"],
        "between eyebrows": ["nose_bridge1"],
        "mouth": ["mouth_upper_lip_top", "mouth_lower_lip_bottom", "mouth_right_corner"],
        "left nasolabial fold": ["nose_left_contour3"],
        "right nasolabial fold": ["nose_right_contour3"],
    }
    for region, names in held.items():
        for name in names:
            assert inside(point(landmarks[0], name), polygons[region]), (region, name)
    for part in ("outer eye", "lip crease"):
        left, right = polygons[f"left {part}"], polygons[f"right {part}"]
        assert left[:, 0].max() < point(landmarks[0], "nose_tip")[0] < right[:, 0].min()
    assert polygons["forehead"][:, 1].max() < polygons["left eyebrow"][:, 1].min() + 0.2


def test_people_differ_and_the_same_generator_is_the_same_person() -> None:
    assert draw_shape(np.random.default_rng(4)) == SHAPE
    assert draw_shape(np.random.default_rng(5)) != SHAPE


@pytest.mark.skipif(not YOUTUBEPD.exists(), reason="the YouTubePD pack is not on this machine")
def test_every_index_means_the_same_place_as_in_the_benchmark() -> None:
    """Medians of both, eyes laid over eyes; heads that turn make the real outline uneven."""
    ours, our_corners = _mean_face()
    with np.load(YOUTUBEPD / "landmarks.npz") as file, np.load(YOUTUBEPD / "regions.npz") as boxes:
        keys = [key for key in file.files if "__" not in key and key in boxes.files]
        faces, corners = [], []
        for key in keys:
            # The pack's card: landmark frame F stands at clip frame 2 (F - 1).
            frame = 2 * (file[f"{key}__frame_index"][::6].astype(int) - 1)
            polygons = boxes[key]
            seen = frame < len(polygons)
            points = file[key][::6][seen].astype(float)
            move = _to_eyes(points)
            faces.append(np.median(move(points), axis=0))
            corners.append(np.median(move(polygons[frame[seen]].astype(float)), axis=0))
    assert len(keys) > 200
    away = np.linalg.norm(np.median(faces, axis=0) - ours, axis=1)
    assert away[:33].max() < 0.15
    assert away[33:].max() < 0.1
    assert np.linalg.norm(np.median(corners, axis=0) - our_corners, axis=1).max() < 0.12


def _mean_face() -> tuple[np.ndarray, np.ndarray]:
    faces = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        shape = draw_shape(rng)
        expression = draw_expression(seed % 6, 1.0, rng, num_frames=30, fps=10)
        faces.append(place_points(shape, expression, upright(30)))
    landmarks, corners = (np.concatenate(parts) for parts in zip(*faces, strict=True))
    move = _to_eyes(landmarks)
    return np.median(move(landmarks), axis=0), np.median(move(corners), axis=0)


def _to_eyes(landmarks: np.ndarray):
    """Return the map that lays the eyes of each frame on (-0.5, 0) and (0.5, 0)."""
    left, right = (
        landmarks[:, INDEX[f"{side}_eye_center"]] @ (1, 1j) for side in ("left", "right")
    )

    def move(points: np.ndarray) -> np.ndarray:
        flat = (points @ (1, 1j) - (left + right)[:, None] / 2) / (right - left)[:, None]
        return np.stack([flat.real, flat.imag], axis=-1)

    return move
