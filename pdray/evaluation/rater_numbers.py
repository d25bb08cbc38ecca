"""Agreement of raters with each other, and of the model and each rater with the other raters."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pdray.data.cohort.settings import ITEMS
from pdray.evaluation.metrics import predicted
from pdray.evaluation.numbers import Number, Rows, measured
from pdray.evaluation.predictions import RATER, num_classes, probabilities
from pdray.evaluation.statistics.agreement import (
    CLOSENESS,
    Numbers,
    Target,
    constant_of,
    icc_a1,
    pairs,
    targets_without,
    weighted_icc,
)
from pdray.evaluation.statistics.intervals import Transform

_TRANSFORMS: dict[str, Transform] = {
    "mae": "log",
    "exact": "logit",
    "within_one": "logit",
    "kappa": "fisher",
}


def rater_numbers(
    units: pd.DataFrame, notes: list[str], reference: Collection[int] = ()
) -> Iterator[Number]:
    """Yield the agreement of raters, item by item, since items have scales of their own.

    Args:
        units: One row per recording; without columns ``rater_1``, ... nothing is yielded.
        notes: What is left out, and why, is added.
        reference: Raters with whom all are compared, from 1; empty: all raters. Others are also
            compared with the grade, which is taken for that of the reference.
    """
    names = [str(name) for name in units.columns if RATER.fullmatch(str(name))]
    names = [name for name in names if units[name].notna().any()]
    several = units["item"].nunique() > 1
    for item, rows in units.groupby("item", sort=True):
        given = [name for name in names if rows[name].notna().any()]
        label = f"item={item}: " if several else ""
        if len(given) > 1:
            yield from _of_item(rows, given, label)
            yield from _of_model(rows, given, label, notes, reference)
        elif given:
            notes.append(
                f"item {item} has the grades of one rater only; nothing to compare them to"
            )


def _of_item(rows: pd.DataFrame, names: list[str], label: str) -> Iterator[Number]:
    """Yield the ICC of all raters, and the agreement of every two."""
    ratings = rows[names].to_numpy(dtype=np.float64)
    subjects = rows["subject_id"].to_numpy()
    icc = icc_a1(ratings)
    complete = ~np.isnan(ratings).any(axis=1)
    yield measured(
        "icc_a1",
        Rows(subjects[complete], _whole(ratings[complete].mean(axis=1))),
        partial(weighted_icc, ratings[complete]),
        transform="fisher",
        undefined=icc.undefined,
        table="raters",
        group=f"{label}{len(names)} raters, {icc.num_incomplete} incomplete recordings left out",
    )
    for first, second, both in pairs(ratings):
        yield from _closeness(
            (ratings[both, first], ratings[both, second]),
            subjects[both],
            f"{label}{names[first]} with {names[second]}",
        )


def _of_model(
    rows: pd.DataFrame,
    names: list[str],
    label: str,
    notes: list[str],
    reference: Collection[int],
) -> Iterator[Number]:
    """Yield the agreement of each rater, and of the model, with the mean of the other raters."""
    ratings = rows[names].to_numpy(dtype=np.float64)
    cuts = class_cuts(rows)
    if cuts is None:
        notes.append(
            f"{label}the grades at which classes begin do not follow from the table, so the model "
            "is not compared with single raters"
        )
        return
    kind = "" if cuts == list(range(1, num_classes(rows))) else " (classes)"
    # Two classes are never more than one apart.
    metrics = [name for name in CLOSENESS if name != "within_one" or num_classes(rows) > 2]
    if kind:
        ratings = np.where(np.isnan(ratings), np.nan, np.searchsorted(cuts, ratings, side="right"))
    model = predicted(probabilities(rows)).astype(np.float64)
    subjects = rows["subject_id"].to_numpy()
    item = str(rows["item"].iloc[0])
    highest = num_classes(rows) - 1
    if not kind:  # of an item that is not known, the highest grade that was given
        highest = ITEMS.get(item, max(highest, int(np.nanmax(ratings))))
    grades = rows["target" if kind else "grade"].to_numpy(dtype=np.float64)
    for one, others in _targets(ratings, names, grades, reference):
        for who, given in (
            (names[one.rater], one.grade),
            (f"model, rows of {names[one.rater]},", model[one.rows]),
        ):
            group = f"{label}{who} against {others}{kind}"
            yield from _closeness((given, one.target), subjects[one.rows], group, metrics)
            for metric in (name for name in metrics if name != "kappa"):
                yield Number(
                    table="constant",
                    group=group,
                    metric=metric,
                    value=constant_of(metric, one.target, highest)[1],
                    num_subjects=len(np.unique(subjects[one.rows])),
                    num_rows=len(one.rows),
                )


def _targets(
    ratings: Numbers, names: Sequence[str], grades: Numbers, reference: Collection[int]
) -> Iterator[tuple[Target, str]]:
    """Yield what each rater is compared with, and its name."""
    places = [names.index(f"rater_{one}") for one in reference if f"rater_{one}" in names]
    for one in targets_without(ratings, places):
        if not places:
            yield one, "the mean of the others"
            continue
        yield one, f"the mean of {', '.join(names[i] for i in places if i != one.rater)}"
        if one.rater not in places:  # the grade does not contain that of this rater
            yield replace(one, target=grades[one.rows]), "the grade"


def class_cuts(units: pd.DataFrame) -> list[int] | None:
    """Return the first grade of each class but the lowest, or None if rows leave it open."""
    ends = units.groupby("target")["grade"].agg(["min", "max"])
    classes = num_classes(units)
    if (units["target"] == units["grade"]).all():
        return list(range(1, classes))
    if len(ends) < classes:
        return None
    firsts, lasts = ends["min"].tolist(), ends["max"].tolist()
    fits = [first == last + 1 for first, last in zip(firsts[1:], lasts[:-1], strict=True)]
    return [int(first) for first in firsts[1:]] if all(fits) else None


def _closeness(
    grades: tuple[Numbers, Numbers],
    subjects: NDArray[np.object_],
    group: str,
    metrics: Collection[str] = tuple(CLOSENESS),
) -> Iterator[Number]:
    for metric in metrics:
        values = partial(CLOSENESS[metric], *grades)
        undefined = "all grades are equal" if np.isnan(values(np.ones((1, len(subjects))))) else ""
        yield measured(
            metric,
            Rows(subjects, _whole(grades[1])),
            values,
            transform=_TRANSFORMS[metric],
            undefined=undefined,
            table="raters",
            group=group,
        )


def _whole(grades: Numbers) -> NDArray[np.int64]:
    halves_up: NDArray[np.int64] = np.floor(grades + 0.5).astype(np.int64)
    return halves_up
