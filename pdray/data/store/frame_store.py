"""Frame store: each recording decoded once, so that any item is read without touching others.

One file (``entry.py``) a recording and modality. Its name is a digest of the sources' *content*,
the settings and the span, so a changed file or setting never meets an old entry, and two manifest
rows on the same span share one. Files appear whole or not at all (``pdray.atomic``): writers on
any number of nodes may race, the last rename wins with the same bytes, and a killed writer leaves
at most a hidden temporary file.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from pdray.atomic import file_digest, replacing
from pdray.config import build, lay
from pdray.data.cohort.digests import IN_MOTION, SOURCES, Digests
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rated import StoredRecording
from pdray.data.cohort.rows import FILES
from pdray.data.modalities import Modality
from pdray.data.store.entry import Entry, EntryWriter
from pdray.data.store.extract import extract, sources
from pdray.data.store.settings import Recipe
from pdray.errors import DecodeError, StoreError, naming

# Part of every key: raise it when what an entry holds for the same settings changes.
_FORMAT = 2
_STALE_SECONDS = 24 * 3600
_NOT_PREPARED = (
    "is not prepared with these settings; prepare it, or give the decode, store and modality "
    "settings that it was prepared with: "
)


class FrameStore:
    """Recordings decoded once, under one folder, which every node that reads them must share.

    Args:
        root: The folder; made when missing.
        recipe: How entries are made; part of every key.
    """

    def __init__(self, root: Path, recipe: Recipe) -> None:
        self.root = root
        self.recipe = recipe
        self._digests = Digests(root / SOURCES)

    def add(
        self, recording: Recording, modalities: Sequence[Modality] = ("rgb",)
    ) -> StoredRecording:
        """Return a recording's entries, making those that are not there yet.

        Args:
            recording: A row with the files that the modalities need.
            modalities: What is wanted.

        Returns:
            Where they are.

        Raises:
            DecodeError: If a file is lacking or cannot be read whole; names the recording.
            StoreError: If an entry is damaged, or the store cannot be written.
        """
        digests: dict[Path, str] = {}
        paths: dict[Modality, Path] = {}
        for modality in modalities:
            paths[modality], found = self._locate(recording, modality)
            digests |= found
        try:
            with naming(recording.recording_id):
                missing = {modality: path for modality, path in paths.items() if not path.exists()}
                if missing:
                    self._write(recording, missing, digests)
                for path in paths.values():
                    Entry(path)  # a damaged one is met here and not in the middle of a study
        except OSError as error:
            raise StoreError(
                f"recording {recording.recording_id}: the frame store {self.root} cannot be "
                f"written: {_reason(error)}; nothing half-written was kept. Make room or "
                "access there, choose another output, or a smaller store.codec"
            ) from error
        return StoredRecording(recording.recording_id, paths)

    def entry(self, recording: Recording, modality: Modality) -> Path:
        """Return where an entry is or will be; reads unknown sources once to know.

        Raises:
            DecodeError: If a source is lacking or cannot be read; names the recording.
            StoreError: If the store cannot be written.
        """
        return self._locate(recording, modality)[0]

    def is_known(self, recording: Recording, modalities: Sequence[Modality]) -> bool:
        """Whether all entries are there, as far as can be told without reading a source."""
        try:
            for modality in modalities:
                digests = [self._digests.remembered(file) for file in sources(recording, modality)]
                found = [digest for digest in digests if digest is not None]
                if len(found) < len(digests):
                    return False
                if not self._path(recording, modality, found).exists():
                    return False
        except (DecodeError, OSError):
            return False
        return True

    def verify(self, recording: Recording, modalities: Sequence[Modality]) -> list[str]:
        """Read a recording's sources and entries anew and compare them with their digests.

        Returns:
            What is wrong, each with the way out; empty when all is as it was prepared.
        """
        fresh: dict[Path, str] = {}
        changed: list[str] = []
        try:
            for file in {file: None for m in modalities for file in _sources(recording, m)}:
                fresh[file] = file_digest(file)
                changed += self._changes(recording, file, fresh[file])
        except OSError as error:
            return [f"recording {recording.recording_id}: cannot be read: {_reason(error)}"]
        except DecodeError as error:
            return [str(error)]
        if changed:
            return changed
        faults = []
        for modality in modalities:
            digests = [fresh[file] for file in _sources(recording, modality)]
            path = self._path(recording, modality, digests)
            try:
                if path.exists():
                    Entry(path).verify()
                else:
                    faults.append(f"recording {recording.recording_id}: {_NOT_PREPARED}{modality}")
            except (StoreError, OSError) as error:
                faults.append(f"recording {recording.recording_id}: {error}")
        return faults

    def sweep(self) -> None:
        """Remove what killed writers left more than a day ago."""
        for path in self.root.glob("??/.*.tmp"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()

    def _locate(self, recording: Recording, modality: Modality) -> tuple[Path, dict[Path, str]]:
        """Return an entry's place and the digests of its sources that made it."""
        files = _sources(recording, modality)
        digests = {file: self._digest(recording, file) for file in files}
        return self._path(recording, modality, [digests[file] for file in files]), digests

    def _path(self, recording: Recording, modality: Modality, digests: Sequence[str]) -> Path:
        key = {
            "content": list(digests),
            "settings": self.recipe.settings(modality),
            "span": [recording.start_seconds, recording.end_seconds],
            "format": _FORMAT,
        }
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        return self.root / name[:2] / f"{name}.arrow"

    def _write(
        self,
        recording: Recording,
        missing: Mapping[Modality, Path],
        digests: Mapping[Path, str],
    ) -> None:
        with ExitStack() as stack:
            writers = {
                modality: stack.enter_context(
                    EntryWriter(stack.enter_context(replacing(path)), self.recipe.codec(modality))
                )
                for modality, path in missing.items()
            }
            for modality, seconds, item in extract(recording, missing, self.recipe):
                writers[modality].append(seconds, item)
            # Else other pictures would lie under the digest of the old ones.
            if any(self._digests.digest(file) != digest for file, digest in digests.items()):
                raise DecodeError(IN_MOTION)

    def _digest(self, recording: Recording, file: Path) -> str:
        """Return the SHA-256 of a source."""
        with naming(recording.recording_id):
            try:
                return self._digests.digest(file)
            except OSError as error:
                raise DecodeError(f"cannot be read: {error.strerror or error}") from error

    def _changes(self, recording: Recording, file: Path, digest: str) -> list[str]:
        known = self._digests.note(file).get("sha256")
        if known in (None, digest):
            return []
        return [
            f"recording {recording.recording_id}: its {_cell(recording, file)} file has changed "
            f"since it was prepared: SHA-256 was {str(known)[:12]}..., is {digest[:12]}...; put "
            "the old file back, or prepare again and start a new study"
        ]


def open_recording(
    recording: Recording,
    output: Path | str,
    settings: Mapping[str, Any] | None = None,
    *,
    modality: Modality = "rgb",
) -> Entry:
    """Open one recording as a study reads it; it is decoded at the first call.

    Args:
        recording: A row of a manifest: ``manifest.recording(id)``.
        output: Folder of what jobs leave; the frame store is ``store`` in it, and entries that a
            study made there with the same settings are used.
        settings: Keys ``decode.*``, ``store.*``, ``flow.*``, ``audio.*`` and ``limits.*`` of a
            study, dotted or nested.
        modality: What to read: rgb, flow, boundaries, or a kind of sound or track.

    Returns:
        The entry, mapped into memory: ``len(entry)`` items, ``entry.seconds`` (N,) float64 [s],
        and ``entry.read(indices)``, of pictures (T, H, W, C) uint8.

    Raises:
        SettingsError: If a setting is unknown or wrong.
        DecodeError: If a file is lacking or cannot be read whole; names the recording.
        StoreError: If an entry is damaged, or the store cannot be written.

    Example:
        >>> import numpy as np
        >>> manifest = pdray.load_manifest("demo/manifest.csv")
        >>> recording = manifest.recording("S001_V1_finger_tapping_left")
        >>> size = {"decode.height": 48, "decode.width": 48}
        >>> entry = pdray.open_recording(recording, "output", size)
        >>> entry.read(np.arange(4)).shape
        (4, 48, 48, 3)
    """
    store = FrameStore(Path(output) / "store", build(Recipe, lay(Recipe, {}, settings or {})))
    return Entry(store.add(recording, (modality,)).paths[modality])


def _sources(recording: Recording, modality: Modality) -> tuple[Path, ...]:
    with naming(recording.recording_id):
        return sources(recording, modality)


def _cell(recording: Recording, file: Path) -> str:
    """Return the manifest's column that names a file."""
    return next(column for column in FILES if getattr(recording, column) == file)


def _reason(error: OSError) -> str:
    """Return the system's words for an error; Arrow puts its own around them."""
    return os.strerror(error.errno) if error.errno else str(error)
