"""Files of a manifest: whether they can be read, and that each is of one person.

A file is told by its real path, its inode and its content, so that links and copies of it are the
same file, whatever part of it a row takes. A recording that was encoded anew, or cut before, is
another file: nothing here can know that it shows the same.
"""

import json
import math
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from pdray.data.cohort.cells import read_crop
from pdray.data.cohort.csv_table import Row
from pdray.data.cohort.digests import Digests
from pdray.data.cohort.people import Fault
from pdray.data.cohort.rows import CROP, MADE, file_columns
from pdray.data.modalities import is_table
from pdray.data.tables.features import is_single
from pdray.errors import DecodeError

_MARKED = ("video", "landmarks", "regions")
_READERS = 8  # threads that open files; they wait for the disk, not for a core

Key = tuple[object, ...]  # equal for what is one file


class Use(NamedTuple):
    """A row that takes a file, or a part of it, in one of its columns."""

    row: Row
    column: str
    cell: str

    @property
    def subject(self) -> str:
        """Whose it is."""
        return self.row.cells["subject_id"]

    @property
    def span(self) -> tuple[float, float]:
        """What part of the file it takes [s]."""
        start, end = (self.row.cells.get(name, "") for name in ("start_seconds", "end_seconds"))
        try:
            return float(start or 0), float(end or math.inf)
        except ValueError:  # said of the cell
            return 0.0, math.inf


@dataclass
class Owners:
    """Whose each file of a manifest is.

    Attributes:
        faults: Files of several people that are not allowed to be, and parts that overlap.
        together: Subject to the subjects that share a file with it, and it; those of none are not
            in it.
    """

    faults: list[Fault] = field(default_factory=list)
    together: dict[str, frozenset[str]] = field(default_factory=dict)


def find_owners(
    rows: Sequence[Row], folder: Path, shared: Sequence[Path], digests: Digests | None
) -> Owners:
    """Find files that are of several people.

    Args:
        rows: Of the manifest.
        folder: Its folder.
        shared: Files that may be, each with parts of several people that do not overlap.
        digests: Of their content. It is read only of files of one size that would be of several
            people.
    """
    uses = [
        Use(row, name, row.cells[name])
        for row in rows
        if row.cells["subject_id"]  # else it is said that the subject is missing
        for name in file_columns(row.cells)
        if row.cells.get(name) and not (is_table(name) and not is_single(row.cells[name]))
    ]
    keys = _keys(uses, folder, shared, digests)
    found = Owners()
    allowed = {keys[str(one)] for one in shared}
    by_key: dict[Key, list[Use]] = {}
    for use in uses:
        by_key.setdefault(keys[use.cell], []).append(use)
    found.faults += [
        (0, f"data.shared_files names {one}, and no row has that file")
        for one in shared
        if keys[str(one)] not in by_key
    ]
    for key, members in by_key.items():
        if len({use.subject for use in members}) < 2:
            continue
        if key not in allowed:
            found.faults += _foreign(members)
            continue
        found.faults += _overlaps(members)
        people = {use.subject for use in members}
        people = people.union(*(found.together.get(one, ()) for one in people))
        found.together |= dict.fromkeys(people, frozenset(people))
    return found


def file_faults(rows: Sequence[Row], folder: Path) -> list[Fault]:
    """Check that files exist, videos open and each ``crop`` is inside its video's picture.

    Each file is opened once, however many rows name it.
    """
    named = [
        (row.number, name, row.cells.get(name, ""))
        for row in rows
        for name in file_columns(row.cells)
    ]
    named = [one for one in named if one[2]]
    wanted = sorted({(name == "video", cell) for _, name, cell in named})
    with ThreadPoolExecutor(_READERS) as pool:
        reasons = pool.map(lambda want: _file_fault(folder, want[1], is_video=want[0]), wanted)
        found = dict(zip(wanted, reasons, strict=True))
    faults = [
        (number, f"{name} {cell}: {reason}")
        for number, name, cell in named
        if (reason := found[name == "video", cell])
    ]
    opened = [one for one in rows if not found.get((True, _video(one)))]
    return faults + _crop_faults(opened, folder) + _unsaid_made(rows, folder)


def _unsaid_made(rows: Sequence[Row], folder: Path) -> list[Fault]:
    """Return the rows that say they are real, and whose video or track is marked as made.

    The mark stays in a track that is saved again and in most videos that are encoded again, whose
    digests no provenance file lists.
    """
    named = [
        (row.number, name, cell)
        for row in rows
        if not row.cells.get(MADE)
        for name in _MARKED
        if (cell := row.cells.get(name, ""))
    ]
    if not named:
        return []
    from pdray.data.media.decode import says_made
    from pdray.data.media.tracks import is_made

    def is_marked(file: tuple[bool, str]) -> bool:
        is_video, cell = file
        return (says_made if is_video else is_made)(folder / cell)

    with ThreadPoolExecutor(_READERS) as pool:
        files = sorted({(name == "video", cell) for _, name, cell in named})
        marked = dict(zip(files, pool.map(is_marked, files), strict=True))
    return [
        (number, f"{name} {cell}: is marked as made; fill in its made_by, or remove the row")
        for number, name, cell in named
        if marked[name == "video", cell]
    ]


def _crop_faults(rows: Sequence[Row], folder: Path) -> list[Fault]:
    """Compare the rectangles of rows, whose videos open, with the pictures of the videos."""
    crops = [(row, crop) for row in rows if (crop := read_crop(row.cells.get(CROP, ""), []))]
    videos = sorted({_video(row) for row, _ in crops} - {""})
    with ThreadPoolExecutor(_READERS) as pool:
        sizes = dict(zip(videos, pool.map(lambda one: _size(folder / one), videos), strict=True))
    faults: list[Fault] = []
    for row, crop in crops:
        if size := sizes.get(_video(row)):
            try:
                crop.check_inside(*size)
            except DecodeError as error:
                faults.append((row.number, f"video {_video(row)}: {error}"))
    return faults


def _video(row: Row) -> str:
    return row.cells.get("video", "")


def _size(video: Path) -> tuple[int, int] | None:
    """Return the width and height of a video's picture; None where decoding will say why."""
    from pdray.data.media.decode import shown_size_of

    try:
        return shown_size_of(video)
    except DecodeError:
        return None


def _file_fault(folder: Path, cell: str, *, is_video: bool) -> str | None:
    path = folder / cell
    try:
        if not path.exists():
            return "no such file" + ("" if Path(cell).is_absolute() else f": {path}")
        if not path.is_file():
            return "is not a file"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if not is_video:
        return None
    from pdray.data.media.decode import check_readable

    return check_readable(path)


def _keys(
    uses: Sequence[Use], folder: Path, shared: Sequence[Path], digests: Digests | None
) -> Mapping[str, Key]:
    """Return what tells each named file; a digest where others of its size are of other people."""
    owners: dict[str, set[str]] = {str(one): set() for one in shared}
    for use in uses:
        owners.setdefault(use.cell, set()).add(use.subject)
    with ThreadPoolExecutor(_READERS) as pool:
        told = dict(zip(owners, pool.map(lambda cell: _place(folder / cell), owners), strict=True))
        keys = {cell: key for cell, (key, _) in told.items()}
        by_size: dict[int, list[str]] = {}
        for cell, (_, size) in told.items():
            by_size.setdefault(size, []).append(cell)
        asked = [
            cell
            for size, cells in by_size.items()
            if size and len({keys[cell] for cell in cells}) > 1
            if len(set().union(*(owners[cell] for cell in cells))) > 1
            for cell in cells
        ]
        read = digests or Digests(None)
        contents = pool.map(lambda cell: _content(folder / cell, read), asked)
        keys |= {cell: (one,) for cell, one in zip(asked, contents, strict=True) if one}
    return keys


def _place(path: Path) -> tuple[Key, int]:
    """Return the inode of a file and its size; of one that is not there its path, and 0."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # a path may hold what no path may
        return (os.path.normpath(path),), 0
    if not status.st_ino:  # some disks have none
        return (os.path.realpath(path),), status.st_size
    return (status.st_dev, status.st_ino), status.st_size


def _content(path: Path, digests: Digests) -> str | None:
    try:
        return digests.digest(path)
    except (OSError, DecodeError):
        return None


def _foreign(uses: Sequence[Use]) -> Iterator[Fault]:
    first = uses[0]
    word = f"data.shared_files={json.dumps([first.cell], ensure_ascii=False)}"
    for use in uses:
        if use.subject != first.subject:
            named = "" if use.cell == first.cell else f", which names it {first.cell}"
            yield (
                use.row.number,
                f"{use.column} {use.cell} is of subject {use.subject}, and of {first.subject} in "
                f"row {first.row.number}{named}; one file, one subject. If it shows several people "
                "one after the other, give start_seconds and end_seconds of each and "
                f"{shlex.quote(word)}",
            )


def _overlaps(uses: Sequence[Use]) -> Iterator[Fault]:
    for first, use in combinations(sorted(uses, key=lambda one: one.span), 2):
        if use.subject != first.subject and use.span[0] < first.span[1]:
            yield (
                use.row.number,
                f"{use.column} {use.cell} of subject {use.subject} overlaps the part of "
                f"{first.subject} in row {first.row.number}; give start_seconds and end_seconds "
                "so that each part of a shared file shows one person",
            )
