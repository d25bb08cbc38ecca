import numpy as np
import pytest

from pdray.data.face.points import INDEX, LANDMARKS, mirrored, place_corners
from pdray.importers.mediapipe.points import (
    MIXTURES,
    NUM_MESH,
    mirrored_vertex,
    to_landmarks,
    to_regions,
)
from tests.fixtures.landmark_made import face

# Lines of the mesh as mediapipe 1.2.2 names them (FaceLandmarksConnections): the person's right,
# which stands left in the picture, and its left.
LINES = {
    "eye": ((33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173),
            (263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398)),
    "eyebrow": ((46, 53, 52, 65, 55, 70, 63, 105, 66, 107),
                (276, 283, 282, 295, 285, 300, 293, 334, 296, 336)),
    "mouth": ((61, 146, 91, 181, 84, 17, 185, 40, 39, 37, 0, 78, 95, 88, 178, 87, 14, 191, 80, 81,
               82, 13),
              (291, 375, 321, 405, 314, 17, 409, 270, 269, 267, 0, 308, 324, 318, 402, 317, 14, 415,
               310, 311, 312, 13)),
    "contour": ((162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152),
                (389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152)),
}  # fmt: skip
IRISES = {"left": 468, "right": 473}


@pytest.mark.parametrize("part", LINES)
def test_the_mesh_is_mirrored_along_its_own_lines(part: str) -> None:
    left, right = LINES[part]
    assert [mirrored_vertex(number) for number in left] == list(right)


def test_only_the_left_half_is_mirrored() -> None:
    assert mirrored_vertex(IRISES["left"]) == IRISES["right"]
    mirrors = [mirrored_vertex(number) for number in range(248)]
    assert sorted(number for number in mirrors if number >= 248) == list(range(248, 468))
    for number in (248, 473, -1, 478):
        with pytest.raises(ValueError, match=f"mesh point {number} is not in the left half"):
            mirrored_vertex(number)


def test_a_landmark_is_a_mixture_of_the_points_of_its_part() -> None:
    np.testing.assert_allclose(MIXTURES.sum(axis=1), 1)
    assert (MIXTURES >= 0).all()
    for name in LANDMARKS:
        used = set(np.flatnonzero(MIXTURES[INDEX[name]]).tolist())
        assert 1 <= len(used) <= 4
        side = name if name.startswith(("left", "right")) else ""
        part = side.split("_")[1] if side else name.split("_")[0]
        if part == "nose":
            continue  # the mesh has points there and no line
        left, right = LINES[part]
        allowed = {*left, *right, *IRISES.values()}
        if side:
            allowed = {*(left if side.startswith("left") else right), IRISES[side.split("_")[0]]}
        assert used <= allowed, name


def test_sides_are_alike() -> None:
    swap = np.arange(NUM_MESH)
    for number in range(248):
        other = mirrored_vertex(number)
        swap[number], swap[other] = other, number
    swap[[468, 473]] = 473, 468
    for name in LANDMARKS:
        expected = MIXTURES[INDEX[name], swap]
        np.testing.assert_array_equal(MIXTURES[INDEX[mirrored(name)]], expected)


def test_corners_and_pupils_are_the_meshs_own_points() -> None:
    rng = np.random.default_rng(0)
    mesh = rng.uniform(0, 100, (2, NUM_MESH, 2))
    found = to_landmarks(mesh)
    own = {"left_eye_left_corner": 33, "right_eye_right_corner": 263, "mouth_left_corner": 61,
           "mouth_right_corner": 291, "contour_chin": 152, "left_eye_pupil": 468,
           "right_eye_pupil": 473, "nose_middle_contour": 2}  # fmt: skip
    for name, number in own.items():
        np.testing.assert_allclose(found[:, INDEX[name]], mesh[:, number])
    centre = mesh[:, [263, 362, 386, 374]].mean(axis=1)
    np.testing.assert_allclose(found[:, INDEX["right_eye_center"]], centre)
    first = 0.69 * mesh[:, 162] + 0.31 * mesh[:, 127]
    np.testing.assert_allclose(found[:, INDEX["contour_left1"]], first)


def test_a_frame_without_a_face_is_absent() -> None:
    mesh = np.ones((2, NUM_MESH, 2)) * np.arange(NUM_MESH)[:, None]
    mesh[0] = np.nan
    found = to_landmarks(mesh)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()
    assert np.isnan(to_regions(found)[0]).all()
    assert np.isfinite(to_regions(found)[1]).all()


@pytest.mark.parametrize("turn", [0.0, 0.4, -2.0])
def test_regions_are_placed_upright_to_the_face_and_as_large(turn: float) -> None:
    upright = face(3)  # SYNTHETIC
    corners = {side: [INDEX[f"{side}_eye_{one}_corner"] for one in ("left", "right")]
               for side in ("left", "right")}  # fmt: skip
    left, right = (upright[0, corners[side]].mean(axis=0) for side in ("left", "right"))
    size = float(np.hypot(*(right - left)))
    unit = (upright - (left + right) / 2) / size
    turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    seen = (unit @ turned) * 37 + [100, 80]
    expected = (place_corners(unit) @ turned) * 37 + [100, 80]
    np.testing.assert_allclose(to_regions(seen), expected, atol=1e-6)


def test_eyes_in_one_place_give_no_region() -> None:
    with np.errstate(all="raise", invalid="ignore"):
        assert np.isnan(to_regions(np.zeros((1, 106, 2)))).all()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 468, 2), r"a mesh must be \(N, 478, 2\), got \(1, 468, 2\) without irises"),
        ((478, 2), r"got \(478, 2\)"),
        ((1, 478, 3), r"got \(1, 478, 3\)"),
    ],
)
def test_another_mesh_is_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_landmarks(np.zeros(shape))
