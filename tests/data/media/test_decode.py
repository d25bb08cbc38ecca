import logging
from fractions import Fraction

import av
import numpy as np
import pytest

from pdray.data.media import decode as module
from pdray.data.media.decode import check_readable, content_box, decode, decode_frames
from pdray.data.media.part import Part
from pdray.data.media.settings import DecodeConfig, DecodeLimits
from pdray.errors import DecodeError

SMALL = DecodeConfig(height=64, width=64)
FASTSTART = {"movflags": "faststart"}


def noise(num_frames=50, size=64):
    """Frames that cost bytes, so that cutting a file cuts pictures and not only its index."""
    return np.random.default_rng(0).integers(0, 256, (num_frames, size, size, 3), np.uint8)


def cut(path, part):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    return path


def damage(path, num_bytes=4096):
    """Overwrite a block in the middle, as a failing disk does."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + num_bytes] = bytes(num_bytes)
    path.write_bytes(content)
    return path


def test_frame_i_shows_the_number_i(numbered_video, read_frame_number):
    clip = decode(numbered_video, DecodeConfig())
    assert clip.frames.shape == (40, 112, 112, 3)
    assert clip.frames.dtype == np.uint8
    assert [read_frame_number(frame) for frame in clip.frames] == list(range(40))
    np.testing.assert_allclose(clip.pts_seconds, np.arange(40) / 25)
    assert check_readable(numbered_video) is None


def test_a_span_keeps_its_frames_and_its_place_in_time(numbered_video, read_frame_number):
    clip = decode(numbered_video, SMALL, part=Part(start_seconds=0.4, end_seconds=0.8))
    assert [read_frame_number(frame) for frame in clip.frames] == list(range(10, 20))
    np.testing.assert_allclose(clip.pts_seconds, np.arange(10, 20) / 25)
    # Between two frames: the next one is the first shown after the start.
    clip = decode(numbered_video, SMALL, part=Part(start_seconds=0.41, end_seconds=0.5))
    assert [read_frame_number(frame) for frame in clip.frames] == [11, 12]


def test_spans_that_meet_share_no_frame(numbered_video):
    whole = decode(numbered_video, SMALL).frames
    first = decode(numbered_video, SMALL, part=Part(end_seconds=0.68)).frames
    second = decode(numbered_video, SMALL, part=Part(start_seconds=0.68)).frames
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)


def test_a_span_outside_the_recording_is_refused(numbered_video):
    with pytest.raises(DecodeError, match=r"ends at 1\.600 s, before end_seconds 1\.8"):
        decode(numbered_video, SMALL, part=Part(end_seconds=1.8))
    with pytest.raises(DecodeError, match=r"ends at 1\.600 s, before start_seconds 2"):
        decode(numbered_video, SMALL, part=Part(start_seconds=2.0))
    assert len(decode(numbered_video, SMALL, part=Part(end_seconds=1.65)).frames) == 40


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.webm", "libvpx-vp9")],
)
def test_common_containers_are_read_whole(write_video, name, codec):
    path = write_video(name, noise(20), codec=codec, options={})
    clip = decode(path, SMALL)
    assert len(clip.frames) == 20
    np.testing.assert_allclose(clip.pts_seconds, np.arange(20) / 25, atol=1e-9)


@pytest.mark.parametrize("part", [0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("a.mp4", {}),
        ("a.mp4", FASTSTART),
        ("a.mp4", {"movflags": "frag_keyframe+empty_moov"}),
        ("a.mkv", {}),
    ],
)
def test_a_file_that_was_cut_is_refused(write_video, name, container, part):
    path = cut(write_video(name, noise(), container=container), part)
    with pytest.raises(DecodeError, match=r"is cut|the index is missing: the copy was cut off"):
        decode(path, SMALL)


def test_an_index_that_lists_more_than_the_file_holds_is_refused(write_video):
    path = write_video("a.mp4", noise(), container=FASTSTART, options={"bf": "0"})
    with av.open(str(path)) as file:
        entries = list(file.streams.video[0].index_entries)
    # The cut lies between two packets, so that no packet is damaged.
    content = path.read_bytes()
    path.write_bytes(content[: entries[-1].pos])
    with pytest.raises(DecodeError, match=r"is cut: holds 49 of the 50 packets in its index"):
        decode(path, SMALL)


def test_a_cut_before_the_span_ends_is_refused_and_one_after_it_is_not(write_video):
    path = cut(write_video("a.mp4", noise(), container=FASTSTART), 0.6)
    assert len(decode(path, SMALL, part=Part(end_seconds=0.4)).frames) == 10
    with pytest.raises(DecodeError, match=r"is cut or damaged"):
        decode(path, SMALL, part=Part(end_seconds=1.9))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_damaged_pictures_are_refused(write_video, name):
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    path = damage(write_video(name, noise(), codec=codec, options={}))
    with pytest.raises(DecodeError, match=r"damaged"):
        decode(path, SMALL)


@pytest.mark.parametrize("content", [b"", b"recording_id,subject_id\n" * 40])
def test_what_is_no_video_is_refused_by_both(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    told = "it is no video, or its data are damaged" if content else r"it is empty \(0 bytes\)"
    with pytest.raises(DecodeError, match=f"cannot be decoded: {told}"):
        decode(path, SMALL)
    reason = check_readable(path)
    assert reason == (
        "is not a video that can be read: it is no video, or its data are damaged (Invalid data "
        "found when processing input)"
        if content
        else "is empty (0 bytes)"
    )


@pytest.mark.parametrize("name", ["a.mp4", "a.m4a"])
def test_audio_alone_is_refused_by_both(write_sound, name):
    path = write_sound(name)
    assert check_readable(path) == "has no video stream, only audio"
    with pytest.raises(DecodeError, match=r"has no video stream, only audio"):
        decode(path, SMALL)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(DecodeError, match="cannot be decoded: No such file or directory"):
        decode(tmp_path / "none.mp4", SMALL)
    assert check_readable(tmp_path / "none.mp4") == (
        "is not a video that can be read: No such file or directory"
    )
    with pytest.raises(DecodeError, match="cannot be decoded: "):
        decode(tmp_path, SMALL)


def test_a_playlist_cannot_reach_other_files(tmp_path, numbered_video):
    path = tmp_path / "list.mp4"
    path.write_text(f"ffconcat version 1.0\nfile {numbered_video}\n")
    with pytest.raises(DecodeError, match="cannot be decoded"):
        decode(path, SMALL)


def test_no_path_reaches_a_message_or_a_log(tmp_path, caplog, capfd):
    path = tmp_path / "jane_doe.mp4"
    path.write_bytes(b"\0" * 1000)
    with caplog.at_level(logging.DEBUG), pytest.raises(DecodeError) as caught:
        decode(path, SMALL)
    printed = capfd.readouterr()
    everything = f"{caught.value}{check_readable(path)}{caplog.text}{printed.out}{printed.err}"
    assert "jane_doe" not in everything


def test_a_name_that_looks_like_a_protocol_is_a_file(numbered_video, tmp_path, monkeypatch):
    numbered_video.rename(tmp_path / "http:x.mp4")
    monkeypatch.chdir(tmp_path)
    relative = tmp_path.joinpath("http:x.mp4").relative_to(tmp_path)
    assert len(decode(relative, SMALL).frames) == 40


def test_varying_intervals_keep_their_timestamps(tmp_path):
    stamps = [0, 1, 2, 7, 8, 20, 21]
    path = tmp_path / "vfr.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.height = stream.width = 64
        stream.pix_fmt = "yuv420p"
        for stamp, pixels in zip(stamps, noise(len(stamps)), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels)
            frame.pts = stamp
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    np.testing.assert_allclose(decode(path, SMALL).pts_seconds, np.array(stamps) / 25, atol=1e-9)


@pytest.mark.parametrize("start", [0.3, 0.31, 0.33, 1.0])
def test_a_recording_trimmed_without_encoding_again_is_whole(write_video, tmp_path, start):
    source, path = write_video("a.mp4", noise()), tmp_path / "trimmed.mp4"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        (stream,) = old.streams.video
        copy = new.add_stream_from_template(stream)
        offset = int(start / stream.time_base)
        for packet in old.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = (
                    packet.pts - offset,
                    packet.dts - offset,
                    copy,
                )
                new.mux(packet)
    # Editors hide frames that others need: they are stored, and not shown.
    shown = [stamp for stamp in np.arange(50) / 25 if stamp >= start - 1e-9]
    assert len(decode(path, SMALL).frames) == len(shown)


def test_decoding_is_repeatable_bit_for_bit(write_video):
    path = write_video("a.mp4", noise(10))
    np.testing.assert_array_equal(decode(path, SMALL).frames, decode(path, SMALL).frames)


def test_frames_come_one_at_a_time(numbered_video, read_frame_number):
    frames = decode_frames(numbered_video, SMALL)
    assert read_frame_number(next(frames)[1]) == 0
    rest = list(frames)
    assert [read_frame_number(pixels) for _, pixels in rest] == list(range(1, 40))
    np.testing.assert_allclose([seconds for seconds, _ in rest], np.arange(1, 40) / 25)


def test_frames_come_before_the_damage_behind_them_is_known(write_video):
    frames = decode_frames(cut(write_video("a.mp4", noise(), container=FASTSTART), 0.6), SMALL)
    assert next(frames)[0] == 0.0
    with pytest.raises(DecodeError, match="is cut or damaged"):
        list(frames)


@pytest.mark.parametrize(
    ("rate", "numbers"),
    [
        (5.0, range(0, 40, 5)),
        (25.0, range(40)),
        (50.0, np.repeat(np.arange(40), 2)),
        (10.0, [0, 2, 5, 7, 10, 12, 15, 17, 20, 22, 25, 27, 30, 32, 35, 37]),
    ],
)
def test_a_frame_rate_resamples_by_time(numbered_video, read_frame_number, rate, numbers):
    config = DecodeConfig(height=64, width=64, frame_rate=rate)
    clip = decode(numbered_video, config)
    assert [read_frame_number(frame) for frame in clip.frames] == list(numbers)
    np.testing.assert_array_equal(clip.pts_seconds, np.arange(len(numbers)) / rate)
    part = decode(numbered_video, config, part=Part(start_seconds=0.4, end_seconds=0.8))
    inside = (clip.pts_seconds >= 0.4) & (clip.pts_seconds < 0.8)
    np.testing.assert_array_equal(part.frames, clip.frames[inside])
    np.testing.assert_array_equal(part.pts_seconds, clip.pts_seconds[inside])


def test_more_pixels_than_allowed_are_refused_by_all(numbered_video):
    limits = DecodeLimits(max_pixels=4095)
    message = r"has frames of 64 x 64 = 4096 px, more than limits\.max_pixels 4095"
    for read in (decode, content_box):
        with pytest.raises(DecodeError, match=message):
            read(numbered_video, SMALL, limits)
    assert len(decode(numbered_video, SMALL, DecodeLimits(max_pixels=4096)).frames) == 40


@pytest.mark.parametrize(
    ("name", "codec", "message"),
    [
        (
            "a.ts",
            "libx264",
            r"has frames of 512 x 512 = 262144 px, more than limits\.max_pixels 100000",
        ),
        ("a.mkv", "libvpx-vp9", r"changes to a frame size .* more than limits\.max_pixels 100000"),
    ],
)
def test_a_picture_that_grows_is_refused_by_its_decoder(tmp_path, name, codec, message):
    path = tmp_path / name
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.height = stream.width = 64
        stream.pix_fmt = "yuv420p"
        wide = av.CodecContext.create(codec, "w")
        wide.height = wide.width = 512
        wide.pix_fmt, wide.time_base, wide.framerate = "yuv420p", Fraction(1, 25), 25
        stamp = 0
        for encoder, size in ((stream, 64), (wide, 512)):
            frames = [*map(av.VideoFrame.from_ndarray, noise(3, size)), None]
            for packet in (packet for frame in frames for packet in encoder.encode(frame)):
                packet.stream, packet.time_base = stream, Fraction(1, 25)
                packet.pts = packet.dts = stamp
                stamp += 1
                file.mux(packet)
    with pytest.raises(DecodeError, match=message):
        decode(path, SMALL, DecodeLimits(max_pixels=100_000))


def test_a_long_recording_is_refused_and_a_short_span_of_it_is_not(numbered_video):
    limits = DecodeLimits(max_seconds=0.5)
    message = r"lasts 1\.600 s, more than limits\.max_seconds 0\.5; name a shorter span"
    with pytest.raises(DecodeError, match=message):
        decode(numbered_video, SMALL, limits)
    clip = decode(numbered_video, SMALL, limits, part=Part(start_seconds=1.0, end_seconds=1.5))
    assert len(clip.frames) == 13  # from 1.00 to 1.48


def test_decoding_time_is_bounded_and_the_callers_time_is_not_counted(numbered_video, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    frames = decode_frames(numbered_video, SMALL, DecodeLimits(max_decode_seconds=10.0))
    for _ in frames:
        now[0] += 60.0
    decoded = module.packets

    def slow(file, stream):
        for packet in decoded(file, stream):
            now[0] += 1.0
            yield packet

    monkeypatch.setattr(module, "packets", slow)
    with pytest.raises(DecodeError, match=r"takes longer than limits\.max_decode_seconds 10 to"):
        decode(numbered_video, SMALL, DecodeLimits(max_decode_seconds=10.0))


def test_a_span_without_a_frame_is_refused(numbered_video):
    with pytest.raises(DecodeError, match=r"has no frame from 0\.41 s to 0\.43 s"):
        decode(numbered_video, SMALL, part=Part(start_seconds=0.41, end_seconds=0.43))


def test_reordered_frames_of_an_avi_stand_in_their_order(write_video):
    path = write_video("a.avi", noise(20), codec="libx264", options={"bf": "3"})
    np.testing.assert_allclose(decode(path, SMALL).pts_seconds, np.arange(20) / 25, atol=1e-9)
