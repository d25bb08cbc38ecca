"""Joins neighbouring grades, so that each class has enough subjects for an interval."""

import pandas as pd

from pdray.evaluation.predictions import num_classes, probabilities, targets
from pdray.evaluation.statistics.intervals import LEAST_OF_CLASS


def join_rare(units: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Join each class of too few subjects with the neighbour of fewer subjects.

    Args:
        units: Rows with ``subject_id``, ``target`` and ``probability_0..K-1``.

    Returns:
        The rows with fewer classes and the sums of their probabilities, and the classes in words,
        such as "classes 0, 1, 2+3"; the rows as they are and "" if no class is rare, or if fewer
        than two classes would be left.
    """
    parts = [[k] for k in range(num_classes(units))]
    while (found := _rarest(units, parts)) is not None:
        if len(parts) == 2:
            return units, ""
        near = [place for place in (found - 1, found + 1) if 0 <= place < len(parts)]
        other = min(near, key=lambda place: _subjects(units, parts[place]))
        low, high = sorted((found, other))
        parts[low : high + 1] = [parts[low] + parts[high]]
    if len(parts) == num_classes(units):
        return units, ""
    class_of = {k: place for place, part in enumerate(parts) for k in part}
    shares = probabilities(units)
    kept = [name for name in units.columns if not str(name).startswith("probability_")]
    sums = {f"probability_{i}": shares[:, part].sum(axis=1) for i, part in enumerate(parts)}
    table = units[kept].assign(target=[class_of[k] for k in targets(units)], **sums)
    return table, f"classes {', '.join('+'.join(map(str, part)) for part in parts)}"


def _rarest(units: pd.DataFrame, parts: list[list[int]]) -> int | None:
    counts = [_subjects(units, part) for part in parts]
    rarest = min(range(len(parts)), key=counts.__getitem__)
    return rarest if counts[rarest] < LEAST_OF_CLASS else None


def _subjects(units: pd.DataFrame, part: list[int]) -> int:
    return int(units.loc[units["target"].isin(part), "subject_id"].nunique())
