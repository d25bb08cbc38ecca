"""Tables of features beside their manifest: rows that fit no other, and columns that look wrong."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pdray.data.cohort.csv_table import Row
from pdray.data.cohort.people import Fault
from pdray.data.modalities import is_table
from pdray.data.tables.features import Table, is_single, names_differ, read_features, read_table
from pdray.errors import DecodeError, ManifestError

_SHOWN = 5
_LEAST = 10  # values of a site from which its spread is compared
_SPREAD = 10.0  # ratio of spreads from which the unit may differ
# Names of what is known of a person or of the disease, in published tables.
_FACT = re.compile(
    r"(non)?(expert|rat(er|ing))[_ ]?\d*|pd|gender|diagnos\w*|(\w+_)?updrs(_\w+)?|hoehn\w*"
    r"|test_time|(subject|patient|participant)(#|_?id)?",
    re.IGNORECASE,
)
_ZEROS = 6  # columns that are zero together; mean, spread and entropy of one thing may be

Uses = dict[str, dict[Path, list[Row]]]  # rows by table, by column of the manifest


def table_faults(rows: Sequence[Row], folder: Path) -> tuple[list[Fault], list[str]]:
    """Check the tables of a manifest.

    Args:
        rows: Of the manifest.
        folder: Of the manifest; paths are relative to it.

    Returns:
        Faults, and notes of one sentence each.
    """
    faults: list[Fault] = []
    notes: list[str] = []
    described: dict[str, tuple[Table, list[Row]]] = {}
    for column, of_path in _uses(rows, folder).items():
        tables = {}
        for path, members in of_path.items():
            try:
                tables[path] = _read(path, members)
            except (ManifestError, DecodeError) as error:
                faults.append((members[0].number, f"{column}: {error}"))
                continue
            faults += _absent(column, path, tables[path], members)
            notes += _superfluous(column, path, tables[path], rows)
        faults += _other_columns(column, tables, of_path)
        if tables and not faults:
            described[column] = _joined(tables, of_path)
    if not faults:
        for column, (table, members) in described.items():
            notes += _column_notes(column, table, members)
        notes += _shared(described)
    return faults, notes


def _uses(rows: Sequence[Row], folder: Path) -> Uses:
    found: Uses = {}
    for row in rows:
        for column in filter(is_table, row.cells):
            cell = row.cells[column]
            if cell and (folder / cell).is_file():  # else it is said
                found.setdefault(column, {}).setdefault(folder / cell, []).append(row)
    return found


def _read(path: Path, members: Sequence[Row]) -> Table:
    """Return a table; the features of one recording are a table of one row."""
    if not is_single(path):
        return read_table(path)
    names, values = read_features((path, ""))
    return Table(
        names, dict.fromkeys((row.cells["recording_id"] for row in members), 0), values[None]
    )


def _absent(column: str, path: Path, table: Table, members: Sequence[Row]) -> Iterator[Fault]:
    for row in members:
        name = row.cells["recording_id"]
        if name and name not in table.places:
            yield (
                row.number,
                f"{column} {path.name} has no row of recording {name}; add the row, or leave the "
                "cell empty",
            )


def _superfluous(column: str, path: Path, table: Table, rows: Sequence[Row]) -> Iterator[str]:
    known = {row.cells["recording_id"] for row in rows}
    others = [name for name in table.places if name not in known]
    if others:
        yield (
            f"{column}: {len(others)} of {len(table.places)} rows of {path.name} are of recordings "
            f"that the manifest has not, and are not used: {_some(others)}"
        )


def _other_columns(
    column: str, tables: Mapping[Path, Table], of_path: Mapping[Path, list[Row]]
) -> Iterator[Fault]:
    if len(tables) < 2:
        return
    (first, right), *others = tables.items()
    for path, table in others:
        if told := names_differ(right.names, table.names):
            yield (
                of_path[path][0].number,
                f"{column} {path.name} has other columns than {first.name}: {told}; give all "
                "recordings the same columns, or use a modality for each table, such as "
                "features.NAME",
            )


def _joined(
    tables: Mapping[Path, Table], of_path: Mapping[Path, list[Row]]
) -> tuple[Table, list[Row]]:
    """Return one table of all, such as those of several sites, and its rows of the manifest."""
    names = next(iter(tables.values())).names
    members: list[Row] = []
    values = [np.empty((0, len(names)))]
    for path, table in tables.items():
        known = [row for row in of_path[path] if row.cells["recording_id"] in table.places]
        values.append(table.values[[table.places[row.cells["recording_id"]] for row in known]])
        members += known
    numbers = {row.cells["recording_id"]: place for place, row in enumerate(members)}
    return Table(names, numbers, np.concatenate(values)), members


def _column_notes(column: str, table: Table, members: Sequence[Row]) -> Iterator[str]:
    values = table.values[[table.places[row.cells["recording_id"]] for row in members]]
    count = len(values)
    absent = np.isnan(values)
    if empty := int(absent.all(axis=1).sum()):
        yield (
            f"{column}: {empty} of {count} recordings have no value in any column; leave their "
            "cells of the manifest empty"
        )
    if facts := [name for name in table.names if _FACT.fullmatch(name)]:
        yield (
            f"{column}: by their names, {_some(facts)} are no features, but what is known of a "
            "person or given by a rater; if so, move them to the manifest"
        )
    low, high = (
        np.where(absent, fill, values).T for fill in (np.inf, -np.inf)
    )  # without a warning where a column is empty
    is_constant = ~(low.min(axis=1, initial=np.inf) < high.max(axis=1, initial=-np.inf))
    if is_constant.any() and count > 1:
        names = [name for name, same in zip(table.names, is_constant, strict=True) if same]
        told = "column is constant or empty and says nothing; remove it"
        if len(names) > 1:
            told = "columns are constant or empty and say nothing; remove them"
        yield f"{column}: {len(names)} {told}: {_some(names)}"
    yield from _zeros(column, table.names, values)
    for what in ("site", "recording_protocol"):
        places = [row.cells.get(what, "") for row in members]
        yield from _units(column, table.names, values, places, what)


def _zeros(column: str, names: Sequence[str], values: NDArray[np.float64]) -> Iterator[str]:
    """Find columns that are zero in the same recordings alone: absent values written as zero."""
    alike: dict[bytes, list[str]] = {}
    is_zero = values == 0
    are_some = (is_zero.sum(axis=0) > 1) & (is_zero.mean(axis=0) < 0.5)
    for place in np.flatnonzero(are_some).tolist():
        alike.setdefault(is_zero[:, place].tobytes(), []).append(names[place])
    for mask, together in alike.items():
        if len(together) >= _ZEROS:
            count = int(np.frombuffer(mask, np.bool_).sum())
            yield (
                f"{column}: {len(together)} columns are zero together in {count} of {len(values)} "
                f"recordings ({_some(together)}); if they are absent there, leave the cells empty"
            )


def _units(
    column: str,
    names: Sequence[str],
    values: NDArray[np.float64],
    sites: Sequence[str],
    what: str,
) -> Iterator[str]:
    """Find columns whose spread at one site, or by one protocol, is many times that at another."""
    told = []
    known = sorted({site for site in sites if site})
    for name, of_column in zip(names, values.T, strict=True):
        spreads = {}
        for site in known:
            own = of_column[np.array(sites) == site]
            own = own[~np.isnan(own)]
            if len(own) >= _LEAST:
                spreads[site] = float(np.subtract(*np.quantile(own, [0.75, 0.25])))
        spreads = {site: spread for site, spread in spreads.items() if spread > 0}
        if not spreads:
            continue
        low, high = (choose(spreads, key=spreads.__getitem__) for choose in (min, max))
        if spreads[high] >= _SPREAD * spreads[low]:
            told.append(f"{name} ({spreads[high] / spreads[low]:.0f} times, {high} and {low})")
    if told:
        counted = f"{len(told)} column{'s' * (len(told) > 1)}"
        yield (
            f"{column}: the spread of {counted} differs by {_SPREAD:g} times or more "
            f"by {what}; check their units: {_some(told)}"
        )


def _shared(described: Mapping[str, tuple[Table, object]]) -> Iterator[str]:
    for (one, (table, _)), (other, (second, _)) in combinations(described.items(), 2):
        both = [name for name in table.names if name in second.names]
        if both:
            yield (
                f"{one} and {other} both have the columns {_some(both)}; if they are the same "
                "numbers, remove one of them"
            )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
