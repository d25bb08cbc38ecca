import math

import pytest

from pdray.importers.youtubepd.clips import (
    Clip,
    Lack,
    batch,
    number_of,
    parse_clip,
    severity,
    unique_clips,
)


def test_severity_is_half_the_label_rounded_up():
    assert [severity(label) for label in range(11)] == [math.ceil(n / 2) for n in range(11)]


def test_a_number_names_a_clip_and_its_batch():
    assert [number_of(n) for n in ("video0", "video283", "video03", "clip3", "video", "video3 ")] \
        == [0, 283, None, None, None, None]  # fmt: skip
    assert [batch(f"video{number}") for number in (0, 133, 134, 283)] == ["A", "A", "B", "B"]


def test_a_clip_is_read():
    clip, faults = parse_clip("video12", "10", "test", "clips.csv row 2")
    assert clip == Clip("video12", 10, "test", "clips.csv row 2")
    assert not faults


NO_LABEL = "is wrong, expected a whole number 0..10"


@pytest.mark.parametrize(
    ("name", "label", "split", "message"),
    [
        ("video12", "11", "test", f"f row 2: video12: label '11' {NO_LABEL}"),
        ("video12", "-1", "test", f"f row 2: video12: label '-1' {NO_LABEL}"),
        ("video12", "2.5", "test", f"f row 2: video12: label '2.5' {NO_LABEL}"),
        ("video12", "1", "val", "f row 2: video12: split 'val' is wrong, expected train or test"),
        ("someone", "1", "test", "f row 2: clip 'someone' is wrong, expected 'video' and a number"),
        ("video187", "0", "train", "f row 2: video187 was withdrawn by the authors; use their "
         "lists of October 2023"),
    ],
)  # fmt: skip
def test_a_row_that_is_no_clip_is_told(name, label, split, message):
    assert parse_clip(name, label, split, "f row 2") == (None, [message])


def test_a_clip_listed_twice_is_taken_once():
    clips = [Clip("video20", 0, "test", "t 1"), Clip("video3", 4, "train", "t 2"),
             Clip("video20", 0, "test", "t 3")]  # fmt: skip
    taken, faults, lacks = unique_clips(clips)
    assert [clip.name for clip in taken] == ["video3", "video20"]
    assert not faults
    assert lacks == [Lack("listed twice, taken once", "video20")]


def test_a_clip_that_says_two_things_is_refused():
    clips = [Clip("video2", 0, "test", "t 1"), Clip("video2", 4, "test", "t 2"),
             Clip("video2", 0, "train", "t 3")]  # fmt: skip
    _, faults, lacks = unique_clips(clips)
    assert faults == [
        "t 2: video2 has label 4, but 0 in t 1",
        "t 3: video2 is in train, but in test in t 1",
    ]
    assert not lacks
