"""Every state that a folder passes through, as a killed process would leave it."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

Tree = dict[str, bytes | None]
"""Content of each file by its path in the folder; None of a folder."""

_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "os.chmod"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_SETTLED_SECONDS = 0.1  # a file's time of change is no finer than some milliseconds
_current: list["_Watch"] = []


@dataclass(frozen=True)
class State:
    """A state of the folder, and the operation that follows it."""

    tree: Tree
    before: str


@contextmanager
def watched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[State]]:
    """Take the state of a folder before each operation of this process that may change a file.

    Operations are: opening a file for writing, renames, links, deletions and folders (from Python's
    audit events), ``fsync``, and each statement and commit of SQLite. What was written between two
    operations adds a state in which it is written by half. States that are equal are one.

    Yields:
        The states in their order; filled when the block ends.
    """
    states: list[State] = []
    watch = _Watch(folder, states)
    fsync = os.fsync

    def noted(fd: int) -> None:
        watch.take("fsync")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    told = [(name, _teller(watch, name)) for name in ("before_cursor_execute", "commit")]
    for name, teller in told:
        event.listen(Engine, name, teller)
    if not _HOOKED:
        sys.addaudithook(_heard)
        _HOOKED.append(True)
    _current.append(watch)
    try:
        yield states
        watch.take("the end")
    finally:
        _current.remove(watch)
        for name, teller in told:
            event.remove(Engine, name, teller)
        monkeypatch.setattr(os, "fsync", fsync)


_HOOKED: list[bool] = []  # an audit hook stays


def _heard(name: str, args: tuple[Any, ...]) -> None:
    if not _current:
        return
    is_opened = name == "open" and isinstance(args[2], int) and args[2] & _WRITING
    if is_opened or name in _CHANGES:
        _current[-1].take(f"{name} {args[0]}")


def _teller(watch: "_Watch", name: str) -> Any:
    return lambda *args, **how: watch.take(f"SQLite {name} {args[2] if len(args) > 2 else ''}")


class _Watch:
    def __init__(self, folder: Path, states: list[State]) -> None:
        self._folder, self._states = folder, states
        self._kept: dict[Path, tuple[tuple[int, ...], bytes]] = {}
        self._tree: Tree = {}
        self._is_taking = False

    def take(self, before: str) -> None:
        """Add the states since the last operation."""
        if self._is_taking:  # reading a file is an event too
            return
        self._is_taking = True
        try:
            tree = dict(self._read())
            if tree == self._tree and self._states:
                return
            last, self._tree = self._tree, tree
            for name, cut in _halves(last, tree).items() if self._states else ():
                told = f"{before}: {name} by half"
                self._states.append(State({**last, **_folders(tree), name: cut}, told))
            self._states.append(State(tree, before))
        finally:
            self._is_taking = False

    def _read(self) -> Iterator[tuple[str, bytes | None]]:
        for path in sorted(self._folder.rglob("*")):
            name = path.relative_to(self._folder).as_posix()
            yield name, None if path.is_dir() else self._content(path)

    def _content(self, path: Path) -> bytes:
        status = path.stat()
        mark = status.st_ino, status.st_mtime_ns, status.st_size
        kept = self._kept.get(path)
        if kept is not None and kept[0] == mark:
            return kept[1]
        content = path.read_bytes()
        if time.time() - status.st_mtime > _SETTLED_SECONDS:
            self._kept[path] = mark, content
        return content


def _halves(last: Tree, tree: Tree) -> dict[str, bytes]:
    """Return each file that was written since, written by half; SQLite has its own journal."""
    whole = set(last.values())
    cuts = {}
    for name, content in tree.items():
        before = last.get(name) or b""
        if content is None or content in whole or ".db" in name:
            continue  # as before, renamed, or of SQLite
        if content.startswith(before) and len(content) - len(before) > 1:
            cuts[name] = content[: (len(before) + len(content)) // 2]
    return cuts


def _folders(tree: Tree) -> Tree:
    return {name: None for name, content in tree.items() if content is None}


def put(tree: Tree, folder: Path) -> None:
    """Write a state to an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in tree.items():
        path = folder / name
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
