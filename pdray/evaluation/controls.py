"""Baselines without pictures: scores of the constant and of the group, beside those of a model.

Where classes are unevenly spread over the places or batches in which they were collected, to know
the batch alone can score as well as a model, and the most frequent class better than one. Both
controls learn their class frequencies from the training recordings and are tables of predictions
like a model's, scored by the same functions. The third control is a model's own table inside one
group, where the group tells nothing.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pdray.errors import StudyError
from pdray.evaluation.predictions import num_classes, probabilities

_LEAST = 1e-12  # for the logit of a class that no training recording has


class Known(NamedTuple):
    """What is known of a training recording without looking at it.

    Attributes:
        target: Its class, 0..K-1.
        group: Its site or collection batch.
    """

    target: int
    group: Hashable


def constant_control(table: pd.DataFrame, learnt: Sequence[Known]) -> pd.DataFrame:
    """Give every row of a predictions table the class frequencies of the training recordings.

    Args:
        table: Predictions of a model, whose rows are taken.
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
    """Give every row the class frequencies of the training recordings of its group.

    A group without a training recording has those of all.

    Args:
        table: Predictions of a model, whose rows are taken.
        learnt: The training recordings, at least one.
        groups: Group of each recording by id.

    Returns:
        The same rows with other logits and probabilities.

    Raises:
        StudyError: If the group of a recording is not known; names it.
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
    """Return the groups that have both healthy rows (class 0) and others, where there are several.

    Args:
        table: Rows with ``recording_id`` and ``target``.
        groups: Group of each recording by id.

    Returns:
        In their order; none where a row has no group.
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
        StudyError: If the group of a recording is not known, or none is of this group.
    """
    chosen = [found == group for found in _groups_of(table, groups)]
    if not any(chosen):
        raise StudyError(f"none of {len(table)} predictions is of group {group!r}")
    return table[chosen].reset_index(drop=True)


def as_binary(table: pd.DataFrame) -> pd.DataFrame:
    """Read a table of grades as healthy (0) or ill (any other): the probability is ``1 - p_0``.

    Returns:
        The same rows with two classes; the true class is 0 or 1, ``grade`` stays what it was.
    """
    healthy = probabilities(table)[:, 0]
    two = table.assign(target=(table["target"] > 0).astype("int64"))
    return _with_probabilities(two, np.stack([healthy, 1 - healthy], axis=1))


def _frequencies(learnt: Sequence[Known], classes: int) -> NDArray[np.float64]:
    if not learnt:
        raise ValueError("no training recording, so no class has a frequency")
    labels = [one.target for one in learnt]
    if not 0 <= min(labels) <= max(labels) < classes:
        raise ValueError(f"training classes {sorted(set(labels))} are outside 0..{classes - 1}")
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    shares: NDArray[np.float64] = counts / counts.sum()
    return shares


def _groups_of(table: pd.DataFrame, groups: Mapping[str, Hashable]) -> list[Hashable]:
    unknown = [name for name in table["recording_id"] if name not in groups]
    if unknown:
        raise StudyError(f"group of recording {unknown[0]} is not known; {len(unknown)} have none")
    return [groups[name] for name in table["recording_id"]]


def _with_probabilities(table: pd.DataFrame, shares: NDArray[np.float64]) -> pd.DataFrame:
    kept = [name for name in table.columns if not str(name).startswith(("logit_", "probability_"))]
    numbers = {f"logit_{k}": np.log(shares[:, k].clip(_LEAST)) for k in range(shares.shape[1])}
    numbers |= {f"probability_{k}": shares[:, k] for k in range(shares.shape[1])}
    return pd.concat([table[kept], pd.DataFrame(numbers, index=table.index)], axis=1)
