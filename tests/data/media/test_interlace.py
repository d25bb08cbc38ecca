"""Interlaced frames are whole pictures, and progressive ones stay as they are."""

import av
import numpy as np
import pytest

from pdray.data.media.decode import decode, inspect
from pdray.data.media.part import Part
from pdray.data.media.seek import read_frames, scan
from pdray.data.media.settings import DecodeConfig
from tests.fixtures.made_videos import write_planes
from tests.places import SHARED

SIZE = 96
CONFIG = DecodeConfig(height=SIZE, width=SIZE)
STORED = DecodeConfig(height=SIZE, width=SIZE, interlaced="stored")
NUM_FRAMES = 12
HANDED = SHARED / "cases" / "field" / "videos" / "interlaced_h264.mts"

FORMS = {
    "h264": ("a.mp4", "libx264", {"crf": "8", "x264-params": "interlaced=1:tff=1:keyint=4"}),
    "h264 mts": ("a.mts", "libx264", {"crf": "8", "x264-params": "interlaced=1:tff=1"}),
    "mpeg2": ("a.mpg", "mpeg2video", {"flags": "+ildct+ilme", "b": "4M", "g": "4"}),
    "dv mkv": ("a.mkv", "libx264", {"crf": "8", "x264-params": "interlaced=1:bff=1:keyint=5"}),
}


def field(moment):
    """A bright bar on grey that moves 6 px a field."""
    luma = np.full((SIZE, SIZE), 60, np.uint8)
    left = 6 + 3 * moment % (SIZE - 20)
    luma[:, left : left + 12] = 210
    return luma


def woven(number, *, bottom_first=False):
    first, second = field(2 * number), field(2 * number + 1)
    whole = first.copy()
    whole[1 - bottom_first :: 2] = second[1 - bottom_first :: 2]
    return whole


def write(folder, form, lumas):
    name, codec, options = FORMS[form]
    grey = np.full((SIZE // 2, SIZE // 2), 128, np.uint8)
    return write_planes(
        folder / name,
        [(luma, grey, grey) for luma in lumas],
        codec=codec,
        options=options,
        pixel_format="yuv420p",
    )


def combs(frames):
    """Return how much each row differs from its neighbours' mean."""
    grey = frames[..., 1].astype(int)
    return np.abs(2 * grey[:, 1:-1] - grey[:, :-2] - grey[:, 2:]).mean()


@pytest.mark.parametrize("form", FORMS)
def test_what_moves_has_no_combs_and_every_frame_stays(tmp_path, form):
    bottom_first = "bff" in FORMS[form][2].get("x264-params", "")
    path = write(tmp_path, form, [woven(n, bottom_first=bottom_first) for n in range(NUM_FRAMES)])
    assert inspect(path, CONFIG).num_interlaced == NUM_FRAMES
    combed, whole = decode(path, STORED), decode(path, CONFIG)
    assert len(whole.frames) == NUM_FRAMES
    np.testing.assert_array_equal(whole.pts_seconds, combed.pts_seconds)
    assert combs(combed.frames) > 10
    assert combs(whole.frames) < 0.2 * combs(combed.frames)
    # Each picture is of its frame's first field, at its place in time.
    for number in (0, 5, NUM_FRAMES - 1):
        row = whole.frames[number, SIZE // 2, :, 1]
        bar = np.flatnonzero(row > 135)
        left = 6 + 6 * number % (SIZE - 20)
        assert abs(bar[0] - left) <= 3
    # Every way of reading gives the same.
    index = scan(path, CONFIG)
    np.testing.assert_array_equal(
        read_frames(path, index, np.arange(NUM_FRAMES), CONFIG), whole.frames
    )
    np.testing.assert_array_equal(
        read_frames(path, index, np.array([7, 2]), CONFIG), whole.frames[[7, 2]]
    )


def test_a_span_shows_what_the_whole_shows(tmp_path):
    path = write(tmp_path, "h264", [woven(n) for n in range(NUM_FRAMES)])
    whole = decode(path, CONFIG)
    part = decode(path, CONFIG, part=Part(start_seconds=0.12, end_seconds=0.32))
    np.testing.assert_array_equal(part.frames, whole.frames[3:8])


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "libvpx-vp9"])
def test_progressive_frames_never_meet_the_filter(tmp_path, monkeypatch, codec):
    monkeypatch.setattr("pdray.data.media.interlace.Graph", None)
    grey = np.full((SIZE // 2, SIZE // 2), 128, np.uint8)
    path = write_planes(
        tmp_path / "a.mkv",
        [(field(number), grey, grey) for number in range(NUM_FRAMES)],
        codec=codec,
        options={},
        pixel_format="yuv420p",
    )
    assert inspect(path, CONFIG).num_interlaced == 0
    np.testing.assert_array_equal(decode(path, CONFIG).frames, decode(path, STORED).frames)


def test_frames_that_become_interlaced_midway_keep_what_came_before(tmp_path):
    # Two files' packets in one stream, as where a camera's programme changes.
    first = write(tmp_path, "mpeg2", [woven(n) for n in range(4)])
    grey = np.full((SIZE // 2, SIZE // 2), 128, np.uint8)
    second = write_planes(
        tmp_path / "p.mpg", [(field(n), grey, grey) for n in range(4)],
        codec="mpeg2video", options={"b": "4M", "g": "4"}, pixel_format="yuv420p",
    )  # fmt: skip
    path = tmp_path / "both.mkv"
    with av.open(str(path), "w") as new:
        stream, stamp = None, 0
        for source in (second, first):
            with av.open(str(source)) as old:
                stream = stream or new.add_stream_from_template(old.streams.video[0])
                base = stamp
                for packet in old.demux(video=0):
                    if packet.size:
                        packet.stream, packet.time_base = stream, old.streams.video[0].time_base
                        packet.pts = packet.dts = 3600 * stamp
                        new.mux(packet)
                        stamp += 1
                assert stamp - base == 4
    assert inspect(path, CONFIG).num_interlaced == 4
    whole, combed = decode(path, CONFIG).frames, decode(path, STORED).frames
    assert len(whole) == 8
    np.testing.assert_array_equal(whole[:4], combed[:4])
    assert combs(whole[4:]) < 0.2 * combs(combed[4:])


@pytest.mark.skipif(not HANDED.is_file(), reason="the handed clip is not beside the checkout")
def test_the_handed_clip_is_deinterlaced():
    size = {"height": 128, "width": 160}
    combed = decode(HANDED, DecodeConfig(**size, interlaced="stored")).frames
    whole = decode(HANDED, DecodeConfig(**size)).frames
    assert len(whole) == len(combed) == 25
    assert combs(whole) < 0.75 * combs(combed)
