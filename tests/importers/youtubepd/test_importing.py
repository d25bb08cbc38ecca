import csv
from collections import Counter

import av
import numpy as np
import pytest
import torch
import yaml

from pdray.config import load
from pdray.data.batches.boxes import region_boxes
from pdray.data.cohort.manifest import load_manifest
from pdray.data.media.tracks import align, read_track
from pdray.errors import ManifestError, SettingsError
from pdray.importers.youtubepd.importing import count_lacks, import_youtubepd
from pdray.importers.youtubepd.settings import ImportConfig
from tests.fixtures.youtubepd_made import Made
from tests.places import YOUTUBEPD

real = pytest.mark.skipif(
    not YOUTUBEPD.is_dir(), reason="the YouTubePD pack is not beside the project"
)


def run(folder, output, **settings):
    return import_youtubepd(ImportConfig(layout="pack", folder=folder, output=output, **settings))


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder):
    """Return every file below a folder by its name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def pack(tmp_path):
    """A SYNTHETIC pack."""
    return Made().write_pack(tmp_path / "pack")


def test_a_synthetic_pack_becomes_a_manifest(pack, tmp_path):
    imported = run(pack, tmp_path / "out" / "m.csv")
    assert table(imported.manifest)[0] == {
        "recording_id": "video3", "subject_id": "", "item": "face_interview", "video": "",
        "audio": "", "landmarks": "landmarks/video3.npz", "regions": "regions/video3.npz",
        "grade": "5", "split": "test", "site": "A",
    }  # fmt: skip
    rows = table(imported.manifest)
    assert [(r["recording_id"], r["grade"], r["split"], r["site"]) for r in rows[1:]] == [
        ("video7", "0", "train", "A"), ("video20", "1", "train", "A"),
        ("video136", "0", "test", "B"),
    ]  # fmt: skip
    track = read_track(tmp_path / "out" / "landmarks" / "video7.npz")
    np.testing.assert_array_equal(track.seconds, [0, 0.1, 0.4])
    np.testing.assert_array_equal(track.points, Made().landmarks["video7"])
    assert yaml.safe_load(imported.settings.read_text()) == {
        "data": {
            "manifest": str(imported.manifest),
            "items": ["face_interview"],
            "subjects": "none",
            "grade_cuts": [1, 2, 3, 4, 5],
        },
        "folds": {"from_split": True},
    }
    loaded = load_manifest(imported.manifest, subjects="none").recordings
    assert [one.subject_id for one in loaded] == [one.recording_id for one in loaded]


def test_what_lacks_is_listed(pack, tmp_path):
    imported = run(pack, tmp_path / "m.csv")
    everyone = ["video3", "video7", "video20", "video136"]
    assert count_lacks(imported.lacking) == {
        "audio files absent": everyone,
        "landmarks lack frames": ["video7"],
        "labels above 0 without a mark": ["video20"],
        "listed twice, taken once": ["video136"],
        "marks incomplete": ["video3"],
        "marks without a label": ["video150"],
        "subjects absent": everyone,
        "video files absent": everyone,
    }
    rows = table(imported.lacks)
    assert {"what": "landmarks lack frames", "name": "video7", "detail": "3 4"} in rows
    assert len(rows) == len(imported.lacking)
    assert [row["in_manifest"] for row in table(imported.marks)] == ["1", "1", "1", "1", "0"]


def test_a_release_becomes_the_same_files(pack, tmp_path):
    release, more = Made().write_release(tmp_path)
    own = run(pack, tmp_path / "a" / "m.csv")
    settings = ImportConfig(
        layout="release", folder=release, landmarks=more, output=tmp_path / "b" / "m.csv"
    )
    import_youtubepd(settings)
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert first.keys() == second.keys()
    for name in first.keys() - {"m.data.yaml", "m.lacks.csv"}:
        assert first[name] == second[name], name
    assert own.num_marks == 5


def test_without_landmarks_and_without_a_face_the_cell_is_empty(tmp_path):
    made = Made()
    made.landmarks["video7"], made.numbers["video7"] = np.zeros((0, 106, 2)), np.zeros(0)
    del made.regions["video7"], made.landmarks["video20"], made.numbers["video20"]
    imported = run(made.write_pack(tmp_path / "pack"), tmp_path / "m.csv")
    rows = {row["recording_id"]: row for row in table(imported.manifest)}
    assert rows["video7"]["landmarks"] == rows["video7"]["regions"] == ""
    assert rows["video20"]["landmarks"] == ""
    assert rows["video20"]["regions"] == "regions/video20.npz"
    found = count_lacks(imported.lacking)
    assert found["landmarks without any frame of a face"] == ["video7"]
    assert found["landmarks absent"] == ["video20"]
    assert found["regions absent"] == ["video7"]


def test_a_rerun_gives_the_same_bytes_and_another_output_is_kept(pack, tmp_path):
    out = tmp_path / "out"
    run(pack, out / "m.csv")
    before = contents(out)
    run(pack, out / "m.csv")
    assert contents(out) == before
    assert not [name for name in before if name.startswith(".")]
    (out / "regions" / "video7.npz").write_bytes(before["regions/video3.npz"])
    (out / "landmarks" / "video7.npz").write_bytes(b"something")
    (out / "m.marks.csv").unlink()
    (out / "m.marks.csv").mkdir()
    (out / "m.csv").unlink()
    with pytest.raises(ManifestError, match="nothing was written, 3 faults") as error:
        run(pack, out / "m.csv")
    for name in ("regions/video7.npz", "landmarks/video7.npz", "m.marks.csv"):
        assert f"{out / name}: exists with other content; give another output" in \
            str(error.value)  # fmt: skip
    assert not (out / "m.csv").exists()


def test_files_the_user_has_put_beside_are_named(pack, tmp_path, write_video, write_sound):
    for grey, name in enumerate(("video3.mp4", "video7_final.mp4", "video99.mp4")):
        write_video(f"clips/{name}", np.full((2, 32, 32, 3), 90 * grey, np.uint8), fps=20)
    (tmp_path / "clips" / "video20_regions.mp4").write_bytes(b"drawn on")
    (tmp_path / "clips" / "facts.json").write_text("{}")
    (tmp_path / "sound").mkdir()
    write_sound("sound/video20.m4a")
    subjects = tmp_path / "s.csv"
    subjects.write_text("clip_id,subject_id\nvideo3,S1\nvideo136,S1\nvideo7,S2\nvideo20,S3\n")
    imported = run(
        pack, tmp_path / "m.csv", videos=tmp_path / "clips", audio=tmp_path / "sound",
        subjects=subjects,
    )  # fmt: skip
    assert yaml.safe_load(imported.settings.read_text())["data"]["subjects"] == "required"
    manifest = load_manifest(imported.manifest)
    assert [one.subject_id for one in manifest.recordings] == ["S1", "S2", "S3", "S1"]
    assert [one.video and one.video.name for one in manifest.recordings] == [
        "video3.mp4", "video7_final.mp4", None, None,
    ]  # fmt: skip
    assert manifest.recordings[2].audio == tmp_path / "sound" / "video20.m4a"
    found = count_lacks(imported.lacking)
    assert found["video files of no clip"] == ["video20_regions.mp4", "video99.mp4"]
    assert found["video files absent"] == ["video20", "video136"]
    assert "subjects absent" not in found


def test_two_files_of_a_clip_and_an_empty_one_are_refused(pack, tmp_path):
    for name in ("video3.mp4", "video3_final.mp4"):
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "video7.mp4").touch()
    with pytest.raises(ManifestError, match="2 faults") as error:
        run(pack, tmp_path / "out" / "m.csv", videos=tmp_path)
    assert "video3 has two files, video3.mp4 and video3_final.mp4; remove one" in str(error.value)
    assert "video7: video7.mp4 is empty" in str(error.value)
    with pytest.raises(ManifestError, match="none: cannot be read: No such file"):
        run(pack, tmp_path / "out" / "m.csv", videos=tmp_path / "none")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video3,S1\nvideo3,S2\n", "row 3: clip video3 has the subjects 'S2' and 'S1'; give one"),
        ("video3,\n", "row 2: clip video3 has the subject_id '', expected a pseudonym"),
        ("video3, S1\n", "row 2: clip video3 has the subject_id ' S1', expected a pseudonym"),
        ("video3,S1\nvideo136,s1\n", "subject 's1' differs from 'S1' only in upper and lower case"),
        ("video3,S1\nvideo7,S1\n", "subject 'S1' is on both sides of the benchmark's split: video3 "
         "in test, video7 in train; set split=none to split by subject"),
    ],
)  # fmt: skip
def test_subjects_that_cannot_be_are_refused(pack, tmp_path, text, message):
    (tmp_path / "s.csv").write_text(f"clip_id,subject_id\n{text}")
    with pytest.raises(ManifestError) as error:
        run(pack, tmp_path / "m.csv", subjects=tmp_path / "s.csv")
    assert message in str(error.value)


def test_some_subjects_and_no_split(pack, tmp_path):
    (tmp_path / "s.csv").write_text("clip_id,subject_id\nvideo3,S1\nvideo7,S1\nvideo55,S2\n")
    imported = run(pack, tmp_path / "m.csv", subjects=tmp_path / "s.csv", split="none")
    rows = table(imported.manifest)
    assert [row["subject_id"] for row in rows] == ["S1", "S1", "", ""]
    assert {row["split"] for row in rows} == {""}
    assert not imported.has_subjects
    found = count_lacks(imported.lacking)
    assert found["subjects absent"] == ["video20", "video136"]
    assert found["subjects of no clip"] == ["video55"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["layout=pack", "landmarks=x"],
            "landmarks has no effect with layout pack, which has its own; remove it",
        ),
        (["layout=release", "output=m.txt"], r"output m\.txt is not a \.csv file"),
        (["layout=zip"], "layout"),
    ],
)
def test_settings_that_cannot_be_are_refused(words, message):
    with pytest.raises(SettingsError, match=message):
        load(ImportConfig, ["folder=p", "output=m.csv", *words])


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """What comes of the real pack."""
    output = tmp_path_factory.mktemp("youtubepd") / "m.csv"
    return run(YOUTUBEPD, output, videos=YOUTUBEPD / "media")


@real
def test_the_real_pack_has_the_counts_of_its_card(imported):
    rows = table(imported.manifest)
    counts = Counter((row["split"], row["site"], int(row["grade"])) for row in rows)
    card = {
        ("train", "A"): [25, 8, 5, 6, 12, 5],
        ("train", "B"): [11, 0, 0, 0, 0, 0],
        ("test", "A"): [24, 7, 3, 4, 5, 2],
        ("test", "B"): [126, 0, 0, 0, 0, 0],
    }
    assert len(rows) == 243
    for (split, site), numbers in card.items():
        assert [counts[split, site, grade] for grade in range(6)] == numbers
    assert sum(counts.values()) == sum(map(sum, card.values()))
    assert all(row["landmarks"] and row["regions"] for row in rows)
    assert [row["recording_id"] for row in rows if row["video"]] == ["video74", "video91"]


@real
def test_the_real_marks_are_all_there(imported):
    rows = table(imported.marks)
    source = table(YOUTUBEPD / "region_annotations.csv")
    assert len(rows) == len(source) == 461
    assert sum(row["in_manifest"] == "1" for row in rows) == 417
    assert len({row["recording_id"] for row in rows if row["in_manifest"] == "0"}) == 6
    assert [row["repeated"] for row in rows] == [row["exact_duplicate"] for row in source]
    assert [row["grade_0_5"] for row in rows] == [row["severity_0_5"] for row in source]


@real
def test_the_real_gaps_and_labels_that_marks_contradict_are_listed(imported):
    every = table(imported.lacks)
    marked = {
        what: {row["name"]: row["detail"] for row in every if row["what"] == what}
        for what in ("labels far from the marks", "labels above 0 without a mark",
                     "marks count frames in two ways")
    }  # fmt: skip
    assert marked["labels far from the marks"] == {
        "video19": "label 1, mean of 9 marks 7.8", "video38": "label 10, mean of 9 marks 1.0",
    }  # fmt: skip
    assert [*marked["labels above 0 without a mark"]] == ["video61"]
    assert [*marked["marks count frames in two ways"]] == ["video44", "video123"]
    rows = {row["name"]: row["detail"] for row in every if row["what"] == "landmarks lack frames"}
    assert {name: len(detail.split()) for name, detail in rows.items()} == {
        "video84": 1, "video101": 8, "video136": 13,
    }  # fmt: skip
    assert rows["video84"] == "10"
    track = read_track(imported.manifest.parent / "landmarks" / "video84.npz")
    np.testing.assert_allclose(track.seconds[8:10], [0.8, 1.0])


@real
@pytest.mark.parametrize("name", ["video74", "video91"])
def test_real_landmarks_and_regions_stand_at_the_frames_of_their_clip(imported, name):
    folder = imported.manifest.parent
    landmarks = read_track(folder / "landmarks" / f"{name}.npz")
    regions = read_track(folder / "regions" / f"{name}.npz")
    with av.open(str(YOUTUBEPD / "media" / f"{name}.mp4")) as file:
        frames = np.array([float(frame.time) for frame in file.decode(video=0)])
    np.testing.assert_allclose(regions.seconds, frames[: len(regions.seconds)], atol=1e-3)
    assert len(frames) - len(regions.seconds) <= 1
    rows = align(frames, landmarks.seconds)
    np.testing.assert_array_equal(rows, 2 * np.arange(len(rows)))
    # An eye's pupil lies in the eye's region of the same moment.
    boxes = region_boxes(torch.from_numpy(regions.points), None, (256, 256)).numpy()
    boxes = boxes[align(regions.seconds, landmarks.seconds)]
    for side in ("left", "right"):
        x, y = landmarks.points[:, landmarks.names.index(f"{side}_eye_pupil")].T
        x0, y0, x1, y1 = boxes[:, regions.names.index(f"{side} eye")].T
        assert ((x0 < x) & (x < x1) & (y0 < y) & (y < y1)).mean() > 0.9
