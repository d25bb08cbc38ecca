import zipfile

import numpy as np
import pytest

from pdray.errors import ManifestError
from pdray.importers.youtubepd.clips import Lack
from pdray.importers.youtubepd.pack import read_pack
from tests.fixtures.youtubepd_made import Made, write_csv


@pytest.fixture
def made():
    return Made()


def told(made, tmp_path, *, sums=True):
    """Return the message that refuses a synthetic pack."""
    made.write_pack(tmp_path / "pack", sums=sums)
    with pytest.raises(ManifestError) as error:
        read_pack(tmp_path / "pack")
    return str(error.value)


def test_a_pack_is_read(made, tmp_path):
    content = read_pack(made.write_pack(tmp_path / "pack"))
    assert [(one.name, one.label, one.split) for one in content.clips] == [
        ("video3", 10, "test"), ("video7", 0, "train"), ("video20", 1, "train"),
        ("video136", 0, "test"),
    ]  # fmt: skip
    for name in made.clips:
        np.testing.assert_array_equal(content.landmarks[name].points, made.landmarks[name])
        np.testing.assert_array_equal(content.landmarks[name].numbers, made.numbers[name])
        np.testing.assert_array_equal(content.regions[name].points, made.regions[name])
    assert [mark.clip for mark in content.marks] == ["video3"] * 4 + ["video150"]
    assert content.marks[0][1:] == (11, 6, 12, 9, 8, "")
    assert content.lacks == (Lack("listed twice, taken once", "video136"),)


def test_what_has_no_label_is_listed(made, tmp_path):
    del made.clips["video20"]
    content = read_pack(made.write_pack(tmp_path / "pack"))
    assert "video20" not in content.landmarks
    assert "video20" not in content.regions
    assert Lack("landmarks without a label", "video20") in content.lacks
    assert Lack("regions without a label", "video20") in content.lacks


def test_a_clip_may_lack_landmarks_and_regions(made, tmp_path):
    del made.landmarks["video20"], made.numbers["video20"], made.regions["video7"]
    content = read_pack(made.write_pack(tmp_path / "pack"))
    assert "video20" not in content.landmarks
    assert "video7" not in content.regions


def test_digests_are_compared_before_anything_is_read(made, tmp_path):
    folder = made.write_pack(tmp_path / "pack")
    (folder / "clips.csv").write_text("no table\n")
    with (folder / "landmarks.npz").open("ab") as file:
        file.write(b"more")
    with pytest.raises(
        ManifestError, match="is damaged or changed, copy it again, 2 faults"
    ) as error:
        read_pack(folder)
    assert "clips.csv: its SHA-256 is " in str(error.value)
    assert "landmarks.npz: its SHA-256 is " in str(error.value)
    (folder / "SHA256SUMS").write_text("abc clips.csv\n")
    with pytest.raises(
        ManifestError, match=r"SHA256SUMS line 1: 'abc clips\.csv' is wrong, expected a"
    ):
        read_pack(folder)


def test_what_has_no_digest_is_listed(made, tmp_path):
    folder = made.write_pack(tmp_path / "pack", sums=False)
    assert read_pack(folder).lacks[0] == Lack("digests absent, nothing compared", "SHA256SUMS")
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  media/video3.mp4\n")
    lacks = read_pack(folder).lacks
    assert lacks[0] == Lack("files of the pack absent", "media/video3.mp4")
    assert lacks[1] == Lack("files without a digest", "clips.csv")


def test_faults_of_all_files_come_together(made, tmp_path):
    made.clips["video20"][0] = 11
    made.landmarks["video3"] = made.landmarks["video3"][:, :105]
    made.regions["video136"][4, :, 0] = 256 - made.regions["video136"][4, :, 0]
    made.regions["video7"][2, 0] = (40, 900)
    made.marks["video3"] += ["6/12, 14, 9, 8", "13/12, 2, 9, 8"]
    message = told(made, tmp_path)
    for fault in (
        "clips.csv row 4: video20: label '11' is wrong, expected a whole number 0..10",
        "landmarks.npz video3: has 105 points per frame, expected 106 landmarks as in the",
        "regions.npz video136 frame 4: 14 of 14 polygons run in the wrong direction",
        "regions.npz video7 frame 2: y 900 of forehead is outside -128..384 px",
        "region_annotations.csv row 6: video3: region 14 is outside 0..13",
        "region_annotations.csv row 7: video3: frame 13 is outside its total of 12",
    ):
        assert fault in message


def test_a_clip_of_two_labels_is_refused(made, tmp_path):
    folder = made.write_pack(tmp_path / "pack", sums=False)
    again = {**made.clip_row("video7"), "label_0_10": 4, "severity_0_5": 2, "pd": 1}
    write_csv(folder / "clips.csv", [*(made.clip_row(name) for name in made.clips), again])
    with pytest.raises(
        ManifestError, match=r"row 6: video7 has label 4, but 0 in clips\.csv row 3"
    ):
        read_pack(folder)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("severity_0_5", 4, "row 2: video3: severity_0_5 is '4', expected 5 from label 10 "
         "and the number"),
        ("pd", 0, "row 2: video3: pd is '0', expected 1 from label 10 and the number"),
        ("collection_batch", "B", "row 2: video3: collection_batch is 'B', expected A from label"),
        ("subject_id", "S1", "row 2: video3: subject_id is not empty; clear it and set "
         "subjects=FILE"),
        ("has_landmarks", 0, "landmarks.npz video3: clips.csv has has_landmarks 0, but the "
         "archive has the clip"),
        ("n_frames_landmarks", 6, "landmarks.npz video3: clips.csv has n_frames_landmarks 6, "
         "found 5"),
        ("n_missing_landmark_frames", 1, "clips.csv has n_missing_landmark_frames 1, found 0"),
        ("n_frames_regions", 11, "regions.npz video3: clips.csv has n_frames_regions 11, found "
         "10"),
        ("has_region_annotations", 0, "video3: has_region_annotations 0 contradicts region_"),
    ],
)  # fmt: skip
def test_a_table_that_contradicts_is_refused(made, tmp_path, column, value, message):
    made.cells["video3"][column] = value
    assert message in told(made, tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("severity", "2.5", "row 2: video3: severity '2.5' is not a whole number"),
        ("severity_0_5", "1", "row 2: video3: severity_0_5 is '1', expected 5 from severity 9"),
        ("clip_in_pack", "0", "row 2: video3: clip_in_pack '0' contradicts clips.csv"),
        ("clip_id", "v3", "row 2: clip 'v3' is wrong, expected 'video' and a number"),
    ],
)
def test_a_mark_that_contradicts_is_refused(made, tmp_path, column, value, message):
    folder = made.write_pack(tmp_path / "pack", sums=False)
    rows = made.mark_rows()
    rows[0][column] = value
    write_csv(folder / "region_annotations.csv", rows)
    with pytest.raises(ManifestError) as error:
        read_pack(folder)
    assert f"region_annotations.csv {message}" in str(error.value)


def test_landmarks_behind_the_clip_are_refused(made, tmp_path):
    made.regions["video20"] = made.regions["video20"][:8]
    assert (
        "landmarks.npz video20: landmark frame 5 is clip frame 8, but the regions of the clip end "
        "at frame 7"
    ) in told(made, tmp_path)


def test_points_without_numbers_and_numbers_without_points_are_refused(made, tmp_path):
    made.numbers["video99"] = made.numbers.pop("video3")
    message = told(made, tmp_path)
    assert "landmarks.npz video3: float64 frame numbers () for 5 frames" in message
    assert "landmarks.npz video99: is float64 (), expected (N, P, 2) numbers" in message


def test_an_unknown_array_is_refused(made, tmp_path):
    made.regions["about"] = np.zeros(3)
    assert "regions.npz: unknown array 'about'" in told(made, tmp_path)


def test_another_order_of_points_is_refused(made, tmp_path):
    folder = made.write_pack(tmp_path / "pack", sums=False)
    text = (folder / "landmark_names.json").read_text()
    text = text.replace('"contour_chin", "contour_left1"', '"contour_left1", "contour_chin"')
    (folder / "landmark_names.json").write_text(text)
    (folder / "region_names.json").write_text("[]")
    with pytest.raises(ManifestError) as error:
        read_pack(folder)
    assert "landmark_names.json: names[0] is 'contour_left1', expected 'contour_chin'" in \
        str(error.value)  # fmt: skip
    assert "region_names.json: names[0] is None, expected 'forehead'" in str(error.value)
    (folder / "region_names.json").write_text("[")
    with pytest.raises(ManifestError, match=r"region_names\.json: is not JSON"):
        read_pack(folder)


@pytest.mark.parametrize("share", [0, 0.3, 0.97])
def test_a_truncated_archive_is_refused(made, tmp_path, share):
    folder = made.write_pack(tmp_path / "pack", sums=False)
    data = (folder / "landmarks.npz").read_bytes()
    (folder / "landmarks.npz").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ManifestError, match=r"landmarks\.npz: cannot be read as a whole .npz file"):
        read_pack(folder)


def test_a_damaged_array_is_named(made, tmp_path):
    folder = made.write_pack(tmp_path / "pack", sums=False)
    path = folder / "regions.npz"
    with zipfile.ZipFile(path) as file:
        start = file.getinfo("video7.npy").header_offset
    data = bytearray(path.read_bytes())
    data[start + 200] ^= 255
    path.write_bytes(data)
    with pytest.raises(ManifestError, match=r"regions\.npz video7: cannot be read"):
        read_pack(folder)


def test_an_archive_of_objects_is_refused(made, tmp_path):
    folder = made.write_pack(tmp_path / "pack", sums=False)
    with zipfile.ZipFile(folder / "regions.npz") as file:
        assert "video7.npy" in file.namelist()
    np.savez(folder / "regions.npz", video7=np.array([{}], object))
    with pytest.raises(ManifestError, match=r"regions\.npz video7: cannot be read: Object arrays"):
        read_pack(folder)


@pytest.mark.parametrize("name", ["clips.csv", "landmark_names.json", "regions.npz"])
def test_a_file_that_lacks_is_told(made, tmp_path, name):
    folder = made.write_pack(tmp_path / "pack", sums=False)
    (folder / name).unlink()
    with pytest.raises(ManifestError, match=f"{name}.*No such file"):
        read_pack(folder)
