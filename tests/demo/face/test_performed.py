"""Posed expressions: what each moves, how much of it the grade leaves, and what it never tells."""

from collections.abc import Mapping

import numpy as np
import pytest

from pdray.data.face.points import INDEX
from pdray.demo.face.drawing import paint_face
from pdray.demo.face.head import Creases, Scene
from pdray.demo.face.interview import draw_face, draw_points
from pdray.demo.face.performed import TARGETS
from pdray.demo.face.shape import Placement, chin_of, place_points
from tests.fixtures.landmark_made import still

FPS, NUM_FRAMES = 10, 40
MIDDLE = slice(18, 28)  # every expression is held there


def landmarks(name: str, grade: int, seed: int) -> np.ndarray:
    """Return (N, 106, 2) in distances between the eyes, seen from the eyes' middle."""
    who = draw_face(np.random.default_rng(seed), np.random.default_rng([seed, 1]), size=96)
    rng = np.random.default_rng([seed, 2])
    track = draw_points(grade, who, rng, num_frames=NUM_FRAMES, fps=FPS, performed=name)[0]
    left, right = (track.points[:, INDEX[f"{side}_eye_center"]] for side in ("left", "right"))
    across = ((right - left) @ (1, 1j))[:, None]
    flat = (track.points - 0.5 * (left + right)[:, None]) @ (1, 1j) / across
    return np.stack([flat.real, flat.imag], axis=-1)


def measures(points: np.ndarray) -> dict[str, np.ndarray]:
    """Return lengths (N,) in distances between the eyes."""
    at = {name: points[:, place] for name, place in INDEX.items()}
    corners = at["mouth_right_corner"] - at["mouth_left_corner"]
    lips = 0.5 * (at["mouth_upper_lip_bottom"] + at["mouth_lower_lip_top"])
    inner = at["right_eyebrow_lower_left_corner"] - at["left_eyebrow_lower_right_corner"]
    return {
        "width of the mouth": corners[:, 0],
        "height of its corners": lips[:, 1] - 0.5 * sum(
            at[f"mouth_{side}_corner"][:, 1] for side in ("left", "right")),
        "gap of the lips": at["mouth_lower_lip_top"][:, 1] - at["mouth_upper_lip_bottom"][:, 1],
        "gap of the brows": inner[:, 0],
        "height of the brows": -0.5 * sum(
            at[f"{side}_eyebrow_lower_middle"][:, 1] for side in ("left", "right")),
        "opening of the eyes": 0.5 * sum(
            at[f"{side}_eye_bottom"][:, 1] - at[f"{side}_eye_top"][:, 1]
            for side in ("left", "right")),
    }  # fmt: skip


def change(name: str, grade: int, num_people: int = 40) -> Mapping[str, float]:
    """Return the mean movement over people from the first frame to the hold."""
    found = [measures(landmarks(name, grade, seed)) for seed in range(num_people)]
    return {
        key: float(np.mean([np.median(one[key][MIDDLE]) - one[key][0] for one in found]))
        for key in found[0]
    }


MOVES = {
    "neutral": {},
    "happiness": {"width of the mouth": 1, "height of its corners": 1, "opening of the eyes": -1},
    "surprise": {"gap of the lips": 1, "height of the brows": 1, "opening of the eyes": 1},
    "anger": {"gap of the brows": -1, "height of the brows": -1, "opening of the eyes": -1,
              "height of its corners": -1},
}  # fmt: skip


@pytest.mark.parametrize("name", MOVES)
def test_an_expression_moves_what_it_is_known_by_and_less_with_the_grade(name: str) -> None:
    mild, severe = (change(name, grade) for grade in (0, 4))
    for key, value in mild.items():
        if key in MOVES[name]:
            assert value * MOVES[name][key] > 0.02, (key, value)
            assert 0.15 < severe[key] / value < 0.6, (key, value, severe[key])
    if name == "neutral":
        assert max(map(abs, mild.values())) < 0.03


def test_the_grade_never_changes_the_rest_the_head_or_a_neutral_recording() -> None:
    for name in TARGETS:
        mild, severe = (landmarks(name, grade, 5) for grade in (0, 4))
        np.testing.assert_array_equal(mild[0], severe[0])
        assert np.array_equal(mild, severe) == (name == "neutral")


def test_worse_grades_are_slower_to_come() -> None:
    def half_way(grade: int, seed: int) -> float:
        opened = measures(landmarks("surprise", grade, seed))["gap of the lips"]
        risen = opened - opened[0] > 0.5 * (np.median(opened[MIDDLE]) - opened[0])
        return float(np.flatnonzero(risen)[0]) / FPS

    mild, severe = (np.mean([half_way(grade, seed) for seed in range(30)]) for grade in (0, 4))
    assert severe - mild > 0.2  # half of the difference between the onsets, 0.65 s, less rounding


@pytest.mark.parametrize(
    ("crease", "names", "elsewhere"),
    [
        ("frown", ("left_eyebrow_lower_right_corner", "right_eyebrow_lower_left_corner"), "cheek"),
        ("cheek", ("nose_right_contour3", "mouth_right_corner"), "frown"),
    ],
)
def test_a_fold_of_the_skin_is_dark_where_the_expression_makes_one(
    crease: str, names: tuple[str, str], elsewhere: str
) -> None:
    def picture(deep: str | None) -> np.ndarray:
        folds = {name: np.full((1, 1, 1), float(name == deep), np.float32) for name in
                 ("frown", "cheek")}  # fmt: skip
        canvas = np.full((3, 1, 192, 192), 0.4, np.float32)
        scene = Scene(who.shape, who.look, placement, chin_of(who.shape, rest), points, canvas,
                      Creases(**folds) if deep else None)  # fmt: skip
        paint_face(scene)
        return canvas.mean(axis=0)[0]

    who = draw_face(np.random.default_rng(3), np.random.default_rng(4), size=192)
    rest, placement = still(), Placement(48.0, np.full((1, 2), 96.0), np.zeros((1, 3)))
    points, _ = place_points(who.shape, rest, placement)
    ends = points[0, [INDEX[name] for name in names]]
    (left, top), (right, bottom) = ends.min(axis=0).astype(int), ends.max(axis=0).astype(int)
    part = np.s_[top - 4 : bottom + 4, left - 2 : right + 12]
    plain = picture(None)
    assert (picture(crease) - plain)[part].min() < -0.07
    assert np.abs(picture(elsewhere) - plain)[part].max() < 0.02


def test_a_grade_beyond_the_scale_is_refused() -> None:
    with pytest.raises(ValueError, match=r"grade 5 is outside 0\.\.4 for item expression_anger"):
        landmarks("anger", 5, 0)
