"""Digests of sources, computed once while a file's size, time and inode stand."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from pdray.atomic import file_digest, write_text
from pdray.errors import DecodeError, StoreError

SOURCES = "sources"  # name of the folder of notes, in the frame store


class Digests:
    """SHA-256 of files, with a note of each in a folder beside the frame store.

    Args:
        folder: Where the notes are. None keeps none.
        writes: Whether a note is written at once; else :meth:`keep` writes it.
    """

    def __init__(self, folder: Path | None, *, writes: bool = True) -> None:
        self.folder = folder
        self.writes = writes
        self._new: dict[Path, dict[str, object]] = {}

    def digest(self, file: Path) -> str:
        """Return the digest of a file, from its note where there is one that counts.

        Raises:
            OSError: If the file cannot be read.
            DecodeError: If it changes while it is read.
            StoreError: If its note cannot be written.
        """
        if (known := self.remembered(file)) is not None:
            return known
        before = _facts(file)
        digest = file_digest(file)
        if _facts(file) != before:
            raise DecodeError("its file changed while it was read; run again when it is complete")
        self._new[file] = {**before, "sha256": digest}
        if self.writes:
            self.keep()
        return digest

    def keep(self) -> None:
        """Write the notes that were not written yet.

        Raises:
            StoreError: If the folder cannot be written.
        """
        while self.folder is not None and self._new:
            file, note = self._new.popitem()
            try:
                write_text(self._path(self.folder, file), json.dumps(note))
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else error
                raise StoreError(
                    f"the frame store {self.folder.parent} cannot be written: {reason}; choose "
                    "another output"
                ) from error

    def remembered(self, file: Path) -> str | None:
        """Return the digest that was noted of a file, while the file stands as it was.

        Raises:
            OSError: If there is no such file.
        """
        facts = _facts(file)
        known = {**facts, **self.note(file)}  # an earlier version noted no inode
        return (
            str(known["sha256"]) if "sha256" in known and facts.items() <= known.items() else None
        )

    def note(self, file: Path) -> dict[str, Any]:
        """Return what was noted of a file, whatever it is now; empty if nothing was."""
        if self.folder is None:
            return {}
        try:
            note: dict[str, Any] = json.loads(self._path(self.folder, file).read_bytes())
        except (OSError, ValueError):
            return {}  # the source is hashed again
        return note if isinstance(note, dict) else {}

    @staticmethod
    def _path(folder: Path, file: Path) -> Path:
        # The name is a digest, so that no path of a patient's video is kept in the store.
        return folder / f"{hashlib.sha256(str(file.absolute()).encode()).hexdigest()}.json"


def _facts(file: Path) -> dict[str, int]:
    status = file.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "inode": status.st_ino}
