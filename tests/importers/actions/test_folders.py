import json
import os

import pytest
from PIL import Image

from pdray.config import build, load, read_tree
from pdray.data.cohort.manifest import load_manifest, select
from pdray.data.cohort.settings import DataConfig
from pdray.data.media.decode import decode
from pdray.data.media.settings import DecodeConfig
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from pdray.errors import ManifestError, SettingsError
from pdray.importers.actions.folders import class_names_path, import_actions
from pdray.importers.actions.settings import ImportConfig


@pytest.fixture
def touch(tmp_path):
    """Return a function that makes files of no content, or with the given lines."""

    def make(*names, **texts):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        for name, lines in texts.items():
            (tmp_path / name).write_text("\n".join(lines) + "\n")
        return tmp_path

    return make


def imported(tmp_path, layout, folder, **settings):
    tree = {"layout": layout, "folder": str(folder), "output": str(tmp_path / "out" / "m.csv")}
    return import_actions(build(ImportConfig, {**tree, **settings}))


def rows_of(manifest, *, subjects="none"):
    return [
        (one.recording_id, one.subject_id, one.item, one.grade, one.split)
        for one in load_manifest(manifest, check_files=False, subjects=subjects).recordings
    ]


@pytest.fixture
def ucf101(touch):
    names = ("Archery/v_Archery_g01_c01", "Archery/v_Archery_g08_c01", "YoYo/v_Yoyo_g08_c02")
    root = touch(*(f"UCF-101/{name}.avi" for name in names))
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Archery\n2 YoYo\n")
    (lists / "testlist01.txt").write_text("Archery/v_Archery_g01_c01.avi\n")
    (lists / "trainlist01.txt").write_text(
        "Archery/v_Archery_g08_c01.avi 1\nYoYo/v_YoYo_g08_c02.avi 2\n"
    )
    return root / "UCF-101"


def test_ucf101_has_its_groups_for_subjects(tmp_path, ucf101):
    report = imported(tmp_path, "ucf101", ucf101)
    assert rows_of(report.manifest, subjects="required") == [
        ("v_Archery_g01_c01", "Archery_g01", "action", 0, "test"),
        ("v_Archery_g08_c01", "Archery_g08", "action", 0, "train"),
        ("v_Yoyo_g08_c02", "YoYo_g08", "action", 1, "train"),
    ]
    assert json.loads(class_names_path(report.manifest).read_text()) == ["Archery", "YoYo"]
    videos = [one.video for one in load_manifest(report.manifest, check_files=False).recordings]
    assert all(video.is_file() for video in videos)


def test_the_lists_may_lie_among_the_classes_or_elsewhere(tmp_path, ucf101):
    expected = imported(tmp_path, "ucf101", ucf101).manifest.read_text()
    inside = (ucf101.parent / "ucfTrainTestlist").rename(ucf101 / "ucfTrainTestlist")
    again = imported(tmp_path, "ucf101", ucf101)  # the same content may be written again
    assert again.manifest.read_text() == expected
    elsewhere = inside.rename(tmp_path / "lists")
    with pytest.raises(ManifestError, match=r"official lists are neither in .* set lis"):
        imported(tmp_path, "ucf101", ucf101)
    assert imported(tmp_path, "ucf101", ucf101, lists=str(elsewhere)).manifest == again.manifest


def test_paths_are_relative_where_the_manifest_lies_above_its_recordings(tmp_path, ucf101):
    report = imported(tmp_path, "ucf101", ucf101, output=str(tmp_path / "m.csv"))
    cells = report.manifest.read_text().splitlines()[1].split(",")
    assert cells[4] == "UCF-101/Archery/v_Archery_g01_c01.avi"


def test_the_settings_beside_it_use_it(tmp_path, ucf101):
    report = imported(tmp_path, "ucf101", ucf101)
    tree = read_tree(DataConfig, ["--config", str(report.settings)])
    data = build(DataConfig, tree["data"])
    assert data.manifest == report.manifest
    assert (data.items, data.grade_cuts, data.subjects) == (("action",), (1,), "required")
    manifest = load_manifest(data.manifest, check_files=False, subjects=data.subjects)
    usable, _ = select(manifest, items=data.items, needs=("video", "grade"))
    assert len(usable) == 3


def test_every_fault_of_a_folder_comes_at_once_and_nothing_is_written(tmp_path, ucf101):
    (ucf101 / "YoYo" / "v_Yoyo_g08_c02.avi").unlink()
    (ucf101 / "Archery" / "v_Archery_g09_c01.avi").write_bytes(b"")
    (ucf101 / "Dive").mkdir()
    (ucf101 / "Dive" / "v_Dive_g01_c01.avi").write_bytes(b"")
    (ucf101 / "Archery" / "v_Archery_g08_c01.mp4").write_bytes(b"")
    with pytest.raises(ManifestError) as caught:
        imported(tmp_path, "ucf101", ucf101)
    text = str(caught.value)
    assert "cannot be imported, 4 faults:" in text
    assert (
        "1 listed recordings have no file (YoYo/v_YoYo_g08_c02); add the files, or set max_absent=1"
        in text
    )
    assert (
        "2 files are in no list of split 1 (Archery/v_Archery_g09_c01.avi, "
        "Dive/v_Dive_g01_c01.avi" in text
    )
    assert "class YoYo has no video" in text
    assert (
        f"two files have the same name: {ucf101 / 'Archery' / 'v_Archery_g08_c01.avi'} and " in text
    )
    assert not (tmp_path / "out").exists()


def test_a_file_without_a_group_is_refused(tmp_path, ucf101):
    (ucf101.parent / "ucfTrainTestlist" / "testlist01.txt").write_text("Archery/clip.avi\n")
    (ucf101 / "Archery" / "v_Archery_g01_c01.avi").rename(ucf101 / "Archery" / "clip.avi")
    with pytest.raises(
        ManifestError, match=r"Archery/clip: the name has no group; name the file v_<class>_g<"
    ):
        imported(tmp_path, "ucf101", ucf101)


def test_hmdb51_goes_without_subjects(tmp_path, touch):
    touch(*(f"hmdb/{name}.avi" for name in ("wave/a_wave_0", "wave/b_wave_0", "clap/c & d_clap_0")))
    lists = tmp_path / "testTrainMulti_7030_splits"
    lists.mkdir()
    (lists / "wave_test_split2.txt").write_text("a_wave_0.avi 1 \nb_wave_0.avi 0 \n")
    (lists / "clap_test_split2.txt").write_text("c & d_clap_0.avi 2 \n")
    report = imported(tmp_path, "hmdb51", tmp_path / "hmdb", split=2)
    with pytest.raises(ManifestError, match=r"subject_id is missing; data\.subjects=none allows"):
        rows_of(report.manifest, subjects="required")
    assert rows_of(report.manifest) == [
        ("c & d_clap_0", "c & d_clap_0", "action", 0, "test"),
        ("a_wave_0", "a_wave_0", "action", 1, "train"),
        ("b_wave_0", "b_wave_0", "action", 1, None),
    ]
    assert "subjects: none" in report.settings.read_text()


def test_kinetics_folders_say_class_and_split(tmp_path, touch):
    names = ("train/b tap/x_000001_000011", "val/b tap/y_000001_000011", "train/a/z_000000_000010")
    touch(*(f"k400/{name}.mp4" for name in names), "k400/train/a/notes.txt", "k400/.cache/x.mp4")
    report = imported(tmp_path, "kinetics", tmp_path / "k400")
    assert rows_of(report.manifest) == [
        ("z_000000_000010", "z_000000_000010", "action", 0, "train"),
        ("x_000001_000011", "x_000001_000011", "action", 1, "train"),
        ("y_000001_000011", "y_000001_000011", "action", 1, "val"),
    ]


def test_kinetics_folders_that_are_no_splits_or_empty_are_named(tmp_path, touch):
    touch("k400/train/a/x.mp4", "k400/train/b/readme.txt")
    with pytest.raises(ManifestError, match="k400 cannot be imported: class b has no video"):
        imported(tmp_path, "kinetics", tmp_path / "k400")
    touch("k400/extra/a/x.mp4")
    with pytest.raises(
        ManifestError,
        match=r"extra: is not a side of the split; give .* only the folders train, val, ",
    ):
        imported(tmp_path, "kinetics", tmp_path / "k400")


@pytest.fixture
def annotated(touch):
    header = "label,youtube_id,time_start,time_end,split"
    root = touch("k400/p0/x_000001_000011.mp4", "k400/p1/y_000002_000012.mp4", "k400/other.mp4")
    return touch(
        **{
            "train.csv": [header, "wave,x,1,11,train", "clap,gone,0,10,train"],
            "val.csv": [header, "clap,y,2,12,validate"],
        }
    ), [str(root / "train.csv"), str(root / "val.csv")]


def test_kinetics_annotations_find_files_anywhere_below(tmp_path, annotated):
    root, annotations = annotated
    given = {"annotations": annotations}
    with pytest.raises(ManifestError, match=r"1 listed recordings have no file .*clap/gone_0000"):
        imported(tmp_path, "kinetics", root / "k400", **given)
    report = imported(tmp_path, "kinetics", root / "k400", max_absent=1, **given)
    assert [row[0::3] for row in rows_of(report.manifest)] == [
        ("x_000001_000011", 1),
        ("y_000002_000012", 0),
    ]
    assert [row[-1] for row in rows_of(report.manifest)] == ["train", "val"]
    assert report.found.absent == ["clap/gone_000000_000010"]
    assert report.found.unlisted == ["other"]


def test_two_annotated_files_of_one_name_are_refused(tmp_path, annotated):
    root, annotations = annotated
    (root / "k400" / "x_000001_000011.webm").write_bytes(b"")
    with pytest.raises(
        ManifestError, match=r"two files have the same name: .*x_000001_000011\.webm and"
    ):
        imported(tmp_path, "kinetics", root / "k400", annotations=annotations, max_absent=1)


@pytest.mark.parametrize("layout", ["ucf101", "hmdb51", "kinetics"])
def test_a_folder_that_cannot_be_read_is_named(tmp_path, layout):
    with pytest.raises(ManifestError, match=r"nowhere: cannot be read: No such file"):
        imported(tmp_path, layout, tmp_path / "nowhere")


def test_a_name_that_no_table_can_hold_is_named(tmp_path, touch):
    touch("k400/train/a/x.mp4", "k400/train/b/y .mp4")
    raw = os.fsencode(tmp_path / "k400" / "train" / "b") + b"/z\xff.mp4"
    try:
        open(raw, "wb").close()  # noqa: PTH123 - not a name in UTF-8
    except OSError:
        pytest.skip("this file system has names in UTF-8 only")
    with pytest.raises(ManifestError) as caught:
        imported(tmp_path, "kinetics", tmp_path / "k400")
    assert "y .mp4' has spaces at the ends of its name" in str(caught.value)
    assert "z\\udcff.mp4' has spaces at the ends" in str(caught.value)


def test_another_manifest_is_never_written_over(tmp_path, touch):
    touch("k400/train/a/x.mp4", "k400/train/b/y.mp4", "out/m.csv")
    with pytest.raises(ManifestError, match=r"m\.csv: exists with other content; give another"):
        imported(tmp_path, "kinetics", tmp_path / "k400")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["m.csv"]


def test_an_output_that_cannot_be_written_is_named(tmp_path, touch):
    touch("k400/train/a/x.mp4", "k400/train/b/y.mp4", "out")
    with pytest.raises(SettingsError, match=r"output: nothing can be written into \S+/out: "):
        imported(tmp_path, "kinetics", tmp_path / "k400")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["layout=kinetics", "split=2"], "lists and split have no effect with layout kinetics"),
        (["layout=ucf101", "annotations=[a.csv]"], "annotations has no effect with layout ucf101"),
        (["layout=kinetics", "max_absent=3"], "max_absent 3 has no effect without annotations"),
        (["layout=ucf101", "output=m.parquet"], r"output m\.parquet is not a \.csv file"),
        (["layout=ucf50"], "layout: got 'ucf50'"),
        (["layout=ucf101", "split=4"], "split 4 is not one of layout ucf101; it has 1 to 3"),
    ],
)
def test_settings_are_checked(words, message):
    with pytest.raises(SettingsError, match=message):
        load(ImportConfig, ["folder=f", "output=m.csv", *words])


def test_the_items_of_the_demo_cohort_stand_for_actions_and_stay_synthetic(tmp_path):
    settings = {"num_subjects": 6, "num_visits": 1, "missing": 0.0, "size": 32}
    config = build(DemoConfig, {**settings, "items": ["gait", "pronation"]})
    cohort = make_cohort(tmp_path / "demo", config, num_processes=1)
    report = imported(tmp_path, "demo", cohort.parent)
    made = load_manifest(report.manifest).recordings
    items = {one.recording_id: one.item for one in load_manifest(cohort).recordings}
    assert json.loads(class_names_path(report.manifest).read_text()) == ["gait", "pronation"]
    assert len(made) == len(items) == 6 * 3
    assert {one.site for one in made} == {"synthetic"}
    assert all(("gait", "pronation")[one.grade] == items[one.recording_id] for one in made)
    assert {one.subject_id for one in made if one.split == "test"} == {"S003", "S006"}
    assert {one.subject_id for one in made if one.split == "train"} == {
        "S001", "S002", "S004", "S005",
    }  # fmt: skip


def test_a_folder_of_patients_is_no_demo_cohort(tmp_path):
    settings = {"num_subjects": 2, "num_visits": 1, "missing": 0.0, "size": 32, "items": ["gait"]}
    cohort = make_cohort(tmp_path / "real", build(DemoConfig, settings), num_processes=1)
    cohort.write_text(cohort.read_text().replace("synthetic", "here", 1))
    with pytest.raises(ManifestError, match="S001_V1_gait is not synthetic"):
        imported(tmp_path, "demo", cohort.parent)


@pytest.fixture
def dfew(touch):
    """Return a DFEW of five clips: three folders of pictures, a video, and one in no list."""
    root = touch("DFEW/Clip/original/4.mp4", "DFEW/Clip/original/9.mp4")
    for number in (1, 2, 3, 4):
        folder = root / "DFEW" / "Clip" / "clip_224x224" / f"{number:05d}"
        folder.mkdir(parents=True)
        for picture in (1, 2):
            Image.new("RGB", (32, 32), (number, picture, 0)).save(folder / f"{picture:05d}.jpg")
    for side, rows in (("train", "1,1\n2,3\n3,6\n"), ("test", "00004,4\n")):
        lists = root / "DFEW" / "EmoLabel_DataSplit" / f"{side}(single-labeled)"
        lists.mkdir(parents=True)
        (lists / "set_2.csv").write_text(f"video_name,label\n{rows}")
    return root / "DFEW"


FOUR = ["neutral", "happiness", "surprise", "anger"]


def test_dfew_is_read_from_pictures_at_a_rate_and_from_videos_where_they_are(tmp_path, dfew):
    settings = {"split": 2, "classes": ["neutral", "happiness", "anger"]}
    with pytest.raises(ManifestError, match=r"2 clips are folders of pictures, .*_per_second=25"):
        imported(tmp_path, "dfew", dfew, **settings)
    report = imported(tmp_path, "dfew", dfew, pictures_per_second=12.5, **settings)
    assert rows_of(report.manifest) == [
        ("00001", "00001", "action", 1, "train"),
        ("00002", "00002", "action", 0, "train"),
        ("4", "4", "action", 2, "test"),
    ]
    assert json.loads(class_names_path(report.manifest).read_text()) == settings["classes"]
    videos = [one.video for one in load_manifest(report.manifest, check_files=False,
                                                 subjects="none").recordings]  # fmt: skip
    assert videos[2] == dfew / "Clip" / "original" / "4.mp4"
    clip = decode(videos[0], DecodeConfig(height=32, width=32))
    assert clip.pts_seconds.tolist() == pytest.approx([0.0, 0.08])
    again = imported(tmp_path, "dfew", dfew, pictures_per_second=12.5, **settings)
    assert again.found == report.found
    assert report.found.unlisted == ["00009"]
    data = build(DataConfig, read_tree(DataConfig, ["--config", str(report.settings)])["data"])
    assert (data.grade_cuts, data.subjects) == ((1, 2), "none")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": FOUR}, "class surprise has no video"),
        ({"classes": ["neutral", "angry"]}, "class 'angry': did you mean 'anger'"),
        ({"split": 3}, r"0 files \*train\*/set_3.csv; there must be one"),
        ({}, "3 clips are folders of pictures|class sadness has no video"),
    ],
)
def test_what_dfew_has_not_is_named(tmp_path, dfew, settings, message):
    with pytest.raises(ManifestError, match=message):
        imported(tmp_path, "dfew", dfew, **{"split": 2, **settings})
    assert not (tmp_path / "out" / "m.csv").exists()


def test_a_gap_in_the_pictures_and_wrong_rows_are_named(tmp_path, dfew):
    settings = {"split": 2, "pictures_per_second": 25, "classes": ["neutral", "happiness"]}
    pictures = dfew / "Clip" / "clip_224x224" / "00001"
    (pictures / "00002.jpg").rename(pictures / "00003.jpg")
    with pytest.raises(ManifestError, match="00001: has pictures 1 to 3, but none of number 2"):
        imported(tmp_path, "dfew", dfew, **settings)
    lists = dfew / "EmoLabel_DataSplit" / "test(single-labeled)" / "set_2.csv"
    lists.write_text("video_name,label\n4,8\nx,1\n")
    with pytest.raises(ManifestError, match=r"(?s)set_2.csv row 2: video_name '4', label '8', "
                       "expected a number, and 1 to 7.*row 3: video_name 'x'"):  # fmt: skip
        imported(tmp_path, "dfew", dfew, **settings)


def test_expressions_of_healthy_actors_are_classes_by_their_names(tmp_path):
    items = ("expression_neutral", "expression_anger")
    demo = DemoConfig(num_subjects=3, num_visits=1, items=items, missing=0.0, healthy=True, size=32,
                      min_seconds=1, max_seconds=1)  # fmt: skip
    make_cohort(tmp_path / "actors", demo, num_processes=1)
    report = imported(tmp_path, "demo", tmp_path / "actors", classes=["neutral", "anger"])
    rows = rows_of(report.manifest, subjects="required")
    assert [(row[0].partition("_")[2], row[3]) for row in rows[:2]] == [
        ("V1_expression_neutral", 0), ("V1_expression_anger", 1),
    ]  # fmt: skip
    assert [row[4] for row in rows] == ["train"] * 4 + ["test"] * 2
    recordings = load_manifest(report.manifest, check_files=False).recordings
    assert all(one.is_synthetic for one in recordings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layout": "hmdb51", "split": 4}, "split 4 is not one of layout hmdb51; it has 1 to 3"),
        ({"layout": "demo", "pictures_per_second": 25}, "pictures_per_second has no effect"),
        ({"layout": "demo", "classes": ["gait"]}, "list at least two, each of them once"),
        ({"layout": "demo", "classes": ["gait", "gait"]}, "list at least two, each of them"),
    ],
)
def test_settings_of_another_layout_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        build(ImportConfig, {"folder": "x", "output": "m.csv", **settings})
