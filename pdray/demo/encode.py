"""Drawn frames and sound into one H.264/AAC file, as phones and cameras write it."""

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pdray.atomic import replacing


def encode(
    path: Path,
    frames: NDArray[np.uint8],
    voice: NDArray[np.float32],
    *,
    fps: int,
    sample_rate: int,
) -> None:
    """Write H.264 and AAC into an mp4 file, whole or not at all.

    Args:
        path: The file; its folder is made when missing.
        frames: (N, H, W, 3) uint8 RGB, even height and width.
        voice: (num_samples,) float32 in -1..1, one channel.
        fps: Frames per second.
        sample_rate: Samples per second.
    """
    height, width = frames.shape[1:3]
    with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.thread_count = 1
        # x264's macroblock tree is not repeatable on small pictures (AVX-512 code of the x264 in
        # PyAV 18: up to 12 different files of 24 runs at 48 px; none without it).
        video.options = {"preset": "veryfast", "crf": "24", "x264-params": "mbtree=0"}
        audio = container.add_stream("aac", rate=sample_rate, layout="mono")
        audio.bit_rate = 32_000
        for picture in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(voice[None], format="fltp", layout="mono")
        sound.sample_rate = sample_rate
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
