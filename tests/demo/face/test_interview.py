from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pdray.data.face.points import INDEX, LANDMARKS, REGIONS, VERTICES
from pdray.data.media.tracks import Track, read_track, write_track
from pdray.demo.face.interview import Face, Interview, draw_face, draw_interview, draw_points

SIZE = 48
FPS = 25


def face(subject: int = 1, visit: int = 1, size: int = SIZE) -> Face:
    return draw_face(
        np.random.default_rng(subject), np.random.default_rng([subject, visit]), size=size
    )


def film(grade: int, seed: int = 0, num_frames: int = 20, who: Face | None = None) -> Interview:
    return draw_interview(
        grade, who or face(), np.random.default_rng(seed), num_frames=num_frames, fps=FPS
    )


@cache
def points_of(grade: int, seed: int) -> Track:
    """Landmarks of another person in each recording of five seconds."""
    rng = np.random.default_rng([seed, 9])
    return draw_points(grade, face(seed, size=16), rng, num_frames=125, fps=FPS)[0]


def lengths(track: Track, one: str, other: str) -> np.ndarray:
    """Return a distance in each frame, in distances between the eyes."""

    def gap(a: str, b: str) -> np.ndarray:
        return np.linalg.norm(track.points[:, INDEX[a]] - track.points[:, INDEX[b]], axis=-1)

    return gap(one, other) / gap("left_eye_left_corner", "right_eye_right_corner")


MOVEMENTS = {
    "eye": ("left_eye_top", "left_eye_bottom"),
    "mouth": ("mouth_upper_lip_bottom", "mouth_lower_lip_top"),
    "brow": ("right_eyebrow_upper_middle", "nose_bridge1"),
    "smile": ("mouth_left_corner", "mouth_right_corner"),
}


def area_under_curve(higher: list[float], lower: list[float]) -> float:
    return float((np.array(higher)[:, None] > np.array(lower)).mean())


def test_frames_and_tracks_belong_together() -> None:
    one = film(2)
    assert one.frames.shape == (20, SIZE, SIZE, 3)
    assert one.frames.dtype == np.uint8
    assert one.landmarks.points.shape == (20, 106, 2)
    assert one.regions.points.shape == (20, 58, 2)
    assert one.landmarks.names == LANDMARKS
    assert one.regions.names == REGIONS
    np.testing.assert_array_equal(one.regions.vertices, VERTICES)
    for track in (one.landmarks, one.regions):
        assert track.size == (SIZE, SIZE)
        np.testing.assert_allclose(track.seconds, np.arange(20) / FPS)
        assert np.isfinite(track.points).all()


@pytest.mark.parametrize("subject", range(3))
def test_pupils_and_chin_of_the_track_lie_on_those_of_the_picture(subject: int) -> None:
    who = face(subject, size=128)
    black, pale = np.zeros(3, np.float32), np.full(3, 0.8, np.float32)
    look = replace(who.look, iris=black, skin=pale, has_glasses=False)
    one = film(0, seed=3, num_frames=40, who=replace(who, look=look, sway_px=5.0))
    points = one.landmarks.points
    opened = points[:, INDEX["left_eye_bottom"]] - points[:, INDEX["left_eye_top"]]
    brow = points[:, [INDEX["left_eyebrow_lower_middle"], INDEX["left_eye_top"]]].mean(axis=1)
    num_seen = 0
    for number in np.flatnonzero(opened[:, 1] > 3.5):
        column, row = points[number, INDEX["left_eye_pupil"]].astype(int)
        above, beside = brow[number].astype(int)
        num_seen += 1
        frame = one.frames[number].astype(int).sum(axis=-1)
        iris = frame[row - 1 : row + 2, column - 1 : column + 2]
        assert np.median(iris) < frame[beside, above] - 150
    assert num_seen > 20
    assert np.ptp(points[:, INDEX["contour_chin"]], axis=0).max() > 4


def test_tracks_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    one = film(0, num_frames=3)
    for track in (one.landmarks, one.regions):
        write_track(tmp_path / "track.npz", track)
        again = read_track(tmp_path / "track.npz")
        np.testing.assert_array_equal(again.points, track.points)
        np.testing.assert_array_equal(again.seconds, track.seconds)
        assert (again.size, again.names) == (track.size, track.names)
        assert (again.vertices is None) == (track.vertices is None)


@pytest.mark.parametrize("subject", range(8))
def test_the_face_is_in_the_picture(subject: int) -> None:
    for visit in range(3):
        who = face(subject, visit, size=96)
        points = draw_points(0, who, np.random.default_rng(visit), num_frames=50, fps=FPS)[0].points
        assert points.min() > -3
        assert points.max() < 99
        assert np.ptp(points[0, :, 1]) > 0.4 * 96


def test_the_same_generators_give_the_same_pixels() -> None:
    one, again, other = film(1, seed=4), film(1, seed=4), film(1, seed=5)
    assert np.array_equal(one.frames, again.frames)
    assert np.array_equal(one.landmarks.points, again.landmarks.points)
    assert not np.array_equal(one.frames, other.frames)


def test_points_without_pixels_are_those_of_the_pictures() -> None:
    one = film(3, seed=2)
    landmarks, regions = draw_points(3, face(), np.random.default_rng(2), num_frames=20, fps=FPS)
    assert np.array_equal(landmarks.points, one.landmarks.points)
    assert np.array_equal(regions.points, one.regions.points)


def test_a_frame_does_not_depend_on_the_frames_drawn_with_it(monkeypatch) -> None:
    whole = film(0, num_frames=20)
    monkeypatch.setattr("pdray.demo.face.interview.CHUNK", 3)
    parts = film(0, num_frames=20)
    # Sums of float32 may end on the other side of a whole grey level.
    assert np.abs(whole.frames.astype(int) - parts.frames.astype(int)).max() <= 1


def test_another_grade_is_the_same_person_before_the_same_wall() -> None:
    mild, severe = (film(grade, seed=6).frames.astype(int) for grade in (0, 5))
    # The grain and the sway are the same: where no person is, so is every pixel.
    assert np.array_equal(mild[:, :6, :2], severe[:, :6, :2])
    assert np.array_equal(mild[:, :6, -2:], severe[:, :6, -2:])
    stranger = film(0, seed=6, who=face(2, 2)).frames.astype(int)
    change = np.abs(mild.mean(axis=0) - severe.mean(axis=0)).mean()
    assert change < 0.3 * np.abs(mild.mean(axis=0) - stranger.mean(axis=0)).mean()


def test_the_mean_picture_does_not_tell_the_grade() -> None:
    def statistics(grade: int, seed: int) -> np.ndarray:
        who, rng = face(seed, grade, size=24), np.random.default_rng(seed)
        mean = draw_interview(grade, who, rng, num_frames=4, fps=1).frames.mean(axis=0)
        return np.array([*mean.mean(axis=(0, 1)), mean.std(), mean[6:18, 6:18].mean()])

    mild = np.array([statistics(seed % 2, seed) for seed in range(40)])
    severe = np.array([statistics(3 + seed % 3, 100 + seed) for seed in range(40)])
    for number in range(mild.shape[1]):
        # Of 40 against 40 chance alone is 0.065 away from one half.
        assert 0.3 < area_under_curve(mild[:, number], severe[:, number]) < 0.7


@pytest.mark.parametrize("part", sorted(MOVEMENTS))
def test_landmarks_move_less_with_the_grade(part: str) -> None:
    spread = {
        grade: [lengths(points_of(grade, seed), *MOVEMENTS[part]).std() for seed in range(20)]
        for grade in range(6)
    }
    means = [np.mean(spread[grade]) for grade in range(6)]
    if part == "eye":  # a severe face may not blink at all in five seconds: two grades together
        means = [np.mean(spread[k] + spread[k + 1]) for k in (0, 2, 4)]
    assert all(milder > worse for milder, worse in pairwise(means))
    mild, severe = spread[0] + spread[1], spread[3] + spread[4] + spread[5]
    assert area_under_curve(mild, severe) >= 0.85


@pytest.mark.parametrize("part", sorted(MOVEMENTS))
def test_one_frame_tells_little_of_the_grade(part: str) -> None:
    first = {
        grade: [lengths(points_of(grade, seed), *MOVEMENTS[part])[0] for seed in range(20)]
        for grade in range(6)
    }
    mild, severe = first[0] + first[1], first[3] + first[4] + first[5]
    assert 0.3 < area_under_curve(mild, severe) < 0.7


def test_the_head_moves_less_with_the_grade() -> None:
    def moved(grade: int) -> float:
        steps = [
            np.diff(points_of(grade, seed).points[:, INDEX["nose_tip"]], axis=0)
            for seed in range(20)
        ]
        return float(np.mean([np.linalg.norm(step, axis=1).mean() for step in steps]))

    speeds = [moved(grade) for grade in (0, 2, 5)]
    assert speeds[0] > speeds[1] > speeds[2] > 0


@pytest.mark.parametrize("grade", [-1, 6])
def test_a_grade_outside_the_item_is_refused(grade: int) -> None:
    with pytest.raises(ValueError, match=rf"grade {grade} is outside 0\.\.5 for item face_interv"):
        film(grade)


def test_a_single_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="num_frames 1 is below 2: nothing moves in it"):
        film(0, num_frames=1)
