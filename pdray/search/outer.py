"""The searches in the outer folds of a study, and the predictions of their winners.

Each of them is a whole study of protocol ``holdout`` in ``<study>/outer/<fold>``, or
``<study>/outer/<repeat>-<fold>``: its own trials, sampler and pruning, so that nothing has seen a
label of its test subjects. Their test predictions together cover every subject.
"""

import pandas as pd

from pdray.errors import StudyError
from pdray.evaluation.predictions import read_predictions
from pdray.tracking.run_log import StudyLog


def read_pooled(study: StudyLog) -> pd.DataFrame:
    """Read the test predictions of the winners of all outer folds.

    Args:
        study: The whole study.

    Returns:
        The predictions table: ``study`` and ``seed`` are those of the whole study, ``outer_fold``
        and ``repeat`` say which search made a row, ``trial`` is the number of its winner.

    Raises:
        StudyError: If the outer folds have not all been searched, or there are none.
    """
    if not study.pooled_path.is_file():
        num = len([one for one in study.outer_studies() if one.is_complete()])
        raise StudyError(
            f"study {study.name} has no predictions of all outer folds: {num} of them are "
            "complete; continue it with --resume, or search with search.protocol=nested"
        )
    return read_predictions(study.pooled_path)
