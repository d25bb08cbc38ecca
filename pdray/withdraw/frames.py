"""Entries of the frame store, caches beside them, and notes of files that are of a person.

An entry says what it was made of; so does a cache that was computed from entries. Those of earlier
versions do not. As the store can be made again at any time, what cannot be told to be of somebody
else is deleted with the person's.
"""

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from pdray.data.cohort.digests import SOURCES
from pdray.data.store.entry import Entry
from pdray.errors import StoreError
from pdray.tracking.run_log import StudyLog
from pdray.withdraw.person import Person
from pdray.withdraw.trace import Kind, Trace

CHECKS = "checks"
_STALE_SECONDS = 24 * 3600  # of a temporary file that its writer has left
_UNKNOWN = "of nobody who is known; made again when it is needed"
Entries = Mapping[str, frozenset[str]]


def entries_of(logs: Sequence[StudyLog]) -> Entries:
    """Return the recordings of each entry that studies read, by the name of the entry."""
    found: dict[str, frozenset[str]] = {}
    for log in logs:
        try:
            table = json.loads((log.folder / "entries.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        for recording, names in table.items():
            for name in names:
                found[name] = found.get(name, frozenset()) | {recording}
    return found


def stored_traces(person: Person, entries: Entries, notes: list[str]) -> Iterator[Trace]:
    """Yield what the frame store holds of a person.

    What was computed from an entry comes before the entry, and the entries that studies name come
    last, so that each is still known to be the person's if the deletion is interrupted.

    Args:
        person: The person.
        entries: Of :func:`entries_of` all studies.
        notes: Gets a line for each entry that is another subject's as well.
    """
    root, files = person.store, _entry_files(person.store)
    others = {name for name, names in entries.items() if names - person.recordings}
    named = {name for name, names in entries.items() if names & person.recordings}
    notes += [
        f"{path} is kept: another subject's row names the same file, which shows both"
        for name in sorted(named & others)
        for path in files.get(name, [])
    ]
    made = {name: _made_of(paths) for name, paths in files.items()}
    digests = person.digests | {one for name in named for one in made.get(name, ())}
    found = _derived(digests | named - others, made, others)
    for name in sorted(files.keys() - others - set(found)):
        if not made[name]:
            yield from (_unlinked(path, _UNKNOWN) for path in files[name])
    yield from (_unlinked(path, "left by a killed writer") for path in _left_over(root))
    for name in reversed(found):
        yield from (_unlinked(path, "of the person") for path in files[name])
    if digests or named:
        yield from (_unlinked(path, "features of checks") for path in _files(root / CHECKS))
    yield from (_unlinked(path, "note of a file") for path in _notes(root / SOURCES, digests))
    for name in sorted(named - others):
        yield from (_unlinked(path, "of the person") for path in files.get(name, []))


def _entry_files(root: Path) -> dict[str, list[Path]]:
    """Return the files of each entry, by its name."""
    files: dict[str, list[Path]] = {}
    for path in sorted(root.glob("[0-9a-f][0-9a-f]/*")):
        if not path.name.startswith("."):
            files.setdefault(path.stem, []).append(path)
    return files


def _left_over(root: Path) -> list[Path]:
    now = time.time()
    return [
        path
        for path in sorted(root.glob("[0-9a-f][0-9a-f]/.*.tmp"))
        if now - path.stat().st_mtime > _STALE_SECONDS
    ]


def _derived(
    known: Collection[str], made: Mapping[str, Sequence[str]], others: Collection[str]
) -> list[str]:
    """Return the entries that were computed from what is known, each after its sources."""
    everything, found = set(known), list[str]()
    while new := [
        name
        for name, sources in made.items()
        if name not in everything and name not in others and not everything.isdisjoint(sources)
    ]:
        everything.update(new)
        found += new
    return found


def _made_of(paths: Sequence[Path]) -> tuple[str, ...]:
    """Return what an entry says that it was made of; nothing if an earlier version wrote it."""
    for path in paths:
        if path.suffix == ".arrow":
            try:
                return Entry(path).made_of
            except StoreError:
                return ()
    return ()


def _notes(folder: Path, digests: frozenset[str]) -> Iterator[Path]:
    for path in _files(folder):
        try:
            note = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(note, dict) and note.get("sha256") in digests:
            yield path


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_file())


def _unlinked(path: Path, told: str) -> Trace:
    kind: Kind = "features" if path.parent.name == CHECKS else "frames"
    return Trace(kind, path, told, partial(path.unlink, missing_ok=True))
