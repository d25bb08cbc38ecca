from fractions import Fraction

import av
import numpy as np
import pytest

from pdray.data.media.source import check_end, check_length, check_pixels, opened, packets
from pdray.data.media.timeline import Span
from pdray.errors import DecodeError

MANY = 1 << 30


def test_all_packets_come_and_the_empty_one_that_ends_them(numbered_video):
    with opened(numbered_video, MANY) as (file, stream):
        sizes = [packet.size > 0 for packet in packets(file, stream)]
    assert sizes == [True] * 40 + [False]


def test_the_header_is_compared_with_the_frames(numbered_video):
    with opened(numbered_video, MANY) as (file, stream):
        found = {"first": Fraction(0), "last": Fraction(20, 25), "ends": Fraction(21, 25)}
        with pytest.raises(DecodeError, match=r"frames end at 0\.840 s, its header says 1\.600 s"):
            check_end(file, stream, **found, number=21)
        with pytest.raises(DecodeError, match=r"without a single frame"):
            check_end(file, stream, **found, number=0)
        found = {"first": Fraction(0), "last": Fraction(39, 25), "ends": Fraction(40, 25)}
        check_end(file, stream, **found, number=40)


def test_a_long_span_is_refused_by_the_header(numbered_video):
    with opened(numbered_video, MANY) as (file, stream):
        with pytest.raises(DecodeError, match=r"lasts 1\.600 s, more than limits\.max_seconds 1"):
            check_length(file, stream, Span.between(None, None), 1.0)
        check_length(file, stream, Span.between(0.5, 1.5), 1.0)
        check_length(file, stream, Span.between(0.7, None), 1.0)


def test_pixels_are_counted():
    check_pixels(7680, 4320, 7680 * 4320)
    message = r"frames of 7680 x 4320 = 33177600 px, more than limits\.max_pixels 33177599"
    with pytest.raises(DecodeError, match=message):
        check_pixels(7680, 4320, 7680 * 4320 - 1)


def test_what_ffmpeg_raises_inside_becomes_an_error_without_a_path(numbered_video, tmp_path):
    with (
        pytest.raises(DecodeError, match=r"^cannot be decoded: No such file or directory$"),
        opened(tmp_path / "none.mp4", MANY),
    ):
        pass
    with (
        pytest.raises(DecodeError, match=r"^cannot be decoded: Input/output error$"),
        opened(numbered_video, MANY),
    ):
        raise OSError(5, "Input/output error", str(numbered_video))


def two_streams(path, sizes, *, covers=()):
    """A file of several video streams of two frames; those numbered in ``covers`` are covers."""
    with av.open(str(path), "w") as file:
        streams = []
        for number, (height, width) in enumerate(sizes):
            stream = file.add_stream("mjpeg" if number in covers else "libx264", rate=25)
            stream.height, stream.width = height, width
            stream.pix_fmt = "yuvj420p" if number in covers else "yuv420p"
            if number in covers:
                stream.disposition = av.stream.Disposition.attached_pic
            streams.append(stream)
        for number, stream in enumerate(streams):
            pixels = np.full((stream.height, stream.width, 3), 90, np.uint8)
            for _ in range(1 if number in covers else 2):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
            file.mux(stream.encode())
    return path


def test_the_best_of_several_streams_is_read(tmp_path):
    path = two_streams(tmp_path / "two.mkv", [(32, 32), (128, 128)])
    with av.open(str(path)) as file:
        best = file.streams.best("video").index
    with opened(path, MANY) as (_, stream):
        assert stream.index == best


def test_a_cover_picture_is_no_recording(tmp_path):
    path = two_streams(tmp_path / "cover.mp4", [(600, 600), (32, 32)], covers=[0])
    with opened(path, MANY) as (_, stream):
        assert (stream.height, stream.width) == (32, 32)
    path = two_streams(tmp_path / "alone.mp4", [(600, 600)], covers=[0])
    with (
        pytest.raises(DecodeError, match="has no video stream, only a cover picture"),
        opened(path, MANY),
    ):
        pass
