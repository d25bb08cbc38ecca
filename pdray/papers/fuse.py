"""Late fusion: averages the class probabilities of several models from their predictions tables.

Source: the motion boundary paper, section 4.2 and figure 4. Each modality is trained alone; in the
test the scores of its snippets are averaged, then the scores of the modalities.
"""

from collections.abc import Sequence

import pandas as pd

from pdray.errors import StudyError
from pdray.evaluation.predictions import by_recording, num_classes, optional_facts

_SHARED = ("fold", "recording_id")
_FACTS = ("subject_id", "item", "grade", "target", "split")


def fuse(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Average the class probabilities of each recording over models.

    All models have equal weight, whatever their number of snippets.

    Args:
        tables: Predictions tables of the same recordings in the same folds, at least one.

    Returns:
        One row per (fold, recording), as :func:`by_recording` returns for one table; the key
        columns are those of the first table.

    Raises:
        StudyError: If two tables differ in classes, recordings, folds or facts: the mean would mix
            different things, or a model may have been trained on the subject.
    """
    pooled = [by_recording(table).set_index(list(_SHARED)).sort_index() for table in tables]
    first = pooled[0]
    for number, other in enumerate(pooled[1:], start=2):
        _check_alike(first, other, number)
    names = [f"probability_{k}" for k in range(num_classes(first))]
    mean = sum(other[names] for other in pooled[1:]) + first[names] if len(pooled) > 1 else first
    # A table of an earlier version has no optional facts.
    facts = {name: other[name] for other in pooled[::-1] for name in optional_facts(other.columns)}
    fused = first.assign(**facts, **{name: mean[name] / len(pooled) for name in names})
    return fused.reset_index()


def _check_alike(first: pd.DataFrame, other: pd.DataFrame, number: int) -> None:
    if num_classes(first) != num_classes(other):
        raise StudyError(
            f"table {number} has {num_classes(other)} classes and table 1 has "
            f"{num_classes(first)}; fuse models with the same classes"
        )
    lone = first.index.symmetric_difference(other.index)
    if len(lone):
        fold, recording = lone[0]
        raise StudyError(
            f"tables 1 and {number} do not have the same recordings in the same folds: {len(lone)} "
            f"differ, the first is recording {recording} in fold {fold}; fuse runs of one study"
        )
    facts = list(_FACTS)
    torn = (first[facts] != other[facts]).any(axis=1)
    if torn.any():
        fold, recording = torn[torn].index[0]
        raise StudyError(
            f"tables 1 and {number} have different facts (such as the grade) for recording "
            f"{recording}; fuse runs of one study"
        )
