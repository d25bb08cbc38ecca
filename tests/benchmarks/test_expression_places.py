"""Places of a face in the expression benchmark: which pixels they are, and how much lies there."""

import numpy as np

from benchmarks.expression_places import CORNER, HIGH, WIDE, Faces, boxes_of, covered, density
from pdray.data.face.points import INDEX, LANDMARKS


def test_a_place_is_a_box_about_its_landmarks_and_covering_it_changes_nothing_else() -> None:
    points = np.full((2, len(LANDMARKS), 2), 32.0, np.float32)
    mouth = [k for name, k in INDEX.items() if "mouth" in name]
    points[0, mouth], points[1, mouth] = (32, 46), (32, 61)
    inside = boxes_of(points, (64, 64))
    places = {"mouth", "brows", "nose and folds beside it", CORNER}
    assert {name for name, one in inside.items() if one[0].sum() == HIGH * WIDE} == places
    assert np.argwhere(inside["mouth"][0])[[0, -1]].tolist() == [[40, 19], [51, 44]]
    assert inside["mouth"][1].sum() == 9 * WIDE  # the rest is below the picture
    frames = np.random.default_rng(0).integers(0, 256, (1, 2, 64, 64, 3), np.uint8)
    faces = Faces(frames, np.zeros(1, np.int64), {"mouth": inside["mouth"][None]})
    hidden = covered(faces, "mouth")
    assert (hidden != frames).any(axis=-1)[0].sum() > 0.9 * inside["mouth"].sum()
    assert np.array_equal(hidden[~faces.inside["mouth"]], frames[~faces.inside["mouth"]])


def test_density_is_relative_to_a_uniform_map() -> None:
    inside = np.zeros((3, 1, 4, 4), bool)
    inside[..., :2] = True
    maps = np.stack([np.full((1, 4, 4), 0.3), inside[0] * 2.0, np.zeros((1, 4, 4))])
    np.testing.assert_array_equal(density(maps, inside), [1.0, 2.0, np.nan])
