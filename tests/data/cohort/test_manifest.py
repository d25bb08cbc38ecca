import hashlib
import time
from pathlib import Path

import pandas as pd
import pytest

from pdray.config import build
from pdray.data.cohort.manifest import (
    Allowed,
    Manifest,
    Recording,
    grade_class,
    load_manifest,
    select,
)
from pdray.data.cohort.settings import ITEMS, DataConfig
from pdray.data.media.part import Box
from pdray.errors import ManifestError, SettingsError

ROW = {"recording_id": "r1", "subject_id": "S1", "item": "gait", "grade": "2"}


def rows(**columns):
    """One valid row for each value; every other column as in ROW."""
    (length,) = {len(values) for values in columns.values()}
    return [
        {**ROW, "recording_id": f"r{i}", **{key: values[i] for key, values in columns.items()}}
        for i in range(length)
    ]


def test_items_of_the_scales():
    assert ITEMS["finger_tapping"] == 4
    assert ITEMS["face_interview"] == 5


def test_every_column_arrives(write_manifest, tmp_path):
    row = {
        **ROW,
        "video": "videos/a.mp4",
        "audio": "/elsewhere/a.wav",
        "landmarks": "a.npz",
        "regions": "b.npz",
        "visit_id": "v1",
        "side": "left",
        "start_seconds": "1.5",
        "crop": "0 16 640 480",
        "end_seconds": "4",
        "split": "train",
        "diagnosis": "PD",
        "visit_score": "31.5",
        "rater_2": "",
        "rater_1": "3",
        "rater_3": "1",
        "medication_state": "on",
        "sex": "f",
        "age": "63",
        "site": "A",
    }
    path = write_manifest([row])
    manifest = load_manifest(path, check_files=False)
    assert manifest.path == path
    assert manifest.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert manifest.recordings == (
        Recording(
            recording_id="r1",
            subject_id="S1",
            item="gait",
            grade=2,
            video=tmp_path / "videos" / "a.mp4",
            audio=Path("/elsewhere/a.wav"),
            landmarks=tmp_path / "a.npz",
            regions=tmp_path / "b.npz",
            visit_id="v1",
            side="left",
            start_seconds=1.5,
            crop=Box(0, 16, 640, 480),
            end_seconds=4.0,
            split="train",
            diagnosis="PD",
            visit_score=31.5,
            raters=(3, None, 1),
            medication_state="on",
            sex="f",
            age=63.0,
            site="A",
        ),
    )


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("video", "/elsewhere/a.mp4"),
        ("video", "../a.mp4"),
        ("audio", "videos/../../a.wav"),
        ("features.smile", "../smile.csv"),
    ],
)
def test_files_outside_the_folder_of_the_manifest_are_refused(write_manifest, column, cell):
    path = write_manifest([{**ROW, "video": "videos/x/../a.mp4", column: cell}])
    told = rf"row 2: {column} {cell} lies outside the manifest's folder; .*data.allow_outside=true"
    with pytest.raises(ManifestError, match=told):
        load_manifest(path, check_files=False, allowed=Allowed(outside=False))
    (recording,) = load_manifest(path, check_files=False).recordings
    assert recording.files[column] == path.parent / cell


def test_an_empty_cell_is_absent_never_zero(write_manifest):
    path = write_manifest([{**ROW, "grade": "", "side": "", "visit_score": "", "video": ""}])
    (recording,) = load_manifest(path).recordings
    assert recording == Recording(recording_id="r1", subject_id="S1", item="gait")
    assert recording.grade is None


@pytest.mark.parametrize("cell", ["NA", "nan", "NaN", "None", "-", "null"])
def test_words_for_absent_are_not_guessed(write_manifest, cell):
    path = write_manifest(rows(grade=[cell], age=[cell]))
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    assert f"row 2: grade '{cell}' is not an integer" in str(caught.value)
    assert f"row 2: age '{cell}' is not a finite number" in str(caught.value)


def test_every_bad_row_is_listed_at_once(write_manifest):
    bad = [
        ROW,
        {**ROW, "grade": "1"},
        {**ROW, "recording_id": "r3", "subject_id": ""},
        {**ROW, "recording_id": "r4", "grade": "5"},
        {**ROW, "recording_id": "r5", "grade": "2.5"},
        {**ROW, "recording_id": "r6", "item": "finger_taping"},
        {**ROW, "recording_id": "r7", "side": "Left"},
        {**ROW, "recording_id": "r8", "start_seconds": "4", "end_seconds": "4"},
        {**ROW, "recording_id": "r9", "start_seconds": "-1", "end_seconds": "soon"},
        {**ROW, "recording_id": " r10"},
        {**ROW, "recording_id": "r11", "rater_1": "9"},
        {**ROW, "recording_id": "r12", "video": "nowhere.mp4"},
    ]
    path = write_manifest(bad)
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    headline, *listed = str(caught.value).splitlines()
    assert headline == "manifest.csv, 12 faults:"
    expected = [
        "row 3: recording_id r1 stands in row 2 already",
        "row 4: subject_id is missing",
        "row 5: grade 5 is outside 0..4 for item gait",
        "row 6: grade '2.5' is not an integer; leave the cell empty if not rated",
        "row 7: item 'finger_taping' is unknown: did you mean 'finger_tapping'? valid items: ",
        "row 8: side 'Left' is not left or right",
        "row 9: end_seconds 4 must be greater than start_seconds 4",
        "row 10: end_seconds 'soon' is not a finite number",
        "row 10: start_seconds -1 is negative",
        "row 11: recording_id ' r10' has spaces around it; write 'r10'",
        "row 12: rater_1 9 is outside 0..4 for item gait",
        f"row 13: video nowhere.mp4: no such file: {path.parent / 'nowhere.mp4'}",
    ]
    for text, fault in zip(listed, expected, strict=True):
        assert text.startswith(f"  - {fault}")


def test_scales_are_the_items_own(write_manifest):
    path = write_manifest(rows(item=["face_interview", "gait"], grade=["5", "5"]))
    with pytest.raises(ManifestError, match=r"manifest.csv: row 3: grade 5 is outside 0\.\.4"):
        load_manifest(path)


def test_whole_numbers_written_by_pandas_are_integers(write_manifest):
    recordings = load_manifest(write_manifest(rows(grade=["3.0", "0"]))).recordings
    assert [recording.grade for recording in recordings] == [3, 0]
    with pytest.raises(ManifestError, match=r"grade -1 is outside 0\.\.4"):
        load_manifest(write_manifest(rows(grade=["-1"])))


def test_row_is_the_line_in_the_file(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text(
        'recording_id,subject_id,item,diagnosis\nr1,S1,gait,"two\nlines"\n\nr2,S1,walk,\n'
    )
    with pytest.raises(ManifestError, match=r"^m\.csv: row 5: item 'walk'"):
        load_manifest(path)


def test_an_empty_row_is_one_fault(write_manifest):
    path = write_manifest([ROW, {}])
    with pytest.raises(ManifestError, match=r"manifest.csv: row 3: every cell is empty"):
        load_manifest(path)


def test_a_header_alone_is_an_empty_manifest(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("recording_id,subject_id,item\n")
    with pytest.raises(ManifestError, match=r"m\.csv: is empty: expected one row a recording"):
        load_manifest(path)


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(ManifestError, match=r"none\.csv: cannot be read: No such file"):
        load_manifest(tmp_path / "none.csv")


def test_parquet_says_the_same_as_csv(tmp_path, write_manifest):
    wanted = rows(grade=["3", ""], age=["63.5", ""], side=["left", ""])
    frame = pd.DataFrame(
        {
            "recording_id": ["r0", "r1"],
            "subject_id": ["S1", "S1"],
            "item": ["gait", "gait"],
            "grade": [3, None],
            "age": [63.5, None],
            "side": ["left", None],
        }
    )
    frame.to_parquet(tmp_path / "m.parquet")
    from_csv = load_manifest(write_manifest(wanted)).recordings
    assert load_manifest(tmp_path / "m.parquet").recordings == from_csv


def test_parquet_faults_count_records(tmp_path):
    pd.DataFrame(rows(grade=[1, 7])).to_parquet(tmp_path / "m.parquet")
    with pytest.raises(ManifestError, match=r"^m\.parquet: row 2: grade 7 is outside"):
        load_manifest(tmp_path / "m.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ManifestError, match=r"bad\.parquet: not a Parquet file"):
        load_manifest(tmp_path / "bad.parquet")


def test_a_subject_spelt_in_two_ways_is_refused(write_manifest):
    path = write_manifest(rows(subject_id=["S01", "s01"]))
    with pytest.raises(ManifestError, match="row 3: subject_id 's01' differs from 'S01' of row 2"):
        load_manifest(path)


def test_a_subject_in_two_splits_is_refused(write_manifest):
    path = write_manifest(rows(split=["train", "", "test"]))
    with pytest.raises(ManifestError, match="row 4: split 'test', but subject S1 is 'train' in"):
        load_manifest(path)


def test_one_file_of_two_subjects_is_refused_whatever_the_spans_and_spelling(write_manifest):
    spans = {"video": ["b.mp4", "a.mp4", "./a.mp4"], "end_seconds": ["", "4", "9"]}
    path = write_manifest(rows(subject_id=["S1", "S2", "S3"], **spans))
    with pytest.raises(
        ManifestError, match=r"row 4: video \./a\.mp4 is of subject S3, and of S2 in row 3"
    ):
        load_manifest(path, check_files=False)


def test_unreadable_files_are_reported_with_their_rows(write_manifest, numbered_video, tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("not a video\n" * 50)
    videos = ["numbered.mp4", "empty.mp4", "text.mp4", "gone.mp4", "empty.mp4"]
    path = write_manifest(rows(video=videos, audio=["", "", "", "", "gone.wav"]))
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    text = str(caught.value)
    assert "row 2" not in text
    assert "row 3: video empty.mp4: is empty (0 bytes)" in text
    assert "row 4: video text.mp4: is not a video that can be read: it is no video" in text
    assert "row 5: video gone.mp4: no such file" in text
    assert "row 6: video empty.mp4: is empty" in text
    assert f"row 6: audio gone.wav: no such file: {tmp_path / 'gone.wav'}" in text
    assert len(load_manifest(path, check_files=False).recordings) == 5
    there = rows(video=["numbered.mp4"], landmarks=[tmp_path / "gone.npz"])
    with pytest.raises(ManifestError, match=r"row 2: landmarks /\S+/gone\.npz: no such file$"):
        load_manifest(write_manifest(there))


def test_several_items_of_one_continuous_recording(write_manifest, numbered_video):
    path = write_manifest(
        rows(
            video=["numbered.mp4"] * 2,
            item=["gait", "hand_opening"],
            start_seconds=["", "0.8"],
            end_seconds=["0.8", ""],
        )
    )
    first, second = load_manifest(path).recordings
    assert first.video == second.video == numbered_video
    assert (first.end_seconds, second.start_seconds) == (0.8, 0.8)


def test_the_tiny_manifest_is_valid(tiny_manifest):
    manifest = load_manifest(tiny_manifest(num_subjects=2))
    assert [r.grade for r in manifest.recordings] == [4, 0, 3, 1]


def test_ten_thousand_rows_take_less_than_two_seconds(write_manifest):
    path = write_manifest(
        [
            {**ROW, "recording_id": f"r{i}", "subject_id": f"S{i % 97}", "video": f"v/{i}.mp4"}
            for i in range(10_000)
        ]
    )
    started = time.process_time()
    manifest = load_manifest(path, check_files=False)
    assert time.process_time() - started < 2.0
    assert len(manifest.recordings) == 10_000


def test_the_class_of_an_action_has_no_highest_and_is_not_negative(write_manifest):
    path = write_manifest(rows(item=["action", "action"], grade=["699", "0"]))
    assert [one.grade for one in load_manifest(path).recordings] == [699, 0]
    with pytest.raises(ManifestError, match="row 2: grade -1 is negative for item action"):
        load_manifest(write_manifest(rows(item=["action"], grade=["-1"])))


@pytest.mark.parametrize("item", ["action", "face_interview"])
def test_public_videos_without_subjects_are_allowed_explicitly(write_manifest, item):
    path = write_manifest(rows(item=[item] * 3, subject_id=["", "P1", ""]))
    with pytest.raises(
        ManifestError, match=r"row 4: subject_id is missing; data\.subjects=none al"
    ):
        load_manifest(path)
    recordings = load_manifest(path, subjects="none").recordings
    assert [one.subject_id for one in recordings] == ["r0", "P1", "r2"]


def test_the_column_of_subjects_may_be_absent_where_none_are_allowed(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("recording_id,item,grade,video\nr1,action,3,a.avi\nr2,action,4,a.avi\n")
    with pytest.raises(ManifestError, match="required column subject_id is missing"):
        load_manifest(path)
    with pytest.raises(ManifestError, match=r"a\.avi is of subject r2, and of r1 in row 2"):
        load_manifest(path, check_files=False, subjects="none")


def test_people_have_subjects_all_the_same(write_manifest):
    path = write_manifest(rows(item=["action", "gait"], subject_id=["", ""]))
    with pytest.raises(ManifestError, match=r"manifest\.csv: row 3: subject_id is missing$"):
        load_manifest(path, subjects="none")


def recording(recording_id, **values):
    return Recording(**{"recording_id": recording_id, "subject_id": "S1", "item": "gait", **values})


def manifest_of(tmp_path, *recordings):
    return Manifest(tmp_path / "m.csv", "0" * 64, recordings)


def test_select_lists_what_each_row_lacks(tmp_path):
    manifest = manifest_of(
        tmp_path,
        recording("a", grade=0, raters=(1,)),
        recording("b"),
        recording("c", grade=1),
        recording("d", grade=1, raters=(1,), item="pronation"),
    )
    usable, lacking = select(manifest, items=None, needs=["grade", "raters"])
    assert [one.recording_id for one in usable] == ["a", "d"]
    assert lacking == {"grade": ["b"], "raters": ["b", "c"]}
    usable, lacking = select(manifest, items=["gait"], needs=["grade"])
    assert [one.recording_id for one in usable] == ["a", "c"]
    assert lacking == {"grade": ["b"]}


def test_select_refuses_an_unknown_item_and_an_empty_choice(tmp_path):
    manifest = manifest_of(tmp_path, recording("a"), recording("b", grade=1))
    with pytest.raises(ManifestError, match="item 'gate' is unknown: did you mean 'gait'"):
        select(manifest, items=["gate"], needs=[])
    with pytest.raises(
        ManifestError, match="none of its 2 recordings can be used: 0 are of the it"
    ):
        select(manifest, items=["pronation"], needs=["grade"])
    with pytest.raises(ManifestError, match=r"used: 1 have no grade; 2 have no video\. Fill in"):
        select(manifest, items=None, needs=["grade", "video"])


def test_actions_are_selected_by_name_only(tmp_path):
    manifest = manifest_of(tmp_path, recording("a"), recording("b", item="action", grade=80))
    with pytest.raises(ManifestError, match="it holds item action, whose classes are no grades"):
        select(manifest, items=None, needs=[])
    usable, _ = select(manifest, items=["action"], needs=["grade"])
    assert [one.recording_id for one in usable] == ["b"]


def test_classes_of_actions_are_cut_one_by_one():
    plain = {"manifest": "m.csv", "items": ["action"], "grade_cuts": list(range(1, 101))}
    config = build(DataConfig, {**plain, "subjects": "none"})
    assert [grade_class(grade, config.grade_cuts) for grade in (0, 1, 57, 100)] == [0, 1, 57, 100]


def test_grade_classes():
    assert [grade_class(grade, (2,)) for grade in range(5)] == [0, 0, 1, 1, 1]
    assert [grade_class(grade, (1, 3)) for grade in range(5)] == [0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"items": ["gate"]}, "items: item 'gate' is unknown: did you mean 'gait'"),
        ({"items": ["pronatio"], "scale": "0..9"}, "'pronatio' is unknown: did you mean 'pronati"),
        ({"scale": "1..5"}, "scale: got '1..5'"),
        ({"grade_cuts": [6], "scale": "0..5"}, "expected rising grades between 1 and 5"),
        ({"items": []}, "items: no item named; write null"),
        ({"grade_cuts": [3, 1]}, r"grade_cuts: got \[3, 1\]: expected rising grades between 1"),
        ({"grade_cuts": [0]}, r"got \[0\]"),
        ({"grade_cuts": [6]}, r"got \[6\]"),
        ({"grade_cuts": []}, r"got \[\]"),
        ({"max_decode_failures": -1}, "max_decode_failures: got -1"),
        ({"items": ["action", "gait"]}, "items: action beside others: the class of an action is n"),
        (
            {"items": ["action"], "grade_cuts": [2, 1]},
            r"got \[2, 1\]: expected rising classes from",
        ),
        ({"subjects": "none"}, r"subjects: got 'none': only items \[action\] or \[face_int"),
        (
            {"subjects": "none", "items": ["gait"]},
            r"got 'none': only items \[action\] or \[face_interview\]",
        ),
        ({"subjects": "some"}, "subjects: got 'some'"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(SettingsError, match=message):
        build(DataConfig, {"manifest": "m.csv", **settings})


def test_a_table_has_absent_cells_and_every_rater(write_manifest, tmp_path):
    some = [{**ROW, "video": "a.mp4", "age": "61.5", "rater_1": "2", "rater_2": ""},
            {**ROW, "recording_id": "r2", "grade": "", "rater_1": "", "rater_2": "3"}]  # fmt: skip
    manifest = load_manifest(write_manifest(some), check_files=False)
    table = manifest.table()
    assert table["grade"].tolist() == [2, pd.NA]
    assert table["video"].tolist() == [str(tmp_path / "a.mp4"), pd.NA]
    assert table[["rater_1", "rater_2"]].to_numpy().tolist() == [[2, pd.NA], [pd.NA, 3]]
    assert str(table["age"].dtype) == "Float64"
    assert manifest.recording("r2") is manifest.recordings[1]
    with pytest.raises(ManifestError, match="recording_id 'r22'; did you mean 'r2'"):
        manifest.recording("r22")


def test_any_word_is_an_item_where_its_scale_is_given(write_manifest):
    some = rows(item=["spiral", "spiral", "gait"], grade=["7", "0", "4"])
    with pytest.raises(
        ManifestError, match=r"(?s)row 2: item 'spiral' is unknown: .*data\.scale=0"
    ):
        load_manifest(write_manifest(some))
    manifest = load_manifest(write_manifest(some), scale="0..7")
    assert [one.grade for one in manifest.recordings] == [7, 0, 4]
    assert manifest.notes == (
        "items on the scale 0..7, which are not among the known ones: spiral (2 recordings)",
    )
    assert len(select(manifest, items=["spiral"], needs=["grade"])[0]) == 2
    with pytest.raises(ManifestError, match="item 'spirals' is unknown"):
        select(manifest, items=["spirals"], needs=[])
    assert build(DataConfig, {"manifest": "m.csv", "scale": "0..7", "grade_cuts": [3, 7]})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"item": "spiral", "grade": "8"}, r"grade 8 is outside 0\.\.7 for item spiral"),
        ({"item": "gait", "grade": "5"}, r"grade 5 is outside 0\.\.4 for item gait"),
        ({"item": "Hand opening"}, "item 'Hand opening' is unknown: write 'hand_opening'"),
        ({"item": "finger_taping"}, "did you mean 'finger_tapping'"),
        ({"item": "two words"}, "item 'two words' is no word"),
    ],
)
def test_a_scale_lets_no_other_fault_through(write_manifest, row, message):
    with pytest.raises(ManifestError, match=message):
        load_manifest(write_manifest([{**ROW, "grade": "", **row}]), scale="0..7")
