import json

import numpy as np
import pytest

from pdray.data.face.points import INDEX, LANDMARKS, REGIONS, VERTICES, mirrored, place_corners
from tests.places import YOUTUBEPD


def test_there_are_106_landmarks_in_the_order_of_their_names() -> None:
    assert len(LANDMARKS) == 106
    assert list(LANDMARKS) == sorted(set(LANDMARKS))
    parts = {
        "contour": range(33),
        "left_eye_": range(33, 43),
        "left_eyebrow": range(43, 52),
        "mouth": range(52, 72),
        "nose": range(72, 87),
        "right_eye_": range(87, 97),
        "right_eyebrow": range(97, 106),
    }
    for start, indices in parts.items():
        assert [INDEX[name] for name in LANDMARKS if name.startswith(start)] == list(indices)


def test_there_are_14_regions_of_58_corners() -> None:
    assert len(REGIONS) == len(set(REGIONS)) == 14
    assert VERTICES.tolist() == [4, 4, 4, 4, 4, 4, 4, 4, 5, 4, 4, 5, 4, 4]


def test_every_landmark_has_its_mirror_image() -> None:
    assert all(mirrored(name) in INDEX for name in LANDMARKS)
    assert all(mirrored(mirrored(name)) == name for name in LANDMARKS)
    assert mirrored("left_eye_lower_right_quarter") == "right_eye_lower_left_quarter"
    assert [name for name in LANDMARKS if mirrored(name) == name] == [
        "contour_chin", "mouth_lower_lip_bottom", "mouth_lower_lip_top", "mouth_upper_lip_bottom",
        "mouth_upper_lip_top", "nose_bridge1", "nose_bridge2", "nose_bridge3",
        "nose_middle_contour", "nose_tip",
    ]  # fmt: skip


def test_corners_move_with_their_landmarks() -> None:
    rng = np.random.default_rng(0)
    face = rng.standard_normal((3, 106, 2))
    shift = np.array([0.2, -0.1])
    corners = place_corners(face)
    assert corners.shape == (3, 58, 2)
    np.testing.assert_allclose(place_corners(face + shift), corners + shift)
    raised = face.copy()
    raised[:, INDEX["mouth_right_corner"], 1] -= 0.5
    changed = np.abs(place_corners(raised) - corners).sum(axis=(0, 2)) > 0
    touched = np.split(changed, np.cumsum(VERTICES)[:-1])
    assert [name for name, one in zip(REGIONS, touched, strict=True) if one.any()] == [
        "right nasolabial fold", "right lip crease", "mouth",
    ]  # fmt: skip


def test_left_regions_mirror_right_ones() -> None:
    face = np.random.default_rng(1).standard_normal((1, 106, 2))
    swapped = face[:, [INDEX[mirrored(name)] for name in LANDMARKS]] * (-1, 1)
    for side, other in (("left eye", "right eye"), ("left lip crease", "right lip crease")):
        (here,), (there,) = (
            np.split(place_corners(points), np.cumsum(VERTICES)[:-1], axis=1)[REGIONS.index(name)]
            for points, name in ((face, side), (swapped, other))
        )
        np.testing.assert_allclose(here * (-1, 1), there)


@pytest.mark.skipif(not YOUTUBEPD.exists(), reason="the YouTubePD pack is not on this machine")
def test_names_and_order_are_those_of_the_benchmark() -> None:
    assert json.loads((YOUTUBEPD / "landmark_names.json").read_text())["names"] == list(LANDMARKS)
    regions = json.loads((YOUTUBEPD / "region_names.json").read_text())
    assert regions["names"] == list(REGIONS)
    assert regions["vertices"] == VERTICES.tolist()
