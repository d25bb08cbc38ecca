from pathlib import Path

import av
import numpy as np
import pytest

from pdray.demo.encode import encode


def test_video_is_h264_and_sound_is_aac_with_the_rates_asked(tmp_path: Path) -> None:
    path = tmp_path / "new" / "one.mp4"
    t = np.arange(16_000) / 16_000
    levels = np.linspace(40, 200, 25).astype(np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (25, 48, 64, 3))
    encode(path, frames, np.sin(2 * np.pi * 440 * t, dtype=np.float32), fps=25, sample_rate=16_000)

    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height, video.average_rate) == (64, 48, 25)
        assert (audio.rate, audio.channels) == (16_000, 1)
        shown = [frame.to_ndarray(format="gray").mean() for frame in container.decode(video=0)]
    assert len(shown) == 25
    assert np.all(np.diff(shown) > 0)
    with av.open(str(path)) as container:
        sound = np.concatenate([one.to_ndarray()[0] for one in container.decode(audio=0)])
    assert np.argmax(np.abs(np.fft.rfft(sound[:16_000]))) == pytest.approx(440, abs=2)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    frames = np.zeros((5, 47, 47, 3), np.uint8)
    with pytest.raises(av.error.FFmpegError):
        encode(tmp_path / "odd.mp4", frames, np.zeros(1600, np.float32), fps=25, sample_rate=16_000)
    assert list(tmp_path.iterdir()) == []
