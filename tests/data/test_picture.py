from fractions import Fraction

import av
import numpy as np
import pytest

from pdray.data.decode import DecodeConfig, decode
from pdray.data.picture import Canvas
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
