"""A file appears whole or not at all: written beside its place, then renamed into it."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Create or replace ``path`` with ``data``, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Create or replace ``path`` with UTF-8 ``text``, whole or not at all."""
    write_bytes(path, text.encode())
