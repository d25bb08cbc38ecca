"""CPU time of decoding a frame as stored and by the defaults: SDR, HLG, PQ and interlaced clips.

    python -m benchmarks.pictures [folder=~/pdray_output/benchmarks]

The clips are SYNTHETIC, 1280x720, 60 frames, drawn at the first run and read at 112x112 with one
thread. The best of some runs, taken in turn, counts. An SDR clip must cost the same both ways.
"""

import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from pdray.data.media.decode import decode_frames
from pdray.data.media.settings import DecodeConfig

NUM_FRAMES, HEIGHT, WIDTH = 60, 720, 1280
TIMES = 7
SETTINGS = {
    "as stored": DecodeConfig(hdr="stored", interlaced="stored"),
    "by default": DecodeConfig(),
}
_H265 = "log-level=none:colorprim=bt2020:colormatrix=bt2020nc:transfer="
CLIPS: dict[str, tuple[str, str, dict[str, str]]] = {
    "SDR": ("libx264", "yuv420p", {"preset": "veryfast"}),
    "HLG": ("libx265", "yuv420p10le", {"x265-params": f"{_H265}arib-std-b67"}),
    "PQ": ("libx265", "yuv420p10le", {"x265-params": f"{_H265}smpte2084"}),
    "interlaced": ("libx264", "yuv420p", {"x264-params": "interlaced=1:tff=1"}),
}


def draw(name: str, folder: Path) -> Path:
    """Write a clip of coloured blocks that move, unless it is there."""
    path = folder / f"pictures_{name.lower()}.mp4"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    codec, pixel_format, options = CLIPS[name]
    blocks = np.random.default_rng(0).integers(0, 200, (HEIGHT // 16, WIDTH // 16, 3), np.uint8)
    still = blocks.repeat(16, 0).repeat(16, 1)
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream(codec, rate=30, options=options)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, pixel_format
        for number in range(NUM_FRAMES):
            frame = av.VideoFrame.from_ndarray(np.roll(still, 3 * number, 1))
            frame.pts, frame.time_base = number, Fraction(1, 30)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def milliseconds(path: Path) -> dict[str, float]:
    """Return the CPU time of a frame under each of the settings [ms]."""
    best = dict.fromkeys(SETTINGS, float("inf"))
    for _ in range(TIMES):
        for name, config in SETTINGS.items():
            since = time.process_time()
            count = sum(1 for _ in decode_frames(path, config))
            best[name] = min(best[name], 1000 * (time.process_time() - since) / count)
    return best


def main(argv: list[str]) -> None:
    """Print a row for each clip."""
    given = dict(word.split("=", 1) for word in argv)
    folder = Path(given.get("folder", "~/pdray_output/benchmarks")).expanduser()
    print(f"{'CPU ms per frame':<18}{''.join(f'{name:>12}' for name in SETTINGS)}{'ratio':>8}")
    for name in CLIPS:
        stored, default = milliseconds(draw(name, folder)).values()
        print(f"{name:<18}{stored:>12.2f}{default:>12.2f}{default / stored:>8.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
