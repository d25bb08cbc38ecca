"""Recordings that are not whole are refused, whatever way they are read."""

import logging
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdray.data.media.container import ending
from pdray.data.media.decode import Clip, check_readable, decode, decode_frames, inspect
from pdray.data.media.findings import Findings
from pdray.data.media.seek import read_frames, scan
from pdray.data.media.settings import DecodeConfig
from pdray.errors import DecodeError
from tests.fixtures.made_videos import NUM_FRAMES, TELLING, UNTOLD, Form, pictures, write_form
from tests.places import SHARED

SMALL = DecodeConfig(height=16, width=16)
HANDED = SHARED / "cases" / "field" / "videos"
FORMS = {form.name: form for form in (*TELLING, *UNTOLD)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the whole file of each form and what it decodes to, made once."""
    folder, known = tmp_path_factory.mktemp("made"), {}

    def make(form):
        if form.name not in known:
            path = write_form(folder, form)
            known[form.name] = path, decode(path, SMALL)
        return known[form.name]

    return make


def read_both(path):
    """Decode a file, and read it frame by frame; both give the same or refuse the same."""
    try:
        clip = decode(path, SMALL)
    except DecodeError as error:
        with pytest.raises(DecodeError):
            read_each(path)
        return str(error)
    np.testing.assert_array_equal(read_each(path), clip.frames)
    return clip


def read_each(path):
    index = scan(path, SMALL)
    return read_frames(path, index, np.arange(index.num_frames), SMALL)


def is_equal(found, whole):
    return (
        isinstance(found, Clip)
        and found.frames.shape == whole.frames.shape
        and np.array_equal(found.frames, whole.frames)
        and np.array_equal(found.pts_seconds, whole.pts_seconds)
    )


def check_cut(path, whole, content, length):
    path.write_bytes(content[:length])
    found = read_both(path)
    assert isinstance(found, str) or is_equal(found, whole), f"{length} of {len(content)} bytes"


@pytest.mark.parametrize("form", [*TELLING, *UNTOLD], ids=lambda form: form.name)
def test_a_whole_file_is_read_whole_and_says_whether_its_end_is_told(made, form):
    path, clip = made(form)
    assert len(clip.frames) == NUM_FRAMES
    findings = inspect(path, SMALL)
    assert findings.is_end_told == (form in TELLING)
    assert (findings.transfer, findings.num_interlaced, findings.sizes) == (None, 0, [(32, 32)])


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
@pytest.mark.parametrize("form", TELLING, ids=lambda form: form.name)
def test_a_cut_is_noticed_where_the_container_tells_its_end(made, tmp_path, form, share):
    path, whole = made(form)
    content = path.read_bytes()
    check_cut(tmp_path / form.name, whole, content, int(share * len(content)))


@pytest.mark.slow
@pytest.mark.parametrize("form", TELLING, ids=lambda form: form.name)
def test_a_cut_at_any_byte_is_noticed_where_the_container_tells_its_end(made, tmp_path, form):
    path, whole = made(form)
    content = path.read_bytes()
    for length in range(len(content)):
        check_cut(tmp_path / form.name, whole, content, length)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_input_ends_in_another_error(made, tmp_path, data):
    form = data.draw(st.sampled_from([*TELLING, *UNTOLD]))
    content = bytearray(made(form)[0].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        put = data.draw(st.binary(min_size=1, max_size=24))
        content[at : at + data.draw(st.integers(0, 24))] = put
    path = tmp_path / form.name
    path.write_bytes(content)
    told = [str(check_readable(path))]
    for read in (decode, scan, inspect):
        try:
            read(path, SMALL)
        except DecodeError as error:
            told.append(str(error))
    assert str(tmp_path) not in "".join(told)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=400), name=st.sampled_from(["a.mp4", "a.avi", "a.mkv", "a.ts"]))
def test_bytes_of_any_kind_are_refused(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DecodeError):
        decode(path, SMALL)


def test_a_webm_that_ends_inside_a_packet_is_refused_by_what_libav_logs(made, tmp_path):
    live = FORMS["live.webm"]
    content = made(live)[0].read_bytes()
    with av.open(str(made(live)[0])) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    path = tmp_path / live.name
    for number in (2, 5, 7):
        path.write_bytes(content[: packets[number].pos + packets[number].size // 2])
        assert read_both(path) == f"is cut or damaged inside packet {number}"
    # Between two clusters nothing says it: the report does.
    path.write_bytes(content[: content.index(b"\x1f\x43\xb6\x75", packets[3].pos)])
    assert 4 <= len(read_both(path).frames) < NUM_FRAMES
    assert not inspect(path, SMALL).is_end_told


def test_libavs_log_is_silent_afterwards_and_never_printed(made, tmp_path, caplog, capfd):
    content = made(FORMS["live.webm"])[0].read_bytes()
    path = tmp_path / "jane_doe.webm"
    path.write_bytes(content[:-20])
    with caplog.at_level(logging.DEBUG), pytest.raises(DecodeError):
        decode(path, SMALL)
    printed = capfd.readouterr()
    assert (caplog.text, printed.out, printed.err) == ("", "", "")
    assert av.logging.get_level() is None


def test_many_threads_hear_their_own_file_only(tmp_path):
    # In a process of its own: a lock that is waited for must not hold up all tests.
    code = """
import sys
from fractions import Fraction
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pdray.data.media.decode import decode
from pdray.data.media.settings import DecodeConfig
from pdray.errors import DecodeError
small = DecodeConfig(height=16, width=16)
def read(path):
    try:
        return len(decode(path, small).frames)
    except DecodeError as error:
        return str(error)
whole, cut = map(Path, sys.argv[1:])
with ThreadPoolExecutor(4) as pool:
    found = list(pool.map(read, [whole, cut] * 20))
assert found == [8, "is cut or damaged inside packet 7"] * 20, found
"""
    whole = write_form(tmp_path, FORMS["live.webm"])
    cut = tmp_path / "cut.webm"
    cut.write_bytes(whole.read_bytes()[:-20])
    done = subprocess.run(
        [sys.executable, "-c", code, whole, cut],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("codec", ["png", "mjpeg", "libx264"])
def test_a_single_picture_is_no_video(tmp_path, codec):
    form = Form({"png": "a.png", "mjpeg": "a.jpg"}.get(codec, "a.mp4"), codec, options={})
    if codec == "libx264":
        path = write_form(tmp_path, form, pictures(1))
    else:
        path = tmp_path / form.name
        av.VideoFrame.from_ndarray(pictures(1)[0]).save(path)
    assert read_both(path) == "is a single picture and no video: name a file of moving pictures"


def starting_at(source, path, number):
    """Copy the packets from one on."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for count, packet in enumerate(old.demux(video=0)):
            if packet.size and count >= number:
                packet.stream = stream
                new.mux(packet)
    return path


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"g": "5", "bf": "0", "x264-params": "repeat-headers=1"}),
        ("libx264", {"g": "5", "bf": "2"}),
        ("libx265", {"x265-params": "keyint=5:bframes=0:log-level=none:repeat-headers=1"}),
    ],
)
def test_a_stream_that_starts_inside_a_group_is_refused(tmp_path, codec, options):
    source = write_form(tmp_path, Form("a.ts", codec, options=options), pictures(15))
    assert len(decode(source, SMALL).frames) == 15
    for number in (1, 2, 3):
        told = read_both(starting_at(source, tmp_path / "cut.ts", number))
        assert isinstance(told, str), number
        assert "starts inside a group of pictures" in told or "cannot be decoded" in told
    assert len(read_both(starting_at(source, tmp_path / "key.ts", 5)).frames) == 10


def test_mpeg_ts_that_is_cut_inside_a_packet_is_refused(made, tmp_path):
    content = made(FORMS["a.ts"])[0].read_bytes()
    path = tmp_path / "a.ts"
    for lacking in (1, 100, 187, 188 * 3 + 5):
        path.write_bytes(content[:-lacking])
        assert read_both(path) == (
            f"is cut: the file has {len(content) - lacking} bytes, its container says "
            f"{len(content) - lacking // 188 * 188}"
        )
    path.write_bytes(b"".join(b"\0\0\0\0" + content[at : at + 188] for at in range(0, 3760, 188)))
    assert ending(path).num_bytes == 20 * 192  # as cameras write it
    path.write_bytes(path.read_bytes()[:-3])
    assert ending(path).num_bytes == 20 * 192


def test_an_index_that_is_cut_itself_is_refused(made, tmp_path):
    # Its tables are then shorter, and FFmpeg takes what is left of them for the whole.
    path, whole = made(FORMS["sound.mov"])
    content = path.read_bytes()
    for length in range(content.index(b"moov"), len(content), 23):
        check_cut(tmp_path / path.name, whole, content, length)


def test_times_that_do_not_fit_the_decoders_order_are_refused_by_every_way(tmp_path):
    source = write_form(tmp_path, Form("a.mp4", "libx264", options={"bf": "2"}), pictures(20))
    path = tmp_path / "weird.mp4"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(old.demux(video=0)):
            if packet.size:
                packet.stream, packet.time_base = stream, Fraction(1, 25)
                packet.pts = packet.dts = number
                new.mux(packet)
    assert "time going back" in read_both(path)


ENCRYPTED = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
    "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
}


def test_every_cause_has_its_own_words(made, tmp_path):
    whole = made(FORMS["a.mp4"])[0].read_bytes()
    start = whole.index(b"mdat") + 4
    damaged = bytearray(whole)
    damaged[start + 700 : start + 1000] = bytes(300)
    noise = np.random.default_rng(0).integers(0, 256, 20_000, np.uint8).tobytes()
    cases = {
        "a.mp4": (whole[: len(whole) // 2], "the index is missing: the copy was cut off"),
        "b.mp4": (bytes(20_000), "it begins with zeros only: the copy failed"),
        "c.mp4": (b"Salted__" + noise, r"it is encrypted \(OpenSSL\)"),
        "d.mp4": (noise, "it is encrypted, packed or damaged"),
        "e.mp4": (b"PK\x03\x04" + noise, "it is a zip archive"),
        "f.mp4": (b"a text\n" * 900, "it is no video"),
        "g.mp4": (bytes(damaged), "its data are damaged"),
    }
    for name, (content, told) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DecodeError, match=f"^cannot be decoded: {told}"):
            decode(tmp_path / name, SMALL)
    locked = write_form(tmp_path, Form("locked.mp4", "libx264", ENCRYPTED))
    assert read_both(locked).startswith("cannot be decoded: its pictures are encrypted")


def test_a_codec_that_nobody_knows_is_named(made, tmp_path):
    content = made(FORMS["a.mp4"])[0].read_bytes().replace(b"avc1", b"zz9x")
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    assert read_both(path) == "has a video stream of a coding that FFmpeg does not know"


@pytest.mark.skipif(not HANDED.is_dir(), reason="the handed videos are not beside the checkout")
class TestHanded:
    def test_what_is_not_whole_is_refused(self):
        told = {
            "one_frame.mp4": "is a single picture and no video",
            "mp4_cut.mp4": "the index is missing: the copy was cut off",
            "setts_weird.mp4": "has time going back at frame 4",
        }
        for name, words in told.items():
            assert words in read_both(HANDED / name)

    def test_a_cut_between_fragments_is_listed(self):
        path = HANDED / "frag_cut_at_fragment.mp4"
        assert len(read_both(path).frames) == 45
        assert not inspect(path, SMALL).is_end_told

    def test_a_packed_avi_has_its_thirty_frames(self):
        clip = read_both(HANDED / "packed.avi")
        np.testing.assert_allclose(clip.pts_seconds, np.arange(30) / 30, atol=1e-9)

    def test_interlaced_and_hdr_are_found(self):
        findings = Findings()
        for _ in decode_frames(HANDED / "interlaced_h264.mts", SMALL, findings=findings):
            pass
        assert findings.num_interlaced == 25
        assert inspect(Path(HANDED / "hdr_hlg.mov"), SMALL).transfer == "hlg"


def pack(source, path, empty):
    """Pack pairs of P and B pictures into one chunk each as DivX did, a short chunk behind it."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        first, *left = [bytes(packet) for packet in old.demux(video=0) if packet.size]
        chunks = [first.replace(b"\0\0\1\xb6", b"\0\0\1\xb2DivX503b1393p\0\0\1\xb6", 1)]
        for ahead, between in zip(left[::2], left[1::2], strict=True):
            # "Not coded": P, no whole second, a time that nobody reads, vop_coded 0.
            chunks += [ahead + between, b"\0\0\1\xb6\x51\x00"]
        tick = 0
        for number, chunk in enumerate(chunks):
            packet = av.Packet(chunk)
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = tick
            packet.is_keyframe = number == 0
            new.mux(packet)
            tick += 1 + (number == 0) * empty
    return path


@pytest.mark.parametrize("empty", [0, 2])
def test_packed_pictures_of_an_avi_stand_in_their_order_and_empty_chunks_repeat(tmp_path, empty):
    form = Form(
        "a.avi", "mpeg4", options={"g": "13", "bf": "1", "qscale": "3", "sc_threshold": "0"}
    )
    source = write_form(tmp_path, form, pictures(13, 48))
    wanted = decode(source, SMALL).frames
    clip = read_both(pack(source, tmp_path / "packed.avi", empty))
    np.testing.assert_allclose(clip.pts_seconds, np.arange(13 + empty) / 25, atol=1e-9)
    np.testing.assert_array_equal(clip.frames[1 + empty :], wanted[1:])
    np.testing.assert_array_equal(clip.frames[: 1 + empty], wanted[[0] * (1 + empty)])
