"""Scores of a predictions table as a data frame, each with its interval."""

from collections.abc import Sequence

import pandas as pd

from pdray.errors import StudyError, refuse
from pdray.evaluation.metrics import METRICS, metric_named, score
from pdray.evaluation.predictions import by_recording, check_predictions, probabilities, targets
from pdray.evaluation.uncertainty import subject_bootstrap

NETWORK = ("trial", "split", "fold")
"""Columns by which predictions of different networks of a study are told apart."""


def score_predictions(
    table: pd.DataFrame,
    metrics: Sequence[str] = tuple(METRICS),
    *,
    by: Sequence[str] = NETWORK,
) -> pd.DataFrame:
    """Score predictions anew: one value per recording, intervals by resampling subjects.

    The probabilities of a recording's snippets are averaged first, as for all scores of pdray.

    Args:
        table: Predictions, as :func:`read_predictions` or ``predictions()`` of a study gives them;
            some of its rows will do, such as those of one item.
        metrics: Names such as mcc or auroc.
        by: Columns of the table; rows that agree in them are scored together. With fewer columns
            than the default, predictions of several networks are pooled, whose ranks may not
            compare, and the interval does not know of that.

    Returns:
        One row per group and metric: the columns of ``by``, ``metric``, ``value``, ``low`` and
        ``high`` (95% interval), ``num_subjects``, ``num_recordings`` and ``num_undefined``, the
        resamples of 2000 in which the metric is undefined. NaN is an undefined value, or the
        interval of a group with a single subject.

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
    counts = {"num_subjects": table["subject_id"].nunique(), "num_recordings": len(table)}
    if counts["num_subjects"] < 2:  # nobody else to draw
        nan = float("nan")
        value = score(metric, targets(table), probabilities(table))
        return {"metric": metric, "value": value, "low": nan, "high": nan, **counts,
                "num_undefined": 0}  # fmt: skip
    found = subject_bootstrap(table, metric)
    return {"metric": metric, "value": found.value, "low": found.low, "high": found.high, **counts,
            "num_undefined": found.num_undefined}  # fmt: skip
