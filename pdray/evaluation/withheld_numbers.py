"""Numbers of a model that withholds predictions: how many it gives, and how often those are wrong.

Confidence is the highest class probability. Coverage is the share of rows whose prediction is
given, risk the share of wrong classes among these.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pdray.evaluation.numbers import Number, Rows, measured
from pdray.evaluation.predictions import WITHHELD_BELOW, probabilities, targets
from pdray.evaluation.uncertainty import Numbers

Flags = NDArray[np.bool_]


def given_scores(table: pd.DataFrame) -> dict[str, float]:
    """Return ``coverage`` and ``risk`` of rows with :data:`WITHHELD_BELOW`; nan if undefined."""
    given, wrong = is_given(table), is_wrong(table)
    return {
        "coverage": float(given.mean()) if len(given) else np.nan,
        "risk": float(wrong[given].mean()) if given.any() else np.nan,
    }


def withheld_numbers(units: pd.DataFrame) -> Iterator[Number]:
    """Yield coverage, risk and the risk of all rows; nothing of a model that never withholds.

    Args:
        units: One row per unit that is scored, as
            :func:`~pdray.evaluation.predictions.by_recording` returns.
    """
    if WITHHELD_BELOW not in units or units[WITHHELD_BELOW].isna().any():
        return
    rows = Rows(units["subject_id"].to_numpy(), targets(units))
    given, wrong = is_given(units), is_wrong(units)

    def risk(weights: Numbers) -> Numbers:
        return share_of(wrong, weights * given)

    yield _number("coverage", rows, lambda w: share_of(given, w))
    nothing = "" if given.any() else "every prediction is withheld"
    yield _number("risk", rows, risk, undefined=nothing)
    yield _number("risk_of_all", rows, lambda w: share_of(wrong, w))


def _number(
    metric: str, rows: Rows, values: Callable[[Numbers], Numbers], undefined: str = ""
) -> Number:
    return measured(metric, rows, values, transform="logit", undefined=undefined, table="withheld")


def is_wrong(table: pd.DataFrame) -> Flags:
    """Return (N,) whether the class of highest probability is not the true class."""
    wrong: Flags = probabilities(table).argmax(axis=1) != targets(table)
    return wrong


def risk_at(confidence: Numbers, wrong: Flags, weights: Numbers, coverage: float) -> Numbers:
    """Return the share of wrong predictions among the most confident ones.

    Args:
        confidence: (N,) highest class probability.
        wrong: (N,) whether the prediction is wrong.
        weights: (R, N) weight of each row, at least 0.
        coverage: Share of the weight that is given, above 0 and at most 1.

    Returns:
        (R,) shares; of rows with equal confidence at the threshold each counts in part.
    """
    order = np.argsort(-confidence, kind="stable")
    value, group = np.unique(-confidence[order], return_inverse=True)
    in_group = np.eye(len(value))[group]
    of_value = weights[:, order] @ in_group
    wrong_of_value = (weights[:, order] * wrong[order]) @ in_group
    wanted = coverage * of_value.sum(axis=1, keepdims=True)
    before = np.cumsum(of_value, axis=1) - of_value
    taken = np.clip(wanted - before, 0, of_value)
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(of_value > 0, taken / of_value, 0.0)
        found: Numbers = (part * wrong_of_value).sum(axis=1) / wanted[:, 0]
    return found


def share_of(flags: Flags, weights: Numbers) -> Numbers:
    """Return the weighted share (R,) of true flags (N,) under weights (R, N); nan of nothing."""
    with np.errstate(invalid="ignore"):
        found: Numbers = (weights * flags).sum(axis=1) / weights.sum(axis=1)
    return found


def is_given(table: pd.DataFrame) -> Flags:
    """Return (N,) whether the prediction of a row is given."""
    given: Flags = probabilities(table).max(axis=1) >= table[WITHHELD_BELOW].to_numpy(np.float64)
    return given
