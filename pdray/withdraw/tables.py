"""Tables, keys and lists with rows of a person, and how they are written again without them."""

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from pdray.atomic import replacing
from pdray.data.cohort.provenance import NEAREST
from pdray.data.cohort.rows import file_columns
from pdray.tracking.made import MADE
from pdray.tracking.run_log import FINDINGS, REPORT
from pdray.withdraw.models import WHO
from pdray.withdraw.person import Person
from pdray.withdraw.trace import Kind, Trace

IDS = ("subject_id", "recording_id")
_NAMING = (*IDS, NEAREST)
_SKIPPED = ("mlflow_files", "ray", "store")  # looked into by others, or deleted whole
_LISTS = ("folds.json", "entries.json", "study.json", MADE, WHO)
_TEXTS = (FINDINGS, REPORT)  # those of earlier versions name recordings by their ids
_SUFFIXES = (".parquet", ".csv", ".json", ".txt")


def files_of(output: Path) -> Iterator[Path]:
    """Yield the files of an output folder that may name people, without store and MLflow's."""
    for folder, inner, names in os.walk(output):
        inner[:] = sorted(name for name in inner if name not in _SKIPPED and name[:1] != ".")
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix in _SUFFIXES and not name.startswith("."):
                yield path


def recordings_in(path: Path, subject: str) -> set[str]:
    """Return the recordings of a subject that a table names; none if it is no such table."""
    found = _columns(path)
    rows = zip(*(found.get(name, []) for name in IDS), strict=False)
    return {recording for one, recording in rows if one == subject}


def names_files(path: Path) -> bool:
    """Return whether a table is a manifest, which is its owner's."""
    header = _header(path)
    return not set(file_columns(header)).isdisjoint(header)


def is_of_a_folder(path: Path) -> bool:
    """Return whether a table has predictions of a folder of videos, which name no subject."""
    header = _header(path)
    return "estimated_grade" in header and "subject_id" not in header


def table_traces(path: Path, person: Person) -> Iterator[Trace]:
    """Yield what a table, a key or a list says of a person.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is damaged.
    """
    if path.name in _LISTS:
        yield from _list_traces(path, person)
    elif path.name in _TEXTS:
        yield from _text_traces(path, person)
    elif path.suffix == ".csv":
        yield from _csv_traces(path, person)
    elif path.suffix == ".parquet":
        hers = _hers(_columns(path), person)
        if any(hers):
            yield _trace("tables", path, hers, partial(_write_parquet, path, hers))


def _columns(path: Path) -> dict[str, list[str]]:
    """Return whom each row of a table names, by its columns that do."""
    names = [name for name in _NAMING if name in _header(path)]
    if not names:
        return {}
    if path.suffix == ".csv":
        _, (header, *rows) = _read_csv(path)
        places = {name: header.index(name) for name in names}
        return {
            name: [row[place] if place < len(row) else "" for row in rows]
            for name, place in places.items()
        }
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=names)
    return {name: [str(one) for one in table[name].to_pylist()] for name in names}


def _header(path: Path) -> list[str]:
    """Return the columns of a table; none of another file."""
    if path.suffix == ".csv":
        return _read_csv(path)[1][0]
    if path.suffix != ".parquet":
        return []
    import pyarrow.parquet as pq

    return list(pq.read_schema(path).names)


def keyed(path: Path, person: Person) -> set[str]:
    """Return the running numbers of the recordings of a person in a key; none without a key."""
    if not path.is_file():
        return set()
    _, rows = _read_csv(path)
    return {row[0] for row in rows[1:] if len(row) == 2 and row[1] in person.recordings}


def _hers(columns: dict[str, list[str]], person: Person) -> list[bool]:
    """Return whether each row of a table is of a person."""
    words = {"subject_id": frozenset({person.subject})}
    marks = [
        [cell in words.get(name, person.recordings) for cell in cells]
        for name, cells in columns.items()
    ]
    return [any(row) for row in zip(*marks, strict=True)]


def _trace(kind: Kind, path: Path, hers: Sequence[bool], erase: Callable[[], None]) -> Trace:
    return Trace(kind, path, f"{sum(hers)} of {len(hers)} rows", erase)


def _write_parquet(path: Path, hers: Sequence[bool]) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    with _rewriting(path) as temporary:
        pq.write_table(table.filter([not one for one in hers]), temporary)


def _read_csv(path: Path) -> tuple[str, list[list[str]]]:
    """Return the comments above a table of pdray, and its rows with the header, which may be []."""
    text = path.read_text(encoding="utf-8")
    comments = "".join(takewhile(lambda line: line[:1] == "#", text.splitlines(keepends=True)))
    rows = csv.reader(io.StringIO(text.removeprefix(comments), newline=""))
    return comments, list(rows) or [[]]


def _csv_traces(path: Path, person: Person) -> Iterator[Trace]:
    hers = _hers(_columns(path), person)
    if not any(hers):
        return
    comments, (header, *rows) = _read_csv(path)
    is_key = header[:1] == ["number"]  # of running numbers, which are not given again
    new = [
        [row[0], f"{person.stand_in}-{row[0]}"] if is_hers else row
        for row, is_hers in zip(rows, hers, strict=True)
        if is_key or not is_hers
    ]
    kind: Kind = "keys" if is_key else "tables"
    yield _trace(kind, path, hers, partial(_write_csv, path, comments, [header, *new]))


def _write_csv(path: Path, comments: str, rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    _write(path, comments + text.getvalue())


def _list_traces(path: Path, person: Person) -> Iterator[Trace]:
    plain = json.loads(path.read_text(encoding="utf-8"))
    gone, words = person.recordings, person.words
    if path.name == MADE:
        gone |= {person.subject}
    if path.name == WHO:
        words |= person.contents
    new = _without(plain, person.stand_in, words, gone)
    if new != plain:
        text = json.dumps(new, indent=1)
        yield Trace("tables", path, "names the person", partial(_write, path, text))


def _without(plain: Any, stand_in: str, words: frozenset[str], gone: frozenset[str]) -> Any:
    """Return a value of JSON with a stand-in for words of lists, and without keys that are gone."""
    if isinstance(plain, dict):
        kept = plain.keys() - gone
        return {
            key: _without(value, stand_in, words, gone)
            for key, value in plain.items()
            if key in kept
        }
    if isinstance(plain, list):
        return [
            stand_in
            if isinstance(one, str) and one in words
            else _without(one, stand_in, words, gone)
            for one in plain
        ]
    return plain


def _text_traces(path: Path, person: Person) -> Iterator[Trace]:
    ids = sorted(map(re.escape, person.recordings), key=len, reverse=True)
    named = re.compile(rf"(?<![\w.-])(?:{'|'.join(ids)})(?![\w-])")
    if ids and named.search(path.read_text(encoding="utf-8")):
        yield Trace("tables", path, "names recordings", partial(_rename, path, named, person))


def _rename(path: Path, named: re.Pattern[str], person: Person) -> None:
    # It is read again: its first line was added since it was searched.
    _write(path, named.sub(person.stand_in, path.read_text(encoding="utf-8")))


def _write(path: Path, text: str) -> None:
    with _rewriting(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


@contextmanager
def _rewriting(path: Path) -> Iterator[Path]:
    """Yield a temporary path whose file takes the place and the rights of another."""
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        yield temporary
        shutil.copymode(path, temporary)
