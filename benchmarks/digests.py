"""Measures what a study spends to compare its frames with their digests, beside one fit.

    python -m benchmarks.digests

Entries of noise, 10 s of 30 frames per second, stored raw, as most stores are; the network and its
settings are those of the demo and of the paper. A study compares once each time that it is started,
and has many fits. Times are CPU times of one thread per recording; the lowest of some runs counts.
"""

import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.compare import Row, best
from benchmarks.frozen_epochs import epoch_seconds
from pdray.config import build, read_tree
from pdray.data.cohort.rated import RatedRecording
from pdray.data.store.entry import Entry, EntryWriter
from pdray.data.store.settings import StoreConfig
from pdray.training.settings import FitConfig

SPACES = Path(__file__).resolve().parents[1] / "search_spaces"
NUM_CLIPS, NUM_FRAMES, RATE = 4, 300, 30
GOAL = 50.0  # a fit of one fold is this many times longer: 2%


DEFAULT_EPOCHS: int = FitConfig().optim.epochs


def recordings(folder: Path, config: FitConfig) -> tuple[RatedRecording, ...]:
    """Write entries of noise, half of them of the lower class, and one to evaluate."""
    draw, found = np.random.default_rng(0), []
    shape = (NUM_FRAMES, config.decode.height, config.decode.width, 3)
    for number in range(NUM_CLIPS + 1):
        path = folder / f"R{number}.arrow"
        with EntryWriter(path, StoreConfig()) as out:
            for step, item in enumerate(draw.integers(0, 256, shape, np.uint8)):
                out.append(step / RATE, item)
        stored, target = {"rgb": path}, number % 2
        name = f"R{number}"
        found.append(RatedRecording(name, name, "gait", target, target, video=None, stored=stored))
    return tuple(found)


def compare(entries: Sequence[Entry]) -> None:
    """Compare all items with the digests in their files."""
    for entry in entries:
        entry.verify()


def main() -> int:
    """Print one line per file of settings; return 1 if a comparison takes more than 2%."""
    torch.set_num_threads(1)
    missed = False
    for space in ("demo", "tsa"):
        tree = read_tree(FitConfig, ["--config", str(SPACES / f"{space}.yaml")])
        sections = {name: tree[name] for name in FitConfig.model_fields if name in tree}
        sections.setdefault("optim", {})
        num_epochs = int(sections["optim"].get("epochs", DEFAULT_EPOCHS))
        sections["optim"] = {**sections["optim"], "epochs": 3}
        config = build(FitConfig, sections)
        with tempfile.TemporaryDirectory() as folder:
            clips = recordings(Path(folder), config)
            entries = [Entry((one.stored or {})["rgb"]) for one in clips]
            (mine,) = best([partial(compare, entries)], rounds=3)
            epoch = epoch_seconds(clips, config, num_classes=2) / NUM_CLIPS
            what = f"{space}.yaml, {config.decode.height}x{config.decode.width}, per recording"
            row = Row(what, mine / len(clips), epoch * num_epochs, f"{num_epochs} epochs", GOAL)
        print(row.told())
        missed |= row.rival / row.ours < row.goal
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
