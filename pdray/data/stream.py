"""A fit's batches as one stream: planned, read, decoded if need be, in order, never mixed.

Two readers stand behind one interface. ``local`` reads in the worker's own process with one
batch in advance: the fast path of a single worker on a readable frame store. ``ray`` is one Ray
Data execution over all folds and epochs of a fit: pixels travel through it, so recordings can be
read or decoded on other nodes than the one that trains.
"""

import pickle
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pdray.data.plan import PlannedBatch
from pdray.data.reader import Batch, Frames, SnippetReader, read_locally
from pdray.data.snippet import snippet_shape
from pdray.errors import PdrayError

_BLOCK_BYTES = 32 << 20
_STREAM_BYTES = 256 << 20
_DECODED_PER_BLOCK = 8


def open_stream(
    plan: Sequence[PlannedBatch],
    reader: SnippetReader,
    *,
    kind: Literal["local", "ray"],
    cpus_per_task: float,
) -> AbstractContextManager[Generator[Batch]]:
    """Start reading a plan.

    Args:
        plan: The batches, in the order they are wanted.
        reader: Reads one recording's snippets.
        kind: ``local`` or ``ray``.
        cpus_per_task: CPUs that a task of the ``ray`` kind reserves.

    Returns:
        A context manager of the iterator; leaving it stops everything that reads in advance.
    """
    return closing(
        read_locally(plan, reader)
        if kind == "local"
        else _read_through_ray(plan, reader, cpus_per_task)
    )


def _read_through_ray(
    plan: Sequence[PlannedBatch], reader: SnippetReader, cpus_per_task: float
) -> Generator[Batch]:
    """Read with one Ray Data execution; a row is one recording of one batch."""
    rows = [
        (number, at) for number, planned in enumerate(plan) for at in range(len(planned.recordings))
    ]
    blocks = _ray_blocks(plan, rows, reader, cpus_per_task)
    number, due = 0, 0
    waiting: list[Frames] = []
    try:
        for block in blocks:
            if fault := block["fault"][0]:
                raise pickle.loads(fault)
            for row, frames in zip(block["row"], block["frames"], strict=True):
                if row != due:  # else a recording would get another one's class
                    raise RuntimeError(f"Ray Data gave row {row} while {due} is due")
                due += 1
                waiting.append(frames)
                if len(waiting) == len(plan[number].recordings):
                    yield reader.batch(plan[number], np.stack(waiting))
                    waiting = []
                    number += 1
    finally:
        # Closing the block generator shuts its executor down; without it tasks run on.
        blocks.close()
    if number != len(plan):
        raise RuntimeError(f"Ray Data ended after {number} of {len(plan)} batches")


def _ray_blocks(
    plan: Sequence[PlannedBatch],
    rows: Sequence[tuple[int, int]],
    reader: SnippetReader,
    cpus_per_task: float,
) -> Any:
    import ray.data
    from ray.data import ExecutionResources

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # Without it blocks arrive as they finish and epochs mix.
    context.execution_options.preserve_order = True
    # Bounds what waits in the object store, however slow the consumer is.
    context.execution_options.resource_limits = ExecutionResources.for_limits(
        object_store_memory=_STREAM_BYTES
    )
    rows_per_block = max(1, min(_BLOCK_BYTES // reader.snippet_bytes(), len(rows)))
    if any(recording.stored is None for recording in reader.recordings):
        # Decoding takes far longer than reading: a block must not make the first batch wait.
        rows_per_block = min(rows_per_block, _DECODED_PER_BLOCK)
    shared = ray.put((tuple(plan), tuple(rows), reader))

    def read(block: dict[str, NDArray[np.int64]]) -> dict[str, Any]:
        plan, rows, reader = ray.get(shared)
        wanted = [rows[i] for i in block["id"]]
        fault = b""
        try:
            frames = np.stack([reader.read(plan[number], at) for number, at in wanted])
        except PdrayError as error:
            # Raised here, Ray would put its own words and type in place of the error's.
            fault = pickle.dumps(error)
            size = (reader.decode.height, reader.decode.width, 3)
            frames = np.zeros((len(wanted), *snippet_shape(reader.snippet), *size), np.uint8)
        return {
            "row": block["id"],
            "frames": frames,
            "fault": np.full(len(wanted), fault, object),
        }

    # Items are blocks at once; ray.data.range would make them in tasks of one whole CPU each.
    ids = [{"id": row} for row in range(len(rows))]
    stream = ray.data.from_items(ids, override_num_blocks=-(-len(rows) // rows_per_block))
    stream = stream.map_batches(read, batch_size=None, num_cpus=cpus_per_task)
    return iter_blocks(stream)


def iter_blocks(stream: Any) -> Iterator[dict[str, Any]]:
    """Yield the blocks of a Ray dataset as they come; closing it stops the execution."""
    yield from stream.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=1)
