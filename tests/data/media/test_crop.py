"""A rectangle of a video is read as the file of this rectangle alone, on every way of reading."""

import ast
from fractions import Fraction

import av
import numpy as np
import pytest

from pdray.data.media.decode import content_box, decode, inspect, shown_size_of
from pdray.data.media.part import Box, Part
from pdray.data.media.seek import read_frames, scan
from pdray.data.media.settings import DecodeConfig
from pdray.errors import DecodeError
from tests.places import ROOT

CONFIG = DecodeConfig(height=40, width=56)
NUM_FRAMES, HEIGHT, WIDTH = 12, 80, 96
CROP = Box(left=16, top=10, width=64, height=48)
STORED = {"ffv1": "bgr0", "libx264rgb": "rgb24"}  # RGB, without loss
LOSSLESS = {"crf": "0", "preset": "ultrafast", "g": "5"}


def planes(form, *, crop=None):
    """Noise of some pixel format, or a rectangle of it, as PyAV takes its planes."""
    draw = np.random.default_rng(0)
    left, top, width, height = crop or (0, 0, WIDTH, HEIGHT)
    for _ in range(NUM_FRAMES):
        if form == "rgb24":
            yield draw.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)[
                top : top + height, left : left + width
            ]
            continue
        luma = draw.integers(16, 236, (HEIGHT, WIDTH), np.uint8)
        half = [draw.integers(16, 240, (HEIGHT // 2, WIDTH // 2), np.uint8) for _ in range(2)]
        parts = [luma[top : top + height, left : left + width]]
        parts += [
            one[top // 2 : (top + height) // 2, left // 2 : (left + width) // 2] for one in half
        ]
        yield np.concatenate([one.reshape(-1, width) for one in parts])


def write(path, codec, form, *, crop=None, options=None, prepare=None):
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height = (crop.width, crop.height) if crop else (WIDTH, HEIGHT)
        stream.pix_fmt = STORED.get(codec, form) if form == "rgb24" else form
        stream.codec_context.thread_count = 1
        if prepare:
            prepare(stream)
        for pixels in planes(form, crop=crop):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=form)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


@pytest.fixture
def pair(tmp_path):
    """Return a function that writes a file and one of a rectangle of it alone."""

    def make(codec="libx264", form="yuv420p", crop=CROP, suffix="mp4", **how):
        how = {"options": LOSSLESS if "264" in codec else {}} | how
        return (
            write(tmp_path / f"whole.{suffix}", codec, form, **how),
            write(tmp_path / f"alone.{suffix}", codec, form, crop=crop, **how),
        )

    return make


@pytest.mark.parametrize("rate", [None, 10.0])
@pytest.mark.parametrize(
    ("codec", "form", "suffix"),
    [
        ("libx264", "yuv420p", "mp4"),
        ("libx264", "yuvj420p", "mp4"),  # of full range, as phones and web cameras write it
        ("ffv1", "yuv420p", "mkv"),
        ("ffv1", "rgb24", "mkv"),
        ("libx264rgb", "rgb24", "mp4"),
        ("png", "rgb24", "mov"),
    ],
)
def test_a_rectangle_is_read_as_a_file_of_it_alone(pair, codec, form, suffix, rate):
    whole, alone = pair(codec, form, suffix=suffix)
    config = CONFIG.model_copy(update={"frame_rate": rate})
    for span in [(None, None), (0.1, 0.4)]:
        part = Part(*span, CROP)
        clip, wanted = decode(whole, config, part=part), decode(alone, config, part=Part(*span))
        np.testing.assert_array_equal(clip.frames, wanted.frames)
        np.testing.assert_array_equal(clip.pts_seconds, wanted.pts_seconds)
        index = scan(whole, config, part=part)
        places = np.array([2, 0, 2])
        np.testing.assert_array_equal(
            read_frames(whole, index, places, config), wanted.frames[places]
        )
    assert not np.array_equal(decode(whole, config).frames, decode(alone, config).frames)
    assert content_box(whole, CONFIG, part=Part(crop=CROP)) == content_box(alone, CONFIG)
    assert (shown_size_of(whole), shown_size_of(alone)) == ((WIDTH, HEIGHT), (64, 48))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_rectangle_is_of_the_picture_as_it_is_shown(pair, degrees, mirrored):
    def turn(stream):
        stream.set_display_rotation(degrees, hflip=mirrored)

    # What the file of the rectangle holds is found by turning numbers of pixels.
    stored = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    shown = np.rot90(stored, degrees // 90)
    shown = shown[:, ::-1] if mirrored else shown
    corner = shown == stored[CROP.top, CROP.left]
    far = shown == stored[CROP.top + CROP.height - 1, CROP.left + CROP.width - 1]
    (top, left), (bottom, right) = (np.argwhere(one)[0].tolist() for one in (corner, far))
    crop = Box(min(left, right), min(top, bottom), abs(left - right) + 1, abs(top - bottom) + 1)
    whole, alone = pair(prepare=turn)
    part = Part(crop=crop)
    wanted = decode(alone, CONFIG).frames
    np.testing.assert_array_equal(decode(whole, CONFIG, part=part).frames, wanted)
    index = scan(whole, CONFIG, part=part)
    np.testing.assert_array_equal(read_frames(whole, index, np.arange(NUM_FRAMES), CONFIG), wanted)
    assert content_box(whole, CONFIG, part=part) == content_box(alone, CONFIG)
    assert shown_size_of(whole) == shown.shape[::-1]


def test_pixels_that_are_not_square_stay_so(pair):
    def widen(stream):
        stream.sample_aspect_ratio = Fraction(3, 2)

    whole, alone = pair(prepare=widen)
    part = Part(crop=CROP)
    np.testing.assert_array_equal(
        decode(whole, CONFIG, part=part).frames, decode(alone, CONFIG).frames
    )
    assert content_box(whole, CONFIG, part=part) == Box(0, 6, 56, 28)


def test_interlaced_pictures_are_deinterlaced_whole_and_cut_then(pair):
    def flag(stream):
        stream.codec_context.options = {**LOSSLESS, "x264-params": "interlaced=1"}

    whole, _ = pair(prepare=flag)
    plain = DecodeConfig(height=HEIGHT, width=WIDTH)
    exact = DecodeConfig(height=CROP.height, width=CROP.width)
    found = decode(whole, exact, part=Part(crop=CROP)).frames.astype(int)
    around = decode(whole, plain).frames[
        :, CROP.top : CROP.top + CROP.height, CROP.left : CROP.left + CROP.width
    ]
    # Colours are stored at half the size: those at the edge have other neighbours.
    inside = (slice(None), slice(2, -2), slice(2, -2))
    assert np.abs(found - around)[inside].max() <= 1
    index = scan(whole, exact, part=Part(crop=CROP))
    np.testing.assert_array_equal(read_frames(whole, index, np.array([4]), exact)[0], found[4])


def test_odd_edges_are_cut_at_the_pixel(pair):
    crop = Box(7, 5, 41, 33)
    whole, _ = pair("ffv1", "rgb24", suffix="mkv")
    exact = DecodeConfig(height=crop.height, width=crop.width)
    wanted = np.stack(list(planes("rgb24")))[:, 5:38, 7:48]
    np.testing.assert_array_equal(decode(whole, exact, part=Part(crop=crop)).frames, wanted)


@pytest.mark.parametrize("crop", [Box(33, 0, 64, 48), Box(0, 33, 64, 48), Box(0, 0, 97, 80)])
def test_a_rectangle_that_reaches_out_of_the_picture_is_refused(pair, crop):
    whole, _ = pair()
    part = Part(crop=crop)
    words = f"its crop {' '.join(map(str, crop))} .left top width height. reaches out of the pic"
    with pytest.raises(DecodeError, match=rf"^{words}ture, which is shown with 96 x 80 px"):
        decode(whole, CONFIG, part=part)
    for read in (inspect, content_box):
        with pytest.raises(DecodeError, match=words):
            read(whole, CONFIG, part=part)
    index = scan(whole, CONFIG, part=part)
    with pytest.raises(DecodeError, match=words):
        read_frames(whole, index, np.array([0]), CONFIG)


def test_whoever_reads_the_pictures_of_a_row_reads_its_part():
    """A reader that forgot the rectangle would read the strip of a made picture."""
    readers = {"decode", "decode_frames", "inspect", "content_box", "scan"}
    # An exported model is given files, and no rows.
    paths = [one for one in (ROOT / "pdray").rglob("*.py") if one.name != "reading.py"]
    calls, lacking = 0, []
    for path in sorted(paths):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in readers:
                calls += 1
                if "part" not in ast.unparse(node):
                    lacking.append(f"{path.name}: {ast.unparse(node)}")
    assert calls >= 9
    assert lacking == []
