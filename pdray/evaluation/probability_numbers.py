"""Calibration of a model's probabilities, and predictive values at stated shares of ill people."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pdray.evaluation.numbers import Number, Rows, measured
from pdray.evaluation.predictions import probabilities, targets
from pdray.evaluation.statistics.calibration import (
    Event,
    calibration_error,
    error_of_perfect,
    events,
    gaps,
    intercepts,
    slopes,
    undefined_intercept,
    undefined_slope,
)
from pdray.evaluation.statistics.intervals import LEAST_OF_CLASS, TOO_FEW
from pdray.evaluation.statistics.predictive import Ends, predictive_values


def calibration_numbers(units: pd.DataFrame, truth: str) -> Iterator[Number]:
    """Yield intercept, slope and calibration error of each event.

    Args:
        units: One row per recording, at least one.
        truth: What intervals cover, as in :class:`Number`.
    """
    for event in events(targets(units), probabilities(units)):
        yield from _of_event(event, units, truth)


def _of_event(event: Event, units: pd.DataFrame, truth: str) -> Iterator[Number]:
    subjects = units["subject_id"].to_numpy()
    rows = Rows(subjects, event.happened.astype("int64"))
    checked = (
        ("intercept", intercepts, undefined_intercept(event)),
        ("slope", slopes, undefined_slope(event)),
    )
    for name, values, undefined in checked:
        yield measured(
            name,
            rows,
            partial(values, event),
            transform="none",
            undefined=undefined,
            rule="each",
            table="calibration",
            group=event.name,
            truth=truth,
        )
    errors = {
        "error": calibration_error(event),
        "error_if_perfect": error_of_perfect(event),
        "error_if_perfect_alike": error_of_perfect(event, subjects),
    }
    for name, value in errors.items():
        yield Number(
            table="calibration",
            group=event.name,
            metric=name,
            value=value,
            num_subjects=units["subject_id"].nunique(),
            num_rows=len(units),
        )


def large_numbers(units: pd.DataFrame, truth: str, after: str = "") -> Iterator[Number]:
    """Yield calibration in the large: observed and expected share of each class, and the gap.

    Args:
        units: One row per recording, at least one.
        truth: What intervals cover, as in :class:`Number`.
        after: Said behind the name of the class, such as ", after temperature".
    """
    subjects, shares = units["subject_id"].to_numpy(), probabilities(units)
    for k, share in enumerate(shares.T):
        event = Event(f"class {k}", targets(units) == k, share)
        found = measured(
            "observed_minus_expected",
            Rows(subjects, np.zeros(len(units), dtype=np.int64)),
            partial(gaps, event),
            transform="none",
            rule="each",
            table="large",
            group=f"{event.name}{after}",
            truth=truth,
        )
        few = _few(event, subjects)
        if few and not found.reason:
            found = replace(found, low=math.nan, high=math.nan, truth="", reason=few)
        bare = replace(found, low=math.nan, high=math.nan, truth="", reason="")
        yield replace(bare, metric="observed", value=float(event.happened.mean()))
        yield replace(bare, metric="expected", value=float(share.mean()))
        yield found


def _few(event: Event, subjects: NDArray[Any]) -> str:
    """Return why a share has no interval; it counts nobody, since the few may not be told."""
    for rows, whom in ((event.happened, "with"), (~event.happened, "without")):
        if len(np.unique(subjects[rows])) < LEAST_OF_CLASS:
            return f"{TOO_FEW}fewer than {LEAST_OF_CLASS} {whom} a recording of {event.name}"
    return ""


def predictive_numbers(
    scores: Mapping[str, Number], prevalences: Sequence[float]
) -> Iterator[Number]:
    """Yield both predictive values at each prevalence.

    Args:
        scores: Sensitivity and specificity of two classes, by name.
        prevalences: Shares of ill people among those who are tested, 0..1 without the ends.
    """
    both = [scores[name] for name in ("sensitivity", "specificity")]
    right, free = (Ends(one.value, one.low, one.high) for one in both)
    lack = next((one.undefined for one in both if one.undefined), "")
    reason = next((one.reason for one in both if one.reason), "")
    for prevalence in prevalences:
        values = predictive_values(right, free, prevalence)
        for name, found in zip(("ppv", "npv"), values, strict=True):
            nobody = "" if lack or found.value == found.value else "no row is called so"
            known = not (lack or nobody)
            yield Number(
                table="predictive_values",
                group=f"prevalence={prevalence:g}",
                metric=name,
                value=found.value,
                low=found.low if known else math.nan,
                high=found.high if known else math.nan,
                truth=both[0].truth if known and found.low == found.low else "",
                reason=reason if known else "",
                num_subjects=both[0].num_subjects,
                num_rows=both[0].num_rows,
                undefined=lack or nobody,
            )
