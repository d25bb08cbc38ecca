"""The searches in the outer folds of a study, and the predictions of their winners.

Each of them is a whole study of protocol ``holdout`` in ``<study>/outer/<fold>``, or
``<study>/outer/<repeat>-<fold>``: its own trials, sampler and pruning, so that nothing has seen a
label of its test subjects. Their test predictions together cover every subject.
"""

import pandas as pd

from pdray.atomic import write_text
from pdray.errors import StudyError
from pdray.evaluation.predictions import read_predictions
from pdray.search.plan import StudyPlan
from pdray.tracking.run_log import REPORT, StudyLog


def outer_studies(study: StudyLog) -> list[StudyLog]:
    """Return the searches in the outer folds of a study that have started, in their order.

    Args:
        study: The whole study; one with a single test set has none.
    """
    return study.outer_studies()


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


def report_outer(plan: StudyPlan, study: StudyLog, board: str) -> str:
    """Write the report of a study with outer folds; return its scores.

    Args:
        plan: Its settings.
        study: Its log, whose outer folds have all been searched.
        board: Leaderboard of the search on all subjects.
    """
    metric = plan.config.search.metric
    lines = [_line(one, metric) for one in study.outer_studies()]
    write_text(study.folder / REPORT, f"{board}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(lines)


def _line(search: StudyLog, metric: str) -> str:
    winner, trial = search.winner.read(), search.trial(int(search.winner.read()["number"])).read()
    return (
        f"outer fold {search.folder.name}: test/{metric} "
        f"{winner['scores'][f'test/{metric}']['value']:.3f}, val/{metric} {trial['value']:.3f} "
        f"(trial {winner['number']})"
    )
