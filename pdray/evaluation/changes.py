"""Changes between states and visits, and repeats in one state, of one predictions table.

The model's grade is its expected class, sum of k p_k, which moves before the predicted class does;
the rater's is the class of the grade (``target``). Both are on the scale of the classes, 0..K-1.

A change is that of one subject, item and side: from OFF to ON, in one stimulation state; from
stimulation off to on, in one medication state; or from the first to the last visit, by the sorted
names of visits, in one state of both. Recordings of one state are averaged in each visit, then over
visits. Where some visit has both states, only such visits count; else states of different visits
are compared (``apart``).
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from pdray.evaluation.levels import NETWORK, at_level, lacks_part
from pdray.evaluation.predictions import RATER, num_classes, probabilities

STATES = ("side", "medication_state", "stimulation_state")
CONTRASTS = (("medication_state", "off", "on"), ("stimulation_state", "off", "on"))
VISITS = "first to last visit"
_GRADES = ["model", "rater"]


class Change(NamedTuple):
    """Changes of one kind.

    Attributes:
        name: Such as "medication_state off to on".
        rows: One row per network, subject, item, side and other state: ``subject_id``, ``item``,
            ``model`` and ``rater`` (their changes), and ``apart``: whether states of different (or
            unknown) visits are compared.
    """

    name: str
    rows: pd.DataFrame


def changes(table: pd.DataFrame) -> list[Change]:
    """Return the changes between states and between visits that a table has, one kind each.

    Args:
        table: A predictions table.
    """
    rows = _graded(table)
    found = [
        Change(f"{column} {before} to {after}", _between_states(rows, column, (before, after)))
        for column, before, after in CONTRASTS
        if column in rows
    ]
    if "visit_id" in rows:
        found.append(Change(VISITS, _between_visits(rows)))
    return [one for one in found if len(one.rows)]


def repeats(table: pd.DataFrame) -> pd.DataFrame:
    """Return the first two recordings, by their ids, of each unit of level "visit" with several.

    Args:
        table: A predictions table.

    Returns:
        One row per unit: ``subject_id``, ``item``, and ``model_first``, ``model_second``,
        ``rater_first``, ``rater_second``. Where every class is its grade, the grades by each rater
        follow, such as ``rater_2_first``.
    """
    rows = _graded(table)
    rows = rows[~lacks_part(rows, (*STATES, "visit_id"))].sort_values("recording_id")
    key = _key(rows, (*STATES, "visit_id"))
    place = rows.groupby(key, dropna=False).cumcount()
    values = [*_GRADES]
    if (rows["target"] == rows["grade"]).all():
        values += [str(name) for name in rows if RATER.fullmatch(str(name))]
    return _joined([rows[place == 0], rows[place == 1]], key, values)


def _graded(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per recording with the model's and the rater's grade."""
    rows = at_level(table, "recording")
    expected = probabilities(rows) @ np.arange(num_classes(rows))
    return rows.assign(model=expected, rater=rows["target"].astype("float64"))


def _key(rows: pd.DataFrame, parts: Sequence[str]) -> list[str]:
    return [*NETWORK, "subject_id", "item", *(name for name in parts if name in rows)]


def _between_states(rows: pd.DataFrame, column: str, states: tuple[str, str]) -> pd.DataFrame:
    others = [name for name in STATES if name != column]
    key = _key(rows, others)
    rows = rows[~lacks_part(rows, others) & rows[column].isin(states)]
    rows = rows.assign(moment=(rows[column] == states[1]).astype(int))
    both = pd.Series(False, index=rows.index)
    if "visit_id" in rows:
        groups = rows.groupby([*key, "visit_id"], dropna=False)
        both = (groups["moment"].transform("nunique") == 2) & rows["visit_id"].notna()
    somewhere = both.groupby([rows[name] for name in key], dropna=False).transform("any")
    return _differences(rows[both | ~somewhere].assign(apart=~somewhere), key)


def _between_visits(rows: pd.DataFrame) -> pd.DataFrame:
    key = _key(rows, STATES)
    rows = rows[~lacks_part(rows, (*STATES, "visit_id"))]
    order = {name: place for place, name in enumerate(sorted(set(rows["visit_id"]), key=_natural))}
    rows = rows.assign(number=rows["visit_id"].map(order), apart=False)
    numbers = rows.groupby(key, dropna=False)["number"]
    first, last = numbers.transform("min"), numbers.transform("max")
    ends = (first < last) & ((rows["number"] == first) | (rows["number"] == last))
    return _differences(rows.assign(moment=(rows["number"] == last).astype(int))[ends], key)


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts V2 before V10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _differences(rows: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Return the grades of moment 1 less those of moment 0, of groups that have both."""
    visit = ["visit_id"] if "visit_id" in rows else []
    columns = [*_GRADES, "apart"]
    means = rows.groupby([*key, "moment", *visit], dropna=False, as_index=False)[columns].mean()
    means = means.groupby([*key, "moment"], dropna=False, as_index=False)[columns].mean()
    moments = [means[means["moment"] == moment] for moment in (0, 1)]
    both = _joined(moments, key, columns)
    return pd.DataFrame(
        {
            "subject_id": both["subject_id"],
            "item": both["item"],
            **{name: both[f"{name}_second"] - both[f"{name}_first"] for name in _GRADES},
            "apart": both["apart_first"] > 0,
        }
    )


def _joined(parts: Sequence[pd.DataFrame], key: list[str], values: list[str]) -> pd.DataFrame:
    """Return rows of two tables with the same key side by side; an empty cell equals another."""
    before, after = (
        one[key + values].rename(columns={name: f"{name}_{place}" for name in values})
        for place, one in zip(("first", "second"), parts, strict=True)
    )
    return before.merge(after, on=key)
