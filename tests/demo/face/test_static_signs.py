"""What the rest of a drawn face shows of the grade, in landmarks and in pixels."""

from dataclasses import replace

import numpy as np
import pytest

from pdray.data.face.points import INDEX
from pdray.demo.face.interview import Face, draw_face, draw_interview, draw_points
from pdray.demo.face.movement import draw_expression
from pdray.demo.face.static_signs import StaticSigns, draw_static_signs

FPS = 10


def signs(seed: int = 0, strength: float = 1.0) -> StaticSigns:
    return draw_static_signs(strength, np.random.default_rng(seed), np.random.default_rng([seed]))


def plain(strength: float = 1.0) -> StaticSigns:
    """Signs of somebody who looks as ill as the grade says."""
    return StaticSigns(strength, 0.0, np.ones(5), 1.9)


def face(seed: int = 1, size: int = 48, **changes: object) -> Face:
    who = draw_face(np.random.default_rng(seed), np.random.default_rng([seed, 1]), size=size)
    return replace(who, **{"signs": plain(), **changes})


def mean_shape(grade: int, who: Face) -> dict[str, float]:
    """Return distances of the mean face over the frames, in distances between the eyes."""
    rng = np.random.default_rng(3)
    points = draw_points(grade, who, rng, num_frames=60, fps=FPS)[0].points.astype(float)
    left, right = (points[:, INDEX[f"{side}_eye_center"]] for side in ("left", "right"))
    z = ((points - left[:, None]) @ (1, 1j) / ((right - left) @ (1, 1j))[:, None]).mean(axis=0)

    def down(upper: str, lower: str) -> float:
        return float((z[INDEX[lower]] - z[INDEX[upper]]).imag)

    return {
        "lids": down("left_eye_top", "left_eye_bottom"),
        "brows": down("left_eyebrow_lower_middle", "nose_tip"),
        "corners": down("mouth_upper_lip_bottom", "mouth_left_corner"),
        "lips": down("mouth_upper_lip_bottom", "mouth_lower_lip_top"),
    }


def test_the_rest_of_a_face_droops_with_the_grade() -> None:
    shapes = [mean_shape(grade, face()) for grade in range(6)]
    first, last = shapes[0], shapes[-1]
    assert last["lids"] < 0.75 * first["lids"]
    assert last["brows"] < first["brows"] - 0.035
    assert last["corners"] > first["corners"] + 0.05
    assert last["lips"] > first["lips"] + 0.07
    lids = [one["lids"] for one in shapes]
    assert lids == sorted(lids, reverse=True)


@pytest.mark.parametrize("performed", ["", "neutral"])
def test_without_signs_nothing_rests_elsewhere_and_with_them_all_of_it_moves_alike(
    performed: str,
) -> None:
    length = {"num_frames": 30, "fps": FPS, "performed": performed}
    without, healthy, ill = (
        draw_points(grade, face(signs=chance), np.random.default_rng(3), **length)[0].points
        for grade, chance in ((0, None), (0, plain()), (4, plain()))
    )
    assert np.array_equal(without, healthy)  # a healthy face without chance is as before
    assert np.abs(ill - without).max() > 0.5


def test_signs_change_where_a_face_rests_and_not_how_it_moves() -> None:
    moving = draw_expression(4, 1.0, np.random.default_rng(0), num_frames=50, fps=FPS)
    shown = plain().droop(moving, 4)
    for part in ("brow", "mouth", "spread", "smile"):
        before, after = getattr(moving, part), getattr(shown, part)
        np.testing.assert_allclose(after - after.mean(), before - before.mean(), atol=1e-6)
        assert not np.allclose(after, before)
    np.testing.assert_allclose(shown.eye / shown.eye.max(), moving.eye / moving.eye.max(), 1e-5)
    for part in ("gaze", "turn", "frown", "cheek"):
        assert getattr(shown, part) is getattr(moving, part)


def test_the_fold_beside_the_nose_is_flatter_the_worse_the_grade() -> None:
    depths = [plain().fold(grade) for grade in range(6)]
    assert depths == sorted(depths, reverse=True)
    assert depths[0] == pytest.approx(1.9)
    assert depths[-1] == pytest.approx(0.19)
    deep, flat = (
        draw_interview(
            0, face(size=96, signs=StaticSigns(1.0, 0.0, np.ones(5), depth)),
            np.random.default_rng(0), num_frames=2, fps=FPS,
        )
        for depth in (1.9, 0.19)
    )  # fmt: skip
    np.testing.assert_array_equal(deep.landmarks.points, flat.landmarks.points)
    for side, way in (("left", -1), ("right", 1)):
        ends = [deep.landmarks.points[0, INDEX[name]]
                for name in (f"nose_{side}_contour3", f"mouth_{side}_corner")]  # fmt: skip
        x, y = np.mean(ends, axis=0) + np.array([2 * way, 3])
        there = (0, slice(int(y) - 1, int(y) + 2), slice(int(x) - 1, int(x) + 2))
        assert deep.frames[there].mean() < flat.frames[there].mean() - 4


def test_chance_belongs_to_the_person_first_and_knows_neither_strength_nor_grade() -> None:
    one, stronger = signs(5), signs(5, strength=2.0)
    assert one.shift == stronger.shift
    np.testing.assert_array_equal(one.parts, stronger.parts)
    people = [np.random.default_rng([9, subject]).integers(2**60) for subject in range(200)]
    shifts = np.array([
        [draw_static_signs(1.0, np.random.default_rng(seed), np.random.default_rng([seed, take]))
         .shift for take in range(4)]
        for seed in people
    ])  # fmt: skip
    assert shifts.mean() == pytest.approx(0, abs=0.2)
    assert shifts.mean(axis=1).std() > 2 * shifts.std(axis=1).mean()


@pytest.mark.parametrize("grade", [0, 5])
@pytest.mark.parametrize("strength", [0.1, 3.0])
def test_a_face_stays_a_face_however_strong_the_signs(grade: int, strength: float) -> None:
    for seed in range(20):
        chance = replace(signs(seed, strength), shift=2.5)
        who = face(seed, signs=chance)
        points = draw_points(grade, who, np.random.default_rng(seed), num_frames=30, fps=FPS)
        place = points[0].points
        assert np.isfinite(place).all()
        opened = place[:, INDEX["left_eye_bottom"], 1] - place[:, INDEX["left_eye_top"], 1]
        assert opened.min() > -0.2
        assert np.median(opened) > 0.2
        assert (place[:, INDEX["mouth_lower_lip_bottom"], 1] < place[:, INDEX["contour_chin"], 1]
                ).all()  # fmt: skip


def test_a_counterfactual_holds_its_head_and_looks_as_its_source() -> None:
    def points(grade: int, source_grade: int | None) -> np.ndarray:
        who = face(signs=None, source_grade=source_grade, size=400)
        return draw_points(grade, who, np.random.default_rng(8), num_frames=60, fps=FPS)[0].points

    source, same, other = points(0, None), points(5, 0), points(5, None)
    assert np.array_equal(source, points(0, 0))
    rigid = [INDEX[name] for name in ("nose_tip", "left_eye_pupil", "right_eye_left_corner")]
    np.testing.assert_array_equal(same[:, rigid], source[:, rigid])
    assert np.abs(other[:, rigid] - source[:, rigid]).max() > 2
    brow = INDEX["left_eyebrow_upper_middle"]
    moved = [np.ptp(one[:, brow, 1] - one[:, INDEX["nose_tip"], 1]) for one in (source, same)]
    assert moved[1] < 0.6 * moved[0]
