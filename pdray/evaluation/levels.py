"""The unit that a score counts: a snippet, a recording, a visit's rating, or a subject.

A clinician gives one grade to one side of one person in one state. So the unit of the level
"visit" is one subject, item, side, visit, medication and stimulation state, and only its repeats
are averaged. Averaging over sides, visits or states is asked for, and :func:`level_words` says so.

An empty cell is not a value. A recording without a visit repeats nothing, and neither does one
without a side or a state where other recordings of its item have one: it is a unit of its own.
Where a column is empty for the whole item (gait has no side), it tells no units apart.

Repeats may have different grades. Their unit then has the mean class, rounded to the nearest whole
class (halves up, to the worse one), and the words count such units.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pdray.errors import StudyError, refuse
from pdray.evaluation.metrics import predicted
from pdray.evaluation.predictions import (
    RATER,
    RECORDING_KEY,
    by_recording,
    num_classes,
    optional_facts,
    probabilities,
)
from pdray.evaluation.settings import Level, Rule
from pdray.evaluation.statistics.scaled import softmax

Shares = NDArray[np.float64]

NETWORK = RECORDING_KEY[:-1]
"""Columns that tell networks apart; rows of two networks are never averaged."""
WIDER = {
    "side": "sides",
    "visit_id": "visits",
    "medication_state": "medication states",
    "stimulation_state": "stimulation states",
}
"""Columns over which units may be averaged on request, and their words."""
RULES: dict[Rule, str] = {
    "mean": "mean of the class probabilities",
    "median": "median of the cumulated class probabilities",
    "logit": "mean of the logarithms of the class probabilities",
    "vote": "share of votes for each class",
    "max": "highest probability of class 1",
}
_LEAST = 1e-12  # a probability of 0 has no logarithm


def at_level(
    table: pd.DataFrame, level: Level, rule: Rule = "mean", over: Sequence[str] = ()
) -> pd.DataFrame:
    """Return one row per unit of a level.

    Args:
        table: A predictions table; columns of logits are not needed.
        level: "snippet": rows as they are. "recording": the snippets and repeated evaluations of a
            recording are averaged. "visit": then the repeats of one subject, item, side, visit,
            medication and stimulation state. "subject": then all recordings of a subject and item.
        rule: How rows are joined, at each step: a key of :data:`RULES`. "max" is for two classes.
        over: For the level "visit": columns of :data:`WIDER` over which to average too.

    Returns:
        Columns as of :func:`~pdray.evaluation.predictions.by_recording`, with ``num_rows`` (rows
        of the table in the unit). From level "visit" on also ``num_recordings``, ``num_targets``
        (different classes among them) and ``stands_alone`` (a part of its unit is unknown);
        ``recording_id`` then joins the ids, ``grade`` is the mean grade, ``target`` the rounded
        mean class, and a rater's grade is the mean if she graded all recordings of the unit.

    Raises:
        StudyError: If ``over`` has another column or does not fit the level, or the rule does not
            fit the number of classes; or as :func:`by_recording`.
    """
    _check(table, level, rule, over)
    if level == "snippet":
        return table.assign(num_rows=1)
    rows = by_recording(table).rename(columns={"num_snippets": "num_rows"})
    if rule != "mean":
        rows = rows.assign(**_joined(table, RECORDING_KEY, rule))
    if level == "recording":
        return rows
    return _units(rows, tuple(WIDER) if level == "subject" else tuple(over), rule)


def level_words(
    units: pd.DataFrame, level: Level, rule: Rule = "mean", over: Sequence[str] = ()
) -> str:
    """Return what a score of units means: its level, what was rated, averaged and resampled.

    Args:
        units: Result of :func:`at_level`.
        level: As given there.
        rule: As given there.
        over: As given there.
    """
    num_subjects = units["subject_id"].nunique()
    wider = list(WIDER) if level == "subject" else [name for name in WIDER if name in over]
    counted = {
        "snippet": f"snippet: {len(units)} snippets",
        "recording": f"recording: {len(units)} recordings",
        "visit": f"visit: {len(units)} units (one subject, item, side, visit and state)",
        "subject": f"subject: {len(units)} units (one subject and item)",
    }[level]
    words = [
        f"level: {counted} of {num_subjects} subjects",
        "rated: each recording",
        f"averaged: {_averaged(units, level, rule, [WIDER[name] for name in wider])}",
    ]
    if "num_targets" in units and (torn := int((units["num_targets"] > 1).sum())):
        words.append(
            f"{torn} units have recordings of different classes: the mean class counts, rounded, "
            "halves up"
        )
    if "stands_alone" in units and (alone := int(units["stands_alone"].sum())):
        words.append(
            f"{alone} recordings are units of their own, because their visit, side or state is "
            "not known"
        )
    return "; ".join([*words, "resampled: subjects"])


def _averaged(units: pd.DataFrame, level: Level, rule: Rule, wider: Sequence[str]) -> str:
    if level == "snippet":
        return "nothing"
    over = "snippets of a recording"
    if level in ("visit", "subject"):
        several = int((units["num_recordings"] > 1).sum())
        over += f", then recordings of a unit ({several} units have more than one)"
    also = f", also over {', '.join(wider)}" if wider else ""
    return f"{RULES[rule]}, over {over}{also}"


def _check(table: pd.DataFrame, level: Level, rule: Rule, over: Sequence[str]) -> None:
    faults = [f"over: no '{name}'; use {', '.join(WIDER)}" for name in over if name not in WIDER]
    if over and level != "visit":
        faults.append(f"over: level '{level}' does not take it; use level 'visit'")
    if rule == "max" and num_classes(table) != 2:
        faults.append(f"rule 'max' is for 2 classes, not for {num_classes(table)}; use 'mean'")
    refuse(faults, StudyError, "level")


def _units(rows: pd.DataFrame, wider: Sequence[str], rule: Rule) -> pd.DataFrame:
    """Join the recordings of each unit."""
    apart = [name for name in WIDER if name not in wider]
    alone = lacks_part(rows, apart)
    rows = rows.assign(stands_alone=alone, _alone=rows["recording_id"].where(alone, ""))
    known = [name for name in apart if name in rows.columns]
    key = [*NETWORK, "subject_id", "item", *known, "_alone"]
    groups = rows.groupby(key, sort=True, dropna=False)
    texts = ["split", *(one for one in optional_facts(rows.columns) if one not in known)]
    raters = [name for name in texts if RATER.fullmatch(name)]
    texts = [name for name in texts if name not in raters]
    shared = groups[texts].first().where(groups[texts].nunique(dropna=False) == 1)
    parts: list[Any] = [
        groups["recording_id"].agg(" + ".join),
        shared,
        groups[["grade", "target", *raters]].mean(skipna=False),
        groups["num_rows"].sum(),
        groups.size().rename("num_recordings"),
        groups["target"].nunique().rename("num_targets"),
        groups["stands_alone"].first(),
    ]
    units: pd.DataFrame = pd.concat(parts, axis=1).reset_index()
    halves_up = np.floor(units["target"] + 0.5).astype("int64")
    units = units.assign(target=halves_up, **_joined(rows, key, rule))
    return units.drop(columns="_alone")


def lacks_part(rows: pd.DataFrame, apart: Sequence[str]) -> pd.Series:
    """Return which rows lack a part of their unit, so that they repeat no other.

    Args:
        rows: One row per recording.
        apart: Columns of :data:`WIDER` that tell units apart.

    Returns:
        A row per recording, bool: it has no visit, or no side or state although another recording
        of its item has one.
    """
    unknown = pd.Series(False, index=rows.index)
    for name in apart:
        if name == "visit_id":
            unknown |= True if name not in rows else rows[name].isna()
        elif name in rows:
            unknown |= rows[name].isna() & (rows.groupby("item")[name].transform("count") > 0)
    return unknown


def _joined(rows: pd.DataFrame, key: Sequence[str], rule: Rule) -> dict[str, Shares]:
    """Return the columns of probabilities of each group of rows, groups sorted by their key."""
    before, how, after = _STEPS[rule]
    shares = pd.DataFrame(before(probabilities(rows)), index=rows.index)
    groups = shares.groupby([rows[name] for name in key], sort=True, dropna=False)
    joined = after(getattr(groups, how)().to_numpy())
    return {f"probability_{k}": joined[:, k] for k in range(joined.shape[1])}


def _same(values: Shares) -> Shares:
    return values


def _votes(shares: Shares) -> Shares:
    votes: Shares = np.eye(shares.shape[1])[predicted(shares)]
    return votes


def _differences(cumulated: Shares) -> Shares:
    """Return (N, K) probabilities of cumulated ones, whose medians rise and end at 1, too."""
    return np.diff(cumulated, axis=1, prepend=0.0)


def _of_class_1(highest: Shares) -> Shares:
    return np.stack([1 - highest[:, 1], highest[:, 1]], axis=1)


_Step = Callable[[Shares], Shares]
# How the probabilities of rows are changed, joined, and changed back.
_STEPS: dict[Rule, tuple[_Step, str, _Step]] = {
    "mean": (_same, "mean", _same),
    "median": (lambda shares: shares.cumsum(axis=1), "median", _differences),
    "logit": (lambda shares: np.log(np.maximum(shares, _LEAST)), "mean", softmax),
    "vote": (_votes, "mean", _same),
    "max": (_same, "max", _of_class_1),
}
