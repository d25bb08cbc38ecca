import csv
import io

import pytest

from pdray.data.cohort.marks import Mark, marks_text
from pdray.importers.youtubepd.marks import is_whole, mark_faults, parse_mark


@pytest.mark.parametrize("text", ["67/148,6,9,8", "67/148, 6, 9, 8", " 67 / 148 ,6 ,9 ,8 "])
def test_a_mark_is_read_with_blanks_or_without(text):
    mark = parse_mark("video0", text)
    assert mark == Mark("video0", 6, 67, 148, 9, 8, "")
    assert is_whole(mark)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4/147,all_regions,5,2", (None, 4, 147, 5, 2)),
        ("293/293,,6,3", (None, 293, 293, 6, 3)),
        ("7/206,1,9", (1, None, 206, None, None)),
        ("7 206,1,9", (1, None, None, None, None)),
        ("7/206,1,9.5,2", (1, None, 206, None, None)),
        ("7/206,1,9,2,3", (1, None, 206, None, None)),
        ("7/2 06,1,9,2", (1, None, None, None, None)),
        ("nothing", (None, None, None, None, None)),
    ],
)
def test_what_is_not_certain_stays_open_and_the_text_is_kept(text, expected):
    mark = parse_mark("video0", text)
    assert mark[1:-1] == expected
    assert mark.note == f"incomplete: {text!r}"
    assert not is_whole(mark)
    assert not mark_faults(mark, "m[0]")


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        (Mark("video0", 14, 1, 9, 1, 1), "m[3]: video0: region 14 is outside 0..13"),
        (Mark("video0", 0, 10, 9, 1, 1), "m[3]: video0: frame 10 is outside its total of 9"),
        (Mark("video0", 0, 0, 0, 1, 1), "m[3]: video0: total of 0 frames, expected at least 1"),
        (Mark("video0", 0, 1, 9, 11, 1), "m[3]: video0: severity 11 is outside 0..10"),
        (Mark("video0", 0, 1, 9, 1, 12), "m[3]: video0: confidence 12 is outside 0..10"),
    ],
)
def test_a_mark_out_of_range_is_told(mark, message):
    assert mark_faults(mark, "m[3]") == [message]


def test_the_table_keeps_every_mark_and_flags_strangers_and_repeats():
    marks = [parse_mark("video0", "6/12,11,9,8"), parse_mark("video0", "6/12,11,9,8"),
             parse_mark("video9", "1/3,all_regions,2,1")]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(marks_text(marks, {"video0"}))))
    assert [row["in_manifest"] for row in rows] == ["1", "1", "0"]
    assert [row["repeated"] for row in rows] == ["0", "1", "0"]
    assert rows[0] == {
        "recording_id": "video0", "in_manifest": "1", "region_index": "11", "region": "mouth",
        "mark_0_10": "9", "grade_0_5": "5", "confidence_0_10": "8", "frame": "6",
        "total_frames": "12", "time_ratio": "0.500000", "repeated": "0", "note": "",
    }  # fmt: skip
    assert rows[2]["region"] == rows[2]["region_index"] == ""
    assert rows[2]["note"] == "incomplete: '1/3,all_regions,2,1'"
