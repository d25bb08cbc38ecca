"""Reads the lists of public action recordings: class and split of each recording.

UCF-101 and HMDB-51 have three official splits into training and test, DFEW has five; Kinetics has
annotation files with one row per recording. The lists are read as published, without reading a
video.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from pdray.errors import ManifestError, refuse

_HMDB51_TAGS = {"0": "", "1": "train", "2": "test"}  # 0: in neither side of the split
# DFEW's label to the word of the item that asks for this expression.
DFEW_LABELS = {
    "1": "happiness", "2": "sadness", "3": "neutral", "4": "anger", "5": "surprise",
    "6": "disgust", "7": "fear",
}  # fmt: skip
_ANNOTATION = ("label", "youtube_id", "time_start", "time_end", "split")


class Listed(NamedTuple):
    """Entry of a list.

    Attributes:
        action: Name of its class.
        name: Name of its file without folder and suffix.
        split: Split as in the list; empty if the recording is in none.
    """

    action: str
    name: str
    split: str


def read_ucf101(folder: Path, split: int) -> tuple[list[str], list[Listed]]:
    """Read ``classInd.txt`` and the training and test list of a split.

    Args:
        folder: Folder of the lists.
        split: 1 to 3.

    Returns:
        The classes in their official order, and the entries.

    Raises:
        ManifestError: If a list cannot be read or has wrong lines; lists all of them.
    """
    path = folder / "classInd.txt"
    lines = _lines(path)
    pairs = [line.split() for line in lines]
    faults = [
        f"line {number}: {line!r} is wrong, expected '{number} <class>'"
        for number, (line, pair) in enumerate(zip(lines, pairs, strict=True), start=1)
        if len(pair) != 2 or pair[0] != str(number)
    ]
    refuse(faults, ManifestError, str(path))
    classes = [name for _, name in pairs]
    listed: list[Listed] = []
    for side in ("train", "test"):
        path = folder / f"{side}list{split:02d}.txt"
        for number, line in enumerate(_lines(path), start=1):
            file, _, label = line.partition(" ")
            action, _, name = file.rpartition("/")
            if action not in classes or (label and label != str(classes.index(action) + 1)):
                faults.append(
                    f"{path.name} line {number}: {line!r} is wrong, expected '<class>/<file>' with "
                    "a class of classInd.txt, and perhaps its number"
                )
            listed.append(Listed(action, Path(name).stem, side))
    refuse([*faults, *_twice(listed)], ManifestError, f"{folder}")
    return classes, listed


def read_hmdb51(folder: Path, split: int) -> tuple[list[str], list[Listed]]:
    """Read the lists of a split, ``<class>_test_split<split>.txt``.

    Args:
        folder: Folder of the lists.
        split: 1 to 3.

    Returns:
        The classes by name, and the entries.

    Raises:
        ManifestError: If there is no list, or one cannot be read or has wrong lines; lists all of
            them.
    """
    ending = f"_test_split{split}.txt"
    paths = sorted(folder.glob(f"*{ending}"))
    if not paths:
        raise ManifestError(f"{folder}: has no file named <class>{ending}; add the official lists")
    faults, listed = [], []
    for path in paths:
        action = path.name.removesuffix(ending)
        for number, line in enumerate(_lines(path), start=1):
            name, _, tag = line.rpartition(" ")
            if not name or tag not in _HMDB51_TAGS:
                faults.append(
                    f"{path.name} line {number}: {line!r} is wrong, expected '<file> 0' (neither), "
                    "'<file> 1' (training) or '<file> 2' (test)"
                )
                continue
            listed.append(Listed(action, Path(name.strip()).stem, _HMDB51_TAGS[tag]))
    refuse([*faults, *_twice(listed)], ManifestError, f"{folder}")
    return [path.name.removesuffix(ending) for path in paths], listed


def read_dfew(folder: Path, split: int) -> list[Listed]:
    """Read the lists of a fold of DFEW, ``*train*/set_<split>.csv`` and ``*test*/set_<split>.csv``.

    Args:
        folder: ``EmoLabel_DataSplit``.
        split: Fold, 1 to 5.

    Returns:
        The entries; names are the clips' numbers with five digits.

    Raises:
        ManifestError: If there is no list of a side, or several, or one cannot be read or has wrong
            rows; lists all of them.
    """
    faults, listed = [], []
    for side in ("train", "test"):
        paths = sorted(folder.glob(f"*{side}*/set_{split}.csv"))
        if len(paths) != 1:
            raise ManifestError(
                f"{folder}: {len(paths)} files *{side}*/set_{split}.csv; there must be one, with "
                "video_name and label"
            )
        rows = csv.DictReader(_lines(paths[0]))
        if {"video_name", "label"} - set(rows.fieldnames or ()):
            raise ManifestError(f"{paths[0]}: the header lacks video_name or label; add it")
        for number, row in enumerate(rows, start=2):
            name, label = (str(row[key] or "").strip() for key in ("video_name", "label"))
            name = Path(name).stem
            if not _is_whole(name) or label not in DFEW_LABELS:
                faults.append(
                    f"{paths[0].parent.name}/{paths[0].name} row {number}: video_name {name!r}, "
                    f"label {label!r}, expected a number, and 1 to {len(DFEW_LABELS)}"
                )
                continue
            listed.append(Listed(DFEW_LABELS[label], f"{int(name):05d}", side))
    refuse([*faults, *_twice(listed)], ManifestError, f"{folder}")
    return listed


def read_kinetics(paths: Sequence[Path]) -> list[Listed]:
    """Read annotation files: CSV with label, youtube_id, time_start, time_end and split.

    A recording's file is named ``<youtube_id>_<time_start>_<time_end>``, the times as six digits.

    Args:
        paths: At least one file.

    Raises:
        ManifestError: If a file cannot be read, lacks a column or has wrong rows; lists all of
            them.
    """
    faults, listed = [], []
    for path in paths:
        rows = csv.DictReader(_lines(path))
        absent = [name for name in _ANNOTATION if name not in (rows.fieldnames or ())]
        if absent:
            raise ManifestError(f"{path}: the header lacks the column {', '.join(absent)}; add it")
        for number, row in enumerate(rows, start=2):
            label, youtube_id, start, end, split = (row[name] or "" for name in _ANNOTATION)
            if not (label and youtube_id and _is_whole(start) and _is_whole(end)):
                faults.append(
                    f"{path.name} row {number}: label {label!r}, youtube_id {youtube_id!r}, times "
                    f"{start!r} to {end!r}, expected two names and two whole numbers of seconds"
                )
                continue
            name = f"{youtube_id}_{int(float(start)):06d}_{int(float(end)):06d}"
            listed.append(Listed(label, name, split))
    refuse([*faults, *_twice(listed)], ManifestError, "annotations")
    return listed


def _is_whole(cell: str) -> bool:
    # Some copies write 5.0 instead of 5.
    return cell.isascii() and cell.removesuffix(".0").isdecimal()


def _lines(path: Path) -> list[str]:
    """Return the lines of a list that are not blank, without spaces at their ends."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise ManifestError(f"{path}: cannot be read: {reason}") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise ManifestError(f"{path}: is empty; download it again")
    return lines


def _twice(listed: Iterable[Listed]) -> list[str]:
    """List the recordings that are listed twice."""
    seen: dict[str, Listed] = {}
    faults = []
    for one in listed:
        first = seen.setdefault(one.name.casefold(), one)
        if first is not one:
            faults.append(
                f"{one.name} is listed twice: {first.action} {first.split}, {one.action} "
                f"{one.split}".rstrip()
            )
    return faults
