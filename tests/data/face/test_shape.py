import json
from dataclasses import replace

import numpy as np
import pytest

from pdray.data.face.points import INDEX, LANDMARKS, VERTICES
from pdray.data.face.shape import (
    GROUPS,
    LEAST_STABLE,
    NOSE_TIP,
    STABLE,
    align_frames,
    fit_similarity,
    landmark_points,
    nose_centred,
    numbers_of,
)
from pdray.data.media.tracks import Track
from pdray.errors import DecodeError
from tests.fixtures.landmark_made import face, moved, shaken, track_of
from tests.places import YOUTUBEPD


def umeyama(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Umeyama 1991, eq. 40 to 43, with a singular value decomposition: rotation, scale, shift."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, d, vt = np.linalg.svd(b.T @ a / len(a))
    s = np.diag([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ s @ vt
    scale = float(np.trace(np.diag(d) @ s) / (a**2).sum(1).mean())
    return rotation, scale, target.mean(0) - scale * rotation @ source.mean(0)


def to_complex(points: np.ndarray) -> np.ndarray:
    return points[..., 0] + 1j * points[..., 1]


def test_similarity_is_umeyamas_of_the_stable_points() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=(106, 2))
    faces = shaken(rng.normal(size=(5, 106, 2)) + target, rng)
    got = fit_similarity(to_complex(faces), to_complex(target))
    for number, points in enumerate(faces):
        rotation, scale, shift = umeyama(points[STABLE], target[STABLE])
        np.testing.assert_allclose(
            got[number], to_complex(scale * points @ rotation.T + shift), atol=1e-12
        )


def test_similarity_leaves_out_absent_points() -> None:
    rng = np.random.default_rng(1)
    target = rng.normal(size=(106, 2))
    faces = rng.normal(size=(1, 106, 2)) + target
    faces[0, STABLE[:4]] = np.nan
    rotation, scale, shift = umeyama(faces[0, STABLE[4:]], target[STABLE[4:]])
    got = fit_similarity(to_complex(faces), to_complex(target))[0]
    np.testing.assert_allclose(got, to_complex(scale * faces[0] @ rotation.T + shift), atol=1e-12)
    faces[0, STABLE[LEAST_STABLE - 1 :]] = np.nan
    assert np.isnan(fit_similarity(to_complex(faces), to_complex(target))).all()


def test_stable_points_on_one_place_fit_nothing() -> None:
    faces = np.full((1, 106), 3 + 4j)
    assert np.isnan(fit_similarity(faces, to_complex(face()[0]))).all()


def test_moving_turning_and_scaling_a_face_leave_its_shape_and_only_turning_its_roll() -> None:
    rest = face(30)
    rng = np.random.default_rng(2)
    turn = rng.uniform(-0.3, 0.3, 30)
    changed = moved(
        rest, turn=turn, scale=rng.uniform(0.7, 1.4, 30), shift=rng.uniform(-40, 40, (30, 2))
    )
    shapes, still = align_frames(track_of(changed)), align_frames(track_of(rest))
    np.testing.assert_allclose(shapes.points, still.points, atol=2e-6)
    mean_turn = np.angle(np.exp(1j * turn).mean())
    np.testing.assert_allclose(shapes.roll, turn - mean_turn, atol=2e-6)
    corners = shapes.points[0, numbers_of("left_eye_left_corner", "left_eye_right_corner")]
    np.testing.assert_allclose(corners.mean(axis=0), (-0.5, 0), atol=1e-6)
    assert (shapes.run == 0).all()


def test_a_recording_upside_down_has_roll_around_zero_and_no_jump_of_it() -> None:
    turn = np.pi + np.linspace(-0.2, 0.2, 21)
    points = moved(face(21), turn=turn, scale=np.ones(21), shift=np.zeros((21, 2)))
    np.testing.assert_allclose(align_frames(track_of(points)).roll, turn - np.pi, atol=1e-5)


def test_the_mean_face_does_not_follow_one_wild_frame() -> None:
    points = face(9)
    points[4, GROUPS["mouth"]] += 60
    shapes = align_frames(track_of(points))
    np.testing.assert_allclose(shapes.points[0], align_frames(track_of(face(9))).points[0])


def test_cuts_gaps_and_absent_faces_end_runs() -> None:
    points = face(12)
    points[4:, GROUPS["mouth"], 1] += 90.0  # another face
    points[4:, GROUPS["contour"], 1] += 90.0
    points[8] = np.nan
    seconds = np.arange(12) / 10 + np.where(np.arange(12) >= 2, 0.3, 0)
    shapes = align_frames(track_of(points, seconds))
    assert shapes.run.tolist() == [0, 0, 1, 1, 2, 2, 2, 2, 3, 4, 4, 4]
    assert np.isnan(shapes.points[8]).all()
    assert np.isnan(shapes.roll[8])


def test_two_frames_and_one_frame_have_shapes() -> None:
    for num_frames in (1, 2):
        shapes = align_frames(track_of(face(num_frames)))
        assert shapes.run.tolist() == [0] * num_frames
        np.testing.assert_allclose(shapes.roll, 0, atol=1e-12)


def test_names_in_another_order_are_sorted() -> None:
    points = face(2)
    order = np.random.default_rng(0).permutation(106)
    mixed = replace(track_of(points[:, order]), names=tuple(LANDMARKS[number] for number in order))
    np.testing.assert_allclose(landmark_points(mixed), points, rtol=1e-6)
    np.testing.assert_allclose(landmark_points(replace(track_of(points), names=None)), points)


def test_what_are_no_landmarks_is_refused() -> None:
    track = track_of(face(3))
    with pytest.raises(
        DecodeError, match="has 105 points per frame; give a file with the 106 landmarks"
    ):
        align_frames(replace(track, points=track.points[:, :105], names=None))
    regions = Track(track.points[:, :58], track.seconds, track.size, vertices=VERTICES)
    with pytest.raises(
        DecodeError, match="has 58 corners of regions per frame; give a file with the 106"
    ):
        nose_centred(regions, num_frames=8, unit="eyes")
    names = ("ear", *LANDMARKS[1:])
    with pytest.raises(
        DecodeError, match=r"has the point 'ear' \(1 such points\), which is not one of the 106"
    ):
        landmark_points(replace(track, names=names))
    blind = face(3)
    blind[:, INDEX["left_eye_left_corner"]] = np.nan
    with pytest.raises(DecodeError, match="no frame with four distinct corners of the eyes"):
        align_frames(track_of(blind))
    with pytest.raises(DecodeError, match="no frame with all 106 landmarks"):
        nose_centred(track_of(blind), num_frames=8, unit="pixels")


def test_nose_centred_frames_are_the_middles_of_equal_parts() -> None:
    points = face(100)
    points[:, :, 0] += np.arange(100)[:, None]  # of the whole face: taken out again
    points[:, INDEX["contour_chin"], 1] += np.arange(100)
    got = nose_centred(track_of(points), num_frames=10, unit="pixels")
    assert got.shape == (10, 106, 2)
    assert got.dtype == np.float32
    assert (got[:, NOSE_TIP] == 0).all()
    # Tenths of 9.9 s: their middles are 0.495, 1.485 ... s, at 10 frames a second.
    frames = np.round((np.arange(10) + 0.5) * 9.9 - 1e-9).astype(int)
    chin = points[frames, INDEX["contour_chin"], 1] - points[frames, NOSE_TIP, 1]
    np.testing.assert_allclose(got[:, INDEX["contour_chin"], 1], chin / 256, atol=1e-6)


def test_unit_eyes_takes_the_size_of_the_face_out_and_unit_pixels_keeps_it() -> None:
    small, large = face(5), face(5) * 2
    eyes = [nose_centred(track_of(one), num_frames=4, unit="eyes") for one in (small, large)]
    np.testing.assert_allclose(eyes[0], eyes[1], atol=1e-6)
    left, right = (numbers_of(f"{one}_eye_left_corner", f"{one}_eye_right_corner")
                   for one in ("left", "right"))  # fmt: skip
    between = eyes[0][:, right].mean(axis=1) - eyes[0][:, left].mean(axis=1)
    np.testing.assert_allclose(np.linalg.norm(between, axis=1), 1, atol=1e-6)
    pixels = [nose_centred(track_of(one), num_frames=4, unit="pixels") for one in (small, large)]
    np.testing.assert_allclose(pixels[1], 2 * pixels[0], atol=1e-5)


def test_few_frames_are_taken_again_and_incomplete_ones_never() -> None:
    points = face(4)
    points[:, INDEX["contour_chin"], 1] += np.arange(4)
    points[[0, 3], INDEX["mouth_left_corner"]] = np.nan
    got = nose_centred(track_of(points), num_frames=6, unit="pixels")
    chin = points[[1, 1, 1, 2, 2, 2], INDEX["contour_chin"], 1] - points[1, NOSE_TIP, 1]
    np.testing.assert_allclose(got[:, INDEX["contour_chin"], 1] * 256, chin, atol=1e-4)


@pytest.mark.skipif(not YOUTUBEPD.is_dir(), reason="the YouTubePD pack is not beside the checkout")
def test_groups_are_the_packs() -> None:
    pack = json.loads((YOUTUBEPD / "landmark_names.json").read_text())
    assert {name: list(numbers) for name, numbers in GROUPS.items()} == pack["groups"]
