"""Scores of decisions that were chosen on other subjects: a threshold of fixed specificity."""

from collections.abc import Iterator

import pandas as pd

from pdray.errors import StudyError
from pdray.evaluation.decision import as_classes, choose, decide
from pdray.evaluation.predictions import num_classes
from pdray.evaluation.settings import DecisionConfig

_FOLD = ["outer_fold", "fold", "seed"]


def decided_units(
    table: pd.DataFrame, inner: pd.DataFrame | None, config: DecisionConfig
) -> Iterator[tuple[str, pd.DataFrame, tuple[str, ...]]]:
    """Yield what was decided, the decided units as sure classes, and how they were decided.

    For two classes, the first is a threshold of a fixed specificity. Another one follows if the
    settings ask for it.

    Args:
        table: Predictions to score.
        inner: Predictions of the same models for subjects of the training side; None: the other
            folds of the table are used.
        config: What is chosen.

    Raises:
        StudyError: If what the settings ask for cannot be chosen.
    """
    if num_classes(table) == 2:
        asked = DecisionConfig(threshold="specificity", specificity=config.specificity)
        group = f"specificity {asked.specificity:g} wanted"
        try:
            units, words = _decided(table, inner, asked)
        except StudyError as error:
            units, words = table.iloc[:0], (str(error),)
        yield group, units, words
    if config.model_copy(update={"specificity": 0.9}) != DecisionConfig():
        units, words = _decided(table, inner, config)
        yield "as the settings ask", units, words


def _decided(
    table: pd.DataFrame, inner: pd.DataFrame | None, config: DecisionConfig
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    if inner is not None:
        found = decide(inner, table, config)
        units = found.units if found.decisions else found.units.iloc[:0]
        return as_classes(units), found.words
    folds = [rows for _, rows in table.groupby(_FOLD)]
    others = [table[~table["subject_id"].isin(rows["subject_id"])] for rows in folds]
    if any(rows.empty for rows in others):  # one fold, or one test set of several seeds
        raise StudyError(
            "no threshold or calibration was chosen, since there are no predictions of other "
            "subjects: neither inner out-of-fold predictions nor other folds; evaluate a study's "
            "winner, or add rows of other subjects with split val"
        )
    parts = [choose(known, config).apply(rows) for known, rows in zip(others, folds, strict=True)]
    words = (
        "chosen for each fold on the predictions of the other folds, by their own networks, which "
        "learnt from the subjects that are scored here: no inner folds kept them apart"
    )
    return as_classes(pd.concat(parts, ignore_index=True)), (words,)
