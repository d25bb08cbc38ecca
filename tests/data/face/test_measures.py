import numpy as np
import pytest

from pdray.data.face.measures import MEASURES, SIDES, face_measures
from pdray.data.face.points import INDEX, mirrored
from pdray.data.face.shape import GROUPS, Shapes, align_frames
from pdray.demo.face.shape import Placement, draw_shape, place_points
from tests.fixtures.landmark_made import UNIT_PX, face, still, track_of


def made(turn: tuple[float, float, float] = (0, 0, 0), **expression: float) -> dict[str, float]:
    """Return the measures of a face that is at rest in nine frames and then as is told."""
    shape = draw_shape(np.random.default_rng(4))
    placement = Placement(UNIT_PX, np.full((1, 2), 200.0), np.array([turn], float))
    told = place_points(shape, still(**expression), placement)[0]
    flat = Placement(UNIT_PX, np.full((9, 2), 200.0), np.zeros((9, 3)))
    rest = place_points(shape, still(9), flat)[0]
    measures = face_measures(align_frames(track_of(np.concatenate([rest, told]))))
    return {name: float(values[-1] - values[0]) for name, values in measures.items()}


def test_every_measure_is_there_under_its_name() -> None:
    measures = face_measures(align_frames(track_of(face(3))))
    assert tuple(measures) == MEASURES
    assert all(one.shape == (3,) and np.isfinite(one).all() for one in measures.values())


def test_formulas_of_points() -> None:
    points = np.random.default_rng(3).normal(size=(1, 106, 2))
    points[0, INDEX["contour_chin"], 1] = 2.0
    p = {name: points[0, number] for name, number in INDEX.items()}
    got = face_measures(
        Shapes(np.zeros(1), points, roll=np.array([0.25]), run=np.zeros(1, np.int64))
    )

    def far(first: str, second: str) -> float:
        return float(np.hypot(*(p[first] - p[second])))

    eye = [far("left_eye_top", "left_eye_bottom")]
    eye += [far(f"left_eye_upper_{q}_quarter", f"left_eye_lower_{q}_quarter") for q in SIDES]
    middle = (p["left_eye_left_corner"] + p["left_eye_right_corner"]) / 2
    lips = (p["mouth_upper_lip_bottom"][1] + p["mouth_lower_lip_top"][1]) / 2
    brow = points[0, GROUPS["left_eyebrow"], 1].mean()
    wanted = {
        "roll": 0.25,
        "left_eye_openness": np.mean(eye) / far("left_eye_left_corner", "left_eye_right_corner"),
        "left_gaze_x": (p["left_eye_pupil"] - middle)[0],
        "left_gaze_y": (p["left_eye_pupil"] - middle)[1],
        "left_brow_height": middle[1] - brow,
        "left_corner_height": lips - p["mouth_left_corner"][1],
        "yaw": p["nose_tip"][0] - (p["contour_left2"][0] + p["contour_right2"][0]) / 2,
        "pitch": p["nose_tip"][1] / 2.0,
        "brow_distance": far("left_eyebrow_lower_right_corner", "right_eyebrow_lower_left_corner"),
        "mouth_opening": far("mouth_upper_lip_bottom", "mouth_lower_lip_top"),
        "mouth_width": far("mouth_left_corner", "mouth_right_corner"),
        "mouth_height": far("mouth_upper_lip_top", "mouth_lower_lip_bottom"),
        "jaw_drop": far("contour_chin", "nose_middle_contour"),
    }
    for name, value in wanted.items():
        assert got[name][0] == pytest.approx(value, abs=1e-12), name
    for name in ("eye_openness", "gaze_x", "gaze_y", "brow_height", "corner_height"):
        mean = (got[f"left_{name}"][0] + got[f"right_{name}"][0]) / 2
        assert got[name][0] == pytest.approx(mean, abs=1e-12)


@pytest.mark.parametrize(
    ("expression", "name", "sign"),
    [
        ({"eye": 0.1}, "eye_openness", -1),
        ({"brow": 0.1}, "brow_height", 1),
        ({"mouth": 0.4}, "mouth_opening", 1),
        ({"mouth": 0.4}, "jaw_drop", 1),
        ({"spread": 0.1}, "mouth_width", 1),
        ({"smile": 0.9}, "corner_height", 1),
    ],
)
def test_an_expression_shows_in_its_measure(
    expression: dict[str, float], name: str, sign: int
) -> None:
    assert made(**expression)[name] * sign > 0.02


def test_turning_and_nodding_show_in_yaw_and_pitch_and_roll_in_roll() -> None:
    right, left = made(turn=(0.2, 0, 0))["yaw"], made(turn=(-0.2, 0, 0))["yaw"]
    assert right > 0.05 > -0.05 > left
    assert made(turn=(0, 0.15, 0))["pitch"] * made(turn=(0, -0.15, 0))["pitch"] < 0
    assert made(turn=(0, 0, 0.2))["roll"] == pytest.approx(0.2, abs=1e-5)


def test_a_mirrored_face_changes_its_sides() -> None:
    points = face(2) + np.random.default_rng(0).normal(0, 1, (2, 106, 2))
    mirror = points[:, [INDEX[mirrored(name)] for name in INDEX]] * (-1, 1) + (400, 0)
    one, other = (face_measures(align_frames(track_of(each))) for each in (points, mirror))
    for name in ("eye_openness", "brow_height", "corner_height"):
        np.testing.assert_allclose(one[f"left_{name}"], other[f"right_{name}"], atol=1e-5)
    np.testing.assert_allclose(one["roll"], -other["roll"], atol=1e-5)
    np.testing.assert_allclose(one["yaw"], -other["yaw"], atol=1e-5)


def test_an_absent_point_leaves_out_the_measures_that_need_it_alone() -> None:
    points = face(4)
    points[2, INDEX["mouth_left_corner"]] = np.nan
    measures = face_measures(align_frames(track_of(points)))
    lacking = {name for name, values in measures.items() if np.isnan(values[2])}
    assert lacking == {"mouth_width", "corner_height", "left_corner_height"}
    assert all(np.isfinite(values[[0, 1, 3]]).all() for values in measures.values())
