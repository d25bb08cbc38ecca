"""Predictions of baselines for the rows of a table, which look at no recording."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from pdray.checks.baselines import baseline_table
from pdray.checks.facts import clinical_blocks
from pdray.checks.ridge import Side, indicators
from pdray.evaluation.controls import constant_control, group_control
from pdray.evaluation.predictions import num_classes
from pdray.search.comparison import Comparison

Control = Callable[[Comparison, pd.DataFrame], pd.DataFrame]


def baseline_rows(
    found: Sequence[Comparison], tables: Sequence[pd.DataFrame]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield label and predictions of each baseline.

    They are the class frequencies of training; those of the site, where there are several; and the
    clinical facts of PDR003 (age, sex, recording protocol, ...), where some differ.

    Args:
        found: The comparison of each seed.
        tables: Predictions of a model for each seed, whose rows are used.
    """
    controls: dict[str, Control] = {"class frequencies": _frequencies}
    if len(set(found[0].sites.values())) > 1:
        controls["site alone"] = _of_site
    if blocks := clinical_blocks(found[0].recordings):
        controls[f"{', '.join(one.name for one in blocks)} alone"] = _clinical
    for name, control in controls.items():
        made = [control(one, table) for one, table in zip(found, tables, strict=True)]
        yield f"baseline: {name}", pd.concat(made, ignore_index=True)


def _frequencies(found: Comparison, table: pd.DataFrame) -> pd.DataFrame:
    return _by_fold(table, lambda fold, rows: constant_control(rows, found.learnt[fold]))


def _of_site(found: Comparison, table: pd.DataFrame) -> pd.DataFrame:
    return _by_fold(table, lambda fold, rows: group_control(rows, found.learnt[fold], found.sites))


def _by_fold(
    table: pd.DataFrame, predict: Callable[[int, pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    parts = [rows.reset_index(drop=True) for _, rows in table.groupby("fold", sort=True)]
    return pd.concat([predict(int(rows["fold"].iloc[0]), rows) for rows in parts])


def _clinical(found: Comparison, table: pd.DataFrame) -> pd.DataFrame:
    labels = indicators(np.array(found.targets), num_classes(table))
    sides = [Side(np.array(one.training), np.array(one.evaluation)) for one in found.sides]
    ids = [one.recording_id for one in found.recordings]
    blocks = clinical_blocks(found.recordings)
    made = baseline_table(table, ids, sides, blocks, labels, by="fold")
    assert made is not None, "each fold of a comparison is one of its sides"
    return made
