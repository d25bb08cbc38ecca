"""Measures how fast snippets arrive, compared with other tools; each ratio is from one run.

    python -m benchmarks.input [folder=~/pdray_output/benchmarks] [section ...]

Sections: source, store, normalise, build, stream, memory; default: all. The recordings are
SYNTHETIC (``clips.py``), 1920x1080 H.264, read at 340x256 with one thread. Tools that are not
installed are named and left out (to install them: ``pip install -c constraints.txt -e '.[bench]'``
in the checkout, and FFmpeg from the system). Times are CPU times of this process and its children,
or wall times if a row says so; the best of some runs in turn counts. Other load on the machine
changes the times more than the ratios.
"""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.arrival import memory, stream
from benchmarks.clips import CLIPS, draw
from benchmarks.compare import Row, best
from benchmarks.rivals import ffmpeg_command, naive_normalise, run_ffmpeg, source_readers
from pdray.cpus import granted_cpus
from pdray.data.batches.normalise import normalise_frames
from pdray.data.cohort.manifest import Recording
from pdray.data.media.decode import decode
from pdray.data.media.seek import read_frames, scan
from pdray.data.media.settings import DecodeConfig, DecodeLimits
from pdray.data.modalities import KINETICS_MEAN, KINETICS_STD
from pdray.data.store.entry import Entry
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import CodecName, Recipe, StoreConfig

SIZE = DecodeConfig(height=256, width=340)
LIMITS = DecodeLimits()
SNIPPETS, FRAMES = 4, 32
DRAWS = 4  # places of the snippets, since luck decides how far it is from a key frame
TIMES = 20  # a store is read too fast to be measured once
GOALS = {"one_key_frame.mp4": 1.15, "phone.mp4": 1.0, "long.mp4": 1.5}


def positions(num_frames: int, seed: int) -> NDArray[np.int64]:
    """Return the frames of four snippets of 32 at random places."""
    starts = np.random.default_rng(seed).integers(0, num_frames - FRAMES, SNIPPETS)
    return (starts[:, None] + np.arange(FRAMES)).ravel()


def source(folder: Path) -> list[Row]:
    """Read snippets from the files, frame-exact."""
    rivals = source_readers()
    rows = []
    for kind in CLIPS:
        video = draw(kind, folder)
        costs = np.zeros(1 + len(rivals))
        for seed in range(DRAWS):
            wanted = positions(kind.num_frames, seed)
            exact = decode(video, SIZE).frames[wanted]
            assert (_read_source(video, wanted) == exact).all(), f"{kind.name}: other frames"
            ways = [partial(_read_source, video, wanted)]
            ways += [
                partial(one, video, wanted, SIZE.height, SIZE.width) for one in rivals.values()
            ]
            costs += best(ways, rounds=2)
        mine, *others = costs / DRAWS
        for name, cost in zip(rivals, others, strict=True):
            goal = GOALS[kind.name] if cost == min(others) else 0.0
            rows.append(Row(f"source, {kind.says}", mine, cost, name, goal))
    return rows


def _read_source(video: Path, wanted: NDArray[np.int64]) -> NDArray[np.uint8]:
    index = scan(video, SIZE, LIMITS)
    return read_frames(video, index, wanted, SIZE, LIMITS)


def store(folder: Path) -> list[Row]:
    """Read the same snippets from the store, as every epoch after the first does."""
    kind = CLIPS[0]
    video = draw(kind, folder)
    wanted = positions(kind.num_frames, seed=1)
    readers = source_readers()
    ways = [partial(read, video, wanted, SIZE.height, SIZE.width) for read in readers.values()]
    costs = best([*ways, partial(_read_source, video, wanted)], rounds=2)
    name, cost = min(zip([*readers, "pdray from source"], costs, strict=True), key=lambda x: x[1])
    rows = []
    goals: dict[CodecName, float] = {"raw": 150, "lz4": 0, "jpeg": 40}
    for codec, goal in goals.items():
        recipe = Recipe(decode=SIZE, store=StoreConfig(codec=codec))
        recording = Recording(recording_id="r", subject_id="S", item="gait", video=video)
        path = FrameStore(folder / "store", recipe).add(recording).paths["rgb"]
        out = np.empty((len(wanted), SIZE.height, SIZE.width, 3), np.uint8)
        (mine,) = best([partial(_read_often, path, wanted, out)], rounds=5)
        size = path.stat().st_size / len(Entry(path)) / 1e3
        rows.append(Row(f"store, {codec}, {size:.0f} kB a frame", mine / TIMES, cost, name, goal))
    return rows


def _read_often(path: Path, wanted: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
    for _ in range(TIMES):
        Entry(path).read(wanted, out)


def normalise(folder: Path) -> list[Row]:
    """Turn a uint8 batch into what the network takes."""
    frames = torch.randint(0, 256, (4, 32, 224, 224, 3), dtype=torch.uint8)
    usual = frames.permute(0, 4, 1, 2, 3).contiguous()
    mean, std = torch.tensor(KINETICS_MEAN), torch.tensor(KINETICS_STD)
    torch.set_num_threads(1)
    full, half, naive = best(
        [
            lambda: normalise_frames(frames),
            lambda: normalise_frames(frames, torch.bfloat16),
            lambda: naive_normalise(usual, mean, std),
        ],
        rounds=9,
    )
    return [
        Row("uint8 to float32, 4x32x224x224", full, naive, "float().div().sub().div()", 5),
        Row("uint8 to bfloat16, 4x32x224x224", half, naive, "float().div().sub().div()", 5),
    ]


def build(folder: Path) -> list[Row]:
    """Decode, scale and store whole files, one thread each."""
    rows = []
    for kind in CLIPS[:2]:
        video = draw(kind, folder)
        command = ffmpeg_command(video, SIZE.height, SIZE.width)
        if command is None:
            print("store built: left out, there is no ffmpeg here")
            return []
        mine, theirs = best([partial(_build, video), partial(_run, command)], rounds=5)
        rows.append(Row(f"store built, {kind.says}", mine, theirs, "FFmpeg CLI", 0.9))
    return rows


def _build(video: Path) -> None:
    with tempfile.TemporaryDirectory() as root:
        recording = Recording(recording_id="r", subject_id="S", item="gait", video=video)
        FrameStore(Path(root), Recipe(decode=SIZE)).add(recording)


def _run(command: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        run_ffmpeg(command, Path(root) / "out.raw")


SECTIONS = {
    "source": source,
    "store": store,
    "normalise": normalise,
    "build": build,
    "stream": stream,
    "memory": memory,
}


def main(argv: list[str]) -> int:
    """Run the sections and print the table; return 2 for an unknown word."""
    words = dict(word.split("=", 1) for word in argv if "=" in word)
    names = [word for word in argv if "=" not in word] or list(SECTIONS)
    unknown = [word for word in names if word not in SECTIONS] + list(words.keys() - {"folder"})
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: folder=..., {', '.join(SECTIONS)}")
        return 2
    folder = Path(words.get("folder", "~/pdray_output/benchmarks")).expanduser()
    if len(names) > 1:
        found = ", ".join(source_readers()) or "none"
        print(f"SYNTHETIC recordings in {folder}; rival decoders: {found}; {granted_cpus()} cores")
        print(f"{'':<48} {'pdray':>9} {'rival':>9}", flush=True)
    for name in names:
        if len(names) == 1:
            for row in SECTIONS[name](folder):
                print(row.told(), flush=True)
        else:  # no section in the memory that another has left
            module = [sys.executable, "-m", "benchmarks.input"]
            subprocess.run([*module, f"folder={folder}", name], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
