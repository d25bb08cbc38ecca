"""Compares training on regions of faces with and without cached maps; ratios of one run.

    python -m benchmarks.regions             # about eight minutes on one core
    python -m benchmarks.regions size=quick  # only a test run of seconds; ignore its numbers

An epoch of training is measured as in a study: frames and polygons, or maps and polygons, are read
from the frame store and augmented, and a network on ResNet-50 takes a step of Adam on each batch of
16 snippets of 8 frames of 224 px. The files are in the cache of the operating system, as from the
second epoch on. There are two heads on the same backbone: that of
``search_spaces/region_attention.yaml`` and that of YouTubePD, whose projection of 3x3 bins to 768
features takes a quarter of the time of the ResNet-50, so caching cannot make it 20 times as fast.
Times are CPU times of one thread, including reading. The recordings are SYNTHETIC noise.
"""

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.compare import Row
from benchmarks.frozen_epochs import epoch_seconds
from pdray.config import build, merge, read_tree
from pdray.data.cohort.rated import RatedRecording
from pdray.data.face.points import REGIONS, VERTICES
from pdray.data.store.entry import EntryWriter
from pdray.data.store.settings import StoreConfig
from pdray.training.settings import FitConfig

SETTINGS = Path(__file__).resolve().parents[1] / "search_spaces" / "region_attention.yaml"
FROZEN_GOAL, LAST_GOAL = 20.0, 2.0
NUM_CLIPS, NUM_FRAMES = 16, 12
MEASURED = 2  # epochs; one before them builds the network, one after them is evaluated
PAPER_HEAD = {"token_dim": 768, "roi_size": 3, "num_heads": 3}
QUICK = {"depth": 18, "layout": "torchvision", "width_factor": 0.0625, "token_dim": 24}


def settings(is_quick: bool, *changes: Mapping[str, Any]) -> FitConfig:
    """Return the fit of the study's file with some changes, on few frames and epochs."""
    tree = read_tree(FitConfig, ["--config", str(SETTINGS)])
    tree = {name: section for name, section in tree.items() if name in FitConfig.model_fields}
    side = 64 if is_quick else 224
    few: dict[str, Any] = {
        "decode": {"height": side, "width": side},
        "snippet": {"num_frames": 8},
        "optim": {"batch_size": NUM_CLIPS, "epochs": MEASURED + 2},
        "features": {"views": 1},
        "stream": {"reader": "local", "threads": 1},
    }
    for change in (few, *changes, *([{"model": QUICK}] if is_quick else [])):
        tree = merge(tree, change)
    return build(FitConfig, tree)


def write_noise(folder: Path, side: int) -> tuple[RatedRecording, ...]:
    """Write recordings of noise with polygons, half of them ill, and one to evaluate."""
    draw = np.random.default_rng(0)
    recordings = []
    for number in range(NUM_CLIPS + 1):
        paths = {name: folder / f"{name}{number}" / "entry.arrow" for name in ("rgb", "regions")}
        for path in paths.values():
            path.parent.mkdir()
        middle = draw.uniform(0.3 * side, 0.7 * side, (NUM_FRAMES, len(REGIONS), 2))
        corners = np.repeat(middle, VERTICES, axis=1)
        corners += draw.uniform(-0.15 * side, 0.15 * side, corners.shape)
        pixels = draw.integers(0, 256, (NUM_FRAMES, side, side, 3), np.uint8)
        items = {"rgb": pixels, "regions": corners.astype(np.float32)}
        for name, path in paths.items():
            with EntryWriter(path, StoreConfig(codec="raw")) as out:
                for step, item in enumerate(items[name]):
                    out.append(step / 25, item)
        recordings.append(
            RatedRecording(
                recording_id=f"R{number}",
                subject_id=f"S{number}",
                item="face_interview",
                grade=number % 2,
                target=number % 2,
                video=None,
                stored={"rgb": paths["rgb"], "regions": paths["regions"]},
            )
        )
    return tuple(recordings)


def rows(recordings: tuple[RatedRecording, ...], *, is_quick: bool) -> list[Row]:
    """Measure every head behind every number of frozen stages, from maps and from pictures."""
    found = []
    heads: Mapping[str, Mapping[str, Any]] = {"small head": {}, "head of YouTubePD": PAPER_HEAD}
    for head, model in heads.items():
        for stages, goal in ((4, FROZEN_GOAL), (3, LAST_GOAL)):
            change = {"model": {**model, "frozen_stages": stages}}
            kept = settings(is_quick, change)
            default = {"views": FitConfig.model_fields["features"].get_default().views}
            read = settings(is_quick, change, {"features": {"cache": "off", **default}})
            mine, theirs = (
                epoch_seconds(recordings, one, num_classes=2) / NUM_CLIPS for one in (kept, read)
            )
            frozen = "all frozen" if stages == 4 else "last stage trained"
            least = 0.0 if is_quick or (stages == 4 and model) else goal
            found.append(Row(f"per clip, {frozen}, {head}", mine, theirs, "without cache", least))
    return found


def main(argv: list[str]) -> int:
    """Run the benchmark and print the table; 1 when a goal is missed, 2 for an unknown word."""
    unknown = [word for word in argv if word not in ("size=quick", "size=full")]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: size=quick, size=full")
        return 2
    is_quick, started = "size=quick" in argv, time.perf_counter()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, 1 thread, CPU time; SYNTHETIC noise")
    print(f"{'':<48} {'kept':>9} {'anew':>9}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        recordings = write_noise(Path(folder), settings(is_quick).decode.height)
        found = rows(recordings, is_quick=is_quick)
    for row in found:
        print(row.told())
        print(f"{'':<48} {1 / row.ours:>9.2f} {1 / row.rival:>9.2f} clips/s")
    print(f"{time.perf_counter() - started:.0f} s")
    return int(any(row.rival / row.ours < row.goal for row in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
