"""Fills or checks the frame store of a whole manifest, before a study needs it."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pdray.cluster import check_shared, joined_cluster
from pdray.command import Say
from pdray.config import part, require_writable
from pdray.data.cohort.manifest import Manifest, Recording, open_manifest, select
from pdray.data.cohort.unable import unable_notes
from pdray.data.modalities import PICTURES, SOUND, TRACKS, in_order, needed_fields
from pdray.data.store.forecast import Forecast, check_room, forecast
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.notes import picture_notes
from pdray.data.store.prepare import (
    Prepared,
    check_failures,
    mended_notes,
    prepare_store,
    rate_notes,
)
from pdray.data.store.settings import Recipe, picture_sizes
from pdray.errors import StoreError, refuse
from pdray.search.settings import PrepareConfig


@dataclass(frozen=True)
class Preparation:
    """A manifest's recordings and the store they belong in.

    Attributes:
        config: The job's settings.
        store: On ``<output>/store``.
        recordings: Recordings that have the files which the modalities need.
        notes: What was left out; one sentence per reason.
        manifest: The manifest that they come from.
    """

    config: PrepareConfig
    store: FrameStore
    recordings: tuple[Recording, ...]
    notes: tuple[str, ...]
    manifest: Manifest


def plan_preparation(config: PrepareConfig) -> Preparation:
    """Read the manifest and choose the recordings that have the files for all modalities.

    Raises:
        ManifestError: If the manifest has a fault, or no recording has these files.
    """
    wanted = [one for one in in_order(config.modalities) if one not in SOUND]
    needs = ["video"] if set(wanted) & set(TRACKS) else []
    needs = list(dict.fromkeys([*needs, *needed_fields(wanted)]))
    manifest = open_manifest(config.data, output=config.output)
    recordings, lacking = select(manifest, items=config.data.items, needs=needs)
    notes = tuple(
        f"{len(ids)} recordings without {fact} are left out: {', '.join(ids[:5])}"
        f"{', ...' if len(ids) > 5 else ''}"
        for fact, ids in lacking.items()
        if ids
    )
    unable = unable_notes(manifest.recordings, config.data.items)
    store = FrameStore(config.output / "store", part(config, Recipe))
    return Preparation(config, store, recordings, (*notes, *manifest.notes, *unable), manifest)


def run_preparation(
    preparation: Preparation, *, say: Say, progress: Callable[[int, int], None]
) -> str:
    """Make every missing entry; a second run continues where the first stopped.

    Args:
        preparation: From :func:`plan_preparation`.
        say: Prints a line.
        progress: Called with (done, all) after each recording.

    Returns:
        A summary of the store.

    Raises:
        SettingsError: If the output cannot be written.
        StoreError: If the disk is too small or full.
        DecodeError: If more recordings than allowed cannot be read.
        ClusterError: If the cluster cannot be reached, or a node cannot read the store.
    """
    config, store = preparation.config, preparation.store
    require_writable(store.root, key="output")
    expected = forecast(preparation.recordings, store, config.modalities)
    say(_announce(preparation, expected))
    check_room(expected, store.root)
    store.sweep()
    preparation.manifest.keep_digests()
    with joined_cluster(config.address):
        check_shared([config.output])
        prepared, failures = prepare_store(
            preparation.recordings, store, config.modalities, progress=progress
        )
    notes = picture_notes(prepared, preparation.recordings, config.decode)
    for note in [*mended_notes(prepared), *rate_notes(prepared), *notes]:
        say(f"note       {note}")
    table = config.output / "decode_failures.csv"
    summary = _summary(prepared, failures, table)
    if len(failures) > config.data.max_decode_failures:
        say(summary)
    check_failures(failures, table, allowed=config.data.max_decode_failures)
    return summary


def verify_preparation(preparation: Preparation, *, progress: Callable[[int, int], None]) -> str:
    """Compare every source file and every entry with the digests taken when it was made.

    Returns:
        One sentence, if nothing differs.

    Raises:
        StoreError: Lists all faults, each with the recording and what to do.
    """
    faults: list[str] = []
    total = len(preparation.recordings)
    failed = _known_failures(preparation)
    for number, recording in enumerate(preparation.recordings, start=1):
        if recording.recording_id not in failed:
            faults += preparation.store.verify(recording, preparation.config.modalities)
        progress(number, total)
    refuse(faults, StoreError, f"the frame store {preparation.store.root}")
    told = f"verified   {total - len(failed)} recordings: files and store entries are unchanged"
    return f"{told}; {len(failed)} could not be read when prepared" if failed else told


def _known_failures(preparation: Preparation) -> set[str]:
    """Return the recordings that a preparation was allowed to leave out."""
    config = preparation.config
    table = config.output / "decode_failures.csv"
    if not table.exists():
        return set()
    with table.open(newline="", encoding="utf-8") as file:
        listed = {row["recording_id"] for row in csv.DictReader(file)}
    known = {
        one.recording_id
        for one in preparation.recordings
        if one.recording_id in listed and not preparation.store.is_known(one, config.modalities)
    }
    return known if len(known) <= config.data.max_decode_failures else set()


def _announce(preparation: Preparation, expected: Forecast) -> str:
    config = preparation.config
    size = f"about {expected.num_bytes / 1e9:.2f} GB ({config.store.codec})"
    effort = f"about {max(1.0, expected.cpu_seconds / 60):.0f} CPU minutes"
    lines = [
        f"recordings {expected.num_recordings}, about {expected.seconds / 3600:.2f} hours",
        f"to make    {picture_sizes(config.modalities, config.decode, config.portraits)}: "
        f"{expected.num_missing} recordings"
        + (f", {size}, {effort}" if expected.num_missing else "; all are in the store")
        + ("" if set(config.modalities) <= set(PICTURES) else "; sound and tracks come on top"),
        f"store      {preparation.store.root}",
    ]
    return "\n".join([*lines, *(f"note       {note}" for note in preparation.notes)])


def _summary(prepared: dict[str, Prepared], failures: dict[str, str], table: Path) -> str:
    hours = sum(one.seconds for one in prepared.values()) / 3600
    # Recordings with the same content and span share one entry.
    sizes = {tuple(one.stored.paths.values()): one.num_bytes for one in prepared.values()}
    num_bytes = sum(sizes.values())
    text = f"in store   {len(prepared)} recordings, {hours:.2f} hours, {num_bytes / 1e9:.3f} GB"
    return f"{text}; {len(failures)} cannot be read, see {table}" if failures else text
