"""Numbers on change: does the model see what the rater sees, and how large is its own error?"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pdray.evaluation.changes import Change, changes, repeats
from pdray.evaluation.numbers import Number, Rows, measured
from pdray.evaluation.statistics.agreement import weighted_icc
from pdray.evaluation.statistics.change import (
    Numbers,
    detectable_change,
    mean_change,
    measurement_error,
    response_mean,
    right_sign,
)
from pdray.evaluation.statistics.intervals import Transform


class _Score(NamedTuple):
    """A number to compute: from its rows and the times that resamples have them."""

    metric: str
    subjects: NDArray[np.object_]
    values: Callable[[Numbers], Numbers]
    transform: Transform
    undefined: str = ""  # why, where the value is nan


def change_numbers(table: pd.DataFrame, notes: list[str], truth: str) -> Iterator[Number]:
    """Yield the agreement of the model's change with the rater's, and the error of repeats.

    Args:
        table: A predictions table.
        notes: What is joined or left out, and why, is added.
        truth: What intervals cover, as in :class:`Number`.
    """
    found = changes(table)
    if not found:
        notes.append(
            "change: no subject has one item and side in two states or visits, so changes are not "
            "compared"
        )
    for kind in found:
        notes.append(_words(kind))
        yield from _of_kind(kind, truth)
        if kind.rows["item"].nunique() > 1:
            for item, rows in kind.rows.groupby("item", sort=True):
                yield from _of_kind(Change(f"{kind.name}: item={item}", rows), truth)
    pairs = repeats(table)
    if len(pairs):
        yield from _of_repeats(pairs, truth)
    else:
        notes.append(
            "test and retest: no item was recorded twice on one side in one visit and state, so "
            "the error of measurement is not known"
        )


def _words(kind: Change) -> str:
    still = int((kind.rows["rater"] == 0).sum())
    apart = int(kind.rows["apart"].sum())
    return (
        f"change, {kind.name}: {len(kind.rows)} pairs of {kind.rows['subject_id'].nunique()} "
        f"subjects, who weigh equally; in {still} pairs the rater's change is 0 and has no sign"
        + f"; {apart} pairs compare states of different or unknown visits"
        * bool(apart)
    )


def _of_kind(kind: Change, truth: str) -> Iterator[Number]:
    """Yield the numbers of one kind of change, beside those of one change for everybody."""
    people = kind.rows["subject_id"].to_numpy(dtype=object)
    model, rater = (kind.rows[name].to_numpy(dtype=np.float64) for name in ("model", "rater"))
    alike = "there is one subject, or all subjects change alike"
    made = [
        _Score("change_model", people, partial(mean_change, people, model), "none"),
        _Score("change_rater", people, partial(mean_change, people, rater), "none"),
        _Score("srm_model", people, partial(response_mean, people, model), "none", alike),
        _Score("srm_rater", people, partial(response_mean, people, rater), "none", alike),
        _Score("mae", people, partial(mean_change, people, np.abs(model - rater)), "log"),
    ]
    place = {"group": kind.name, "level": "pair"}
    for score in made:
        yield _number(score, {**place, "table": "change", "truth": truth})
    yield _constant("mae", people, np.abs(rater), place)
    signed = rater != 0
    some = people[signed]
    right = right_sign(model[signed], rater[signed])
    score = _Score(
        "right_sign",
        some if len(some) else people,
        partial(mean_change, some, right) if len(some) else _nothing,
        "logit",
        "the rater's change is 0 in all pairs",
    )
    yield _number(score, {**place, "table": "change", "truth": truth})
    if len(some):
        yield _constant("right_sign", some, (rater[signed] > 0).astype(np.float64), place)


def _of_repeats(pairs: pd.DataFrame, truth: str) -> Iterator[Number]:
    """Yield test-retest correlation, error and detectable change of the model and each rater."""
    place = {"table": "test_retest", "level": "pair", "truth": truth}
    names = [str(name).removesuffix("_first") for name in pairs if str(name).endswith("_first")]
    for name in names:
        values = pairs[[f"{name}_first", f"{name}_second"]].to_numpy(dtype=np.float64)
        whole = ~np.isnan(values).any(axis=1)
        if not whole.any():
            continue
        people, both = pairs["subject_id"].to_numpy(dtype=object)[whole], values[whole]
        alike = "there is one pair, or all values are equal"
        for score in (
            _Score("icc_a1", people, partial(weighted_icc, both), "fisher", alike),
            _Score("sem", people, partial(measurement_error, both), "log"),
            _Score("sdc", people, partial(detectable_change, both), "log"),
        ):
            yield _number(score, {**place, "group": name})


def _number(score: _Score, place: dict[str, str]) -> Number:
    num_rows = len(score.subjects)
    undefined = score.undefined if np.isnan(score.values(np.ones((1, num_rows))))[0] else ""
    # A change has no class, so only the number of subjects counts.
    rows = Rows(score.subjects, np.ones(num_rows, dtype=np.int64))
    return measured(
        score.metric,
        rows,
        score.values,
        transform=score.transform,
        undefined=undefined,
        rule="positive",
        **place,
    )


def _nothing(weights: Numbers) -> Numbers:
    return np.full(len(weights), np.nan)


def _constant(
    metric: str, people: NDArray[np.object_], values: Numbers, place: dict[str, Any]
) -> Number:
    """Return the number of no change at all or, for signs, of the commoner one for everybody."""
    share = float(mean_change(people, values, np.ones((1, len(people))))[0])
    return Number(
        table="constant",
        metric=metric,
        value=max(share, 1 - share) if metric == "right_sign" else share,
        num_subjects=len(set(people)),
        num_rows=len(people),
        **place,
    )
