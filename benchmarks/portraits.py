"""CPU time of making a portrait, beside that of decoding its frame alone.

    python -m benchmarks.portraits [folder=~/pdray_output/benchmarks]

The films are SYNTHETIC faces with exact landmarks, 60 frames, drawn at the first run. One thread;
the best of some runs, taken in turn, counts.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch

from pdray.data.cohort.manifest import Recording
from pdray.data.media.decode import decode_frames
from pdray.data.media.settings import DecodeConfig
from pdray.data.media.tracks import Track, write_track
from pdray.data.store.extract import extract
from pdray.data.store.settings import Recipe
from pdray.demo.face.interview import draw_face, draw_interview

NUM_FRAMES, TIMES = 60, 5
FILMS = ((640, 480, 300), (1280, 720, 600), (1920, 1080, 900))  # width, height, side of the face
SIZES = (96, 256, 512)


def draw(width: int, height: int, side: int, folder: Path) -> Recording:
    """Write a film of a face in the middle of a grey picture, and its landmarks."""
    folder.mkdir(parents=True, exist_ok=True)
    video, track = (folder / f"portraits_{height}.{end}" for end in ("mp4", "npz"))
    if not video.exists() or not track.exists():
        rng = np.random.default_rng
        who = draw_face(rng(1), rng(2), size=side)
        film = draw_interview(1, who, rng(3), num_frames=NUM_FRAMES, fps=30)
        left, top = (width - side) // 2, (height - side) // 2
        with av.open(str(video), "w") as file:
            stream = file.add_stream("libx264", rate=30, options={"preset": "veryfast"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for face in film.frames:
                frame = np.full((height, width, 3), 90, np.uint8)
                frame[top : top + side, left : left + side] = face
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
            file.mux(stream.encode())
        points = film.landmarks.points + np.array([left, top], np.float32)
        write_track(track, Track(points, film.landmarks.seconds, (float(width), float(height))))
    return Recording("film", "nobody", "face_interview", video=video, landmarks=track)


def ways(film: Recording, width: int, height: int) -> dict[str, Callable[[], int]]:
    """Return what is timed: each reads a film and returns its number of frames."""
    assert film.video is not None, "it was just drawn"
    video = film.video

    def decoded(config: DecodeConfig) -> int:
        return sum(1 for _ in decode_frames(video, config))

    def cut(size: int) -> int:
        recipe = Recipe(portraits={"size": size})  # type: ignore[arg-type]  # checked by pydantic
        return sum(1 for _ in extract(film, ("portraits",), recipe))

    found: dict[str, Callable[[], int]] = {
        "to 112 px": lambda: decoded(DecodeConfig()),
        "full size": lambda: decoded(DecodeConfig(height=height, width=width)),
    }
    return found | {f"portraits {size}": (lambda size=size: cut(size)) for size in SIZES}


def milliseconds(film: Recording, width: int, height: int) -> dict[str, float]:
    """Return the CPU time per frame of each way [ms]."""
    timed = ways(film, width, height)
    best = dict.fromkeys(timed, float("inf"))
    for _ in range(TIMES):
        for name, way in timed.items():
            since = time.process_time()
            count = way()
            best[name] = min(best[name], 1000 * (time.process_time() - since) / count)
    return best


def main(argv: list[str]) -> None:
    """Print a row for each film."""
    torch.set_num_threads(1)
    given = dict(word.split("=", 1) for word in argv)
    folder = Path(given.get("folder", "~/pdray_output/benchmarks")).expanduser()
    names = ["to 112 px", "full size", *(f"portraits {size}" for size in SIZES)]
    print(f"{'CPU ms per frame':<18}{''.join(f'{name:>15}' for name in names)}")
    for width, height, side in FILMS:
        found = milliseconds(draw(width, height, side, folder), width, height)
        print(f"{f'{width}x{height}':<18}{''.join(f'{found[name]:>15.2f}' for name in names)}")


if __name__ == "__main__":
    main(sys.argv[1:])
