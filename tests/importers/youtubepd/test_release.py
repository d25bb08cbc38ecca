import os
import pickle

import numpy as np
import pytest

from pdray.data.face.points import LANDMARKS
from pdray.errors import ManifestError
from pdray.importers.youtubepd.clips import Lack
from pdray.importers.youtubepd.pack import read_pack
from pdray.importers.youtubepd.release import read_release
from tests.fixtures.youtubepd_made import Made, nested, write_pickle


@pytest.fixture
def made():
    return Made()


@pytest.fixture
def folders(made, tmp_path):
    """Both synthetic checkouts."""
    return made.write_release(tmp_path)


def told(folders):
    with pytest.raises(ManifestError) as error:
        read_release(*folders)
    return str(error.value)


def face(**changes):
    points = {name: {"x": 100 + n, "y": 90} for n, name in enumerate(LANDMARKS)}
    return {name: point for name, point in (points | changes).items() if point is not None}


def test_a_release_says_what_the_pack_says(made, folders, tmp_path):
    release, pack = read_release(*folders), read_pack(made.write_pack(tmp_path / "pack"))
    assert [clip[:-1] for clip in release.clips] == [clip[:-1] for clip in pack.clips]
    assert [mark[:-1] for mark in release.marks] == [mark[:-1] for mark in pack.marks]
    for own, other in ((release.landmarks, pack.landmarks), (release.regions, pack.regions)):
        assert own.keys() == other.keys()
        for name in own:
            np.testing.assert_array_equal(own[name].numbers, other[name].numbers)
            np.testing.assert_array_equal(own[name].points.astype(np.float32), other[name].points)
    assert release.lacks == (
        Lack("listed twice, taken once", "video136"),
        Lack("blank marks", "video3", "2"),
        Lack("blank marks", "video150", "2"),
    )


def test_what_is_not_there_is_left_open(folders):
    release, _ = folders
    (release / "bbox_coords" / "video7_kpts").unlink()
    (release / "region_video_annotations.pkl").unlink()
    content = read_release(release, None)
    assert "video7" not in content.regions
    assert not content.landmarks
    assert not content.marks
    assert Lack("marks absent, the whole file", "region_video_annotations.pkl") in content.lacks


def test_what_has_no_label_and_what_is_something_else_is_listed(made, folders):
    release, more = folders
    write_pickle(release / "bbox_coords" / "video116_kpts", "never read")
    write_pickle(more / "Landmarks" / "video261" / "1.pickle", "never read")
    for path in (release / "bbox_coords" / "notes.txt", more / "Landmarks" / "video3" / "1.png"):
        path.write_text("")
    lacks = read_release(release, more).lacks
    assert Lack("regions without a label", "video116") in lacks
    assert Lack("landmarks without a label", "video261") in lacks
    assert Lack("files not read", "bbox_coords/notes.txt") in lacks
    assert Lack("files not read", "Landmarks/video3/1.png") in lacks


def test_a_clip_without_any_face_has_no_frames(folders):
    _, more = folders
    for path in (more / "Landmarks" / "video20").iterdir():
        path.unlink()
    content = read_release(*folders)
    assert content.landmarks["video20"].points.shape == (0, 106, 2)


def test_a_folder_of_landmarks_may_be_named_itself(folders):
    release, more = folders
    assert read_release(release, more / "Landmarks").landmarks.keys() == {
        "video3", "video7", "video20", "video136",
    }  # fmt: skip
    assert "has no folder of a listed clip, such as video0" in told((release, release))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "/data/video20_final.mp4 11",
            "train.csv row 3: video20: label '11' is wrong, expected a whole",
        ),
        (
            "/data/video20.mp4 1",
            "train.csv row 3: '/data/video20.mp4 1' is wrong, expected '<folder>/videoN_",
        ),
        ("video7_final.mp4 2", "train.csv row 3: video7 has label 2, but 0 in train.csv row 1"),
        ("a/video188_final.mp4 0", "train.csv row 3: video188 was withdrawn by the authors"),
        ("a/video3_final.mp4 10", "test.csv row 1: video3 is in test, but in train in train.csv"),
    ],
)
def test_a_line_that_cannot_be_is_refused(folders, line, message):
    with (folders[0] / "train.csv").open("a") as file:
        file.write(f"{line}\n")
    assert message in told(folders)


def test_an_older_checkout_is_told(folders):
    (folders[0] / "data").mkdir()
    (folders[0] / "train.csv").rename(folders[0] / "data" / "train.csv")
    assert "which is older and has withdrawn clips" in told(folders)
    (folders[0] / "test.csv").write_text("")
    (folders[0] / "data" / "train.csv").rename(folders[0] / "train.csv")
    assert "test.csv: has no clip" in told(folders)


class Harm:
    def __init__(self, touch):
        self.touch = touch

    def __reduce__(self):
        return os.system, (f"touch {self.touch}",)


@pytest.mark.parametrize(
    "place",
    [
        "YouTubePD-data/region_video_annotations.pkl",
        "YouTubePD-data/bbox_coords/video3_kpts",
        "Additional_Modalities/Landmarks/video3/2.pickle",
    ],
)
def test_a_hostile_pickle_runs_nothing(folders, tmp_path, place):
    touched = tmp_path / "touched"
    data = pickle.dumps({"video3": Harm(touched)})
    (tmp_path / place).write_bytes(data)
    message = told(folders)
    told_of = "was refused, and no code of it has run: it names posix.system"
    assert f"{place.partition('/')[2]}: {told_of}" in \
        message  # fmt: skip
    assert not touched.exists()
    pickle.loads(data)  # it would have
    assert touched.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (face(nose_tip=None), "has 105 points, expected 106; it lacks nose_tip, and none is unk"),
        (face(wart={"x": 1, "y": 2}), "has 107 points, expected 106; it lacks none, and 'wart'"),
        (face(nose_tip={"x": 1}), "nose_tip is {'x': 1}, not two numbers x and y"),
        (face(nose_tip={"x": 1, "y": "2"}), "nose_tip is {'x': 1, 'y': '2'}, not two numbers"),
        (face(nose_tip={"x": 1, "y": 10**400}), "not two numbers x and y"),
        ([1, 2], "has 0 points, expected 106"),
    ],
)
def test_a_face_of_another_form_is_refused(folders, content, message):
    write_pickle(folders[1] / "Landmarks" / "video3" / "4.pickle", content)
    found = told(folders)
    assert "Landmarks/video3/4.pickle: " in found
    assert message in found


def test_values_are_checked_as_of_the_pack(made, folders):
    write_pickle(
        folders[1] / "Landmarks" / "video3" / "4.pickle", face(nose_tip={"x": 1, "y": 900})
    )
    write_pickle(folders[1] / "Landmarks" / "video7" / "6.pickle", face())
    points = made.regions["video20"].copy()
    points[2, :, 1] = 256 - points[2, :, 1]
    frames = {f"frame{n}": nested(frame) for n, frame in enumerate(points)}
    write_pickle(folders[0] / "bbox_coords" / "video20_kpts", {"video20.mp4": frames})
    message = told(folders)
    assert "Landmarks/video3 frame 4: y 900 of nose_tip is outside -128..384 px" in message
    assert (
        "bbox_coords/video20_kpts frame 2: 14 of 14 polygons run in the wrong direction" in message
    )
    assert (
        "Landmarks/video7: landmark frame 6 is clip frame 10, but the regions of the clip end at "
        "frame 9"
    ) in message


POLYGONS = nested(np.full((58, 2), 100.0))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"video30.mp4": {}}, "holds the videos ['video30.mp4'], expected only frames of"),
        ({"video3.mp4": {}, "video4.mp4": {}}, "holds the videos ['video3.mp4', 'video4.mp4']"),
        ([], "holds the videos [], expected only frames of video3.mp4"),
        ({"video3.mp4": {"0": POLYGONS}}, "has '0', expected 'frame' and a number from 0"),
        ({"video3.mp4": {"frame0": POLYGONS[:13]}}, "frame0 has polygons of [4, 4, 4, 4, 4, 4, "
         "4, 4, 5, 4, 4, 5, 4] points, expected 14 of"),
        ({"video3.mp4": {"frame0": None}}, "frame0 has polygons of [] points"),
        ({"video3.mp4": {"frame0": [*POLYGONS[:13], [[1, 2], [1, 2], [1, 2], [1]]]}},
         "frame0, left eyebrow is [1], not two numbers x and y"),
    ],
)  # fmt: skip
def test_boxes_of_another_form_are_refused(folders, content, message):
    write_pickle(folders[0] / "bbox_coords" / "video3_kpts", content)
    assert f"bbox_coords/video3_kpts: {message}" in told(folders)


def test_frames_may_come_in_any_order_and_with_gaps(folders):
    frames = {f"frame{n}": POLYGONS for n in (8, 10, 2)}
    write_pickle(folders[0] / "bbox_coords" / "video3_kpts", {"video3_final.mp4": frames})
    assert read_release(*folders).regions["video3"].numbers.tolist() == [2, 8, 10]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"video3": ["6/12,14,9,8"]}, "annotations.pkl[0]: video3: region 14 is outside 0..13"),
        ({"video3": ["", "13/12,1,9,8"]}, "annotations.pkl[1]: video3: frame 13 is outside its"),
        (
            {"video3": "6/12,1,9,8"},
            "annotations.pkl 'video3': is wrong, expected 'video' and a number with a",
        ),
        (
            {"video3": [3]},
            "annotations.pkl 'video3': is wrong, expected 'video' and a number with a list",
        ),
        (
            {3: []},
            "annotations.pkl 3: is wrong, expected 'video' and a number with a list of texts",
        ),
        ([], "annotations.pkl: holds list, expected a dict of videos"),
    ],
)
def test_marks_of_another_form_are_refused(folders, content, message):
    write_pickle(folders[0] / "region_video_annotations.pkl", content)
    assert message in told(folders)


def test_a_cut_pickle_and_a_huge_one_are_refused(folders):
    boxes = folders[0] / "bbox_coords"
    data = (boxes / "video3_kpts").read_bytes()
    (boxes / "video3_kpts").write_bytes(data[: len(data) // 2])
    with (boxes / "video7_kpts").open("r+b") as file:
        file.truncate(65 * 1024**2)
    message = told(folders)
    assert "bbox_coords/video3_kpts: was refused, and no code of it has run: it is" in message
    assert "bbox_coords/video7_kpts: has 68157440 bytes, expected at most 67108864" in \
        message  # fmt: skip
