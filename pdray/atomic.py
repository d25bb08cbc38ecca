"""Writes files whole or not at all, gives them safe names, and computes their digests."""

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
    """Yield a temporary path beside ``path``; on success, rename that file to ``path``.

    The file is flushed to disk before the rename, so a power cut leaves the old file or the new
    one. Its name is random, so several writers may run at once: the last rename wins.

    Args:
        path: The file to create or replace; its folder is made if missing.

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
    """Make the folder of ``path`` and return an unused path in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def _put_in_place(temporary: Path, path: Path) -> None:
    """Flush a file to disk, then rename it; in the other order a power cut could empty it."""
    with temporary.open("rb+") as written:
        os.fsync(written.fileno())
    temporary.replace(path)


def folder_faults(folder: Path, *, key: str) -> list[str]:
    """Check that files can be written into a folder, before any work starts.

    A temporary folder and file are made in the nearest existing folder, and removed at once:
    permissions alone do not show that a disk is read-only. The folder itself is not made, so a
    job that stops for another reason leaves nothing behind.

    Args:
        folder: Where files will be written; it may be missing.
        key: The setting that names it.

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
            f"{error.strerror or error}; choose a folder that you may write into"
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
    """Return the SHA-256 digest of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safe_name(name: str) -> str:
    """Return a valid file name for an id; other characters are replaced, and a digest added."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{re.sub('[^A-Za-z0-9]+', '_', name)[:80]}-{digest}"
