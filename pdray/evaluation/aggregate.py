"""From snippets to recordings: the mean probability of everything one set of weights saw of one."""

import pandas as pd

from pdray.errors import StudyError
from pdray.evaluation.predictions import num_classes

RECORDING_KEY = ("study", "trial", "outer_fold", "fold", "seed", "epoch", "recording_id")
_FACTS = ("split", "subject_id", "item", "grade", "target")


def by_recording(table: pd.DataFrame) -> pd.DataFrame:
    """Average the class probabilities of a recording over its snippets and repeats.

    Args:
        table: A predictions table.

    Returns:
        One row a (study, trial, outer fold, fold, seed, epoch, recording), sorted by them, with
        split, subject, item, grade, target, ``num_snippets`` and ``probability_0..K-1``; logits
        are left out because their mean is not what these probabilities come from.

    Raises:
        StudyError: If two rows of one recording disagree on a fact, such as the grade.
    """
    groups = table.groupby(list(RECORDING_KEY), sort=True)
    kinds = groups[list(_FACTS)].nunique(dropna=False)
    torn = kinds.gt(1).any(axis=1)
    if torn.any():
        first = dict(zip(RECORDING_KEY, torn[torn].index[0], strict=True))
        facts = [name for name in _FACTS if kinds.loc[torn, name].iloc[0] > 1]
        raise StudyError(f"predictions of {first} disagree on {', '.join(facts)}")
    means = groups[[f"probability_{k}" for k in range(num_classes(table))]].mean()
    facts_of = groups[list(_FACTS)].first()
    counts = groups.size().rename("num_snippets")
    return pd.concat([facts_of, counts, means], axis=1).reset_index()
