"""Scores of a predictions table as a data frame, each with its interval."""

from collections.abc import Sequence

import pandas as pd

from pdray.errors import StudyError, refuse
from pdray.evaluation.metrics import METRICS, metric_named
from pdray.evaluation.predictions import by_recording, check_predictions
from pdray.evaluation.score_intervals import score_interval

NETWORK = ("trial", "split", "fold")
"""Columns by which predictions of different networks of a study are told apart."""


def score_predictions(
    table: pd.DataFrame,
    metrics: Sequence[str] = tuple(METRICS),
    *,
    by: Sequence[str] = NETWORK,
) -> pd.DataFrame:
    """Score predictions anew: one value per recording, intervals over subjects.

    The probabilities of a recording's snippets are averaged first, as for all scores of pdray.

    Args:
        table: Predictions, as :func:`read_predictions` or ``predictions()`` of a study gives them;
            some of its rows will do, such as those of one item.
        metrics: Names such as mcc or auroc.
        by: Columns of the table; rows that agree in them are scored together. With fewer columns
            than the default, predictions of several networks are pooled; ranks are then compared
            inside each network.

    Returns:
        One row per group and metric: the columns of ``by``, ``metric``, ``value``, ``low`` and
        ``high`` (95% interval; NaN where there is none), ``truth`` (what the interval covers:
        "model", "procedure" or "predictions"), ``reason`` (why there is no interval),
        ``num_subjects`` and ``num_recordings``. NaN is an undefined value.

    Raises:
        StudyError: If it is no predictions table, is empty, or has no such column.
        SettingsError: If there is no such metric; names the nearest one.

    Example:
        >>> table = pdray.read_predictions("output/studies/demo/winner/predictions.parquet")
        >>> scores = pdray.score_predictions(table, ["mcc", "auroc"])
        >>> scores[["split", "metric", "num_subjects"]].values.tolist()
        [['test', 'mcc', 3], ['test', 'auroc', 3]]
    """
    check_predictions(table)
    for name in metrics:
        metric_named(name)
    unknown = [f"by: no column '{name}'" for name in by if name not in table.columns]
    refuse(unknown or ([] if len(table) else ["no row"]), StudyError, "predictions table")
    groups = table.groupby(list(by), sort=True) if by else [((), table)]
    return pd.DataFrame(
        [
            {**dict(zip(by, key, strict=True)), **_scored(by_recording(rows), name)}
            for key, rows in groups
            for name in metrics
        ]
    )


def _scored(table: pd.DataFrame, metric: str) -> dict[str, object]:
    found = score_interval(table, metric)
    return {
        "metric": metric, "value": found.value, "low": found.low, "high": found.high,
        "truth": found.truth if found.exists else "", "reason": found.reason,
        "num_subjects": found.num_subjects, "num_recordings": len(table),
    }  # fmt: skip
