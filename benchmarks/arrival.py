"""Measures whole batches from the store to the network: the last section of ``input.py``."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import ray
import ray.data
import torch

from benchmarks.clips import CLIPS, draw
from benchmarks.compare import Row, best
from benchmarks.rivals import default_ray_batches, loader
from pdray.data.batches.plan import PlannedBatch, Schedule, plan_batches
from pdray.data.batches.reader import SnippetReader
from pdray.data.batches.settings import SnippetConfig, StreamConfig
from pdray.data.batches.stream import open_stream
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.data.media.decode import decode
from pdray.data.media.settings import DecodeConfig
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe

NETWORK = DecodeConfig(height=224, width=224)
FRAMES, BATCH = 32, 8


def stored_cohort(folder: Path, count: int) -> tuple[RatedRecording, ...]:
    """Return many recordings that share one entry of 300 frames of 224x224."""
    video = draw(CLIPS[0], folder)
    recipe = Recipe(decode=NETWORK)
    recording = Recording(recording_id="r", subject_id="S", item="gait", video=video)
    paths = FrameStore(folder / "store", recipe).add(recording).paths
    return tuple(
        RatedRecording(
            recording_id=f"R{number}",
            subject_id=f"S{number}",
            item="gait",
            grade=0,
            target=0,
            video=video,
            stored=paths,
        )
        for number in range(count)
    )


def whole_plan(count: int, epochs: int) -> list[PlannedBatch]:
    """Return training batches of eight; the last eight recordings are for evaluation."""
    sides = FoldSides(training=tuple(range(count - BATCH)), evaluation=tuple(range(count))[-BATCH:])
    return plan_batches([sides], Schedule(seed=0, batch_size=BATCH, epochs=epochs))


def start_ray() -> None:
    """Start a local Ray with two CPUs and 1 GB for objects, without its messages."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        address="local",
        num_cpus=2,
        object_store_memory=1 << 30,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def stream(folder: Path) -> list[Row]:
    """Compare the wall time of whole batches, with the same number of workers."""
    start_ray()
    torch.set_num_threads(1)
    recordings = stored_cohort(folder, 160)
    reader = SnippetReader(recordings, SnippetConfig(num_frames=FRAMES), NETWORK, seed=0)
    plan = whole_plan(len(recordings), epochs=1)
    path = recordings[0].stored["rgb"] if recordings[0].stored else folder
    indices = np.arange(0, 300, 300 / FRAMES).astype(np.int64)
    snippets = [(path, indices)] * len(recordings)

    def ours(kind: str) -> None:
        config = StreamConfig(threads=2, cpus_per_task=1.0)
        with open_stream(plan, reader, config, kind=kind) as batches:  # type: ignore[arg-type]
            assert sum(len(batch.frames) for batch in batches) == len(recordings)

    def theirs() -> None:
        batches = loader(snippets, batch_size=BATCH, num_workers=2)
        assert sum(len(batch) for batch in batches) == len(recordings)

    local, ray_, torch_ = best(
        [lambda: ours("local"), lambda: ours("ray"), theirs], rounds=3, clock=time.perf_counter
    )
    rows = [
        Row(
            "stream, local, 20 batches of 8, wall", local, torch_, "DataLoader, 2 workers", 1 / 1.1
        ),
        Row("stream, ray, 20 batches of 8, wall", ray_, torch_, "DataLoader, 2 workers", 0),
        *_epochs(recordings),
        _first_attempt(folder),
    ]
    ray.shutdown()
    return rows


def _epochs(recordings: Sequence[RatedRecording]) -> list[Row]:
    """Return the fixed cost of an epoch: many short epochs against few."""
    tiny = SnippetReader(
        tuple(recordings[: 2 * BATCH]), SnippetConfig(num_frames=1), NETWORK, seed=0
    )
    rows = []
    for kind in ("local", "ray"):
        config = StreamConfig(threads=2, cpus_per_task=1.0)

        def read(epochs: int, kind: str = kind, config: StreamConfig = config) -> None:
            plan = whole_plan(2 * BATCH, epochs)
            with open_stream(plan, tiny, config, kind=kind) as batches:  # type: ignore[arg-type]
                for _ in batches:
                    pass

        few, many = best([lambda: read(2), lambda: read(102)], rounds=2, clock=time.perf_counter)
        rows.append(
            Row(f"fixed cost per epoch, {kind}, wall", (many - few) / 100, 0.08, "80 ms", 1)
        )
    return rows


def _first_attempt(folder: Path) -> Row:
    """Compare with Ray Data's default blocks and a decoder in ``map``, from the same files."""
    video = draw(CLIPS[1], folder)
    wanted = np.arange(0, 300, 300 / FRAMES).astype(np.int64)
    rated = stored_cohort(folder, 24)
    reader = SnippetReader(rated, SnippetConfig(num_frames=FRAMES), NETWORK, seed=0)
    config = StreamConfig(threads=2, cpus_per_task=1.0)

    def ours() -> None:
        with open_stream(whole_plan(len(rated), 1), reader, config, kind="ray") as batches:
            assert sum(len(batch.frames) for batch in batches) == len(rated)

    def theirs() -> None:
        rows = [{"number": number} for number in range(len(rated))]
        batches = default_ray_batches(rows, lambda _: decode(video, NETWORK).frames[wanted])
        assert sum(len(batch) for batch in batches) == len(rated)

    mine, others = best([ours, theirs], rounds=2, clock=time.perf_counter)
    return Row("stream, ray, 24 snippets of 1080p, wall", mine, others, "ray.data, map(decode)", 5)


def memory(folder: Path) -> list[Row]:
    """Measure the memory of a worker's input, in its own process."""
    rows = []
    for kind in ("local", "ray"):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.held", str(folder), kind],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        held, planned = map(float, done.stdout.split())
        what = f"memory of a worker's input, {kind}, 10,000 rows"
        rows.append(Row(what, held, 1.5, "1.5 GB", 1, "GB"))
        if kind == "local":
            rows.append(Row("plan of 10,000 rows, 5 folds, 60 epochs", planned, 2, "2 s", 1))
    return rows
