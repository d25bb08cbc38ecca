"""Draws SYNTHETIC recordings for measuring reading: textures with a natural spectrum."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import av
import numpy as np
from numpy.typing import NDArray

from pdray.atomic import replacing

HEIGHT, WIDTH, RATE = 1080, 1920, 30
_BIT_RATE = 8_000_000  # recommended by YouTube for uploads of this size and rate
_MARGIN = 120  # px that a hand-held camera wanders
# A JPEG of quality 90 of a frame of 340x256 is then as large as of real faces: 0.2 bytes per pixel.
_FALL = 1.6


@dataclass(frozen=True)
class ClipKind:
    """One kind of recording.

    Attributes:
        name: Name of the file.
        says: Description.
        num_frames: Number of frames, at 30 Hz.
        options: Options of x264.
    """

    name: str
    says: str
    num_frames: int
    options: Mapping[str, str]


CLIPS = (
    ClipKind(
        "one_key_frame.mp4",
        "10 s, one key frame",
        300,
        MappingProxyType({"g": "600", "keyint_min": "600", "sc_threshold": "0"}),
    ),
    ClipKind("phone.mp4", "10 s, no B-frames", 300, MappingProxyType({"g": "30", "bf": "0"})),
    ClipKind("long.mp4", "40 s, 5 key frames", 1200, MappingProxyType({"g": "250"})),
)


def texture(height: int, width: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Draw colours whose amplitude falls with frequency, as in natural pictures; 0..255."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    planes = []
    for _ in range(3):
        noise = np.fft.rfft2(generator.standard_normal((height, width)))
        plane = np.fft.irfft2(noise / frequency**_FALL, s=(height, width))
        planes.append(128 + 45 * plane / plane.std())
    shared = planes[0]  # colours of nature mostly share their brightness
    return np.stack([0.7 * shared + 0.3 * plane for plane in planes], -1).astype(np.float32)


def draw(kind: ClipKind, folder: Path) -> Path:
    """Encode a clip if it is missing: a swaying camera, a moving patch, sensor noise."""
    path = folder / kind.name
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    scene = texture(HEIGHT + 2 * _MARGIN, WIDTH + 2 * _MARGIN, generator)
    patch = texture(300, 400, generator)
    grain = generator.normal(0, 3, (7, HEIGHT, WIDTH, 1)).astype(np.float32)
    with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as file:
        stream = file.add_stream(
            "libx264", rate=RATE, options={"preset": "veryfast", **kind.options}
        )
        stream.bit_rate = _BIT_RATE
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(kind.num_frames):
            top = int(_MARGIN * (1 + 0.6 * np.sin(number / 17)))
            left = int(_MARGIN * (1 + 0.6 * np.cos(number / 23)))
            picture = scene[top : top + HEIGHT, left : left + WIDTH] + grain[number % 7]
            row = int(300 + 250 * np.sin(number / 4))
            picture[row : row + 300, 700:1100] = patch + grain[number % 7, :300, :400]
            pixels = picture.clip(0, 255).astype(np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
    return path
