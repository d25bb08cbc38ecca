"""Features of recordings: named numbers that describe a whole recording.

A table is a CSV or Parquet file with a column ``recording_id`` and a row per recording. All other
columns are numbers; an empty cell is absent, never zero. The features of one recording may also be
an ``.npz`` file, read without pickle, of ``names`` (D,) text and ``values`` (D,) real, NaN where
absent.
"""

import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pdray.data.cohort.csv_form import find_form
from pdray.data.cohort.csv_table import Row, read_csv
from pdray.data.cohort.rows import is_known
from pdray.errors import DecodeError, ManifestError, refuse

KEY = "recording_id"
_RIGHT = f"a CSV in UTF-8 or a .parquet file with a column {KEY} and columns of numbers"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DAMAGE = (zipfile.BadZipFile, ValueError, OSError, EOFError, RuntimeError, KeyError)


class Features(NamedTuple):
    """Features of a recording.

    Attributes:
        names: Name of each; the same for every recording of a modality.
        values: (D,) float64, NaN where a number is unknown.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]


class Table(NamedTuple):
    """Features of many recordings.

    Attributes:
        names: Of the columns, without ``recording_id``.
        places: Row of each recording in ``values``.
        values: (N, D) float64, NaN where a cell is empty.
    """

    names: tuple[str, ...]
    places: Mapping[str, int]
    values: NDArray[np.float64]


def is_single(path: Path | str) -> bool:
    """Whether a file holds the features of one recording, and not a table of many."""
    return Path(path).suffix.lower() == ".npz"


def read_features(source: tuple[Path, str]) -> Features:
    """Read the features of one recording.

    Args:
        source: A table or an ``.npz`` file, and the recording's id.

    Raises:
        DecodeError: If the table has no such row, or the file is none; without the id.
        ManifestError: If the table has a fault.
    """
    path, recording_id = source
    if is_single(path):
        return _read_single(path)
    table = read_table(path)
    place = table.places.get(recording_id)
    if place is None:
        raise DecodeError(
            f"its table {path.name} has no row with this {KEY}; add the row, or leave the cell of "
            "the manifest empty"
        )
    return Features(table.names, table.values[place])


def feature_items(
    source: tuple[Path, str], _: None = None
) -> list[tuple[float, NDArray[np.float64], tuple[str, ...]]]:
    """Return the only item of an entry: second 0, and the values and names of the features."""
    found = read_features(source)
    return [(0.0, found.values, found.names)]


def read_table(path: Path) -> Table:
    """Read a table; a process keeps the last ones in memory while the files stand unchanged.

    Raises:
        ManifestError: With every fault of the file at once.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from error
    return _read_table(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _read_table(path: Path, *_: int) -> Table:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from error
    read = _read_parquet if path.suffix.lower() == ".parquet" else _read_csv
    names, ids, values, faults = read(path, content)
    faults += [
        f"{KEY} {name!r} stands in {count} rows; keep one row per recording"
        for name, count in Counter(ids).items()
        if count > 1 and name
    ]
    faults += [f"{ids.count('')} rows have no {KEY}"] * ("" in ids)
    endless = np.asarray(np.isinf(values).any(axis=0))
    faults += [
        f"column {name!r} holds an infinite number; leave the cell empty if absent"
        for name, is_endless in zip(names, endless, strict=True)
        if is_endless
    ]
    refuse(faults, ManifestError, path.name)
    values.flags.writeable = False  # it is shared
    return Table(tuple(names), {name: place for place, name in enumerate(ids)}, values)


_Read = tuple[list[str], list[str], NDArray[np.float64], list[str]]


def _read_csv(path: Path, content: bytes) -> _Read:
    form = find_form(content)
    names: list[str] = []

    def check(header: list[str]) -> None:
        refuse(header_faults(header), ManifestError, path.name)
        names.extend(name for name in header if name != KEY)

    rows = read_csv(path, content, check, wanted=(KEY,), right=_RIGHT, form=form)
    has_commas = form.delimiter != ","
    faults: list[str] = []
    values = np.array(
        [[_number(name, row, has_commas, faults) for name in names] for row in rows], np.float64
    ).reshape(len(rows), len(names))
    return names, [row.cells[KEY] for row in rows], values, faults


def _number(name: str, row: Row, has_commas: bool, faults: list[str]) -> float:
    cell = row.cells[name]
    if not cell:
        return math.nan
    text = cell.replace(",", ".") if has_commas else cell
    if _NUMBER.fullmatch(text):
        return float(text)
    # A cell may hold somebody's name, so that only what looks like a number is repeated.
    shown = f" {cell!r}" if any(sign.isdigit() for sign in cell) or len(cell) < 5 else ""
    faults.append(
        f"row {row.number}: column {name!r} is{shown or ' text'}, which is no number; leave the "
        "cell empty if it is absent, and remove columns of text"
    )
    return math.nan


def _read_parquet(path: Path, content: bytes) -> _Read:
    import pyarrow as pa  # heavy, and settings import the columns
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
        refuse(header_faults(table.column_names), ManifestError, path.name)
        names = [name for name in table.column_names if name != KEY]
        ids = ["" if one is None else str(one) for one in table[KEY].to_pylist()]
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(f"{path}: not a Parquet file: {error}") from error
    faults = []
    values = np.full((len(ids), len(names)), np.nan)
    for place, name in enumerate(names):
        kind = table.schema.field(name).type
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if is_number or pa.types.is_boolean(kind):
            values[:, place] = table[name].cast(pa.float64()).to_numpy()
        else:
            faults.append(f"column {name!r} is {kind}, no number; remove it")
    return names, ids, values, faults


def header_faults(header: Sequence[str]) -> list[str]:
    """List what is wrong with the columns of a table."""
    faults = [] if KEY in header else [f"row 1: required column {KEY} is missing"]
    faults += [
        f"row 1: column {name!r} stands {count} times"
        for name, count in Counter(header).items()
        if count > 1
    ]
    faults += ["row 1: a column has no name"] * ("" in header)
    # Else a subject's number or a grade would be learnt from.
    faults += [
        f"row 1: column {name!r} is one of the manifest's, and no feature; move it to the manifest"
        for name in header
        if name != KEY and is_known(name)
    ]
    if set(header) <= {KEY}:
        faults.append("row 1: there is no column of numbers")
    return faults


def _read_single(path: Path) -> Features:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names, values = arrays["names"], arrays["values"]
    except _DAMAGE as error:
        raise DecodeError(
            f"its features {path.name} are no .npz file with the arrays names and values, without "
            "Python objects"
        ) from error
    faults = list(_single_faults(names, values))
    refuse(faults, DecodeError, f"its features {path.name} cannot be used")
    return Features(tuple(names.tolist()), values.astype(np.float64))


def _single_faults(names: NDArray[Any], values: NDArray[Any]) -> Iterator[str]:
    if names.dtype.kind != "U" or names.ndim != 1 or not len(names):
        yield f"names are {names.dtype} of shape {names.shape}, not (D,) text"
    elif values.dtype.kind not in "iuf" or values.shape != names.shape:
        yield f"values are {values.dtype} of shape {values.shape}, not {names.shape} numbers"
    elif np.isinf(values).any():
        yield "a value is infinite; NaN says that a number is absent"
    else:
        yield from header_faults([KEY, *names.tolist()])


def check_names(described: Mapping[str, Features], modality: str) -> tuple[str, ...]:
    """Return the names of features, which must be the same for every recording.

    Args:
        described: By recording id, at least one.
        modality: For the message.

    Raises:
        ManifestError: If a recording has other names; says which are absent or added.
    """
    (first, features), *others = described.items()
    for recording_id, other in others:
        if other.names != features.names:
            raise ManifestError(
                f"{modality}: recording {recording_id} has other columns than {first}: "
                f"{names_differ(features.names, other.names)}; give all recordings the same columns"
            )
    return features.names


def names_differ(right: Sequence[str], found: Sequence[str]) -> str:
    """Say how the columns that were found differ from the right ones; empty if they are equal."""
    told = []
    for word, names in (
        ("lacks", [name for name in right if name not in found]),
        ("adds", [name for name in found if name not in right]),
    ):
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        told += [f"{word} {', '.join(names[:5])}{more}"] if names else []
    if not told and tuple(right) != tuple(found):
        told = ["the order differs"]
    return "; ".join(told)
