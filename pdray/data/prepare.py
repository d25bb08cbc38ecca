"""Decode every recording of a study once into the frame store, over the whole cluster."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray.data

from pdray.atomic import write_text
from pdray.data.decode import DecodeConfig
from pdray.data.manifest import Recording
from pdray.data.store import FrameStore, StoredRecording
from pdray.errors import DecodeError, StoreError

_RECORDINGS_PER_TASK = 8


def prepare_store(
    recordings: Sequence[Recording],
    root: Path,
    config: DecodeConfig,
    *,
    progress: Callable[[int, int], None],
) -> tuple[dict[str, StoredRecording], dict[str, str]]:
    """Bring every recording into the store; those already there cost one look.

    Args:
        recordings: Rows with a video.
        root: Folder of the store, shared by all nodes.
        config: Decode settings.
        progress: Called with (done, all) as recordings arrive.

    Returns:
        Entries by recording id, and the reason by recording id of each that cannot be read.

    Raises:
        StoreError: If the store cannot be written.
    """
    rows = [{"position": position} for position in range(len(recordings))]
    shared = ray.put((tuple(recordings), FrameStore(root, config)))

    def add(row: dict[str, Any]) -> dict[str, Any]:
        recordings, store = ray.get(shared)
        recording = recordings[row["position"]]
        try:
            entry = store.add(recording)
        except (DecodeError, StoreError) as error:
            stops = isinstance(error, StoreError)
            return {**row, "path": "", "num_frames": 0, "reason": str(error), "stops": stops}
        found = {"path": str(entry.path), "num_frames": entry.num_frames}
        return {**row, **found, "reason": "", "stops": False}

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    num_tasks = -(-len(rows) // _RECORDINGS_PER_TASK)
    done = ray.data.from_items(rows, override_num_blocks=num_tasks).map(add, num_cpus=1)
    entries: dict[str, StoredRecording] = {}
    failures: dict[str, str] = {}
    for number, row in enumerate(done.iter_rows(), start=1):
        name = recordings[row["position"]].recording_id
        if row["stops"]:
            # Raised in the task, Ray would put its own words and type in place of the error's.
            raise StoreError(row["reason"])
        if row["reason"]:
            failures[name] = row["reason"]
        else:
            entries[name] = StoredRecording(name, Path(row["path"]), row["num_frames"])
        progress(number, len(rows))
    return entries, failures


def check_failures(failures: dict[str, str], table: Path, *, allowed: int) -> None:
    """Write the recordings that cannot be read to a table; stop when there are too many.

    Args:
        failures: Reason by recording id.
        table: CSV file to write; an old one is removed when there is no failure.
        allowed: How many may be left out.

    Raises:
        DecodeError: If there are more; names them, the table and the setting.
    """
    if not failures:
        table.unlink(missing_ok=True)
        return
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("recording_id", "reason"))
    rows.writerows(sorted(failures.items()))
    write_text(table, text.getvalue())
    if len(failures) > allowed:
        shown = "\n".join(f"  - {reason}" for _, reason in sorted(failures.items())[:10])
        more = f"\n  and {len(failures) - 10} more" if len(failures) > 10 else ""
        raise DecodeError(
            f"{len(failures)} recordings cannot be read, {allowed} are allowed; listed in "
            f"{table}:\n{shown}{more}\nMend or remove them, or set "
            f"data.max_decode_failures={len(failures)} to leave them out"
        )
