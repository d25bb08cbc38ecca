"""Stream of a fit's batches: read or decoded in the planned order.

There are two readers. ``local`` reads in the worker's own process, one batch in advance; it is
fastest for a single worker that can read the frame store. ``ray`` reads through Ray Data, so that
other nodes can read or decode the recordings. One execution of Ray Data covers many folds and
epochs; a fit with very many blocks has a few of them.
"""

import pickle
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from functools import lru_cache, partial
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch

from pdray.data.batches.plan import PlannedBatch
from pdray.data.batches.reader import Batch, SnippetReader, read_locally
from pdray.data.batches.settings import StreamConfig
from pdray.data.batches.snippet import snippet_shape
from pdray.data.modalities import Modality
from pdray.errors import StreamError
from pdray.remote import answer, raise_fault

_BLOCK_BYTES = 32 << 20
_STREAM_BYTES = 256 << 20
_DECODED_PER_BLOCK = 8
# Registering a block takes a millisecond, and the first batch waits for all of an execution.
_BLOCKS_PER_EXECUTION = 1024
_CPU = torch.device("cpu")


def open_stream(
    plan: Sequence[PlannedBatch],
    reader: SnippetReader,
    config: StreamConfig,
    *,
    kind: Literal["local", "ray"],
    device: torch.device = _CPU,
) -> AbstractContextManager[Generator[Batch]]:
    """Start reading a plan.

    Args:
        plan: The batches in order.
        reader: Reader of one recording's snippets.
        config: Threads, tasks and longest wait.
        kind: ``local`` or ``ray``.
        device: Device of the batches; a batch is copied to a GPU while it computes on the one
            before.

    Returns:
        A context manager of the iterator; leaving it stops all reading in advance.
    """
    pin = device.type == "cuda"
    if kind == "local":
        batches = read_locally(
            plan, reader, threads=config.threads, stall_seconds=config.stall_seconds, pin=pin
        )
    else:
        batches = _read_through_ray(plan, reader, config, pin)
    return closing(_on_gpu(batches, device) if pin else batches)


def _on_gpu(batches: Generator[Batch], device: torch.device) -> Generator[Batch]:
    """Copy each batch on a separate CUDA stream, one batch ahead of the computation."""
    copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    ahead: Batch | None = None
    with closing(batches):
        for batch in batches:
            with torch.cuda.stream(copying):
                moved = _moved(batch, device)
            if ahead is not None:
                yield ahead
            # Waits for this copy, not for later ones.
            torch.cuda.current_stream(device).wait_stream(copying)
            for values in (*moved.inputs.values(), moved.target):
                values.record_stream(torch.cuda.current_stream(device))
            ahead = moved
        if ahead is not None:
            yield ahead


def _moved(batch: Batch, device: torch.device) -> Batch:
    inputs = {
        modality: values.to(device, non_blocking=True) for modality, values in batch.inputs.items()
    }
    target = batch.target.to(device, non_blocking=True)
    return replace(batch, inputs=inputs, target=target)


def _read_through_ray(
    plan: Sequence[PlannedBatch], reader: SnippetReader, config: StreamConfig, pin: bool
) -> Generator[Batch]:
    """Read with Ray Data; a row is one recording of one batch."""
    from ray.data.exceptions import ExecutionTimeoutError

    rows = _each_row(_ray_blocks(plan, reader, config))
    due = 0
    with closing(rows):
        for planned in plan:
            inputs = reader.allocate(planned, pin=pin)
            views = {modality: values.numpy() for modality, values in inputs.items()}
            for at in range(len(planned.recordings)):
                try:
                    row, read = next(rows, (-1, {}))
                except ExecutionTimeoutError as error:
                    raise StreamError(_waits_for(planned, at, reader, config)) from error
                if row != due:  # a recording would get the class of another one
                    raise RuntimeError(f"Ray Data gave row {row}, expected row {due}")
                due += 1
                for modality, values in views.items():
                    values[at] = read[modality]
            yield reader.batch(planned, inputs)


def _each_row(blocks: Generator[dict[str, Any]]) -> Generator[tuple[int, dict[str, Any]]]:
    # Closing the blocks stops their executor; otherwise its tasks would continue.
    with closing(blocks):
        for block in blocks:
            raise_fault(block["fault"][0])
            for place, row in enumerate(block["row"].tolist()):
                yield row, {name: values[place] for name, values in block.items()}


def _waits_for(planned: PlannedBatch, at: int, reader: SnippetReader, config: StreamConfig) -> str:
    import ray

    free = ray.available_resources().get("CPU", 0.0)
    names = [reader.recordings[index].recording_id for index in planned.recordings[at : at + 5]]
    return (
        f"no data for {config.stall_seconds:g} s: waiting for recordings {', '.join(names)}, read "
        f"by Ray Data tasks of {config.cpus_per_task:g} CPUs each; the cluster has {free:g} free "
        "CPUs. If none is free, lower search.max_concurrent_trials or stream.cpus_per_task; if "
        "reading or a training step takes that long, raise stream.stall_seconds"
    )


def _ray_blocks(
    plan: Sequence[PlannedBatch], reader: SnippetReader, config: StreamConfig
) -> Generator[dict[str, Any]]:
    """Yield blocks of rows in order; one execution covers many epochs."""
    import ray.data
    from ray.data import ExecutionResources

    from pdray.nodes import DECODE, place

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # A stalled stream ends with a message; Ray itself would wait half an hour.
    context.execution_no_progress_timeout_s = config.stall_seconds
    # Otherwise blocks arrive as they finish, and epochs would mix.
    context.execution_options.preserve_order = True
    # Limits the data that wait in the object store for a slow consumer.
    context.execution_options.resource_limits = ExecutionResources.for_limits(
        object_store_memory=_STREAM_BYTES
    )
    shared = ray.put(reader)
    pieces = _cut(plan, reader)
    has_role = ray.cluster_resources().get(DECODE)  # no node of that role: any node reads
    on_decode_nodes = place(DECODE if has_role else None)
    while items := list(islice(pieces, _BLOCKS_PER_EXECUTION)):
        # from_items makes blocks directly; ray.data.range would use tasks of one whole CPU each.
        stream = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            partial(_read_block, shared),
            batch_size=None,
            num_cpus=config.cpus_per_task,
            resources=on_decode_nodes,
            concurrency=config.tasks,
        )
        with closing(iter_blocks(stream)) as blocks:
            yield from blocks


def iter_blocks(stream: Any) -> Generator[dict[str, Any]]:
    """Yield the blocks of a Ray dataset as they come; closing it stops the execution."""
    yield from stream.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=1)


def _read_block(shared: Any, block: dict[str, Any]) -> dict[str, Any]:
    """Read the rows of one block, in a task of Ray Data."""
    reader = _reader(shared)
    rows: list[tuple[PlannedBatch, int]] = [
        (planned, at)
        for planned, first, end in pickle.loads(block["pieces"][0])
        for at in range(first, end)
    ]
    largest = replace(rows[0][0], recordings=(0,) * len(rows))
    columns = {modality: values.numpy() for modality, values in reader.allocate(largest).items()}
    _, fault = answer(_fill, columns, rows, reader)
    numbers = int(block["first"][0]) + np.arange(len(rows))
    faults = np.full(len(rows), fault, object)
    return {"row": numbers, "fault": faults} | {
        str(name): values for name, values in columns.items()
    }


def _fill(
    columns: dict[Modality, np.ndarray], rows: list[tuple[PlannedBatch, int]], reader: SnippetReader
) -> None:
    for place, (planned, at) in enumerate(rows):
        views = {modality: values[place] for modality, values in columns.items()}
        reader.read(planned, at, views)


@lru_cache(maxsize=1)
def _reader(shared: Any) -> SnippetReader:
    """Return a stream's reader, unpickled once per process instead of once per task."""
    import ray

    reader: SnippetReader = ray.get(shared)
    return reader


def _cut(plan: Sequence[PlannedBatch], reader: SnippetReader) -> Iterator[dict[str, Any]]:
    """Cut the rows of a plan into blocks of limited size, each with snippets of one shape.

    Yields:
        The number of the block's first row, and its pickled pieces: (batch, first, end) positions.
    """
    sides = (snippet_shape(reader.snippet, training=training) for training in (True, False))
    one_shape = len(set(sides)) == 1
    most = max(1, _BLOCK_BYTES // reader.snippet_bytes())
    if any(recording.stored is None for recording in reader.recordings):
        # Decoding takes far longer than reading; small blocks let the first batch arrive sooner.
        most = min(most, _DECODED_PER_BLOCK)
    first_row, held = 0, 0
    pieces: list[tuple[PlannedBatch, int, int]] = []

    def block() -> dict[str, Any]:
        return {"first": first_row, "pieces": pickle.dumps(pieces)}

    for planned in plan:
        if pieces and not one_shape and pieces[0][0].training != planned.training:
            yield block()
            first_row, held, pieces = first_row + held, 0, []
        at = 0
        while at < len(planned.recordings):
            end = min(len(planned.recordings), at + most - held)
            pieces.append((planned, at, end))
            held, at = held + end - at, end
            if held == most:
                yield block()
                first_row, held, pieces = first_row + held, 0, []
    if pieces:
        yield block()
