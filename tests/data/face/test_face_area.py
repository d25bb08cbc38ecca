import numpy as np

from pdray.data.face.face_area import face_area
from pdray.data.face.points import INDEX
from pdray.data.face.portraits import align_portraits


def upright(rng):
    """Return landmarks inside a disc, with eyes and mouth where a face has them."""
    angle, far = rng.uniform(0, 2 * np.pi, 106), 40 * np.sqrt(rng.uniform(0, 1, 106))
    points = 100 + np.stack([far * np.cos(angle), far * np.sin(angle)], axis=-1)
    for name, place in INDEX.items():
        side = -1 if name.startswith("left") else 1
        if "eye" in name and "brow" not in name:
            points[place] = 100 + np.array([side * 15, -10]) + rng.uniform(-2, 2, 2)
    points[INDEX["mouth_upper_lip_bottom"]] = [100, 120]
    return points


def inside_by_angles(point, points):
    """Return whether a point is in the convex hull: no half plane through it has all points."""
    angles = np.sort(np.arctan2(*(points - point).T[::-1]))
    gaps = np.diff(np.append(angles, angles[0] + 2 * np.pi))
    return gaps.max() < np.pi


def test_the_area_is_the_hull_of_the_landmarks_in_the_portrait():
    rng = np.random.default_rng(4)
    points = np.stack([upright(rng), upright(rng)])
    size = 64
    found = face_area(points, size)
    places = align_portraits(points, picture=(200, 200), size=size)
    assert not places.lack.any()
    for number, matrix in enumerate(places.matrix):
        for row in range(0, size, 7):
            for column in range(0, size, 7):
                point = matrix @ (column + 0.5, row + 0.5, 1.0)
                assert found[number, row, column] == inside_by_angles(point, points[number])
    assert 0.1 < found.mean() < 0.9


def test_units_do_not_matter_and_a_frame_without_mouth_has_no_area():
    points = np.stack([upright(np.random.default_rng(4))] * 3)
    points[1] *= 0.01
    points[2, INDEX["mouth_upper_lip_bottom"]] = np.nan
    found = face_area(points, 64)
    np.testing.assert_array_equal(found[0], found[1])
    assert not found[2].any()
