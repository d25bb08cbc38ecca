"""Files: written whole or not at all, named safely, told apart by their content.

A file is written beside its place and then renamed into it. Where a folder cannot be written, that
is said before there is anything to write.
"""

import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary sibling of ``path`` to write; rename it into place on success.

    The sibling is flushed to disk before the rename, so a power cut leaves the old file or the
    new one. It carries a random name: any number of writers may race, the last one wins whole.

    Args:
        path: The file to create or replace; its folder is made when missing.

    Yields:
        The path to write to.
    """
    temporary = _sibling(path)
    try:
        yield temporary
        _put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _sibling(path: Path) -> Path:
    """Make the folder of ``path`` and return a name in it that nobody else has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def _put_in_place(temporary: Path, path: Path) -> None:
    """Flush a file to disk, then rename it: in the other order a power cut could empty it."""
    with temporary.open("rb+") as written:
        os.fsync(written.fileno())
    temporary.replace(path)


def folder_faults(folder: Path, *, key: str) -> list[str]:
    """Say why nothing can be written into a folder, before any work that is for it.

    The nearest folder that is there is tried, with a folder and a file that are removed at once.
    Rights alone do not tell: a disk may be read-only, or a system's own. Nothing is made, so that
    a job that stops for another reason leaves nothing.

    Args:
        folder: Where files will be written; made then when missing.
        key: Of the setting that names it.

    Returns:
        One fault, or none.
    """
    there = folder.absolute()
    try:
        while not _is_there(there):
            there = there.parent
        with TemporaryDirectory(prefix=".tried-", dir=there) as tried:
            (Path(tried) / "file").touch()  # pragma: no mutate - any name will do
    except OSError as error:
        return [
            f"{key}: nothing can be written into {folder}: no file can be made in {there}: "
            f"{error.strerror or error}; give one that can be made and written"
        ]
    return []


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def write_bytes(path: Path, data: bytes) -> None:
    """Create or replace ``path`` with ``data``, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Create or replace ``path`` with UTF-8 ``text``, whole or not at all."""
    write_bytes(path, text.encode())


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safe_name(name: str) -> str:
    """Return a file's name for an id, which may hold what a file's name may not."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{re.sub('[^A-Za-z0-9]+', '_', name)[:80]}-{digest}"
