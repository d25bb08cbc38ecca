"""Frame store: each recording is decoded once, and any item can be read by itself.

There is one file (``entry.py``) per recording and modality. Its name is a digest of the *content*
of its sources, the settings, the span and the rectangle of the picture, if it is not all of it. So
a changed file or setting never uses an old entry, and two manifest rows with the same span and
rectangle share one. Files appear whole or not at all (``pdray.atomic``): if several nodes write the
same entry, the last one wins with the same bytes; a killed writer leaves at most a hidden temporary
file.

Beside the entry of pictures lies what decoding them found (``findings.py``), under the same name
with ``.json``; without an entry, it says that the recording was decoded once and is whole. An entry
without it was made by an earlier version.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from pdray.atomic import file_digest, replacing, write_text
from pdray.config import build, lay
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rated import StoredRecording
from pdray.data.media.findings import Findings
from pdray.data.modalities import PICTURES, TRACKS, Modality, is_table
from pdray.data.store.entry import Entry, EntryWriter, is_whole
from pdray.data.store.extract import extract, passes, sources
from pdray.data.store.settings import Recipe
from pdray.errors import DecodeError, StoreError, naming

# Part of every key; raise it if the content of an entry changes for the same settings.
_FORMAT = 2
_STALE_SECONDS = 24 * 3600
_IN_MOTION = "its file changed while it was read; run again when it is complete"
_NOT_PREPARED = (
    "is not prepared with these settings; run jobs/prepare.py, or use the decode, store and "
    "modality settings that it was prepared with: "
)
_OLDER = (
    "was prepared by an earlier version, which kept HDR and interlaced pictures as stored; prepare "
    "it anew, or give decode.hdr=stored and decode.interlaced=stored: "
)


class FrameStore:
    """Store of decoded recordings in one folder, which all nodes must share.

    Args:
        root: The folder; made if missing.
        recipe: Settings of the entries; part of every key.
    """

    def __init__(self, root: Path, recipe: Recipe) -> None:
        self.root = root
        self.recipe = recipe
        # Not at the top: the processes of trials read entries alone.
        from pdray.data.cohort.digests import SOURCES, Digests

        self._digests = Digests(root / SOURCES)

    def add(
        self, recording: Recording, modalities: Sequence[Modality] = ("rgb",)
    ) -> StoredRecording:
        """Return the entries of a recording; make those that are missing or have changed on disk.

        Args:
            recording: A row with the files that the modalities need.
            modalities: Modalities to store.

        Returns:
            Paths of the entries.

        Raises:
            DecodeError: If a file is missing or cannot be read whole; names the recording.
            StoreError: If the store cannot be written.
        """
        digests: dict[Path, str] = {}
        paths: dict[Modality, Path] = {}
        for modality in modalities:
            paths[modality], found = self._locate(recording, modality)
            digests |= found
        try:
            with naming(recording.recording_id):
                # Here once, not at every read: a changed bit would change scores without a word.
                missing = {one: path for one, path in paths.items() if not is_whole(path)}
                mended = tuple(one for one, path in missing.items() if path.exists())
                if missing:
                    self._write(recording, missing, digests)
        except OSError as error:
            raise StoreError(
                f"recording {recording.recording_id}: the frame store {self.root} cannot be "
                f"written: {_reason(error)}; no partial file was kept. Free space or allow writing "
                "there, choose another output, or set store.codec=jpeg"
            ) from error
        return StoredRecording(recording.recording_id, paths, mended)

    def inspect(self, recording: Recording) -> StoredRecording:
        """Decode a recording's pictures once and keep what was found, but not the pictures.

        Raises:
            DecodeError: As :meth:`add`.
            StoreError: If the store cannot be written.
        """
        from pdray.data.media.decode import inspect

        path, digests = self._locate(recording, "rgb")
        with naming(recording.recording_id):
            (video,) = sources(recording, "rgb")
            if findings_of(path) is None:
                found = inspect(video, self.recipe.decode, self.recipe.limits, recording.part)
                self._check_still(digests)
                self._keep(path, found)
        return StoredRecording(recording.recording_id, {"rgb": path})

    def entry(self, recording: Recording, modality: Modality) -> Path:
        """Return the path of an entry, whether it exists or not; reads a new source once.

        Raises:
            DecodeError: If a source is missing or cannot be read; names the recording.
            StoreError: If the store cannot be written.
        """
        return self._locate(recording, modality)[0]

    def is_known(self, recording: Recording, modalities: Sequence[Modality]) -> bool:
        """Return whether all entries exist, judged without reading a source."""
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
        """Read the sources and entries of a recording again and compare them with their digests.

        Returns:
            Faults, each with what to do; empty if nothing has changed.
        """
        fresh: dict[Path, str] = {}
        changed: list[str] = []
        try:
            for file in {file: None for m in modalities for file in _sources(recording, m)}:
                fresh[file] = file_digest(file)
                changed += self._changes(recording, file, fresh[file])
        except OSError as error:
            return [
                f"recording {recording.recording_id}: a file cannot be read: {_reason(error)}; "
                "check that it exists and may be read"
            ]
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
                    older = FrameStore(self.root, self.recipe.earlier())
                    is_older = older._path(recording, modality, digests).exists()
                    why = _OLDER if is_older else _NOT_PREPARED
                    faults.append(f"recording {recording.recording_id}: {why}{modality}")
            except (StoreError, OSError) as error:
                faults.append(f"recording {recording.recording_id}: {error}")
        return faults

    def sweep(self) -> None:
        """Remove temporary files of killed writers that are older than one day."""
        for path in self.root.glob("??/.*.tmp"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()

    def _locate(self, recording: Recording, modality: Modality) -> tuple[Path, dict[Path, str]]:
        """Return the path of an entry and the digests of its sources."""
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
        if recording.crop is not None and modality in (*PICTURES, *TRACKS):
            key["crop"] = list(recording.crop)
        if is_table(modality):  # one file has the rows of many recordings
            key["recording"] = recording.recording_id
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
                    EntryWriter(
                        stack.enter_context(replacing(path)),
                        self.recipe.codec(modality),
                        [digests[file] for file in _sources(recording, modality)],
                    )
                )
                for modality, path in missing.items()
            }
            found = {one: made for part in passes(missing) for made in [Findings()] for one in part}
            for modality, seconds, item, names in extract(recording, missing, self.recipe, found):
                writers[modality].append(seconds, item, names)
            self._check_still(digests)
            for modality, findings in found.items():
                self._keep(missing[modality], findings)

    def _check_still(self, digests: Mapping[Path, str]) -> None:
        """Refuse sources that changed: new pictures could be stored under an old digest."""
        if any(self._digests.digest(file) != digest for file, digest in digests.items()):
            raise DecodeError(_IN_MOTION)

    def _keep(self, path: Path, found: Findings) -> None:
        try:
            write_text(_findings_path(path), json.dumps(found.plain()))
        except OSError as error:
            raise StoreError(
                f"the frame store {self.root} cannot be written: {_reason(error)}; choose another "
                "output"
            ) from error

    def _digest(self, recording: Recording, file: Path) -> str:
        """Return the SHA-256 of a source."""
        with naming(recording.recording_id):
            try:
                return self._digests.digest(file)
            except OSError as error:
                raise DecodeError(
                    f"its file cannot be read: {_reason(error)}; check that it exists and may be "
                    "read"
                ) from error

    def _changes(self, recording: Recording, file: Path, digest: str) -> list[str]:
        known = self._digests.note(file).get("sha256")
        if known in (None, digest):
            return []
        return [
            f"recording {recording.recording_id}: its {_cell(recording, file)} file has changed "
            f"since it was prepared: SHA-256 was {str(known)[:12]}..., is {digest[:12]}...; "
            "restore the old file, or run jobs/prepare.py again and start a new study"
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
        settings: Keys ``decode.*``, ``portraits.*``, ``store.*``, ``flow.*``, ``audio.*`` and
            ``limits.*`` of a study, dotted or nested.
        modality: What to read: rgb, portraits, flow, boundaries, or a kind of sound or track.

    Returns:
        The entry, mapped into memory: ``len(entry)`` items, ``entry.seconds`` (N,) float64 [s],
        and ``entry.read(indices)``, of pictures (T, H, W, C) uint8.

    Raises:
        SettingsError: If a setting is unknown or wrong.
        DecodeError: If a file is lacking or cannot be read whole; names the recording.
        StoreError: If the store cannot be written.

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


def findings_of(entry: Path) -> Findings | None:
    """Return what decoding the pictures of an entry found; None of an earlier version's entry."""
    try:
        return Findings.of(json.loads(_findings_path(entry).read_bytes()))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _findings_path(entry: Path) -> Path:
    return entry.with_suffix(".json")


def _sources(recording: Recording, modality: Modality) -> tuple[Path, ...]:
    with naming(recording.recording_id):
        return sources(recording, modality)


def _cell(recording: Recording, file: Path) -> str:
    """Return the manifest's column that names a file."""
    return next(column for column, one in recording.files.items() if one == file)


def _reason(error: OSError) -> str:
    """Return the system's text of an error, without the text that Arrow adds."""
    return os.strerror(error.errno) if error.errno else str(error)
