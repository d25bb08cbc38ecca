"""Late fusion: the mean of the scores of several models, from their saved predictions tables.

The motion boundary paper, section 4.2 and figure 4: every modality is trained alone; at test time
the scores of its snippets are averaged, then the scores of the modalities.
"""

from collections.abc import Sequence

import pandas as pd

from pdray.errors import StudyError
from pdray.evaluation.predictions import by_recording, num_classes

_SHARED = ("fold", "recording_id")
_FACTS = ("subject_id", "item", "grade", "target", "split")


def fuse(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Average the class probabilities of each recording over models.

    A model counts once, however many snippets it saw of a recording.

    Args:
        tables: Predictions tables of the same recordings in the same folds, at least one.

    Returns:
        One row a (fold, recording), as :func:`by_recording` gives it of one table; the key columns
        are those of the first table.

    Raises:
        StudyError: If two tables differ in classes, recordings, folds or facts: the mean would be
            of other things than it says, or of a model that saw the subject.
    """
    pooled = [by_recording(table).set_index(list(_SHARED)).sort_index() for table in tables]
    first = pooled[0]
    for number, other in enumerate(pooled[1:], start=2):
        _check_alike(first, other, number)
    names = [f"probability_{k}" for k in range(num_classes(first))]
    mean = sum(other[names] for other in pooled[1:]) + first[names] if len(pooled) > 1 else first
    fused = first.assign(**{name: mean[name] / len(pooled) for name in names})
    return fused.reset_index()


def _check_alike(first: pd.DataFrame, other: pd.DataFrame, number: int) -> None:
    if num_classes(first) != num_classes(other):
        raise StudyError(
            f"table {number} has {num_classes(other)} classes and table 1 has "
            f"{num_classes(first)}; scores of different classes have no mean"
        )
    lone = first.index.symmetric_difference(other.index)
    if len(lone):
        fold, recording = lone[0]
        raise StudyError(
            f"tables 1 and {number} do not hold the same recordings in the same folds: {len(lone)} "
            f"differ, the first is recording {recording} in fold {fold}; fuse runs of one study"
        )
    facts = list(_FACTS)
    torn = (first[facts] != other[facts]).any(axis=1)
    if torn.any():
        fold, recording = torn[torn].index[0]
        raise StudyError(f"tables 1 and {number} disagree on the facts of recording {recording}")
