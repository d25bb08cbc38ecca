"""The numbers of an evaluation: one row per number, as they are written, printed and checked."""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pdray.evaluation.metrics import undefined_reason
from pdray.evaluation.predictions import probabilities, targets
from pdray.evaluation.score_intervals import interval_of
from pdray.evaluation.statistics.intervals import TOO_FEW, Classes, Interval, Transform, too_few
from pdray.evaluation.uncertainty import Numbers


@dataclass(frozen=True, kw_only=True)
class Number:
    """One number with its interval.

    Attributes:
        table: Part of the evaluation, such as "scores" or "calibration".
        group: Rows that it is of, such as "item=gait"; empty for all.
        level: Unit that is scored: "snippet", "recording", "visit" or "subject".
        metric: Name of the number.
        value: The number; nan if undefined.
        low: Lower end of the interval; nan if there is none.
        high: Upper end, likewise.
        sides: "both", or the only end that the interval has: "lower" or "upper".
        truth: What the interval covers: "model", "procedure" or "predictions"; empty if there is
            no interval.
        reason: Why there is no interval; empty if there is one, or if the number never has one.
        num_subjects: Subjects of the rows.
        num_rows: Units that are scored.
        undefined: Why there is no number; empty if there is one.
    """

    table: str
    metric: str
    value: float
    group: str = ""
    level: str = "recording"
    low: float = math.nan
    high: float = math.nan
    sides: str = "both"
    truth: str = ""
    reason: str = ""
    num_subjects: int
    num_rows: int
    undefined: str = ""

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval."""
        return not (math.isnan(self.low) and math.isnan(self.high))


COLUMNS = ("table", "group", "level", "metric", "value", "low", "high", "sides", "truth", "reason",
           "num_subjects", "num_rows", "undefined")  # fmt: skip
assert set(COLUMNS) == {field.name for field in fields(Number)}


def numbers_frame(numbers: Iterable[Number]) -> pd.DataFrame:
    """Return numbers as a data frame with :data:`COLUMNS`, one row each."""
    return pd.DataFrame([asdict(one) for one in numbers], columns=list(COLUMNS))


def scored(
    found: Interval, units: pd.DataFrame, metric: str, *, table: str, group: str, level: str
) -> Number:
    """Return a metric's score and interval as a number.

    Args:
        found: The score and its interval.
        units: One row per unit that was scored.
        metric: Name in :data:`~pdray.evaluation.metrics.METRICS`.
        table: As in :class:`Number`.
        group: As in :class:`Number`.
        level: As in :class:`Number`.
    """
    undefined = undefined_reason(metric, targets(units), probabilities(units)) or ""
    shown = found.exists and not undefined
    return Number(
        table=table,
        group=group,
        level=level,
        metric=metric,
        value=math.nan if undefined else found.value,
        low=found.low if shown else math.nan,
        high=found.high if shown else math.nan,
        sides=found.sides,
        truth=found.truth if shown else "",
        reason="" if undefined else found.reason,
        num_subjects=units["subject_id"].nunique(),
        num_rows=len(units),
        undefined=undefined,
    )


class Rows(NamedTuple):
    """Rows of a number that is not a metric: their subjects, and the class of each.

    Attributes:
        subjects: (N,) subject of each row.
        classes: (N,) class or whole grade of each row, for the rule of enough subjects.
    """

    subjects: NDArray[Any]
    classes: NDArray[np.int64]


def measured(
    metric: str,
    rows: Rows,
    values: Callable[[Numbers], Numbers],
    *,
    transform: Transform,
    undefined: str = "",
    rule: Classes = "scale",
    **place: Any,
) -> Number:
    """Return a number that is not a metric, with its interval.

    Args:
        metric: Its name.
        rows: The rows that it is computed from.
        values: Computes (R,) values from (R, N) how often each row counts, 0 or 1.
        transform: Scale on which the interval is symmetric.
        undefined: Why there is no number; empty if there is one.
        rule: Which classes need several subjects.
        place: ``table``, ``group``, ``level`` and ``truth`` of :class:`Number`.
    """
    num_subjects = len(np.unique(rows.subjects))
    found = Number(metric=metric, value=math.nan, num_subjects=num_subjects,
                   num_rows=len(rows.subjects), undefined=undefined, **place)  # fmt: skip
    if undefined:
        return replace(found, truth="")
    value = float(values(np.ones((1, len(rows.subjects))))[0])
    counts = {
        int(k): len(np.unique(rows.subjects[rows.classes == k])) for k in np.unique(rows.classes)
    }
    reason = too_few(counts, num_subjects, rule)
    if not reason and rule == "scale" and len(counts) == 1:
        reason = f"{TOO_FEW}none of another class, 5 of two classes are needed"
    if reason:
        return replace(found, value=value, reason=reason, truth="")
    ends = interval_of(rows.subjects, value, values, transform=transform)
    if ends.reason:
        return replace(found, value=value, reason=ends.reason, truth="")
    return replace(found, value=value, low=ends.low, high=ends.high)
