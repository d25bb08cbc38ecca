import json
import zipfile
from dataclasses import replace

import av
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pdray.data.batches.boxes import region_boxes
from pdray.data.media import tracks
from pdray.data.media.part import Box
from pdray.data.media.tracks import Track, align, is_made, read_track, to_canvas, write_track
from pdray.errors import DecodeError
from tests.places import YOUTUBEPD

VIDEOS = ("video74", "video91")
needs_pack = pytest.mark.skipif(not YOUTUBEPD.is_dir(), reason="the real tracks are not here")


def arrays(**changes):
    """Four rows of three points, as a file holds them; None leaves an array out."""
    found = {
        "points": np.arange(24, dtype=np.float64).reshape(4, 3, 2),
        "seconds": np.array([0.0, 0.1, 0.2, 0.4]),
        "size": np.array([320, 240]),
        **changes,
    }
    return {name: value for name, value in found.items() if value is not None}


def save(path, **changes):
    np.savez(path, **arrays(**changes))
    return path


def track(**changes):
    found = arrays()
    plain = Track(found["points"].astype(np.float32), found["seconds"], (320.0, 240.0))
    return replace(plain, **changes)


def test_the_mark_of_a_made_track_is_kept_and_read_without_the_points(tmp_path):
    path = tmp_path / "made.npz"
    write_track(path, track(made="SYNTHETIC, damp"))
    assert (read_track(path).made, is_made(path)) == ("SYNTHETIC, damp", True)
    write_track(path, track())
    assert (read_track(path).made, is_made(path)) == (None, False)
    path.write_bytes(b"no track")
    assert not is_made(path)
    with pytest.raises(DecodeError, match="made is int64 of shape"):
        read_track(save(tmp_path / "wrong.npz", made=np.array([1])))


def test_a_track_is_read_as_it_is_written(tmp_path):
    points = np.random.default_rng(0).normal(100, 50, (4, 7, 2)).astype(np.float32)
    points[1, 2] = np.nan
    written = track(points=points, vertices=np.array([4, 3]), names=("mouth", "left eye"))
    path = tmp_path / "deep" / "regions.npz"
    write_track(path, written)
    found = read_track(path)
    np.testing.assert_array_equal(found.points, points)
    np.testing.assert_array_equal(found.seconds, written.seconds)
    np.testing.assert_array_equal(found.vertices, [4, 3])
    assert found.points.dtype == np.float32
    assert found.seconds.dtype == np.float64
    assert found.vertices.dtype == np.int64
    assert (found.size, found.names) == ((320.0, 240.0), ("mouth", "left eye"))
    assert [one.name for one in path.parent.iterdir()] == ["regions.npz"]


def test_whole_numbers_and_compressed_files_are_read(tmp_path):
    path = tmp_path / "t.npz"
    np.savez_compressed(path, **arrays(points=np.ones((4, 2, 2), np.int16), names=["a", "b"]))
    found = read_track(path)
    assert found.points.dtype == np.float32
    assert (found.vertices, found.names) == (None, ("a", "b"))


NAN = float("nan")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seconds": None}, r"array 'seconds' is missing"),
        ({"point": np.ones(3)}, r"unknown array 'point': known are points, seconds, size, "),
        ({"points": np.ones((4, 3))}, r"points are float64 of shape \(4, 3\), not \(N, P, 2\)"),
        ({"points": np.ones((4, 3, 2), bool)}, r"points are bool of shape"),
        ({"points": np.ones((4, 0, 2))}, r"shape \(4, 0, 2\): without a row or without a point"),
        ({"points": np.full((4, 3, 2), np.inf)}, r"points\[0, 0, 0\] is infinite; NaN says"),
        ({"points": np.full((4, 3, 2), 1e60)}, r"points\[0, 0, 0\] is infinite; NaN says"),
        ({"points": np.full((4, 3, 2), [NAN, 1])}, r"points\[0, 0\] has one of x and y only"),
        ({"seconds": np.array(["0", "1", "2", "3"])}, r"seconds are <U1 of shape \(4,\), not"),
        ({"seconds": np.arange(3.0)}, r"there are 3 seconds for 4 rows of points"),
        ({"seconds": np.array([0, 1, NAN, 3])}, r"seconds\[2\] is not finite"),
        ({"seconds": np.array([0, 1, 1, 3])}, r"do not rise: \[1\] is 1, \[2\] is 1"),
        ({"size": np.ones(3)}, r"size is float64 of shape \(3,\), not \(2,\) numbers: width"),
        ({"size": np.array([320, 0])}, r"size is \[320, 0\]: width and height must be above 0"),
        ({"vertices": np.array([1.5, 1.5])}, r"vertices are float64 of shape \(2,\), not \(R,\)"),
        ({"vertices": np.array([1, 2])}, r"vertices\[0\] is below 3, which is no polygon"),
        ({"vertices": np.array([4])}, r"vertices sum to 4, but there are 3 points a row"),
        ({"names": np.ones(3)}, r"names are float64 of shape \(3,\), not \(P,\) text"),
        ({"names": np.array(["a", "b"])}, r"there are 2 names for 3 points"),
        ({"names": np.array(["a", "b", "a"])}, r"names are not unique"),
        (
            {"vertices": np.array([3]), "names": np.array(["a", "b", "c"])},
            r"there are 3 names for 1 polygons",
        ),
    ],
)
def test_every_fault_is_named_without_the_path(tmp_path, changes, message):
    path = save(tmp_path / "patient.npz", **changes)
    with pytest.raises(DecodeError, match=r"^its track cannot be used: .*" + message) as error:
        read_track(path)
    assert "patient" not in str(error.value)


def test_faults_are_reported_together(tmp_path):
    path = save(tmp_path / "t.npz", size=None, seconds=np.array([3, 2, 1, 0]), speed=np.ones(1))
    with pytest.raises(DecodeError, match=r"^its track cannot be used, 3 faults:\n") as error:
        read_track(path)
    for part in ("'size' is missing", "unknown array 'speed'", "seconds do not rise: [0] is 3"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "damaged"), (b"words", "damaged"), (None, "No such file or directory")],
)
def test_what_is_no_track_file_is_refused(tmp_path, content, reason):
    path = tmp_path / "patient.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DecodeError, match=rf"not an \.npz file .* \({reason}\)$") as error:
        read_track(path)
    assert "patient" not in str(error.value)


def test_python_objects_are_never_unpickled(tmp_path):
    path = save(tmp_path / "t.npz", names=np.array(["a", 1, None], object))
    with pytest.raises(DecodeError, match=r"\(it holds Python objects, not numbers\)$"):
        read_track(path)


def test_files_that_claim_or_unpack_to_too_much_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "claims.npz"
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000, 3, 2), }\n"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("points.npy", b"\x93NUMPY\x01\x00" + bytes([len(header), 0]) + header)
    with pytest.raises(DecodeError, match=r"impossible|damaged"):
        read_track(path)
    monkeypatch.setattr(tracks, "MAX_BYTES", 100_000)
    bomb = tmp_path / "bomb.npz"
    np.savez_compressed(bomb, **arrays(points=np.zeros((4, 20_000, 2))))
    assert bomb.stat().st_size < 10_000
    with pytest.raises(DecodeError, match=r"3 arrays of 1\d{6} bytes in all: more than 100000 is"):
        read_track(bomb)


def test_a_packing_that_numpy_does_not_write_is_refused(tmp_path):
    path = tmp_path / "t.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("points.npy", b"anything")
    with pytest.raises(DecodeError, match=r"packed in a way that numpy does not write"):
        read_track(path)


def test_a_damaged_file_is_never_read_in_part(tmp_path):
    path = save(tmp_path / "t.npz")
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place])
        with pytest.raises(DecodeError, match="its track"):
            read_track(path)


def test_a_faulty_track_is_not_written(tmp_path):
    path = tmp_path / "t.npz"
    with pytest.raises(DecodeError, match=r"^the track cannot be written: vertices sum to 4, but"):
        write_track(path, track(vertices=np.array([4])))
    assert list(tmp_path.iterdir()) == []


def slow_align(rows, frames, tolerance):
    found = []
    for frame in frames:
        best = -1
        for number, row in enumerate(rows):
            apart = abs(frame - row)
            if best < 0 or apart < abs(frame - rows[best]) - 1e-6:
                best = number
        near = best >= 0 and abs(frame - rows[best]) <= tolerance + 1e-6
        found.append(best if near else -1)
    return found


# Multiples of 1/64 s, so that ties and borders of the tolerance are met and exact.
times = st.integers(-100, 400).map(lambda n: n / 64)


@given(
    st.sets(times, max_size=20).map(sorted),
    st.lists(times, max_size=30),
    st.integers(0, 100).map(lambda n: n / 128),
)
def test_alignment_is_that_of_a_search_through_all_rows(rows, frames, tolerance):
    found = align(np.array(rows, float), np.array(frames, float), tolerance)
    assert found.dtype == np.int64
    assert found.tolist() == slow_align(rows, frames, tolerance)


@given(st.sets(times, min_size=2, max_size=20).map(sorted), st.lists(times, max_size=30))
def test_a_row_serves_half_an_interval_by_default(rows, frames):
    interval = float(np.median(np.diff(rows)))
    wanted = slow_align(rows, frames, interval / 2 + min(0.001, interval / 10))
    assert align(np.array(rows), np.array(frames, float)).tolist() == wanted


def test_every_second_frame_has_a_row_and_the_one_between_has_the_earlier():
    # 10 Hz and 20 Hz meet in ties that floats would break now and then.
    rows, frames = np.arange(300) / 10, np.arange(600) / 20
    assert align(rows, frames).tolist() == (np.arange(600) // 2).tolist()
    # Times that a file rounds to milliseconds leave no hole at the border.
    frames = np.round(np.arange(900) / 30, 3)
    assert (align(np.round(np.arange(450) / 15, 3), frames) >= 0).all()


def test_a_gap_stays_a_gap():
    rows = np.array([0.0, 0.1, 0.2, 0.7, 0.8])
    frames = np.array([-0.2, -0.04, 0.0, 0.2, 0.24, 0.3, 0.45, 0.66, 0.84, 0.9])
    assert align(rows, frames).tolist() == [-1, 0, 0, 2, 2, -1, -1, 3, 4, -1]
    assert align(np.zeros(1), np.array([0.1 + 0.2]), tolerance=0.3).tolist() == [0]
    assert align(rows, frames, tolerance=0.25).tolist() == [0, 0, 0, 2, 2, 2, 2, 3, 4, 4]


def test_one_row_serves_its_own_time_and_no_row_none():
    frames = np.array([0.0, 0.0995, 0.1, 0.15])
    assert align(np.array([0.1]), frames).tolist() == [-1, 0, 0, -1]
    assert align(np.array([0.1]), frames, tolerance=0.1).tolist() == [0, 0, 0, 0]
    assert align(np.zeros(0), frames).tolist() == [-1] * 4
    assert align(np.array([0.1]), np.zeros(0)).tolist() == []


def test_corners_of_the_picture_become_corners_of_the_box():
    corners = np.array([[[0, 0], [320, 0], [320, 240], [0, 240], [160, 120]]] * 4, np.float32)
    found = to_canvas(track(points=corners), np.array([0.1]), Box(10, 21, 96, 48))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], [[10, 21], [106, 21], [106, 69], [10, 69], [58, 45]])


def test_absent_points_and_frames_without_a_row_are_nan():
    points = np.ones((4, 3, 2), np.float32)
    points[1, 2] = np.nan
    frames = np.array([0.0, 0.1, 0.3, 0.4])
    found = to_canvas(track(points=points), frames, Box(0, 0, 64, 64))
    wanted = np.zeros((4, 3), bool)
    wanted[1, 2] = wanted[2] = True  # 0.3 s lies in the gap between 0.2 s and 0.4 s
    np.testing.assert_array_equal(np.isnan(found), np.repeat(wanted[..., None], 2, axis=2))
    assert not np.isnan(to_canvas(track(), frames, Box(0, 0, 64, 64), tolerance=0.1)).any()


def real_frames(video):
    with av.open(str(YOUTUBEPD / "media" / f"{video}.mp4")) as file:
        return np.array([float(frame.time) for frame in file.decode(video=0)])


def real_landmarks(video):
    """Landmark frame F is clip frame 2 (F - 1) of 20 Hz, as the pack's data card says."""
    with np.load(YOUTUBEPD / "landmarks.npz", allow_pickle=False) as pack:
        seconds = 2 * (pack[f"{video}__frame_index"] - 1) / 20
        return Track(pack[video].astype(np.float32), seconds, (256.0, 256.0))


def real_regions(video):
    about = json.loads((YOUTUBEPD / "region_names.json").read_text())
    with np.load(YOUTUBEPD / "regions.npz", allow_pickle=False) as pack:
        points = pack[video]
    names, vertices = tuple(about["names"]), np.array(about["vertices"])
    return Track(points, np.arange(len(points)) / 20, (256.0, 256.0), vertices, names)


@needs_pack
@pytest.mark.parametrize("video", VIDEOS)
def test_real_landmarks_lie_on_the_frames_they_were_found_in(tmp_path, video):
    path = tmp_path / "landmarks.npz"
    write_track(path, real_landmarks(video))
    found, frames = read_track(path), real_frames(video)
    rows = align(found.seconds, frames)
    assert len(frames) == 2 * len(found.seconds)
    np.testing.assert_array_equal(rows[::2], np.arange(len(found.seconds)))
    np.testing.assert_array_equal(rows[1::2], rows[::2])
    # Rows that are lost leave their frames without points, and no others.
    lost = replace(
        found,
        points=np.delete(found.points, slice(10, 14), 0),
        seconds=np.delete(found.seconds, slice(10, 14)),
    )
    points = to_canvas(lost, frames, Box(28, 0, 56, 56))
    absent = np.flatnonzero(np.isnan(points).all(axis=(1, 2)))
    assert absent.tolist() == list(range(20, 27))  # frame 27 is half an interval before a row
    # A 256 px picture of nothing but a face, on a box of 56 px that starts at 28.
    seen = np.delete(points, absent, 0)
    assert (seen >= [28, 0]).all()
    assert (seen <= [84, 56]).all()
    np.testing.assert_allclose(seen[0], found.points[0] * 56 / 256 + [28, 0], atol=1e-4)


@needs_pack
@pytest.mark.parametrize("video", VIDEOS)
def test_real_regions_lie_around_the_landmarks_of_their_names(tmp_path, video):
    path = tmp_path / "regions.npz"
    write_track(path, real_regions(video))
    found, frames = read_track(path), real_frames(video)
    assert align(found.seconds, frames).tolist() == list(range(len(frames)))
    box = Box(0, 0, 256, 256)
    boxes = region_boxes(torch.from_numpy(to_canvas(found, frames, box)), None, (256, 256)).numpy()
    assert boxes.shape == (len(frames), 14, 4)
    assert np.isfinite(boxes).all()
    landmarks = to_canvas(real_landmarks(video), frames, box)
    names = json.loads((YOUTUBEPD / "landmark_names.json").read_text())["names"]
    for region, prefix in [
        ("mouth", "mouth_"),
        ("left eye", "left_eye_"),
        ("right eye", "right_eye_"),
    ]:
        own = landmarks[:, [n for n, name in enumerate(names) if name.startswith(prefix)]]
        x0, y0, x1, y1 = boxes[:, found.names.index(region)].T
        middle = own.mean(axis=1)
        inside = (
            (middle[:, 0] > x0) & (middle[:, 0] < x1) & (middle[:, 1] > y0) & (middle[:, 1] < y1)
        )
        assert inside.mean() > 0.95, (region, inside.mean())
