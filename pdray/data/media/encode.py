"""Frames and sound into one MP4 file, whole or not at all."""

import itertools
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from pdray.atomic import replacing


class Coding(NamedTuple):
    """How pictures are coded.

    Attributes:
        codec: FFmpeg's name of the encoder.
        pixels: FFmpeg's name of the format of stored pixels.
        options: Of the encoder. One thread, and nothing that is not repeatable: the same frames
            give the same file.
    """

    codec: str
    pixels: str
    options: Mapping[str, str]


# x264's macroblock tree is not repeatable on small pictures (AVX-512 code of the x264 in PyAV 18:
# up to 12 different files of 24 runs at 48 px; none without it).
CAMERA = Coding(
    "libx264", "yuv420p", {"preset": "veryfast", "crf": "24", "x264-params": "mbtree=0"}
)
"""As phones and cameras write it."""
LOSSLESS = Coding("libx264rgb", "rgb24", {"preset": "veryfast", "qp": "0"})
"""H.264 of RGB without loss: the decoder gives back the frames that went in, bit for bit."""


class Sound(NamedTuple):
    """A voice to write beside the frames.

    Attributes:
        samples: (num_samples,) float32 in -1..1, one channel.
        rate: Samples per second.
    """

    samples: NDArray[np.float32]
    rate: int


def encode(
    path: Path,
    frames: Iterable[NDArray[np.uint8] | VideoFrame],
    *,
    rate: int | Fraction,
    coding: Coding = CAMERA,
    sound: Sound | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write H.264, and AAC if there is sound, into an MP4 file.

    Args:
        path: The file; its folder is made when missing.
        frames: At least one, of one size: (H, W, 3) uint8 RGB, or frames of PyAV. Height and width
            are even, unless the coding is of RGB. A frame of PyAV with a time of its own keeps it.
        rate: Frames per second.
        coding: Of the pictures.
        sound: Of one channel, from the first frame on.
        metadata: Of the container, such as its title.

    Raises:
        OSError: If the file cannot be written.
    """
    made = (
        one if isinstance(one, VideoFrame) else VideoFrame.from_ndarray(one, format="rgb24")
        for one in frames
    )
    first = next(made)
    with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        container.metadata.update(metadata or {})
        video = cast(VideoStream, container.add_stream(coding.codec, rate=rate))
        video.width, video.height, video.pix_fmt = first.width, first.height, coding.pixels
        video.codec_context.thread_count = 1
        video.options = dict(coding.options)
        if first.time_base:
            video.codec_context.time_base = first.time_base
        # Before the first frame is written, as the file's header names all streams.
        audio = None if sound is None else _audio_stream(container, sound.rate)
        for picture in itertools.chain([first], made):
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if audio is not None and sound is not None:
            samples = av.AudioFrame.from_ndarray(sound.samples[None], format="fltp", layout="mono")
            samples.sample_rate = sound.rate
            container.mux(audio.encode(samples))
            container.mux(audio.encode(None))


def _audio_stream(container: OutputContainer, rate: int) -> AudioStream:
    audio = container.add_stream("aac", rate=rate, layout="mono")
    audio.bit_rate = 32_000
    return audio
