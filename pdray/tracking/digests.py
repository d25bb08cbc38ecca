"""The list of digests of a study's files, by which a file that was changed or cut is found.

``<study>/digests.jsonl`` has one line per file and content. Lines are only added: a file may have
any content that was listed for it, so that a kill between a file and its line locks no study. The
driver alone adds lines: for its own files after it made them and before it replaces them, for those
of a trial once that has ended. A line without a digest says that what was listed of a file before
counts no more.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pdray.atomic import file_digest, write_bytes

DIGESTS = "digests.jsonl"


class Digests:
    """The list of one folder: of a study, or of the search in an outer fold.

    Args:
        folder: The folder; a list is made with the first line.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / DIGESTS
        self._listed: dict[str, set[str]] = {}
        self._note(self._lines())

    def lists(self, file: Path) -> bool:
        """Return whether any content of a file is listed."""
        return self._name(file) in self._listed

    def add(self, files: Iterable[Path]) -> None:
        """List the content that files have now; those that are not there are left out."""
        self._append({self._name(one): file_digest(one) for one in files if one.is_file()})

    def forget(self, files: Iterable[Path]) -> None:
        """Let files have any content until they are listed again, as those that are made again."""
        self._append(dict.fromkeys(map(self._name, files)))

    def write(self, file: Path, content: bytes) -> None:
        """Write a file, whole or not at all, and list its content."""
        line = {self._name(file): hashlib.sha256(content).hexdigest()}
        if file.exists():
            self._append(line)
        write_bytes(file, content)
        self._append(line)  # of a new file; listed before, it would be missing after a kill

    def changed(self) -> Iterator[tuple[Path, str]]:
        """Return each listed file that is missing or has another content, and which of both."""
        for name, digests in self._listed.items():
            file = self._folder / name
            try:
                if file_digest(file) not in digests:
                    yield file, "has another content than the study wrote"
            except OSError as error:
                yield file, f"cannot be read: {error.strerror or error}"

    def _name(self, file: Path) -> str:
        return file.relative_to(self._folder).as_posix()

    def _append(self, found: Mapping[str, str | None]) -> None:
        new = [(name, one) for name, one in found.items() if one not in self._listed.get(name, ())]
        if not new:
            return
        lines = "".join(json.dumps({"file": name, "sha256": one}) + "\n" for name, one in new)
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+b") as file:
            # A kill may have left half a line.
            if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                lines = "\n" + lines
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())
        self._note(new)

    def _note(self, lines: Iterable[tuple[str, str | None]]) -> None:
        for name, digest in lines:
            if digest is None:
                self._listed.pop(name, None)
            else:
                self._listed.setdefault(name, set()).add(digest)

    def _lines(self) -> Iterator[tuple[str, str | None]]:
        """Return the whole lines; a file whose line is damaged counts as not listed."""
        if not self._path.is_file():
            return
        for line in self._path.read_bytes().splitlines():
            try:
                entry = json.loads(line)
                yield str(entry["file"]), entry["sha256"] and str(entry["sha256"])
            except (ValueError, KeyError, TypeError):
                continue
