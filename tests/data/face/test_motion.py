import math

import numpy as np
import pytest
from pydantic import ValidationError

from pdray.data.face.measures import face_measures
from pdray.data.face.motion import LAGS, feature_columns, lagged_pairs, landmark_features
from pdray.data.face.points import REGIONS
from pdray.data.face.settings import FEATURE_GROUPS, LandmarkFeatureConfig
from pdray.data.face.shape import GROUPS, align_frames
from pdray.data.media.tracks import Track
from pdray.demo.face.movement import draw_expression
from pdray.demo.face.shape import Placement, draw_shape, place_points
from pdray.errors import SettingsError
from tests.fixtures.landmark_made import UNIT_PX, face, moved, shaken, track_of


def lively(num_frames: int = 100, seed: int = 0, size_px: float = 3.0) -> np.ndarray:
    """Return a face whose points wander smoothly, each its own way."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(num_frames + 20, 106, 2))
    smooth = np.stack([np.convolve(one, np.hanning(20), "valid") for one in
                       steps.reshape(len(steps), -1).T], axis=1)  # fmt: skip
    return face(num_frames) + size_px * smooth[:num_frames].reshape(num_frames, 106, 2) / 3


def told(track: Track) -> dict[str, float]:
    features = landmark_features(track)
    assert features.values.dtype == np.float64
    return dict(zip(features.names, features.values.tolist(), strict=True))


def same(one: dict[str, float], other: dict[str, float], **tolerance: float) -> None:
    assert list(one) == list(other)
    np.testing.assert_allclose(list(one.values()), list(other.values()), **tolerance)


def test_names_are_unique_grouped_and_those_of_every_recording() -> None:
    names = landmark_features(track_of(lively())).names
    assert len(set(names)) == len(names)
    assert {name.split(".")[0] for name in names} == set(FEATURE_GROUPS)
    assert names == landmark_features(track_of(face(2))).names


def test_a_lively_face_has_every_feature_but_what_needs_blinks() -> None:
    lacking = {name for name, value in told(track_of(lively())).items() if math.isnan(value)}
    assert lacking <= {
        "blink.duration_seconds",
        "blink.duration_variation",
        "blink.interval_variation",
    }


def test_change_is_the_log_of_the_mean_difference_over_a_lag() -> None:
    track = track_of(lively())
    got, shapes = told(track), align_frames(track)
    for group, name, lag, frames in (
        ("head", "roll", "0.1", 1),
        ("brows", "brow_height", "0.5", 5),
        ("mouth", "jaw_drop", "2", 20),
    ):
        values = face_measures(shapes)[name]
        total = sum(abs(values[i + frames] - values[i]) for i in range(100 - frames))
        wanted = math.log(total / (100 - frames))
        assert got[f"{group}.{name}_change_{lag}s"] == pytest.approx(wanted, rel=1e-9)
    mouth = shapes.points[:, GROUPS["mouth"]].reshape(100, -1)
    total = sum(math.sqrt(((mouth[i + 2] - mouth[i]) ** 2).mean()) for i in range(98))
    assert got["parts.mouth_change_0.2s"] == pytest.approx(math.log(total / 98), rel=1e-9)


def test_moving_and_scaling_the_face_changes_nothing_and_turning_it_the_roll_alone() -> None:
    points = lively()
    rng = np.random.default_rng(5)
    placed = moved(points, turn=np.zeros(100), scale=rng.uniform(0.8, 1.3, 100),
                   shift=rng.uniform(-50, 50, (100, 2)))  # fmt: skip
    plain = told(track_of(points))
    same(plain, told(track_of(placed)), atol=2e-3)
    turned = told(track_of(shaken(points, rng)))
    for name, value in plain.items():
        if "roll" not in name:
            np.testing.assert_allclose(turned[name], value, atol=2e-3, err_msg=name)
    assert turned["head.roll_change_0.1s"] > plain["head.roll_change_0.1s"] + 1


def test_lags_are_seconds_whatever_the_rate_and_the_length() -> None:
    points = lively(400)
    slow, fast = told(track_of(points[::2])), told(track_of(points, rate=20.0))
    twice = told(track_of(np.concatenate([points, points[::-1]]), rate=20.0))
    for name in slow:
        if "_change_" in name:
            assert fast[name] == pytest.approx(slow[name], abs=0.12), name
            assert fast[name] == pytest.approx(twice[name], abs=0.12), name


def test_five_frames_a_second_have_no_change_over_a_tenth() -> None:
    got = told(track_of(lively(), rate=5.0))
    assert math.isnan(got["head.roll_change_0.1s"])
    assert math.isfinite(got["head.roll_change_0.2s"])


@pytest.mark.parametrize("rate", [10.0, 12.5, 15.0, 24.0, 25.0, 30.0, 50.0])
def test_every_lag_has_pairs_at_usual_rates(rate: float) -> None:
    shapes = align_frames(track_of(face(200), rate=rate))
    for lag in LAGS:
        earlier, later = lagged_pairs(shapes, lag)
        assert len(earlier) == pytest.approx(200 - lag * rate, abs=1)
        assert np.abs((later - earlier) / rate - lag).max() <= 0.34 * lag


def test_a_cut_is_no_movement() -> None:
    still = face(100) + np.random.default_rng(0).normal(0, 0.2, (100, 106, 2))
    cut = still.copy()
    cut[60:, GROUPS["mouth"]] += (0, 60)
    cut[60:, GROUPS["contour"]] += (40, 40)
    one, other = told(track_of(still)), told(track_of(cut))
    for name in one:
        if "_change_" in name:
            assert other[name] == pytest.approx(one[name], abs=0.25), name


def test_pairs_are_by_time_within_a_run() -> None:
    seconds = np.array([0.0, 0.1, 0.2, 0.3, 0.9, 1.0, 1.1])
    shapes = align_frames(track_of(face(7), seconds))
    earlier, later = lagged_pairs(shapes, 0.2)
    assert [*zip(earlier.tolist(), later.tolist(), strict=True)] == [(0, 2), (1, 3), (4, 6)]
    assert [len(one) for one in lagged_pairs(shapes, 0.7)] == [0, 0]


def test_two_frames_have_a_shape_and_nothing_else_and_no_feature_is_zero_for_it() -> None:
    got = told(track_of(face(2)))
    there = {name for name, value in got.items() if not math.isnan(value)}
    assert there == {name for name in got if name.startswith("shape.")} | {
        name for name in got if name.endswith("_difference")
    }


def test_a_face_that_never_moves_is_at_the_floor_of_change() -> None:
    got = told(track_of(face(50)))
    assert got["head.yaw_change_1s"] == pytest.approx(math.log(1e-4))
    assert math.isnan(got["asymmetry.brow_height_coupling"])


def test_gaps_and_absent_frames_are_left_out() -> None:
    points = lively()
    holes = points.copy()
    holes[[20, 55]] = np.nan
    keep = np.delete(np.arange(100), [20, 55])
    same(told(track_of(holes)), told(track_of(points[keep], keep / 10)), atol=1e-9)


def test_eyes_that_move_together_are_coupled() -> None:
    got = told(track_of(lively()))
    assert abs(got["asymmetry.eye_openness_coupling"]) < 0.5
    rng = np.random.default_rng(1)
    expression = draw_expression(0, 1.0, rng, num_frames=100, fps=10)
    assert synthetic(expression)["asymmetry.eye_openness_coupling"] > 0.9


def synthetic(expression) -> dict[str, float]:
    num = len(expression.eye)
    placement = Placement(UNIT_PX, np.full((num, 2), 200.0), expression.turn.astype(float))
    return told(
        track_of(place_points(draw_shape(np.random.default_rng(4)), expression, placement)[0])
    )


def test_synthetic_faces_of_grade_5_move_less_than_those_of_grade_0() -> None:
    changes = {}
    for grade in (0, 5):
        rng = np.random.default_rng(7)
        drawn = [draw_expression(grade, 1.0, rng, num_frames=100, fps=10) for _ in range(6)]
        made = [synthetic(one) for one in drawn]
        changes[grade] = {name: np.mean([one[name] for one in made]) for name in made[0]}
    for name in ("head.roll", "head.yaw", "brows.brow_height", "mouth.mouth_opening"):
        assert changes[5][f"{name}_change_0.5s"] < changes[0][f"{name}_change_0.5s"] - 0.5, name
    assert changes[5]["blink.rate_per_minute"] < changes[0]["blink.rate_per_minute"]


def test_regions_have_their_names() -> None:
    names = landmark_features(track_of(face(2))).names
    wanted = {f"regions.{name.replace(' ', '_')}_change_{lag}s" for name in REGIONS
              for lag in ("0.2", "1")}  # fmt: skip
    assert {name for name in names if name.startswith("regions.")} == wanted


def test_columns_are_those_of_the_groups() -> None:
    names = landmark_features(track_of(face(2))).names
    columns = feature_columns(names, LandmarkFeatureConfig(groups="brows+head"))
    assert [names[column] for column in columns] == [
        name for name in names if name.startswith(("head.", "brows."))
    ]
    with pytest.raises(
        SettingsError,
        match=r"landmarks.groups: none of 1 features is in the group brows; remove it",
    ):
        feature_columns(["head.roll"], LandmarkFeatureConfig(groups="head+brows"))


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ("head+ears", "'ears' is not a feature group; use some of head"),
        ("head+head", "head is listed 2 times; list it once"),
        ("", "'' is"),
    ],
)
def test_groups_that_are_none_are_refused(groups: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        LandmarkFeatureConfig(groups=groups)
