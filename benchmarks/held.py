"""Measures the memory of a worker's input while it reads a cohort of 10,000 recordings.

    python -m benchmarks.held FOLDER local|ray

Prints the peak of private memory minus that of the imports [GB], and the time of planning [s]; a
part of ``input.py``. Batches of 8 x 32 x 224 x 224 are dropped as they arrive.
"""

import sys
import threading
import time
from itertools import islice
from pathlib import Path

import psutil

from benchmarks.arrival import NETWORK, start_ray, stored_cohort
from pdray.data.batches.plan import Schedule, plan_batches
from pdray.data.batches.reader import SnippetReader
from pdray.data.batches.settings import SnippetConfig, StreamConfig
from pdray.data.batches.stream import open_stream
from pdray.data.cohort.rated import FoldSides

COUNT, BATCHES = 10_000, 40


def main(folder: Path, kind: str) -> None:
    """Plan, read and print."""
    process = psutil.Process()
    if kind == "ray":
        start_ray()
    before = process.memory_full_info().uss
    peak = before
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, process.memory_full_info().uss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    recordings = stored_cohort(folder, COUNT)
    everyone = range(COUNT)
    sides = [
        FoldSides(
            training=tuple(i for i in everyone if i % 5 != fold),
            evaluation=tuple(i for i in everyone if i % 5 == fold),
        )
        for fold in range(5)
    ]
    started = time.perf_counter()
    plan = plan_batches(sides, Schedule(seed=0, batch_size=8, epochs=60))
    planned = time.perf_counter() - started
    reader = SnippetReader(recordings, SnippetConfig(num_frames=32), NETWORK, seed=0)
    config = StreamConfig(threads=2, cpus_per_task=1.0)
    with open_stream(plan, reader, config, kind=kind) as batches:  # type: ignore[arg-type]
        num_read = sum(1 for _ in islice(batches, BATCHES))
    assert num_read == BATCHES
    done.set()
    watcher.join()
    print((peak - before) / 1e9, planned)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
