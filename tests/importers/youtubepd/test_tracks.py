import numpy as np
import pytest

from pdray.data.face.points import LANDMARKS, REGIONS, VERTICES
from pdray.importers.youtubepd.tracks import (
    LANDMARK,
    REGION,
    Frames,
    clip_frames,
    end_faults,
    flat_frames,
    frames_faults,
    gaps,
    to_track,
)
from tests.fixtures.youtubepd_made import polygons

RNG = np.random.default_rng(0)


def landmarks(numbers=(1, 2, 5)):
    numbers = np.array(numbers, np.int16)
    return Frames(numbers, RNG.integers(18, 263, (len(numbers), 106, 2)).astype(np.int16))


def regions(num_frames=6):
    return Frames(np.arange(num_frames), polygons(num_frames, RNG).astype(np.float32))


def test_landmarks_are_of_every_second_frame_of_20_hz():
    frames = landmarks()
    track = to_track(LANDMARK, frames)
    np.testing.assert_array_equal(clip_frames(LANDMARK, frames), [0, 2, 8])
    np.testing.assert_array_equal(track.seconds, [0.0, 0.1, 0.4])
    np.testing.assert_array_equal(track.points, frames.points)
    assert track.points.dtype == np.float32
    assert track.names == LANDMARKS
    assert track.vertices is None
    assert track.size == (256.0, 256.0)


def test_regions_are_of_every_frame():
    track = to_track(REGION, regions(3))
    np.testing.assert_array_equal(track.seconds, [0.0, 0.05, 0.1])
    np.testing.assert_array_equal(track.vertices, VERTICES)
    assert track.names == REGIONS


def test_frames_between_the_first_and_the_last_lack():
    assert gaps(LANDMARK, landmarks((2, 3, 6))) == [1, 4, 5]
    assert gaps(LANDMARK, landmarks(())) == []
    assert gaps(REGION, regions()) == []


def test_made_up_frames_have_no_fault():
    assert frames_faults(LANDMARK, landmarks(), "f") == []
    assert frames_faults(LANDMARK, landmarks(()), "f") == []
    assert frames_faults(REGION, regions(), "f") == []


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0, 1, 2), "f: frame numbers must rise from 1, but number 0 is at position 0"),
        ((1, 4, 4), "f: frame numbers must rise from 1, but number 4 is at position 2, after 4"),
        ((1, 3, 2), "f: frame numbers must rise from 1, but number 2 is at position 2, after 3"),
    ],
)
def test_frame_numbers_rise(numbers, message):
    assert frames_faults(LANDMARK, landmarks(numbers), "f") == [message]


def test_numbers_that_are_no_frames_are_refused():
    points = landmarks().points
    far = Frames(np.array([1, 2, 99_000_000]), points)
    (fault,) = frames_faults(LANDMARK, far, "f")
    assert "frame number 99000000 is too large, expected up to 72000" in fault
    short = Frames(np.array([1, 2]), points)
    assert frames_faults(LANDMARK, short, "f") == ["f: int64 frame numbers (2,) for 3 frames"]
    halves = Frames(np.array([1.0, 2.0, 3.0]), points)
    assert frames_faults(LANDMARK, halves, "f") == ["f: float64 frame numbers (3,) for 3 frames"]


def test_a_face_of_105_points_is_refused():
    frames = landmarks()
    faults = frames_faults(LANDMARK, frames._replace(points=frames.points[:, 1:]), "a.npz video3")
    assert faults == [
        "a.npz video3: has 105 points per frame, expected 106 landmarks as in the benchmark"
    ]


@pytest.mark.parametrize("points", [np.zeros((3, 106)), np.zeros((3, 106, 2), "U1"), np.zeros(())])
def test_what_are_no_points_is_refused(points):
    frames = Frames(np.arange(1, 4), points)
    assert "expected (N, P, 2) numbers" in frames_faults(LANDMARK, frames, "f")[0]


@pytest.mark.parametrize(
    ("value", "shown"), [(-129, "-129"), (385, "385"), (np.nan, "nan"), (np.inf, "inf")]
)
def test_a_polygon_far_outside_is_refused(value, shown):
    frames = regions()
    frames.points[2:4, 45, 1] = value
    assert frames_faults(REGION, frames, "r.npz video3") == [
        f"r.npz video3 frame 2: y {shown} of mouth is outside -128..384 px for a picture of "
        "256 px (2 such frames)"
    ]


def test_a_landmark_far_outside_is_named():
    frames = landmarks()
    frames.points[2, 0, 0] = 700
    assert "f frame 5: x 700 of contour_chin is outside" in frames_faults(LANDMARK, frames, "f")[0]


def test_what_is_published_a_little_outside_is_let_be():
    frames = regions()
    frames.points[0, 0] = (-62, 269)
    assert frames_faults(REGION, frames, "f") == []


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_frame_is_refused(axis):
    frames = regions()
    frames.points[3:, :, axis] = 256 - frames.points[3:, :, axis]
    assert frames_faults(REGION, frames, "r.npz video3") == [
        "r.npz video3 frame 3: 14 of 14 polygons run in the wrong direction (3 such frames); "
        "check whether the picture is mirrored or y is counted from below"
    ]


def test_a_few_folded_polygons_are_let_be():
    frames = regions()
    frames.points[:, :12] = frames.points[:, 11::-1]  # three quadrangles, the other way round
    assert frames_faults(REGION, frames, "f") == []


def test_a_polygon_without_an_area_is_listed():
    frames = regions()
    frames.points[4, 50:54, 1] = 7.0
    assert flat_frames(frames) == [4]
    assert flat_frames(regions(0)) == []


def test_landmarks_end_with_the_clip():
    assert end_faults(landmarks((1, 3)), regions(5), "f") == []
    assert end_faults(landmarks((1, 4)), regions(6), "f") == [
        "f: landmark frame 4 is clip frame 6, but the regions of the clip end at frame 5"
    ]
    assert end_faults(landmarks(()), regions(5), "f") == []
