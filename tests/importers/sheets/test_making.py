"""Manifests from folders and sheets: what is matched, what is refused, and that they are read."""

import csv
import os

import pytest

from pdray.config import build
from pdray.data.cohort.manifest import load_manifest
from pdray.errors import PdrayError
from pdray.evaluation.statistics.agreement import kappa
from pdray.importers.sheets.making import make_manifest
from pdray.importers.sheets.report import report
from pdray.importers.sheets.settings import MakeManifestConfig

PATTERN = "{subject_id}_{visit_id}_{item}_{side}"
NAMES = ["P01_1_fingertap_L.mp4", "P01_1_fingertap_R.mp4", "P02_1_fingertap_L.mp4"]
HEADER = "Patient;Visit;Task;Hand"
IDS = ["P01;1;fingertap;L", "P01;1;fingertap;R", "P02;1;fingertap;L"]


@pytest.fixture
def make(tmp_path):
    """Return a function that makes a manifest, reads it, and returns both and the report."""

    def run(*, ratings=None, times=None, **settings):
        given = {"folder": str(tmp_path / "videos"), "output": str(tmp_path / "m.csv"),
                 "pattern": PATTERN, **settings}  # fmt: skip
        for name, lines in (("ratings", ratings), ("times", times)):
            if lines is not None:
                (tmp_path / f"{name}.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
                given[name] = str(tmp_path / f"{name}.csv")
        config = build(MakeManifestConfig, {key: one for key, one in given.items() if one})
        made = make_manifest(config, kappa, lambda done, total: None)
        manifest = load_manifest(config.output, scale=config.scale)
        assert len(manifest.recordings) == len(made.rows)
        return manifest, " ".join(report(config, made).split())

    return run


def sheet(header, *columns):
    """Return a sheet of the three videos with more columns."""
    cells = zip(IDS, *columns, strict=True)
    return [f"{HEADER};{header}", *(";".join(row) for row in cells)]


def graded(manifest):
    return [(one.recording_id, one.grade) for one in manifest.recordings]


def aside(tmp_path):
    with (tmp_path / "m.set_aside.csv").open(newline="") as file:
        return [tuple(row.values()) for row in csv.DictReader(file)]


def test_videos_get_the_grades_of_their_rows(make, film):
    film(*NAMES)
    manifest, told = make(ratings=sheet("Score;Alter", ["2", "", "UR"], ["63,5", "63,5", "70"]))
    assert graded(manifest) == [
        ("P01_1_finger_tapping_left", 2),
        ("P01_1_finger_tapping_right", None),
        ("P02_1_finger_tapping_left", None),
    ]
    assert [one.grade_status for one in manifest.recordings] == [None, None, "unable"]
    assert [one.age for one in manifest.recordings] == [63.5, 63.5, 70]
    assert "1 with a grade, 1 that could not be rated, 1 without a grade" in told
    assert "Task -> item" in told
    assert told.endswith(f"pdray quick-look data.manifest={manifest.path}")


@pytest.mark.parametrize(
    ("consensus", "grades", "status"),
    [
        ("first", [1, 3, 2], None),
        ("median", [1, 3, 2], None),
        ("mean_rounded", [2, 3, 2], None),
        ("agreed", [None, None, 2], None),
    ],
)
def test_grades_of_raters_become_one(make, film, consensus, grades, status):
    film(*NAMES)
    raters = (["1", "3", "101"], ["2", "3", "2"], ["", "4", ""])
    manifest, told = make(ratings=sheet("Rater A;Rater B;Rater C", *raters), consensus=consensus)
    assert [one.grade for one in manifest.recordings] == grades
    assert [one.raters for one in manifest.recordings] == [(1, 2, None), (3, 3, 4), (None, 2, None)]
    assert {one.grade_status for one in manifest.recordings} == {status}
    assert "rater_1 and rater_2: kappa (quadratic weights) 0.67, equal in 1 of 2 " in told


def test_several_raters_are_asked_about_with_their_agreement(make, film, tmp_path):
    film(*NAMES)
    with pytest.raises(PdrayError) as caught:
        make(ratings=sheet("Dr. Meier;Rater 2", ["1", "3", "2"], ["1", "3", "0"]),
             map={"column": {"Dr. Meier": "rater_1"}})  # fmt: skip
    for told in ("kappa (quadratic weights) 0.5", "equal in 2 of 3", "consensus=agreed"):
        assert told in str(caught.value)
    assert "Meier" not in str(caught.value)
    assert not (tmp_path / "m.csv").exists()


def test_words_and_columns_are_named_by_the_user(make, film):
    film("P01_1_FT_li.mp4", "P01_1_spiral_re.mp4")
    manifest, told = make(
        ratings=["Code,Session,What,Body,Sev,Name,Lab value,mail",
                 "P01,1,FT,li,mild,Doe,7,a@b.org", "P01,1,spiral,re,9,Doe,8,"],
        map={"column": {"Code": "subject_id", "What": "item", "Body": "side", "Sev": "grade"},
             "item": {"FT": "finger_tapping"}, "grade": {"mild": "1"}},
        constant={"site": "K1"}, scale="0..9",
    )  # fmt: skip
    assert graded(manifest) == [("P01_1_finger_tapping_left", 1), ("P01_1_spiral_right", 9)]
    assert {one.site for one in manifest.recordings} == {"K1"}
    with manifest.path.open() as file:
        assert [row["x_lab_value"] for row in csv.DictReader(file)] == ["7", "8"]
    assert "left out, as they may tell who somebody is or map.column says so: Name, mail" in told
    assert "FT -> finger_tapping (1)" in told
    assert told.endswith(" data.scale=0..9")
    assert "Doe" not in told + manifest.path.read_text()


def test_a_rectangle_of_the_picture_may_stand_in_the_sheet(make, film):
    film(*NAMES)
    cells = ["0 0 16 16", "", "0 0 32 16"]
    manifest, _ = make(ratings=sheet("Score;Bild", ["2", "1", "0"], cells),
                       map={"column": {"Bild": "crop"}})  # fmt: skip
    assert [one.crop for one in manifest.recordings] == [(0, 0, 16, 16), None, (0, 0, 32, 16)]


def test_a_column_may_name_the_files(make, film):
    film("a/IMG_1.MOV", "a/IMG_2.MOV", "b/IMG_3.MOV")
    rows = ["recording_id,Patient,Task,File,grade", "r1,P1,gait,a/IMG_1.MOV,1",
            "r2,P1,gait,IMG_2,2", "r3,P2,gait,img_3.mov,0"]  # fmt: skip
    manifest, _ = make(ratings=rows, pattern=None)
    assert graded(manifest) == [("r1", 1), ("r2", 2), ("r3", 0)]
    assert [one.video.name for one in manifest.recordings] == [
        "IMG_1.MOV",
        "IMG_2.MOV",
        "IMG_3.MOV",
    ]


def test_a_sheet_may_have_a_column_for_each_item(make, film):
    film(*NAMES)
    columns = {"FT R": "grade:fingertap:R", "FT L": "grade:fingertap:L", "Walk": "grade:gait"}
    manifest, told = make(
        ratings=["Patient,Visit,FT R,FT L,Walk,Age", "P01,1,3,2,1,60", "P02,1,,UR,,70"],
        map={"column": columns},
    )
    assert graded(manifest) == [
        ("P01_1_finger_tapping_left", 2),
        ("P01_1_finger_tapping_right", 3),
        ("P02_1_finger_tapping_left", None),
    ]
    assert manifest.recordings[2].is_unable
    assert [one.age for one in manifest.recordings] == [60, 60, 70]
    assert "columns of one item each: FT R -> grade:fingertap:R, FT L -> grade:fingertap:L" in told
    assert "1 without a video (row 2: P01, 1, gait)" in told


def test_a_table_of_times_takes_long_videos_apart(make, film):
    film("P01_1.mp4", "P02_1.mp4")
    times = ["Patient,Visit,Task,Hand,Start,End", "P01,1,fingertap,L,0:00:00,0:00.2",
             "P01,1,fingertap,R,0.2,0.4", "P01,1,fingertap,R,0.3,0.45"]  # fmt: skip
    manifest, told = make(times=times, pattern="{subject_id}_{visit_id}")
    assert [
        (one.recording_id, one.start_seconds, one.end_seconds) for one in manifest.recordings
    ] == [
        ("P01_1_finger_tapping_left", 0, 0.2),
        ("P01_1_finger_tapping_right_1", 0.2, 0.4),
        ("P01_1_finger_tapping_right_2", 0.3, 0.45),
    ]
    assert "grade is empty in all of them: recordings to predict" in told
    assert "1 without a row in times.csv (P02, 1)" in told


def test_parts_of_videos_are_rated_part_by_part(make, film, tmp_path):
    film("P01_1.mp4")
    times = ["Patient,Visit,Task,Start,End", "P01,1,gait,0,0.2", "P01,1,arising,0.2,0.4"]
    ratings = ["Patient,Visit,Task,Score", "P01,1,arising,3", "P01,1,gait,1"]
    manifest, _ = make(times=times, ratings=ratings, pattern="{subject_id}_{visit_id}")
    assert graded(manifest) == [("P01_1_gait", 1), ("P01_1_arising", 3)]
    joined = [f"{times[0]},Score", f"{times[1]},1", f"{times[2]},3"]
    manifest, _ = make(ratings=joined, pattern="{subject_id}_{visit_id}",
                       output=str(tmp_path / "n.csv"))  # fmt: skip
    assert graded(manifest) == [("P01_1_gait", 1), ("P01_1_arising", 3)]


def test_without_ratings_every_video_is_to_be_predicted(make, film):
    film(*NAMES)
    manifest, told = make()
    assert [one.grade for one in manifest.recordings] == [None] * 3
    assert "recordings to predict" in told
    assert told.endswith(f"pdray describe data.manifest={manifest.path}")


def test_several_cameras_share_a_grade_where_the_pattern_names_them(make, film):
    film("P01_gait_c1.mp4", "P01_gait_c2.mp4")
    manifest, _ = make(ratings=["Patient,Task,Score", "P01,gait,2"],
                       pattern="{subject_id}_{item}_{x_camera}")  # fmt: skip
    assert graded(manifest) == [("P01_gait_c1", 2), ("P01_gait_c2", 2)]


def test_what_has_no_partner_or_is_damaged_is_counted_and_listed(make, film, tmp_path):
    folder = film(*NAMES, "P03_1_gait_L.mp4", "P4_1_gait_L.mp4", "Anna Meier.mp4", "._P01.mp4")
    whole = (folder / NAMES[0]).read_bytes()
    (folder / NAMES[0]).write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("")
    rows = [*sheet("Score", ["2", "1", "0"]), "P03;45443;gait;L;1", "P04;1;arising;L;1"]
    manifest, told = make(ratings=rows)
    assert len(manifest.recordings) == 2
    for part in (
        "6 in the folder; 1 other file",
        "1 with a name that does not fit the pattern",
        "1 damaged and set aside (P01_1_finger_tapping_left: is not a video",
        "2 without a row in ratings.csv (P03, 1, gait, left; P4, 1, gait, left)",
        "2 without a video (row 5: P03, 45443, gait, left; row 6: P04, 1, arising, left)",
        "item 'arising' of 1 row is in no name of a video note ",
        "subject_id 'P04' of 1 row is in no name of a video; if it is 'P4', give "
        "map.subject_id.P04=P4",
    ):
        assert part in told
    assert "Meier" not in told
    assert aside(tmp_path) == [
        ("damaged", NAMES[0], aside(tmp_path)[0][2]),
        ("name does not fit the pattern", "Anna Meier.mp4", ""),
        ("no row in ratings.csv", "P03_1_gait_L.mp4", ""),
        ("no row in ratings.csv", "P4_1_gait_L.mp4", ""),
        ("no video of a row in ratings.csv", "row 5", ""),
        ("no video of a row in ratings.csv", "row 6", ""),
    ]


def test_videos_outside_the_manifests_folder_are_named_by_absolute_paths(make, film, tmp_path):
    film(*NAMES)
    output = tmp_path / "other" / "m.csv"
    manifest, told = make(output=str(output))
    assert manifest.recordings[0].video == tmp_path / "videos" / NAMES[0]
    assert "the videos lie outside its folder" in told


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ratings": sheet("Score", ["2", "mild", "1"])},
         "ratings.csv: row 3: grade 'mild' is not a whole grade; correct it, or say what it means: "
         "map.grade.mild=2"),
        ({"ratings": sheet("Score", ["2", "1,5", "1"])}, "row 3: grade '1.5' is not a whole"),
        ({"ratings": sheet("Score", ["2", "5", "1"])}, "row 3: grade 5 is outside 0..4 for item"),
        ({"ratings": sheet("Score", ["2", "45443", "1"])},
         "row 3: grade 45443 is a date as a number of Excel (2024-05-31), not a grade"),
        ({"ratings": sheet("Score", ["2", "2024-01-02", "1"])}, "grade '2024-01-02' is a date, "),
        ({"ratings": [*sheet("Score", ["2", "1", "0"]), f"{IDS[1]};3"]},
         "row 5: P01, 1, finger_tapping, right stands in row 3 already, for one video; delete one"),
        ({"ratings": ["Patient,Score", "P01,1", "P02,1"]},
         "row 2: 2 videos are of P01: they differ in side, which is no column of the sheet"),
        ({"ratings": sheet("Score", ["2", "Doe, Jane", "1"])}, "row 3: grade (a name) is not"),
        ({"constant": {"item": "gait"}}, "item 'finger_tapping', but constant.item=gait; leave"),
        ({"pattern": "{subject_id}_*", "constant": {"item": "gait"}},
         "names of videos: 2 say the same (P01); move copies away, or name what tells them apart"),
        ({"ratings": ["Patient,Score", "P01,1"], "pattern": "{subject_id}_{x_a}_{item}",
          "map": {"item": {"fingertap_L": "gait", "fingertap_R": "arising"}}},
         "they differ in item, which is no column of the sheet; add the column, with one row per"),
        ({"ratings": ["Rating,Score", "1,1"]}, "columns 'Rating' and 'Score' are both taken for"),
        ({"ratings": ["a,b", "1,1"]}, "nothing in it is in the names of the videos: its"),
        ({"ratings": ["Patient,Visit,Score", "P01,V1,1"]},
         "no row has a video, compared by subject_id, visit_id: the sheet says row 2: P01, V1; the "
         "names of videos say P01, 1; P01, 1; P02, 1\n  - visit_id 'V1' of 1 row is in no name of "
         "a video; if it is '1', give map.visit_id.V1=1"),
        ({"ratings": ["Patient,Visit,Score", "P01,V 1,1"]}, "'map.visit_id.V 1=1'"),
        ({"ratings": ["Patient,File,Score", "P01,a.mp4,1"]},
         "no row has one of the 3 videos; the sheet names row 2: a.mp4; write their names"),
        ({"ratings": ["Patient,Score"]}, "ratings.csv: has no row below the header"),
        ({"ratings": [*sheet("Score", ["2", "1", "0"])], "consensus": "median"},
         "consensus=median, and the sheet has a column of grades; leave"),
        ({"ratings": [*sheet("x_a", ["2", "1", "0"])]},
         "no column of grades is among Patient, Visit, Task, Hand, x_a; name it: map.column.NAME"),
        ({"pattern": "{subject_id}-{item}"},
         "fits none of the 3 names of videos, such as\n  - 'P01_1_fingertap_L' does not begin"),
        ({"pattern": "{subject_id}_{visit_id}_{x_a}_{side}"}, "nothing says the item of the reco"),
        ({"pattern": "{subject_id}_{visit_id}_{x_a}_{side}", "constant": {"item": "spiral"}},
         "row 2: item 'spiral' is unknown: valid items: "),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_row_value_and_way_out(make, film, tmp_path, settings, message):
    film(*NAMES)
    with pytest.raises(PdrayError) as caught:
        make(**settings)
    assert message in str(caught.value)
    assert {one.name for one in tmp_path.iterdir()} <= {"videos", "ratings.csv"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pattern": "{patient}_{item}"}, "pattern: 'patient' is no column that can stand here"),
        ({"pattern": "{item}_{item}"}, "pattern: got '{item}_{item}'; name each column once"),
        ({"pattern": "{video}"}, "pattern: 'video' is no column"),
        ({"pattern": None}, "pattern is missing: it says which part of a file's name is what"),
        ({"output": "m.txt"}, "m.txt is no .csv file"),
        ({"map": {"column": {"a": "sbject_id"}}}, "did you mean 'subject_id'?"),
        ({"map": {"column": {"a": "site:gait"}}}, "map: got 'site:gait'; write grade:ITEM or"),
        ({"map": {"itm": {"a": "b"}}}, "map: 'itm' is no column"),
        ({"constant": {"recording_id": "a"}}, "constant: 'recording_id' is no column"),
        ({"scale": "1-5"}, "scale: got '1-5'"),
    ],
)
def test_settings_are_checked(settings, message):
    plain = {"folder": "v", "output": "m.csv", "pattern": PATTERN}
    given = {key: one for key, one in {**plain, **settings}.items() if one is not None}
    with pytest.raises(PdrayError) as caught:
        build(MakeManifestConfig, given)
    assert message in str(caught.value)


def test_no_file_is_ever_replaced(tmp_path):
    (tmp_path / "m.set_aside.csv").write_text("kept")
    plain = {"folder": "v", "output": str(tmp_path / "m.csv"), "pattern": PATTERN}
    with pytest.raises(PdrayError, match=r"m\.set_aside\.csv exists and is never replaced"):
        build(MakeManifestConfig, plain)


def test_a_folder_without_videos_or_that_is_not_there_is_refused(make, film, tmp_path):
    with pytest.raises(PdrayError, match="videos: cannot be read: No such file"):
        make()
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.txt").write_text("")
    with pytest.raises(PdrayError, match=r"there is no video in it: none of 1 files ends in"):
        make()


def test_links_are_followed_once_and_one_that_leads_nowhere_is_set_aside(make, film, tmp_path):
    film(*NAMES[:2], folder="disk")
    (tmp_path / "videos").mkdir()
    for name, target in (("visit1", "disk"), ("again", "disk"), ("loop", "videos")):
        (tmp_path / "videos" / name).symlink_to(tmp_path / target)
    (tmp_path / "videos" / NAMES[2]).symlink_to(tmp_path / "nowhere.mp4")
    manifest, told = make()
    assert [one.video.parent.name for one in manifest.recordings] == ["again", "again"]
    assert "3 in the folder 1 damaged and set aside (P02_1_finger_tapping_left: " in told


@pytest.mark.parametrize("name", ["P\u00e41_1_fingertap_L.mp4", "Pa\u03081_1_fingertap_L .MP4"])
def test_spellings_that_look_the_same_are_the_same(make, film, name):
    film(name)
    manifest, _ = make(ratings=["Patient ,Visit, Task,Hand,Score", "P\u00e41 ,1,fingertap , l,2 "])
    assert graded(manifest)[0][1] == 2


def test_a_name_that_no_table_can_hold_is_refused(make, film, tmp_path):
    film(NAMES[0])
    (tmp_path / "videos" / NAMES[0]).rename(
        os.fsdecode(os.fsencode(tmp_path) + b"/videos/\xff.mp4")
    )
    with pytest.raises(PdrayError, match=r"not in UTF-8; rename '\\udcff\.mp4'"):
        make()


def test_damage_of_every_video_is_refused(make, film):
    folder = film(NAMES[0])
    (folder / NAMES[0]).write_bytes(b"")
    with pytest.raises(PdrayError, match="all 1 videos are damaged; the first is empty"):
        make()


def test_a_grade_may_stand_in_the_name_of_a_file(make, film):
    film("P01_gait_2.mp4", "P02_gait_UR.mp4")
    manifest, told = make(pattern="{subject_id}_{item}_{grade}")
    assert [(one.grade, one.grade_status) for one in manifest.recordings] == [
        (2, None),
        (None, "unable"),
    ]
    assert "1 with a grade, 1 that could not be rated, 0 without a grade" in told


def test_a_name_of_several_files_needs_its_path(make, film):
    film("a/IMG_1.mp4", "b/IMG_1.mp4", "b/IMG_2.mp4")
    rows = ["Patient,Task,File,Score", "P1,gait,IMG_1,1", "P1,gait,b/IMG_1.mp4,2"]
    with pytest.raises(PdrayError, match=r"row 2: .*; write the path below the folder"):
        make(ratings=[*rows[:2], "P1,gait,img_1,1"], pattern=None)
    manifest, _ = make(ratings=[rows[0], "P1,gait,a/IMG_1,1", rows[2]], pattern=None)
    assert graded(manifest) == [("P1_gait_1", 1), ("P1_gait_2", 2)]


def test_a_date_as_a_number_of_excel_is_explained(make, film):
    film("P01_20240531_gait_L.mp4")
    rows = ["Patient,Visit,Task,Hand,Score", "P01,45443,gait,L,1"]
    with pytest.raises(PdrayError, match="it is the date 2024-05-31 as a number of Excel; format"):
        make(ratings=rows)
    manifest, _ = make(ratings=[rows[0], "P01,2024-05-31,gait,L,1"])
    assert manifest.recordings[0].visit_id == "20240531"
