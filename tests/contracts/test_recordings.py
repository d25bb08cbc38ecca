"""Every format that recordings come in, against another route from the file to the picture.

The reference decodes with PyAV or OpenCV to whole RGB frames, at full size, and averages areas in
float64. Tolerance: both routes convert YUV to RGB with swscale, but whole frames without its
accurate rounding (up to 2 of 255 darker) and with chroma repeated where ours is interpolated,
which shows at the edges of coloured shapes only. So the mean over all pixels must lie within 1.6,
and 98% of them within 6. A wrong range, matrix, frame or place is an order of magnitude more.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pdray.data.media.decode import content_box, decode
from pdray.data.media.part import Part
from pdray.data.media.settings import DecodeConfig, DecodeLimits
from pdray.errors import DecodeError
from tests.places import ROOT

NUM_FRAMES = 8

X265 = {"crf": "10", "x265-params": "log-level=none"}
# File, codec, pixel format (yuvj420p and "full" are full range), options.
FORMATS = [
    ("a.mp4", "libx264", "yuv420p", {"crf": "10"}),
    ("a.mkv", "libx264", "yuvj420p", {"crf": "10"}),
    ("a.mov", "libx264", "yuv420p10le", {"crf": "10"}),
    ("a.avi", "libx264", "yuv420p", {"crf": "10", "bf": "2"}),
    ("a.ts", "libx264", "yuv420p", {"crf": "10"}),
    ("a.mp4", "libx265", "yuv420p", X265),
    ("a.mkv", "libx265", "yuv420p10le", X265),
    ("a.mov", "libx265", "yuvj420p", X265),
    ("a.webm", "libvpx-vp9", "yuv420p", {"crf": "10", "b": "0"}),
    ("a.mkv", "libvpx-vp9", "full", {"crf": "10", "b": "0"}),
    ("a.webm", "libsvtav1", "yuv420p", {"crf": "10", "preset": "10"}),
    ("a.mp4", "libsvtav1", "yuv420p10le", {"crf": "10", "preset": "10"}),
    ("a.mkv", "libsvtav1", "full", {"crf": "10", "preset": "10"}),
    ("a.avi", "mpeg4", "yuv420p", {"b": "4000000"}),
    ("a.mkv", "mpeg4", "yuv420p", {"b": "4000000", "bf": "2"}),
    ("a.mov", "mpeg4", "yuv420p", {"b": "4000000"}),
    ("a.mp4", "mpeg4", "yuv420p", {"b": "4000000"}),
    ("a.mov", "mjpeg", "yuvj420p", {"qmin": "2", "qmax": "4"}),
]
# Coders of 4:2:0 that take odd sizes.
ODD = [one for one in FORMATS if one[1] in ("libvpx-vp9", "libsvtav1", "mpeg4")]
CONFIG = DecodeConfig(height=60, width=80)


def scene(num_frames=NUM_FRAMES, height=240, width=320):
    """Smooth gradients with waves, and shapes that move."""
    y, x = np.mgrid[:height, :width].astype(float)
    frames = []
    for i in range(num_frames):
        red = 60 + 120 * x / width + 20 * np.sin(y / 17 + i / 5)
        green = 50 + 140 * y / height + 15 * np.cos(x / 23)
        blue = 150 - 90 * (x + y) / (width + height) + 25 * np.sin((x - y) / 31 + i / 4)
        frame = np.stack([red, green, blue], -1)
        middle = width * (0.2 + 0.05 * i), height * (0.5 + 0.2 * np.sin(i / 3))
        frame[(x - middle[0]) ** 2 + (y - middle[1]) ** 2 < (height / 6) ** 2] = (210, 70, 50)
        frame[height // 8 : height // 4, i * width // 40 : i * width // 40 + width // 6] = 40
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
    return frames


def record(folder, name, codec, form, options, frames, *, stamps=None, container=None):
    """Encode a recording; ``form`` is a pixel format, or "full" for yuv420p of full range."""
    path = folder / name
    full = form in ("full", "yuvj420p")
    with av.open(str(path), "w", options=container or {}) as file:
        stream = file.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p" if form == "full" else form
        stream.codec_context.thread_count = 1
        if full:
            stream.codec_context.color_range = av.video.reformatter.ColorRange.JPEG
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels)
            if full:
                frame = frame.reformat(format=stream.pix_fmt, dst_color_range="JPEG")
            frame.pts = stamps[number] if stamps else number
            frame.time_base = Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def shares(stored, shown):
    """(shown, stored): the share of each stored pixel in each shown one, along one axis."""
    size = stored / shown
    starts, pixels = np.arange(shown)[:, None] * size, np.arange(stored)[None]
    overlaps = np.minimum(starts + size, pixels + 1) - np.maximum(starts, pixels)
    return np.clip(overlaps, 0, None) / size


def averaged(pixels, height, width):
    rows, columns = shares(pixels.shape[0], height), shares(pixels.shape[1], width)
    return np.stack([rows @ pixels[..., k].astype(float) @ columns.T for k in range(3)], -1)


def whole_frames_of_pyav(path):
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def whole_frames_of_opencv(path):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is an extra")
    reader, frames = cv2.VideoCapture(str(path)), []
    while True:
        found, pixels = reader.read()
        if not found:
            return frames
        frames.append(pixels[..., ::-1])


def check_pictures(clip, box, whole):
    assert len(clip.frames) == len(whole)
    shown = clip.frames[:, box.top : box.top + box.height, box.left : box.left + box.width]
    errors = np.abs(shown - np.stack([averaged(one, box.height, box.width) for one in whole]))
    assert errors.mean() < 1.6
    assert (errors <= 6).mean() > 0.98


def test_there_are_formats():
    assert len(FORMATS) > 10
    assert len(ODD) > 5


@pytest.mark.parametrize("reference", [whole_frames_of_pyav, whole_frames_of_opencv])
@pytest.mark.parametrize(("name", "codec", "form", "options"), FORMATS)
def test_pictures_equal_a_reference(tmp_path, name, codec, form, options, reference):
    drawn = scene()
    path = record(tmp_path, name, codec, form, options, drawn)
    clip = decode(path, CONFIG)
    np.testing.assert_allclose(clip.pts_seconds, np.arange(NUM_FRAMES) / 25, atol=0.0011)
    whole = reference(path)
    if not whole and codec == "libsvtav1":
        pytest.skip("this OpenCV has no AV1 decoder")
    check_pictures(clip, content_box(path, CONFIG), whole)
    # What was drawn before coding: right within the coder's loss, whatever a decoder believes.
    assert np.abs(clip.frames - np.stack([averaged(one, 60, 80) for one in drawn])).mean() < 3


@pytest.mark.parametrize(("name", "codec", "form", "options"), ODD)
def test_odd_sizes(tmp_path, name, codec, form, options):
    path = record(tmp_path, name, codec, form, options, scene(height=121, width=163))
    config = DecodeConfig(height=48, width=64)
    check_pictures(decode(path, config), content_box(path, config), whole_frames_of_pyav(path))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
@pytest.mark.parametrize(
    ("aspect", "shown"), [(Fraction(4, 3), (45, 80)), (Fraction(1, 2), (60, 40))]
)
def test_pixels_that_are_not_square(tmp_path, name, aspect, shown):
    path = tmp_path / name
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = 240, 320, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        for pixels in scene():
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        file.mux(stream.encode())
    box = content_box(path, CONFIG)
    assert (box.height, box.width) == shown
    check_pictures(decode(path, CONFIG), box, whole_frames_of_pyav(path))


def refused(path, limits=None):
    """Return the message of a recording that cannot be read."""
    with pytest.raises(DecodeError) as caught:
        decode(path, CONFIG, limits or DecodeLimits())
    assert str(path) not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "it is empty (0 bytes)"),
        (
            b"recording_id,subject_id\n" * 40,
            "it is no video, or its data are damaged (Invalid data found when processing input)",
        ),
    ],
)
def test_nothing_and_text_are_no_recordings(tmp_path, content, told):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    assert refused(path) == f"cannot be decoded: {told}"


def test_sound_alone_is_no_recording(write_sound):
    assert refused(write_sound("a.mp4")) == "has no video stream, only audio"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.webm"])
def test_one_frame_is_no_recording_and_two_are(tmp_path, name):
    codec = {"a.avi": "mpeg4", "a.webm": "libvpx-vp9"}.get(name, "libx264")
    path = record(tmp_path, name, codec, "yuv420p", {}, scene(1))
    assert refused(path).startswith("is a single picture and no video")
    path = record(tmp_path, name, codec, "yuv420p", {}, scene(2))
    assert decode(path, CONFIG).pts_seconds.tolist() == pytest.approx([0.0, 0.04])


def test_times_below_zero_are_times(tmp_path):
    below = {"stamps": range(-5, 3), "container": {"avoid_negative_ts": "disabled"}}
    path = record(tmp_path, "a.ts", "libx264", "yuv420p", {}, scene(), **below)
    with av.open(str(path)) as file:
        assert min(packet.pts for packet in file.demux(video=0) if packet.size) < 0
    clip = decode(path, CONFIG)
    np.testing.assert_allclose(clip.pts_seconds, np.arange(NUM_FRAMES) / 25, atol=1e-9)
    check_pictures(clip, content_box(path, CONFIG), whole_frames_of_pyav(path))


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_an_mp4_hides_what_its_edit_puts_before_zero(tmp_path, name):
    path = record(tmp_path, name, "libx264", "yuv420p", {}, scene(), stamps=range(-5, 3))
    clip = decode(path, CONFIG)
    np.testing.assert_allclose(clip.pts_seconds, np.arange(3) / 25, atol=1e-9)
    check_pictures(clip, content_box(path, CONFIG), whole_frames_of_pyav(path))


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264")])
def test_ten_thousand_pixels_squared_are_refused_at_once(tmp_path, name, codec):
    path = tmp_path / name
    with av.open(str(path), "w") as file:
        options = {"preset": "ultrafast", "tune": "zerolatency"}
        stream = file.add_stream(codec, rate=25, options=options)
        stream.height = stream.width = 10_000
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        file.mux(stream.encode(av.VideoFrame(10_000, 10_000, "yuv420p")))
        file.mux(stream.encode())
    # Memory that is used by no other test: of a process of its own.
    code = (
        "import resource, sys, time\n"
        "from pathlib import Path\n"
        "from pdray.data.media.decode import decode\n"
        "from pdray.data.media.settings import DecodeConfig\n"
        "from pdray.errors import DecodeError\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "before, spent = peak(), []\n"
        "for _ in range(3):  # the best one: another process may have the caches at any time\n"
        "    since = time.process_time()\n"
        "    try:\n"
        "        decode(Path(sys.argv[1]), DecodeConfig())\n"
        "    except DecodeError as error:\n"
        "        spent.append(time.process_time() - since)\n"
        "        told = error\n"
        "print(peak() - before, min(spent), told, sep='|')\n"
    )
    ran = run_apart(code, path)
    mebibytes, seconds, message = ran.stdout.strip().split("|")
    assert message == (
        "has frames of 10000 x 10000 = 100000000 px, more than limits.max_pixels 36000000"
    )
    assert int(mebibytes) < 100  # one frame of it has 143
    assert float(seconds) < 1


def run_apart(code, path):
    """Run Python code in a process of its own; its only argument is a path."""
    return subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_two_hours_are_refused_by_the_header_and_a_span_of_them_is_not(tmp_path, name):
    stamps = [*range(7), 7200 * 25] if name != "a.avi" else None
    if name == "a.avi":
        # An AVI has a frame at each of its times: a low rate makes it long.
        path = tmp_path / name
        with av.open(str(path), "w") as file:
            stream = file.add_stream("mpeg4", rate=Fraction(1, 900))
            stream.height, stream.width, stream.pix_fmt = 240, 320, "yuv420p"
            for pixels in scene():
                file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
            file.mux(stream.encode())
        span = Part(900.0, 2700.0)
    else:
        path = record(tmp_path, name, "libx264", "yuv420p", {}, scene(), stamps=stamps)
        span = Part(0.1, 0.2)
    since = time.process_time()
    message = refused(path)
    assert time.process_time() - since < 1
    assert message.startswith("lasts 720")
    assert "s, more than limits.max_seconds 3600; name a shorter span" in message
    assert len(decode(path, CONFIG, part=span).frames) == 2


def test_two_hours_that_no_header_tells_are_refused_while_decoding(tmp_path):
    path = record(
        tmp_path,
        "a.mkv",
        "libx264",
        "yuv420p",
        {},
        scene(),
        stamps=[*range(7), 7200 * 25],
        container={"live": "1"},
    )
    with av.open(str(path)) as file:
        assert file.duration is None
    assert refused(path).startswith("lasts 7200.000 s, more than limits.max_seconds 3600")


@pytest.mark.parametrize("closed", ["file", "folder"])
def test_what_may_not_be_read_is_refused(numbered_video, closed):
    # Not below pytest's own folder, which only its owner may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "a.mp4"
        shutil.copyfile(numbered_video, path)
        (path if closed == "file" else folder).chmod(0)
        if closed == "file":
            folder.chmod(0o755)
        # The superuser may read everything: then it becomes another user, once all is loaded.
        code = (
            "import os, sys\n"
            "from pathlib import Path\n"
            "from pdray.data.media.decode import check_readable, decode\n"
            "from pdray.data.media.settings import DecodeConfig\n"
            "from pdray.errors import DecodeError\n"
            "if os.getuid() == 0:\n"
            "    os.setgroups([])\n"
            "    os.setgid(65534)\n"
            "    os.setuid(65534)\n"
            "try:\n"
            "    decode(Path(sys.argv[1]), DecodeConfig())\n"
            "except DecodeError as error:\n"
            "    print(error)\n"
            "print(check_readable(Path(sys.argv[1])))\n"
        )
        ran = run_apart(code, path)
        folder.chmod(0o755)
    if "Operation not permitted" in ran.stderr:
        pytest.skip("the superuser may not become another user here")
    assert ran.stdout.splitlines() == [
        "cannot be decoded: Permission denied",
        "is not a video that can be read: Permission denied",
    ], ran.stderr
