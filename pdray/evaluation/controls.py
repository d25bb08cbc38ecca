"""Baselines that use no recording: guessing by class frequency, or by site or collection batch.

If classes differ between sites or collection batches, guessing by the batch can score as well as a
model, and guessing the most frequent class can score better than one. Both baselines learn class
frequencies from the training recordings. Their predictions are tables like a model's and are scored
by the same functions. A third check scores the model inside one group, where the group does not
help.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pdray.errors import StudyError
from pdray.evaluation.predictions import num_classes, probabilities

_LEAST = 1e-12  # probability, in its logit, of a class without a training recording


class Known(NamedTuple):
    """Facts about a training recording that a baseline uses.

    Attributes:
        target: Its class, 0..K-1.
        group: Its site or collection batch.
    """

    target: int
    group: Hashable


def constant_control(table: pd.DataFrame, learnt: Sequence[Known]) -> pd.DataFrame:
    """Predict the class frequencies of the training recordings for every row.

    Args:
        table: Predictions of a model, whose rows are used.
        learnt: The training recordings, at least one.

    Returns:
        The same rows with other logits and probabilities.

    Raises:
        ValueError: If there is no training recording, or a class is outside 0..K-1.
    """
    shares = _frequencies(learnt, num_classes(table))
    return _with_probabilities(table, np.tile(shares, (len(table), 1)))


def group_control(
    table: pd.DataFrame, learnt: Sequence[Known], groups: Mapping[str, Hashable]
) -> pd.DataFrame:
    """Predict the class frequencies of the training recordings of its group for every row.

    A group without training recordings gets the frequencies of all.

    Args:
        table: Predictions of a model, whose rows are used.
        learnt: The training recordings, at least one.
        groups: Group of each recording by id.

    Returns:
        The same rows with other logits and probabilities.

    Raises:
        StudyError: If the group of a recording is unknown; names the recording.
        ValueError: If there is no training recording, or a class is outside 0..K-1.
    """
    classes = num_classes(table)
    everyone = _frequencies(learnt, classes)
    of_group = {
        group: _frequencies([one for one in learnt if one.group == group], classes)
        for group in {one.group for one in learnt}
    }
    found = [of_group.get(group, everyone) for group in _groups_of(table, groups)]
    return _with_probabilities(table, np.array(found).reshape(len(table), classes))


def mixed_groups(table: pd.DataFrame, groups: Mapping[str, Hashable | None]) -> list[Any]:
    """Return the groups with healthy (class 0) and other rows.

    Args:
        table: Rows with ``recording_id`` and ``target``.
        groups: Group of each recording by id.

    Returns:
        The groups, sorted; empty if there is only one group or a row has none.
    """
    found = table["recording_id"].map(dict(groups))
    if found.isna().any() or found.nunique() < 2:
        return []
    ill = table["target"] > 0
    return sorted(set(found[ill]) & set(found[~ill]))


def within_group(
    table: pd.DataFrame, groups: Mapping[str, Hashable], group: Hashable
) -> pd.DataFrame:
    """Return the rows of the recordings of one group.

    Raises:
        StudyError: If the group of a recording is unknown, or no recording is in this group.
    """
    chosen = [found == group for found in _groups_of(table, groups)]
    if not any(chosen):
        raise StudyError(f"none of {len(table)} predictions is in group {group!r}")
    return table[chosen].reset_index(drop=True)


def as_binary(table: pd.DataFrame) -> pd.DataFrame:
    """Turn a table of grades into healthy (0) or ill (any other), with probability ``1 - p_0``.

    Returns:
        The same rows with two classes; the true class is 0 or 1, ``grade`` is unchanged.
    """
    healthy = probabilities(table)[:, 0]
    two = table.assign(target=(table["target"] > 0).astype("int64"))
    return _with_probabilities(two, np.stack([healthy, 1 - healthy], axis=1))


def _frequencies(learnt: Sequence[Known], classes: int) -> NDArray[np.float64]:
    if not learnt:
        raise ValueError("class frequencies need at least one training recording, got none")
    labels = [one.target for one in learnt]
    if not 0 <= min(labels) <= max(labels) < classes:
        raise ValueError(f"training classes {sorted(set(labels))} are outside 0..{classes - 1}")
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    shares: NDArray[np.float64] = counts / counts.sum()
    return shares


def _groups_of(table: pd.DataFrame, groups: Mapping[str, Hashable]) -> list[Hashable]:
    unknown = [name for name in table["recording_id"] if name not in groups]
    if unknown:
        raise StudyError(
            f"the group of recording {unknown[0]} is unknown ({len(unknown)} such recordings)"
        )
    return [groups[name] for name in table["recording_id"]]


def _with_probabilities(table: pd.DataFrame, shares: NDArray[np.float64]) -> pd.DataFrame:
    kept = [name for name in table.columns if not str(name).startswith(("logit_", "probability_"))]
    numbers = {f"logit_{k}": np.log(shares[:, k].clip(_LEAST)) for k in range(shares.shape[1])}
    numbers |= {f"probability_{k}": shares[:, k] for k in range(shares.shape[1])}
    return pd.concat([table[kept], pd.DataFrame(numbers, index=table.index)], axis=1)
