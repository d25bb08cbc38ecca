"""Encoding frames: the same bytes each time, without loss if that is asked for, whole or not."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pdray.data.media.decode import decode
from pdray.data.media.encode import CAMERA, LOSSLESS, Sound, encode
from pdray.data.media.settings import DecodeConfig

FRAMES = np.random.default_rng(0).integers(0, 256, (9, 48, 64, 3), np.uint8)
CONFIG = DecodeConfig(height=48, width=64)
SILENCE = Sound(np.zeros(1600, np.float32), 16_000)


def test_without_loss_the_frames_come_back_bit_for_bit(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", FRAMES, rate=25, coding=LOSSLESS)
    clip = decode(tmp_path / "a.mp4", CONFIG)
    np.testing.assert_array_equal(clip.frames, FRAMES)
    np.testing.assert_allclose(clip.pts_seconds, np.arange(9) / 25, atol=1e-9)


@pytest.mark.parametrize("coding", [CAMERA, LOSSLESS])
def test_the_same_frames_give_the_same_file(tmp_path: Path, coding: object) -> None:
    files = [tmp_path / "new" / "a.mp4", tmp_path / "b.mp4"]
    for file in files:
        encode(file, FRAMES, rate=25, coding=coding, sound=SILENCE, metadata={"title": "SYNTHETIC"})
    assert files[0].read_bytes() == files[1].read_bytes()
    with av.open(str(files[0])) as container:
        assert container.metadata["title"] == "SYNTHETIC"
        assert [one.type for one in container.streams] == ["video", "audio"]


def test_frames_may_have_times_of_their_own(tmp_path: Path) -> None:
    seconds = np.array([0, 0.04, 0.11, 0.2])
    frames = [av.VideoFrame.from_ndarray(one, format="rgb24") for one in FRAMES[:4]]
    for frame, time in zip(frames, seconds, strict=True):
        frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
    encode(tmp_path / "a.mp4", iter(frames), rate=25, coding=LOSSLESS)
    clip = decode(tmp_path / "a.mp4", CONFIG)
    np.testing.assert_array_equal(clip.frames, FRAMES[:4])
    np.testing.assert_allclose(clip.pts_seconds, seconds, atol=1e-9)


def test_a_failed_encoding_leaves_nothing(tmp_path: Path) -> None:
    odd = np.zeros((5, 47, 47, 3), np.uint8)
    with pytest.raises(av.error.FFmpegError):
        encode(tmp_path / "odd.mp4", odd, rate=25, sound=SILENCE)

    def broken():
        yield FRAMES[0]
        raise OSError("the source is gone")

    with pytest.raises(OSError, match="is gone"):
        encode(tmp_path / "a.mp4", broken(), rate=25)
    assert list(tmp_path.iterdir()) == []
