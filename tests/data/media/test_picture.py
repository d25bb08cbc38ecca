import gc
from fractions import Fraction

import av
import numpy as np
import pytest

from pdray.data.media.decode import content_box, decode
from pdray.data.media.part import Box
from pdray.data.media.picture import Canvas
from pdray.data.media.settings import DecodeConfig
from pdray.errors import DecodeError


def letter():
    """A picture without symmetry (48, 64): an L in white, its foot to the right in red."""
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[8:40, 8:20] = 255
    frame[32:40, 20:48, 0] = 255
    return frame


def draw(pixels, *, height, width, pixel_aspect=Fraction(1)):
    canvas = Canvas(height=height, width=width, pixel_aspect=pixel_aspect)
    return canvas.draw(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels)))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270, -90])
def test_the_display_matrix_is_honoured(write_video, degrees, mirrored):
    path = write_video(
        "turned.mp4",
        [letter()] * 3,
        prepare=lambda stream: stream.set_display_rotation(degrees, hflip=mirrored),
    )
    # PyAV documents: counter-clockwise as numpy.rot90, the mirroring after it.
    shown = np.rot90(letter(), degrees // 90)
    shown = shown[:, ::-1] if mirrored else shown
    height, width, _ = shown.shape
    frame = decode(path, DecodeConfig(height=height, width=width)).frames[0]
    errors = [
        np.abs(frame.astype(int) - other).mean()
        for other in (shown, shown[::-1], shown[:, ::-1], shown[::-1, ::-1])
    ]
    # Chroma is stored at half size: edges bleed, areas do not.
    assert errors[0] < 2
    assert min(errors[1:]) > 10


def test_an_odd_angle_is_refused(write_video):
    path = write_video(
        "odd.mp4", [letter()] * 3, prepare=lambda stream: stream.set_display_rotation(30)
    )
    with pytest.raises(DecodeError, match=r"turned by (29|30) degrees; only quarter turns"):
        decode(path, DecodeConfig())


def test_white_stays_white_and_black_black(write_video):
    for value in (0, 255):
        path = write_video("flat.mp4", [np.full((64, 64, 3), value, np.uint8)] * 2)
        assert (decode(path, DecodeConfig(height=32, width=32)).frames == value).all()


@pytest.mark.parametrize(
    ("stored", "canvas", "room"),
    [
        ((40, 80), (64, 64), (slice(16, 48), slice(0, 64))),
        ((80, 40), (64, 64), (slice(0, 64), slice(16, 48))),
        ((50, 50), (64, 96), (slice(0, 64), slice(16, 80))),
        ((30, 30), (30, 30), (slice(0, 30), slice(0, 30))),
        ((99, 33), (64, 64), (slice(0, 64), slice(21, 42))),
    ],
)
def test_aspect_is_kept_and_the_picture_centred_on_black(stored, canvas, room):
    drawn = draw(np.full((*stored, 3), 200, np.uint8), height=canvas[0], width=canvas[1])
    expected = np.zeros((*canvas, 3), np.uint8)
    expected[room] = 200
    assert drawn.shape == expected.shape
    assert np.abs(drawn.astype(int) - expected).max() <= 1


def test_wide_pixels_widen_the_picture():
    drawn = draw(np.full((64, 32, 3), 200, np.uint8), height=64, width=64, pixel_aspect=Fraction(2))
    assert drawn.min() >= 199


def test_a_sliver_keeps_at_least_one_row():
    assert draw(np.full((2, 4000, 3), 255, np.uint8), height=16, width=16).any()


def test_scaling_averages_areas():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    averaged = pixels.reshape(16, 4, 16, 4, 3).mean((1, 3))
    drawn = draw(pixels, height=16, width=16)
    # swscale weighs with 14 bit integers and passes through YUV-free RGB: within 2 of 255.
    assert np.abs(drawn - averaged).max() < 2


def lit(drawn):
    """The box of what is not black."""
    rows, columns = drawn.any((1, 2)).nonzero()[0], drawn.any((0, 2)).nonzero()[0]
    return Box(columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)


@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(4, 3), Fraction(2, 5)])
@pytest.mark.parametrize("stored", [(40, 80), (80, 40), (99, 33), (50, 50), (17, 23)])
def test_the_box_is_where_the_picture_is_drawn(stored, aspect):
    canvas = Canvas(height=64, width=96, pixel_aspect=aspect)
    picture = av.VideoFrame.from_ndarray(np.full((*stored, 3), 200, np.uint8))
    assert canvas.box(picture) == lit(canvas.draw(picture))


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_the_box_of_a_turned_recording_is_where_it_is_shown(write_video, degrees):
    path = write_video(
        "turned.mp4",
        [np.full((48, 96, 3), 200, np.uint8)] * 2,
        prepare=lambda stream: stream.set_display_rotation(degrees),
    )
    config = DecodeConfig(height=64, width=64)
    expected = Box(16, 0, 32, 64) if degrees in (90, 270) else Box(0, 16, 64, 32)
    assert content_box(path, config) == expected == lit(decode(path, config).frames[0])


def test_a_point_of_the_picture_is_found_on_the_canvas(write_video):
    # A landmark at (3/4, 1/4) of a picture that is twice as wide as high.
    frame = np.zeros((100, 200, 3), np.uint8)
    frame[20:30, 140:160] = 255
    config = DecodeConfig(height=64, width=64)
    path = write_video("point.mp4", [frame] * 2)
    box = content_box(path, config)
    bright = decode(path, config).frames[0, ..., 1] > 127
    rows, columns = bright.nonzero()
    assert abs(columns.mean() + 0.5 - (box.left + 0.75 * box.width)) < 0.5
    assert abs(rows.mean() + 0.5 - (box.top + 0.25 * box.height)) < 0.5


def test_frames_of_two_sizes_are_both_placed():
    canvas = Canvas(height=64, width=64, pixel_aspect=Fraction(1))
    for stored, expected in [((40, 80), Box(0, 16, 64, 32)), ((80, 40), Box(16, 0, 32, 64))] * 2:
        picture = av.VideoFrame.from_ndarray(np.full((*stored, 3), 200, np.uint8))
        assert canvas.box(picture) == expected == lit(canvas.draw(picture))


def test_a_drawn_frame_is_freed_without_the_garbage_collector(numbered_video):
    canvas = Canvas(height=64, width=64, pixel_aspect=Fraction(1))
    gc.collect()
    gc.disable()
    try:
        with av.open(str(numbered_video)) as file:
            for frame in file.decode(video=0):
                canvas.draw(frame)
            alive = sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
    finally:
        gc.enable()
    # Each would hold a whole decoded picture until then.
    assert alive <= 2
