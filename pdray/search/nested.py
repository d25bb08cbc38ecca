"""Runs the search in each outer fold of a study, and pools the predictions of their winners."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from pdray.command import Say
from pdray.data.cohort.members import readable
from pdray.display import step
from pdray.errors import StudyError
from pdray.evaluation.predictions import read_predictions, write_predictions
from pdray.search.budget import share_hours
from pdray.search.opening import OpenStudy, open_beside
from pdray.search.protocol import OuterFold
from pdray.search.searching import run_search
from pdray.tracking.run_log import StudyLog


def run_outer(folds: Sequence[OuterFold], ready: OpenStudy, study: StudyLog, say: Say) -> None:
    """Run the searches in all outer folds, one after the other, and pool their predictions.

    Args:
        folds: The outer folds.
        ready: The study, whose recordings are prepared.
        study: Its log.
        say: Prints a line.

    Raises:
        FoldsError: If a training side has lost a class with the recordings that cannot be read.
        StudyError: If no trial of a search completed, or a refit failed.
        KeyboardInterrupt: If interrupted; the study can be continued.
    """
    names = {one.recording_id for one in ready.trials.recordings}
    for fold in folds:  # all of them, before the first search
        readable(fold.cohort, fold.plan.config.data, names)
    for fold in folds:
        search = study.outer(fold.key)
        if search.is_complete():
            continue
        plan = share_hours(fold.plan, study, search, num_searches=len(folds) + 1)
        try:
            with step(fold.title):
                _run_one(replace(fold, plan=plan), ready, search, say)
        except StudyError:
            study.finish(state="failed")
            ready.mirror.finish()
            raise
    write_predictions(_pooled(folds, ready, study), study.pooled_path)


def titled(say: Say, title: str) -> Say:
    """Return a function that prints lines with the search that they are about."""

    def told(line: str) -> None:
        say(f"{title}: {line}")

    return told


def _run_one(fold: OuterFold, ready: OpenStudy, search: StudyLog, say: Say) -> None:
    told = titled(say, fold.title)
    beside = open_beside(ready, fold.plan, fold.cohort, search, told)
    found = run_search(fold.plan, beside, search, told)
    search.finish(state="complete", best=found.best)


def _pooled(folds: Sequence[OuterFold], ready: OpenStudy, study: StudyLog) -> pd.DataFrame:
    seed = ready.trials.origin.seed
    tables = [
        read_predictions(study.outer(fold.key).winner.predictions_path).assign(
            study=study.name, seed=seed, repeat=fold.repeat
        )
        for fold in folds
    ]
    return pd.concat(tables, ignore_index=True)
