"""Translations table: one row per held-out picture that a translator changed.

A table is a pandas DataFrame with the columns of :data:`COLUMNS` and, if the fit had a guide, what
the guide says of the changed picture: ``guide_probability_0..K-1`` (float64). It holds no picture.
Training writes it as Parquet in the place of a predictions table, since a translator predicts no
class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from pdray.errors import StudyError, refuse
from pdray.evaluation.predictions import Origin

ROW_COLUMNS = ("recording_id", "subject_id", "item", "grade", "frame", "seconds", "target_class")
COLUMNS = ("study", "trial", "outer_fold", "fold", "repeat", "seed", "epoch", "split", *ROW_COLUMNS)
_KEY = ("study", "trial", "outer_fold", "fold", "seed", "epoch", "recording_id", "frame")
_TEXTS = ("study", "split", "recording_id", "subject_id", "item")
_GUIDE = "guide_probability_"


def translations_table(
    origin: Origin,
    rows: Mapping[str, Sequence[Any]],
    guide: NDArray[np.float64] | None = None,
) -> pd.DataFrame:
    """Build and check a table.

    Args:
        origin: Part of the key that all rows share.
        rows: N entries each, which may be none, of ``recording_id``, ``subject_id``, ``item`` and
            ``grade`` of the source, ``frame`` (number of its picture from 0), ``seconds`` (its time
            in the recording [s]) and ``target_class`` (1..K-1).
        guide: (N, K) what the guide says of each changed picture; None: there is no guide.

    Raises:
        StudyError: If :func:`check_translations` finds a fault.
    """
    columns: dict[str, Any] = {**asdict(origin), **{name: rows[name] for name in ROW_COLUMNS}}
    num = len(rows["recording_id"])
    table = pd.DataFrame({name: columns[name] for name in COLUMNS}, index=range(num))
    numbers = [name for name in COLUMNS if name not in (*_TEXTS, "seconds")]
    kinds = dict.fromkeys(_TEXTS, "str") | dict.fromkeys(numbers, "int64") | {"seconds": "float64"}
    table = table.astype(kinds)
    if guide is not None:
        shares = {f"{_GUIDE}{k}": column for k, column in enumerate(guide.T)}
        table = pd.concat([table, pd.DataFrame(shares, index=table.index)], axis=1)
    check_translations(table)
    return table


def guide_probabilities(table: pd.DataFrame) -> NDArray[np.float64] | None:
    """Return the (N, K) probabilities of the guide; None if the fit had none."""
    names = [name for name in table.columns if str(name).startswith(_GUIDE)]
    return table[names].to_numpy(dtype=np.float64) if names else None


def check_translations(table: pd.DataFrame) -> None:
    """Refuse a table that is no translations table.

    Raises:
        StudyError: With missing columns, empty cells, repeated keys, target classes below 1 and
            probabilities that are none; lists all faults.
    """
    headline = "translations table"
    absent = [f"column '{name}' is missing" for name in COLUMNS if name not in table.columns]
    refuse(absent, StudyError, headline)
    faults = [
        f"column '{name}' has {int(table[name].isna().sum())} empty cells"
        for name in COLUMNS
        if table[name].isna().any()
    ]
    if (twice := table.duplicated([*_KEY, "target_class"])).any():
        faults.append(f"{int(twice.sum())} rows repeat the key of another")
    if (low := table["target_class"] < 1).any():
        faults.append(f"{int(low.sum())} rows have a target class below 1")
    shares = guide_probabilities(table)
    if shares is not None:
        sums = np.isclose(shares.sum(axis=1), 1.0, atol=1e-5)
        off = ~(sums & (shares >= 0).all(axis=1))
        if off.any():
            faults.append(f"the guide's probabilities of {int(off.sum())} rows do not sum to 1")
    refuse(faults, StudyError, headline)


def read_translations(path: Path) -> pd.DataFrame:
    """Read and check a translations table.

    Raises:
        StudyError: If the file is missing, is not Parquet or is no translations table.
    """
    try:
        table = pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise StudyError(f"translations {path}: cannot be read: {error}") from error
    try:
        check_translations(table)
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from error
    return table
