"""Fills the frame store: makes the entries of every recording once, on the whole cluster."""

import json
import pickle
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import ray.data

from pdray.atomic import write_text
from pdray.data.cohort.csv_table import table_text
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rated import StoredRecording
from pdray.data.media.findings import Findings
from pdray.data.modalities import MODALITIES, PICTURES, SOUND, TRACKS, Modality
from pdray.data.store.entry import Entry
from pdray.data.store.extract import available, sources
from pdray.data.store.frame_store import FrameStore, findings_of
from pdray.errors import DecodeError, StoreError
from pdray.nodes import DECODE, place, role_if_known, telling_of_no_node
from pdray.remote import answer, naming_lost_process, raise_fault

# A task takes a while to start, so it gets several small recordings. A large one is its own task,
# so that progress is visible and no node ends with all the rest.
_TASK_BYTES = 16 << 20
_MOST_PER_TASK = 8
_VARYING = 1.5  # longest interval divided by the median one
_DIFFERENT = 1.1  # highest rate divided by the lowest


@dataclass(frozen=True)
class Prepared:
    """A recording in the store.

    Attributes:
        stored: Paths of its entries.
        num_bytes: Size of its entries [byte].
        seconds: Length of its pictures, else of its tracks, else of its sound [s].
        rate: Frames per second of its pictures, else of its tracks [Hz]; 0 for a single frame and
            for sound alone.
        is_varying: Whether the time between frames varies, as in many phone videos.
        lacks: Optional modalities that it does not have.
    """

    stored: StoredRecording
    num_bytes: int
    seconds: float
    rate: float
    is_varying: bool
    lacks: tuple[Modality, ...] = ()
    findings: Findings | None = None

    @property
    def has_pictures(self) -> bool:
        """Whether pictures of it were decoded."""
        return any(modality in PICTURES for modality in self.stored.paths)


def prepare_store(
    recordings: Sequence[Recording],
    store: FrameStore,
    modalities: Sequence[Modality],
    *,
    progress: Callable[[int, int], None],
    needed: Collection[Modality] | None = None,
    keeps: bool = True,
) -> tuple[dict[str, Prepared], dict[str, str]]:
    """Add every recording to the store; of a known one, files and entries are compared.

    Args:
        recordings: Rows with the files that the needed modalities are made from.
        store: Store in a folder that all nodes share.
        modalities: Modalities to make, at least one.
        progress: Called with (done, all) after each recording.
        needed: Modalities that every recording must have; the others are made if a row names their
            files. None: all are needed.
        keeps: Whether entries are kept. If not, each video is decoded once and only what was found
            is kept, so that unreadable recordings are known before the first trial.

    Returns:
        The prepared recordings by id, and the reasons by id of those that cannot be read.

    Raises:
        StoreError: If the store cannot be written.
        ClusterError: If a worker process is lost, for example if a decoder crashes.
        SettingsError: If a library that a modality needs is not installed.
    """
    # Each row carries its recording, so that a task does not unpickle the whole cohort.
    rows = [
        {"position": position, "recording": pickle.dumps(recording)}
        for position, recording in enumerate(recordings)
    ]
    wanted = tuple(modalities)
    must = frozenset(wanted if needed is None else needed)

    def add(carried: dict[str, Any]) -> dict[str, Any]:
        recording = pickle.loads(carried["recording"])
        told = (_add, recording, store, wanted, must) if keeps else (_inspect, recording, store)
        facts, fault = answer(*told)
        return {"position": carried["position"], "facts": json.dumps(facts), "fault": fault}

    num_tasks = -(-len(rows) // _per_task(recordings, modalities))
    quiet_context()
    _make_folder(store)
    done = ray.data.from_items(rows, override_num_blocks=num_tasks)
    prepared: dict[str, Prepared] = {}
    failures: dict[str, str] = {}
    for number, row in enumerate(_rows(done, add), start=1):
        name = recordings[row["position"]].recording_id
        try:
            raise_fault(row["fault"])
        except DecodeError as error:
            failures[name] = str(error)
        else:
            prepared[name] = _prepared(name, json.loads(row["facts"]))
        progress(number, len(rows))
    return prepared, failures


def _make_folder(store: FrameStore) -> None:
    # By this process, whose rights are those of output_mode: no worker of a cluster that was joined
    # makes the folder that keeps others out.
    with suppress(OSError):  # a task says it, with the recording
        store.root.mkdir(parents=True, exist_ok=True)


def quiet_context() -> None:
    """Let the executions of Ray Data that follow print no bars, and take as long as they need."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # Optical flow of a long recording takes hours, which is not a stall.
    context.execution_no_progress_timeout_s = -1


def _rows(dataset: Any, add: Callable[[dict[str, Any]], Any]) -> Iterator[dict[str, Any]]:
    """Yield what is added, by tasks on nodes that are meant for decoding if there are any."""
    role = role_if_known(DECODE)
    stays = "finished recordings stay in the store; run the command again to continue"
    lost = naming_lost_process("a process that prepares recordings", stays)
    with lost, telling_of_no_node(role, cpus=1):
        yield from dataset.map(add, num_cpus=1, resources=place(role)).iter_rows()


def _add(
    recording: Recording,
    store: FrameStore,
    wanted: Sequence[Modality],
    needed: Collection[Modality],
) -> dict[str, Any]:
    """Add a recording to the store and return facts about it."""
    limit = store.recipe.limits.max_pixels
    present = available(recording, wanted, needed, max_pixels=limit)
    if not present:
        raise DecodeError(
            f"recording {recording.recording_id}: has none of {', '.join(wanted)}; add a file for "
            "one of them to the manifest, or remove the row"
        )
    lacks = [modality for modality in wanted if modality not in present]
    return {**_facts(store.add(recording, present)), "lacks": lacks}


def _inspect(recording: Recording, store: FrameStore) -> dict[str, Any]:
    """Decode a recording's video without keeping it and return what is known of it."""
    entry = store.inspect(recording)
    unknown = {"num_bytes": 0, "seconds": 0.0, "rate": 0.0, "is_varying": False, "lacks": ()}
    return {**unknown, **_kept(entry)}


def _kept(entry: StoredRecording) -> dict[str, Any]:
    """Return where entries are and what decoding their pictures found."""
    made = {one: findings_of(path) for one, path in entry.paths.items() if one in PICTURES}
    found = next(iter(made.values()), None)
    for modality, findings in made.items():
        if MODALITIES[modality].placed_by and found and findings:
            found = replace(found, unaligned=findings.unaligned)
    return {
        "paths": {modality: str(path) for modality, path in entry.paths.items()},
        "mended": entry.mended,
        "findings": found and found.plain(),
    }


def _facts(entry: StoredRecording) -> dict[str, Any]:
    first = next(m for m in (*PICTURES, *TRACKS, *SOUND, *entry.paths) if m in entry.paths)
    is_seen = first in (*PICTURES, *TRACKS)
    kept, times = _kept(entry), Entry(entry.paths[first]).seconds
    if MODALITIES[first].placed_by and kept["findings"]:
        # Frames without a portrait are frames of the recording, which does not pause there.
        times = np.sort(np.concatenate([times, *kept["findings"]["unaligned"].values()]))
    steps = np.diff(times)
    step = float(np.median(steps)) if len(steps) else 0.0
    return {
        **kept,
        "num_bytes": sum(path.stat().st_size for path in entry.paths.values()),
        "seconds": float(times[-1] - times[0]) + step,
        "rate": 1 / step if step and is_seen else 0.0,
        "is_varying": bool(is_seen and len(steps) and steps.max() > _VARYING * step),
    }


def _prepared(name: str, facts: dict[str, Any]) -> Prepared:
    paths = {modality: Path(path) for modality, path in facts.pop("paths").items()}
    lacks, found = tuple(facts.pop("lacks")), facts.pop("findings")
    return Prepared(
        stored=StoredRecording(name, paths, tuple(facts.pop("mended"))),
        lacks=lacks,
        findings=None if found is None else Findings.of(found),
        **facts,
    )


def _per_task(recordings: Sequence[Recording], modalities: Sequence[Modality]) -> int:
    if any(MODALITIES[modality].is_slow for modality in modalities):
        return 1
    sizes = []
    for recording in recordings:
        try:
            sizes.append(sum(file.stat().st_size for file in sources(recording, modalities[0])))
        except (DecodeError, OSError):
            continue  # the task reports which one and why
    mean = sum(sizes) / len(sizes) if sizes else 1.0
    return max(1, min(_MOST_PER_TASK, int(_TASK_BYTES / max(mean, 1.0))))


def rate_notes(prepared: Mapping[str, Prepared]) -> list[str]:
    """Return notes about frame rates that differ or vary, one sentence each."""
    rates = sorted({round(one.rate, 1) for one in prepared.values() if one.rate})
    varying = sorted(name for name, one in prepared.items() if one.is_varying)
    notes = []
    if len(rates) > 1 and rates[-1] > _DIFFERENT * rates[0]:
        notes.append(
            f"frame rates differ ({rates[0]:g} to {rates[-1]:g} per second). Set "
            f"decode.frame_rate={rates[0]:g} to resample all recordings."
        )
    if varying:
        notes.append(
            f"the frame rate varies within {len(varying)} recordings ({', '.join(varying[:5])}"
            f"{', ...' if len(varying) > 5 else ''}). Set decode.frame_rate to make it constant."
        )
    return notes


def lack_notes(prepared: Mapping[str, Prepared]) -> list[str]:
    """Return notes about recordings that lack a modality, one sentence per modality."""
    lacking: dict[str, list[str]] = {}
    for name, one in sorted(prepared.items()):
        for modality in one.lacks:
            lacking.setdefault(modality, []).append(name)
    return [
        f"{len(names)} of {len(prepared)} recordings have no {modality} and are used without it: "
        f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
        for modality, names in lacking.items()
    ]


def mended_notes(prepared: Mapping[str, Prepared]) -> list[str]:
    """Return a note about entries that had changed on disk, one sentence, if there are any."""
    names = sorted(name for name, one in prepared.items() if one.stored.mended)
    told = f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
    return [
        f"the stored frames of {len(names)} of {len(prepared)} recordings had changed on disk and "
        f"were made again: {told}. Check this disk"
    ] * bool(names)


def check_failures(failures: dict[str, str], table: Path, *, allowed: int) -> None:
    """Write a table of recordings that cannot be read; stop if there are too many.

    Args:
        failures: Reason by recording id.
        table: CSV file to write; an old one is removed if there is no failure.
        allowed: Number of recordings that may be left out.

    Raises:
        DecodeError: If there are more; names them, the table and the setting.
        StoreError: If the table cannot be written.
    """
    if not failures:
        table.unlink(missing_ok=True)
        return
    columns = ("recording_id", "reason")
    text = table_text(
        columns, (dict(zip(columns, one, strict=True)) for one in sorted(failures.items()))
    )
    shown = "\n".join(f"  - {reason}" for _, reason in sorted(failures.items())[:10])
    try:
        write_text(table, text)
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(
            f"{table} cannot be written: {reason}; allow writing there and run again. Recordings "
            f"that cannot be read:\n{shown}"
        ) from error
    if len(failures) > allowed:
        more = f"\n  and {len(failures) - 10} more" if len(failures) > 10 else ""
        raise DecodeError(
            f"{len(failures)} recordings cannot be read (allowed: {allowed}); all are listed in "
            f"{table}:\n{shown}{more}\nRepair or remove them, or set "
            f"data.max_decode_failures={len(failures)} to leave them out"
        )
