"""Faults of a predictions table whose cells are right: sums, scales, repeated rows, splits."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pdray.data.cohort.rated import FACTS
from pdray.data.cohort.settings import ITEMS
from pdray.evaluation.predictions import KEY, RATER, RECORDING_KEY, num_classes, probabilities

NO_ITEM = "not given"
Lines = NDArray[np.int64]
SUM_TOLERANCE = 1e-3
"""By how much the probabilities of a row may miss 1, since programs print rounded numbers."""
_RUN = ["study", "trial", "seed", "split"]


def row_faults(table: pd.DataFrame, numbers: Lines, *, graded: bool) -> list[str]:
    """Return the faults of single rows, and of rows that do not fit each other.

    Args:
        table: Rows with the columns of a predictions table, and :data:`FACTS`.
        numbers: Number of each row in its file, for the messages.
        graded: Whether the file has a column ``grade``.
    """
    faults, shares = [], probabilities(table)
    classes = num_classes(table)
    for row in np.flatnonzero(np.abs(shares.sum(axis=1) - 1) > SUM_TOLERANCE):
        faults.append(
            f"row {numbers[row]}: the probabilities sum to {shares[row].sum():.4g}, not to 1"
        )
    for row in np.flatnonzero(~table["target"].isin(range(classes))):
        faults.append(
            f"row {numbers[row]}: target {table['target'][row]} is outside 0..{classes - 1}, the "
            f"classes of the {classes} columns of probabilities"
        )
    raters = [name for name in table.columns if RATER.fullmatch(str(name))]
    for name in [*raters, *["grade"] * graded]:
        for row in np.flatnonzero(table[name].notna()):
            item = table["item"][row]
            highest = _highest(item, classes)
            if not 0 <= table[name][row] <= highest:
                faults.append(
                    f"row {numbers[row]}: {name} {table[name][row]:g} is outside "
                    f"0..{highest:g}, the scale of {item}; bring all raters to one scale"
                )
    checks = (_repeated, _torn, _split_faults)
    return [*faults, *(fault for check in checks for fault in check(table, numbers))]


def _highest(item: str, classes: int) -> float:
    """Return the highest grade of an item; without an item, of any scale that may be meant.

    A table does not say the scale of an item that is not among the known ones.
    """
    if item == NO_ITEM:
        return max(classes - 1, *ITEMS.values())
    return ITEMS.get(item, math.inf)


def _repeated(table: pd.DataFrame, numbers: Lines) -> list[str]:
    key = [*KEY, "split"]
    firsts = table.groupby(key, sort=False).ngroup()
    first_of = dict(zip(firsts[::-1], numbers[::-1], strict=True))
    return [
        f"row {numbers[row]}: repeats the recording, snippet and fold of row "
        f"{first_of[firsts[row]]}; remove one, or number them in the column snippet, repeat or seed"
        for row in np.flatnonzero(table.duplicated(key))
    ]


def _torn(table: pd.DataFrame, numbers: Lines) -> list[str]:
    """Return faults of recordings whose rows do not agree."""
    raters = [name for name in table.columns if RATER.fullmatch(str(name))]
    faults = []
    groups = table.groupby("recording_id", sort=False)
    for name in ("subject_id", "item", "target", "grade", *FACTS, *raters):
        kinds = groups[name].nunique(dropna=False)
        for recording in kinds.index[kinds > 1]:
            rows = table.index[table["recording_id"] == recording]
            first = table[name][rows[0]]
            other = next(r for r in rows if not _same(table[name][r], first))
            faults.append(
                f"row {numbers[other]}: {name} differs from that of row {numbers[rows[0]]}, which "
                f"is of the same recording_id {recording!r}"
            )
    return faults


def _same(one: object, other: object) -> bool:
    return one == other or bool(pd.isna(one) and pd.isna(other))  # type: ignore[call-overload]


def _split_faults(table: pd.DataFrame, numbers: Lines) -> list[str]:
    """Return faults of the split: rows that are no test, people on both sides or in two folds."""
    faults = [
        f"row {numbers[row]}: split 'train': a model knows the rows that it was trained on; "
        "remove them"
        for row in np.flatnonzero(table["split"].str.lower().isin(["train", "training"]))
    ]
    line = pd.Series(numbers, index=table.index)
    for key, rows in table.groupby(["study", "trial", "seed", "outer_fold"], sort=False):
        sides = rows.groupby("subject_id", sort=False)["split"].nunique()
        for subject in sides.index[sides > 1]:
            found = rows[rows["subject_id"] == subject].drop_duplicates("split")
            one, other = line[found.index[0]], line[found.index[1]]
            faults.append(
                f"row {other}: its subject stands in split '{found['split'].iloc[1]}' and, in row "
                f"{one}, in '{found['split'].iloc[0]}' of {_words(key)}; nobody may be on two sides"
            )
    for (*_, split), rows in table.groupby(_RUN, sort=False):
        inner = ["outer_fold"] if split == "val" else []
        place = ["fold"] if split == "val" else ["outer_fold", "fold"]
        people = rows.drop_duplicates(["subject_id", *inner, *place])
        for row in people.index[people.duplicated(["subject_id", *inner])]:
            same = people["subject_id"] == people["subject_id"][row]
            first = people.index[same][0]
            faults.append(
                f"row {line[row]}: its subject is in the test part of fold "
                f"{people['fold'][row]} and, in row {line[first]}, of fold "
                f"{people['fold'][first]}; a model was then trained on it; if the folds were drawn "
                "several times, number the drawings in the column seed"
            )
    several = table.groupby([*RECORDING_KEY[:5], "split"], sort=False)["epoch"].nunique()
    if (several > 1).any():
        faults.append("one model has rows of several epochs; keep those of one epoch")
    return faults


def _words(key: Sequence[object]) -> str:
    names = ("study", "trial", "seed", "outer_fold")
    said = [f"{name} {value}" for name, value in zip(names, key, strict=True) if value != ""]
    return ", ".join(said)
