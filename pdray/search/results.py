"""Runs a study from Python, and reads the results of one as data frames."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from pdray.checks.finding import Finding
from pdray.checks.run import read_findings
from pdray.command import Say, say
from pdray.config import lay, read_tree
from pdray.data.cohort.folds import folds_from_json
from pdray.errors import StudyError
from pdray.evaluation.predictions import read_predictions
from pdray.evaluation.scores import score_predictions
from pdray.search.plan import plan_study
from pdray.search.settings import StudyConfig
from pdray.tracking.generators import refuse_generator
from pdray.tracking.run_log import REPORT, StudyLog, TrialLog


class StudyResults:
    """Results of a study or of a comparison of fixed trials, as data frames.

    Everything is read from the study's folder at each call, also while the study runs.

    Attributes:
        log: Its folder's files.
        facts: ``name``, ``state`` ("running", "complete" or "failed"), nested ``settings``,
            ``tags`` and ``best``, the number of the trial that won, or None.
    """

    def __init__(self, folder: Path) -> None:
        self.log = StudyLog(folder)
        self.facts = self.log.read()

    def __repr__(self) -> str:
        mark = ", SYNTHETIC data" if self.is_synthetic else ""
        return f"<study {self.facts['name']}: {self.facts['state']}{mark}>"

    @property
    def is_synthetic(self) -> bool:
        """Whether the recordings were rendered: then no score says anything about patients."""
        return bool(self.facts["tags"].get("synthetic") == "true")

    @property
    def report(self) -> str:
        """What the job printed at its end; empty of a study that has not ended."""
        file = self.log.folder / REPORT
        return file.read_text(encoding="utf-8") if file.is_file() else ""

    def trials(self) -> pd.DataFrame:
        """Return the trials, one row each.

        Returns:
            Index ``trial``, the number. Columns: ``label`` of a fixed trial, ``state``, ``value``
            (the mean of the folds' scores at the chosen epoch, which decides), ``chosen_epoch``
            (from 0), ``seconds``, ``reason`` of a failure, and one column for each searched
            setting, by its dotted key.
        """
        rows = [_facts(one.read()) for one in self.log.trials()]
        columns = dict.fromkeys(["trial", *chain.from_iterable(rows)])
        return pd.DataFrame(rows, columns=list(columns)).set_index("trial")

    def epochs(self) -> pd.DataFrame:
        """Return the learning curves: one row per trial, split, fold and epoch.

        Returns:
            Columns ``trial``, ``split``, ``fold``, ``epoch`` (both from 0; fold -1 is the refit of
            the winner), ``time`` [unix s], and one for each logged number, such as ``val/mcc``.
        """
        rows = [
            {"trial": trial["number"], "split": "val" if trial["role"] == "trial" else "test",
             "fold": -1 if trial["role"] == "winner" else record.fold,
             "epoch": record.epoch, "time": record.time, **record.metrics}
            for log in self._logs()
            for trial in [log.read()]
            for record in log.epochs()
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def folds(self) -> pd.DataFrame:
        """Return the subjects: ``subject_id``, and ``fold`` that holds it out; -1: test set.

        After a search in each outer fold, these are the folds of the search on all subjects.
        """
        try:
            folds = folds_from_json(self.log.folds_path.read_text(encoding="utf-8"))
        except OSError as error:
            raise StudyError(f"{self.log.folds_path}: cannot be read: {error.strerror}") from error
        sides = [(-1, folds.test), *enumerate(folds.folds)]
        rows = [(subject, number) for number, side in sides for subject in sorted(side)]
        return pd.DataFrame(rows, columns=["subject_id", "fold"])

    def predictions(self) -> pd.DataFrame:
        """Return all predictions that were kept: the chosen epoch of each complete trial.

        Returns:
            The predictions table, one row per scored snippet. Rows with ``split`` "val" are of
            subjects that the trial's fold held out; "test" of the test set, by the winner
            (``fold`` -1), or of a comparison by each trial. After a search in each outer fold,
            they are of all subjects, by the winners of the outer folds (``outer_fold``).

        Raises:
            StudyError: If no trial is complete, a file cannot be read, or the model predicts no
                class.
        """
        refuse_generator(self.facts["name"], self.facts["settings"])
        files = [*(log.predictions_path for log in self._logs()), self.log.pooled_path]
        tables = [read_predictions(file) for file in files if file.is_file()]
        if not tables:
            raise StudyError(
                f"{self.log.folder}: no trial is complete, so there are no predictions"
            )
        return pd.concat(tables, ignore_index=True)

    def scores(self, metrics: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the scores of every kept network, with intervals; see :func:`score_predictions`.

        Args:
            metrics: Names such as mcc; None is the study's own, which decided.
        """
        asked = metrics or [self.facts["settings"]["search"]["metric"]]
        return score_predictions(self.predictions(), asked)

    def checks(self) -> pd.DataFrame:
        """Return the checks of a search, one row each; empty if they were not run.

        Returns:
            Index ``code``. Columns: ``title``, ``state`` ("passed", "warning", "unknown" or
            "muted"), ``looked_at``, ``found``, ``sure``, ``advice``, ``numbers`` by name, and
            ``seconds``.
        """
        names = [field.name for field in fields(Finding)]
        rows = [vars(one) for one in read_findings(self.log.folder)]
        return pd.DataFrame(rows, columns=names).set_index("code")

    def _logs(self) -> list[TrialLog]:
        """Return the logs of every trial and of the winner."""
        return [*self.log.trials(), *([self.log.winner] if self.log.winner.exists() else [])]


def run_study(
    config: Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    say: Say = say,
) -> StudyResults:
    """Run a study, as ``jobs/tune_tsa.py`` does, and return its results.

    Ray is started on this machine unless the settings name a cluster, and stopped at the end. A
    study of the same name in the same output folder is continued. A script that calls this needs
    nothing else; KeyboardInterrupt leaves a study that can be continued.

    Args:
        config: YAML file of settings, with a ``space``, such as those in ``search_spaces/``.
        settings: Over them, dotted or nested; ``data.manifest`` is required, ``output`` is the
            folder for all that is left, absolute.
        say: Is called with each line of progress.

    Returns:
        The results.

    Raises:
        SettingsError: With every fault of the settings at once.
        PdrayError: If something else the user can mend is wrong; nothing is lost.

    Example:
        >>> from pathlib import Path
        >>> settings = {
        ...     "data.manifest": "demo/manifest.csv",
        ...     "output": str(Path("output").absolute()),
        ...     "search.name": "short",
        ...     "search.trials": 1,
        ...     "optim.epochs": 1,
        ... }
        >>> study = pdray.run_study("search_spaces/demo.yaml", settings, say=lambda line: None)
        >>> study.scores()["split"].tolist()  # the test set, and two folds of the only trial
        ['test', 'val', 'val']
    """
    words = [] if config is None else ["--config", str(config)]
    plan = plan_study(lay(StudyConfig, read_tree(StudyConfig, words), settings or {}))
    from pdray.search.study import run_plan  # Ray: only with accepted settings

    return StudyResults(run_plan(plan, say=say).folder)


def read_study(folder: Path | str) -> StudyResults:
    """Read the results of a study, finished or not.

    Args:
        folder: ``<output>/studies/<name>``, which holds ``study.json``.

    Returns:
        The results: ``trials()``, ``epochs()``, ``folds()``, ``predictions()`` and ``scores()`` are
        data frames.

    Raises:
        StudyError: If there is no study, or it cannot be read.

    Example:
        >>> study = pdray.read_study("output/studies/demo")
        >>> study
        <study demo: complete, SYNTHETIC data>
        >>> study.trials()["state"].tolist()
        ['complete', 'pruned']
        >>> study.scores()[["split", "fold", "metric", "num_subjects"]].values.tolist()
        [['test', -1, 'mcc', 3], ['val', 0, 'mcc', 2], ['val', 1, 'mcc', 2]]
    """
    return StudyResults(Path(folder))


def _facts(trial: Mapping[str, Any]) -> dict[str, Any]:
    ended = trial.get("ended")
    return {
        "trial": trial["number"],
        **{name: trial.get(name) for name in ("label", "state", "value", "chosen_epoch", "reason")},
        "seconds": None if ended is None else ended - trial["started"],
        **trial["params"],
    }
