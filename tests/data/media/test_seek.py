from fractions import Fraction
from functools import cache

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdray.data.media import seek as module
from pdray.data.media.decode import decode
from pdray.data.media.part import WHOLE, Box, Part
from pdray.data.media.seek import read_frames, scan
from pdray.data.media.settings import DecodeConfig, DecodeLimits
from pdray.errors import DecodeError

CONFIG = DecodeConfig(height=24, width=32)
NUM_FRAMES = 60

X264 = {"x264-params": "keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0:b-pyramid=normal"}
OPEN_X264 = {"x264-params": X264["x264-params"] + ":open-gop=1"}
X265 = {"x265-params": "keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0:log-level=none"}
ONE_GOP = {"x264-params": "keyint=600:scenecut=0:bframes=3:b-adapt=0:b-pyramid=strict:ref=4"}
NO_B = {"x264-params": "keyint=15:bframes=0"}
REFRESH = {"x264-params": "keyint=20:intra-refresh=1:bframes=0"}
VP9 = {"g": "15", "deadline": "good", "b": "100000"}

# What is read by its key frames: file, codec, options.
SEEKABLE = {
    "closed": ("a.mp4", "libx264", X264),
    "open": ("a.mp4", "libx264", OPEN_X264),
    "open mkv": ("a.mkv", "libx264", OPEN_X264),
    "one key frame": ("a.mov", "libx264", ONE_GOP),
    "no B frames": ("a.mp4", "libx264", NO_B),
    "fragments": ("a.mp4", "libx264", X264),
    "hevc closed": ("a.mp4", "libx265", {"x265-params": X265["x265-params"] + ":open-gop=0"}),
    "hevc open": ("a.mp4", "libx265", {"x265-params": X265["x265-params"] + ":open-gop=1"}),
    "hevc layers": (
        "a.mkv",
        "libx265",
        {"x265-params": X265["x265-params"] + ":temporal-layers=2"},
    ),
    "vp9": ("a.webm", "libvpx-vp9", VP9),
    "vp9 mp4": ("a.mp4", "libvpx-vp9", VP9),
    "av1": ("a.webm", "libsvtav1", {"g": "16", "preset": "12"}),
    "mpeg4": ("a.mp4", "mpeg4", {"g": "12", "bf": "2"}),
    "mpeg4 mkv": ("a.mkv", "mpeg4", {"g": "12", "bf": "0"}),
}
# What is decoded whole, since its packets do not tell its frames.
DECODED = {
    "avi": ("a.avi", "mpeg4", {"g": "12", "bf": "2"}),
    "avi h264": ("a.avi", "libx264", X264),
    "ts": ("a.ts", "libx264", X264),
    "interlaced": ("a.mp4", "libx264", {"x264-params": X264["x264-params"] + ":interlaced=1"}),
}


def moving_frames(num_frames, height=48, width=64):
    """Smooth gradients, and shapes that move: what coders predict one frame from another."""
    y, x = np.mgrid[:height, :width].astype(float)
    frames = []
    for i in range(num_frames):
        waves = 25 * np.sin(x / 9 + i / 4) + 20 * np.cos(y / 7 - i / 6)
        frame = np.stack([90 + waves + x, 120 - waves + y, 140 + x - y], -1)
        frame[(x - (3 * i) % width) ** 2 + (y - height / 2) ** 2 < 64] = (230, 60, 40)
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
    return frames


def write(path, codec, options, *, stamps=range(NUM_FRAMES), container=None):
    """Encode one frame a stamp, in 25ths of a second."""
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.thread_count = 1
        for stamp, pixels in zip(stamps, moving_frames(len(stamps)), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels)
            frame.pts, frame.time_base = stamp, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def trim(source, path, seconds):
    """Copy packets so that the file begins inside a group of pictures, by an edit list."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        (stream,) = old.streams.video
        copy = new.add_stream_from_template(stream)
        offset = int(seconds / stream.time_base)
        for packet in old.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
                packet.stream = copy
                new.mux(packet)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a function that writes a case's file once."""
    folder, written = tmp_path_factory.mktemp("seek"), {}

    def make(case):
        if case not in written:
            name, codec, options = (SEEKABLE | DECODED)[case]
            container = {"movflags": "frag_keyframe+empty_moov"} if case == "fragments" else {}
            path = folder / f"{case.replace(' ', '_')}_{name}"
            written[case] = write(path, codec, options, container=container)
        return written[case]

    return make


@pytest.fixture
def no_decoding(monkeypatch):
    """Fail where a read falls back to decoding everything."""

    def refuse(*_args, **_kwargs):
        raise AssertionError("everything is decoded")

    monkeypatch.setattr(module, "decode_frames", refuse)


@cache
def decoded(path, config, part):
    """Decode everything, once per file and part."""
    return decode(path, config, part=part)


def check(path, positions, config=CONFIG, part=WHOLE):
    clip = decoded(path, config, part)
    index = scan(path, config, part=part)
    np.testing.assert_array_equal(index.seconds, clip.pts_seconds)
    assert index.num_frames == len(clip.frames)
    positions = np.asarray(positions) % index.num_frames
    np.testing.assert_array_equal(
        read_frames(path, index, positions, config), clip.frames[positions]
    )
    return index


@pytest.mark.usefixtures("no_decoding")
@pytest.mark.parametrize("case", SEEKABLE)
def test_frames_are_those_of_decoding_everything(files, case):
    index = check(files(case), np.arange(NUM_FRAMES))
    assert index.num_frames == NUM_FRAMES
    for start in (0, 10, 11, 12, 13, 23, 35, 47, 52):
        check(files(case), np.arange(start, start + 8))
        check(files(case), [start])
    check(files(case), [59, 3, 3, 40, 0, 59, 41])


@pytest.mark.parametrize("case", DECODED)
def test_what_packets_do_not_tell_is_decoded(files, case):
    assert check(files(case), [59, 3, 3, 40, 0, 59, 41]).pts is None


@pytest.mark.parametrize("case", ["open", "one key frame", "hevc open", "vp9", "av1", "avi"])
@settings(max_examples=12)
@given(
    positions=st.lists(st.integers(0, NUM_FRAMES - 1), max_size=20),
    span=st.tuples(st.floats(0, 2.3), st.floats(0.05, 2.4)),
    rate=st.sampled_from([None, None, 10.0, 24.0, 60.0]),
    crop=st.sampled_from([None, None, Box(5, 16, 33, 20)]),
)
def test_any_positions_of_any_part_at_any_rate(files, case, positions, span, rate, crop):
    config = DecodeConfig(height=24, width=32, frame_rate=rate)
    start, end = span[0], min(span[0] + max(span[1], 0.11), 2.4)
    check(files(case), np.array(positions, np.int64), config)
    check(files(case), np.array(positions, np.int64), config, Part(start, end, crop))


@pytest.mark.usefixtures("no_decoding")
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_varying_intervals(tmp_path, name):
    stamps = np.cumsum(np.random.default_rng(1).integers(1, 9, NUM_FRAMES)).tolist()
    path = write(tmp_path / name, "libx264", OPEN_X264, stamps=stamps)
    for rate in (None, 7.0, 30.0):
        config = DecodeConfig(height=24, width=32, frame_rate=rate)
        check(path, np.arange(0, 300, 7), config)
        check(path, np.arange(0, 300, 7), config, Part(1.0, 5.3))


@pytest.mark.parametrize("options", [X264, OPEN_X264], ids=["closed", "open"])
@pytest.mark.parametrize("seconds", [0.3, 0.31, 0.48, 1.0])
def test_trimmed_files(tmp_path, seconds, options):
    source = write(tmp_path / "a.mp4", "libx264", options)
    path = trim(source, tmp_path / "trimmed.mp4", seconds)
    for positions in (np.arange(40), [0], [5, 30, 6]):
        check(path, positions)


def test_negative_times(tmp_path):
    path = write(tmp_path / "a.mp4", "libx264", X264, stamps=range(-20, 40))
    check(path, np.arange(NUM_FRAMES))
    assert scan(path, CONFIG).seconds[0] == 0.0


def test_a_picture_that_gets_clean_over_several_frames_is_decoded_from_the_start(files, tmp_path):
    path = write(tmp_path / "a.mkv", "libx264", REFRESH)
    for start in range(0, 60, 7):
        check(path, [start])


def test_a_stream_that_begins_with_pictures_it_cannot_show_is_decoded(tmp_path):
    # Cut at an open group of HEVC: its leading pictures refer to what is gone.
    source = write(tmp_path / "a.mkv", "libx265", SEEKABLE["hevc open"][2])
    path = tmp_path / "cut.mkv"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        keys = 0
        for packet in old.demux(video=0):
            keys += packet.is_keyframe
            if packet.dts is not None and keys >= 2:
                packet.stream = copy
                new.mux(packet)
    index = check(path, np.arange(40))
    assert index.pts is None


def rewrite(source, path, change):
    """Copy a file; ``change`` makes of each packet the list of packets that take its place."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(old.demux(video=0)):
            for one in change(number, packet) if packet.size else ():
                one.stream = copy
                new.mux(one)
    return path


def test_vp8_packets_that_show_nothing_are_no_frames(tmp_path):
    def hide(number, packet):
        if number not in (20, 21, 40):
            return [packet]
        content = bytearray(bytes(packet))
        content[0] &= ~0x10
        hidden = av.Packet(bytes(content))
        hidden.pts, hidden.dts, hidden.time_base = packet.pts, packet.dts, packet.time_base
        return [hidden]

    source = write(tmp_path / "a.webm", "libvpx", {"g": "15"})
    index = check(rewrite(source, tmp_path / "hidden.webm", hide), [0, 19, 20, 21, 30, 56, 50])
    assert (index.pts, index.num_frames) == (None, NUM_FRAMES - 3)


@pytest.mark.parametrize(
    ("first", "last", "shows"),
    [
        (0b1000_0010, 0, True),  # profile 0, show_frame
        (0b1000_0000, 0, False),
        (0b1000_1000, 0, True),  # show_existing_frame
        (0b1011_0001, 0, True),  # profile 3, show_frame
        (0b1011_0000, 0, False),
        (0b1011_0100, 0, True),  # profile 3, show_existing_frame
        (0b1000_0000, 0b1100_1001, True),  # a superframe, whose last frame is shown
    ],
)
def test_vp9_packets_tell_whether_they_show_something(first, last, shows):
    assert module._shows("vp9", memoryview(bytes([first, 7, last]))) is shows


def test_a_wanted_frame_that_does_not_come_out_is_decoded(files, monkeypatch):
    path = files("closed")
    monkeypatch.setattr(module._Entry, "pictures", lambda *_: iter(()))
    check(path, [40, 3])


def test_pictures_no_other_refers_to_are_left_out(files, monkeypatch):
    path, fed = files("one key frame"), []

    index = scan(path, CONFIG)
    original = module.check_pixels
    monkeypatch.setattr(module, "check_pixels", lambda *size: fed.append(size) or original(*size))
    read_frames(path, index, np.array([50]), CONFIG)
    # Of 51 frames half are B frames that nothing refers to.
    assert len(fed) < 35


def test_a_span_is_scanned_no_further_than_its_end(files, monkeypatch):
    path, seen = files("closed"), []
    original = module.packets

    def counted(file, stream):
        for packet in original(file, stream):
            seen.append(packet)
            yield packet

    monkeypatch.setattr(module, "packets", counted)
    check(path, np.arange(10), part=Part(0.2, 0.6))
    assert len(seen) < 25


def test_a_damaged_packet_is_refused_when_it_is_read(tmp_path):
    path = write(tmp_path / "a.mp4", "libx264", NO_B)
    index = scan(path, CONFIG)
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
        target = packets[33]
        place, size = target.pos, target.size
    content = bytearray(path.read_bytes())
    content[place + 4 : place + size] = bytes(
        255 - one for one in content[place + 4 : place + size]
    )
    path.write_bytes(content)
    assert len(read_frames(path, index, np.arange(10), CONFIG)) == 10
    with pytest.raises(DecodeError, match="cannot be decoded: its data are damaged"):
        read_frames(path, index, np.array([33]), CONFIG)


def test_scanning_refuses_what_decoding_refuses(files, tmp_path):
    path = files("closed")
    with pytest.raises(DecodeError, match=r"ends at 2\.400 s, before end_seconds 3"):
        scan(path, CONFIG, part=Part(end_seconds=3.0))
    with pytest.raises(DecodeError, match=r"lasts 2\.400 s, more than limits\.max_seconds 2"):
        scan(path, CONFIG, DecodeLimits(max_seconds=2.0))
    with pytest.raises(DecodeError, match=r"48 = 3072 px, more than limits\.max_pixels 3000"):
        scan(path, CONFIG, DecodeLimits(max_pixels=3000))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(DecodeError, match="cannot be decoded: "):
        scan(cut, CONFIG)


def test_positions_and_settings_must_fit_the_index(files):
    path = files("closed")
    index = scan(path, CONFIG)
    with pytest.raises(IndexError, match=r"positions 3\.\.60 are outside 0\.\.59"):
        read_frames(path, index, np.array([3, 60]), CONFIG)
    with pytest.raises(IndexError, match=r"positions -1\.\.-1 are outside 0\.\.59"):
        read_frames(path, index, np.array([-1]), CONFIG)
    other = DecodeConfig(height=24, width=32, frame_rate=30.0)
    with pytest.raises(ValueError, match=r"scanned at frame rate None, read at 30\.0"):
        read_frames(path, index, np.array([0]), other)
    with pytest.raises(DecodeError, match=r"more than limits\.max_pixels 3000"):
        read_frames(path, index, np.array([0]), CONFIG, DecodeLimits(max_pixels=3000))
    assert read_frames(path, index, np.array([], np.int64), CONFIG).shape == (0, 24, 32, 3)


def test_another_file_than_the_scanned_one_is_refused(files, tmp_path):
    index = scan(files("closed"), CONFIG)
    path = write(tmp_path / "short.mp4", "libx264", X264, stamps=range(20))
    with pytest.raises(DecodeError, match="shows fewer frames than it did when it was scanned"):
        read_frames(path, index, np.array([40]), CONFIG)
