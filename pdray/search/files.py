"""Checks that the files with which a study goes on are those that it wrote."""

import shutil
import sys
from collections.abc import Iterator, Mapping
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune

from pdray.display import say
from pdray.errors import StudyError
from pdray.evaluation.predictions import read_predictions
from pdray.evaluation.translations import read_translations
from pdray.search.pruning import mean_over_folds, scores_by_fold
from pdray.tracking.digests import Digests
from pdray.tracking.generators import generator_of
from pdray.tracking.run_log import PERMUTED, StudyLog, TrialLog

if TYPE_CHECKING:
    from pdray.search.trial_plan import TrialPlan

_STATES = ("running", "complete", "pruned", "failed")
_SHOWN = 10
Fault = tuple[Path, str]


class TrialFiles(tune.Callback):
    """Prints which files of a trial were damaged, and lists digests of those of ended trials.

    Args:
        plan: What all trials share.
    """

    def __init__(self, plan: "TrialPlan") -> None:
        self._plan, self._digests = plan, Digests(plan.folder)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Print what the first result after a restart says; list the files at the last one."""
        place = trial.config["number"], trial.config.get("fold")
        if result["note"]:
            say(f"{self._plan.title(*place)}: {result['note']}")
        log = self._plan.log(*place)
        if result["last"] and is_final(log.read()):
            self._digests.add(log.files)


def check_files(study: StudyLog) -> None:
    """Refuse to go on with a study whose files were changed, cut or removed.

    Files that are listed in ``digests.jsonl`` must have a listed content. Others are of an earlier
    version, or of a trial that ended while nobody listed it: they must fit each other, and are
    listed. Files of trials that have not ended are left to :mod:`pdray.search.checkpoint`. The
    folder of a trial may be missing as a whole: the trial then runs again. What a kill left of a
    trial that had ended is removed.

    Args:
        study: A study, or a comparison; one that was not begun passes.

    Raises:
        StudyError: Names each file, and says how the study can go on.
    """
    faults = [fault for one in _searches(study) for fault in _faults(one)]
    if not faults:
        _remove_rest(study.folder)
        return
    lines = [f"{path}: {told}" for path, told in faults[:_SHOWN]]
    lines += [f"and {len(faults) - _SHOWN} more files"] if len(faults) > _SHOWN else []
    of_trials = [path.parent for path, _ in faults if path.parent.parent.name == "trials"]
    of_trials = [one for one in of_trials if not StudyLog(one.parents[1]).is_complete()]
    way = "or start a new study with another search.name"
    if of_trials:
        way = (
            f"or delete the whole folder of such a trial, as {of_trials[0]}: it then runs again "
            "with the same settings"
        )
    raise StudyError(
        f"study {study.folder.name} cannot go on, since files of it are not as it wrote them:\n"
        + "\n".join(lines)
        + f"\nRestore them from a copy, {way}"
    )


def _remove_rest(folder: Path) -> None:
    """Remove what a trial needs only while it runs, where a kill came right after its end."""
    for rest in [*folder.rglob("checkpoint*.pt"), *folder.rglob("predictions")]:
        log = TrialLog(rest.parent)
        if not (log.exists() and log.read()["state"] in ("complete", "pruned")):
            continue
        if rest.is_dir():
            shutil.rmtree(rest)
        else:
            rest.unlink()


def _searches(study: StudyLog) -> Iterator[StudyLog]:
    """Yield a study and all that were begun inside it."""
    if study.exists():
        yield study
    inside = [path.parent for path in (study.folder / PERMUTED).glob("*/study.json")]
    for one in [*study.outer_studies(), *map(StudyLog, sorted(inside))]:
        yield from _searches(one)


def _faults(study: StudyLog) -> list[Fault]:
    """Return the faults of one search; list what is not listed yet."""
    digests, file = Digests(study.folder), study.own_files[0]
    try:
        saved = study.read()
        is_complete = saved["state"] == "complete"
        metric = saved["settings"].get("search", {}).get("metric")
    except (StudyError, KeyError, AttributeError) as error:
        return [(file, _told(file, error))]
    changed = list(digests.changed())
    again = [] if is_complete else [file for file, _ in changed if _runs_again(file)]
    digests.forget(again)
    free = {*again, *(one for one in study.final_files if not (is_complete and one.exists()))}
    faults = [fault for fault in changed if fault[0] not in free]
    digests.add(one for one in study.own_files if not digests.lists(one))
    winner = study.winner
    kept = [TrialLog(path.parent) for path in winner.folder.glob("folds/*/trial.json")]
    for log in [*study.trials(), *([winner] if winner.exists() else []), *kept]:
        if digests.lists(log.files[-1]):
            continue
        found = _faults_of_trial(log, metric)
        faults += found
        if not found and is_final(log.read()):
            digests.add(log.files)
        elif log.whole_epochs()[1]:  # it goes on before a line that cannot be read
            log.truncate(sys.maxsize)
    return faults or _faults_of_winner(study)


def _faults_of_winner(study: StudyLog) -> list[Fault]:
    """Return whether the winner has other settings than the trial that won."""
    winner = study.winner
    if not winner.exists() or (trial := study.trial(winner.read()["number"])).exists() is False:
        return []
    if winner.read()["params"] == trial.read()["params"]:
        return []
    return [(winner.files[-1], f"has other params than {trial.files[-1]}")]


def _runs_again(file: Path) -> bool:
    """Return whether a listed file is of a trial or a kept fold whose folder was deleted."""
    return file.parent.parent.name in ("trials", "folds") and not file.parent.exists()


def is_final(trial: Mapping[str, Any]) -> bool:
    """Return whether a trial has ended and does not run again; only those of a search may fail."""
    return trial["state"] in ("complete", "pruned") or (
        trial["state"] == "failed" and trial["role"] == "trial"
    )


def _faults_of_trial(log: TrialLog, metric: str | None) -> list[Fault]:
    """Return what in the files of a trial contradicts itself."""
    file = log.folder / "trial.json"
    try:
        trial = log.read()
        wrong = _wrong_fields(log, trial)
    except (StudyError, KeyError, TypeError, AttributeError, ValueError) as error:
        return [(file, _told(file, error))]
    if wrong or trial["state"] != "complete":
        return [(file, told) for told in wrong]
    chosen, num_epochs = trial["chosen_epoch"], trial["num_epochs"]
    try:
        records = log.epochs()
    except StudyError as error:
        return [(log.files[0], _told(log.files[0], error))]
    scores = scores_by_fold(records, f"val/{metric}")
    if not scores or {len(fold) for fold in scores} != {num_epochs}:
        told = f"has {len(records)} lines, which are not whole folds of {num_epochs} epochs"
        return [(log.files[0], told)]
    value = mean_over_folds(scores, len(scores) - 1, chosen)
    if trial["role"] == "trial" and value == value and not isclose(value, trial["value"]):
        return [(file, f"value: got {trial['value']}, but that of its epochs is {value}")]
    return _faults_of_table(log, trial, [one.fold for one in records])


def _wrong_fields(log: TrialLog, trial: Mapping[str, Any]) -> list[str]:
    epochs, chosen = trial["num_epochs"], trial["chosen_epoch"]
    is_chosen = isinstance(chosen, int) and 0 <= chosen < epochs
    own = log.folder.parent.name != "trials" or trial["number"] == int(log.folder.name)
    right = {
        "number": isinstance(trial["number"], int) and own,
        "state": trial["state"] in _STATES,
        "num_epochs": isinstance(epochs, int) and epochs > 0,
        "params": isinstance(trial["params"], dict),
        "chosen_epoch": is_chosen if trial["state"] == "complete" else chosen is None,
    }
    return [f"{key}: got {trial[key]!r}" for key, is_right in right.items() if not is_right]


def _faults_of_table(log: TrialLog, trial: Mapping[str, Any], folds: list[int]) -> list[Fault]:
    """Return what is wrong with the table of the chosen epoch."""
    is_generator = bool(generator_of(trial["settings"]))
    file = log.translations_path if is_generator else log.predictions_path
    if not file.is_file() and trial["role"] == "winner" and not trial["scores"]:
        return []  # it has no test subjects
    try:
        table = (read_translations if is_generator else read_predictions)(file)
    except StudyError as error:
        return [(file, _told(file, error))]
    if is_generator and set(table["fold"]) <= set(folds):
        return []  # of folds that hold out nobody of class 0 it has no row
    if set(table["epoch"]) != {trial["chosen_epoch"]}:
        return [(file, f"has epochs {sorted(set(table['epoch']))}, not the chosen one")]
    if trial["role"] != "winner" and set(table["fold"]) != set(folds):
        return [(file, f"has folds {sorted(set(table['fold']))}, not those of its epochs")]
    return []


def _told(file: Path, error: Exception) -> str:
    """Return an error as the end of a sentence that begins with a file."""
    if isinstance(error, KeyError):
        return f"is damaged: it lacks {error}"
    return str(error).removeprefix("predictions ").removeprefix(f"{file}: ")
