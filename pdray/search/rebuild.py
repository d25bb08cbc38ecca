"""Opens Optuna's trials of a search; they are made again where the logs have other ones.

The logs of the trials are the truth. Optuna's database adds only what a trial that was proposed and
has no log yet is to try, and the sampler proposes that again.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from math import isnan, nan
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from pdray.command import Say
from pdray.errors import StudyError
from pdray.search.plan import StudyPlan
from pdray.search.proposals import (
    STATES,
    StudySearch,
    distribution,
    naming_database,
    optuna_value,
)
from pdray.search.pruning import mean_over_folds, scores_by_fold
from pdray.tracking.run_log import StudyLog, TrialLog

Trials = Mapping[int, FrozenTrial]
ASIDE = "optuna.other.db"
_JOURNAL = "-journal"  # SQLite would apply that of another database


def open_search(plan: StudyPlan, study: StudyLog, *, mode: str, say: Say) -> StudySearch:
    """Open Optuna's trials of a search.

    A database that is missing or damaged, or has other trials than the logs, is moved to
    ``optuna.other.db`` and made again.

    Args:
        plan: Settings of the search.
        study: Its log.
        mode: "max" or "min".
        say: Prints a line, if the database is made again.

    Raises:
        StudyError: If the database cannot be opened or written.
    """
    path = study.optuna_path
    logged = {int(one.folder.name): logged_trial(plan, one) for one in study.trials()}
    opened = partial(StudySearch, plan, name=study.name, mode=mode)
    proposed: Trials = {}
    if not path.exists() and logged:
        reason = "is missing"
    elif _is_damaged(path):
        reason = "is damaged"
    else:
        search = opened(storage=f"sqlite:///{path}")
        reason, proposed = difference(search.trials(), logged)
        if not reason:
            return search
    _make_again(path, partial(_fill, opened, logged, proposed))
    say(
        f"note: {path} {reason}; it was made again from the logs of {len(logged)} trials, "
        "which say what was tried"
    )
    return opened(storage=f"sqlite:///{path}")


def _is_damaged(path: Path) -> bool:
    """Return whether SQLite finds a database damaged; Optuna would meet it at some later question.

    A database that cannot be asked now, such as a locked one, is left to Optuna.
    """
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(path)) as database:
            return bool(database.execute("pragma integrity_check").fetchone() != ("ok",))
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError:
        return True


def _fill(
    opened: Callable[..., StudySearch], logged: Trials, proposed: Trials, fresh: Path
) -> None:
    with naming_database(fresh):
        opened(storage=f"sqlite:///{fresh}").fill(logged, proposed)


def _make_again(path: Path, fill: Callable[[Path], None]) -> None:
    """Fill a new database and put it in the place of the other one, which is kept."""
    fresh = path.with_name(f".{path.name}.again.tmp")
    for left in (fresh, _journal(fresh)):  # of a kill
        left.unlink(missing_ok=True)
    fill(fresh)
    for old, aside in ((path, ASIDE), (_journal(path), ASIDE + _JOURNAL)):
        if old.exists():
            old.replace(path.with_name(aside))
    fresh.replace(path)


def logged_trial(plan: StudyPlan, log: TrialLog) -> FrozenTrial:
    """Return a trial as Optuna would have it after what its log says.

    Raises:
        StudyError: If it has no value for a searched setting; names the file.
    """
    trial, records = log.read(), log.epochs()
    held = trial["number"] >= len(plan.starts) or plan.starts[trial["number"]].is_held
    entries = plan.space if held else {}
    lacking = [key for key in entries if key not in trial["params"]]
    if lacking:
        raise StudyError(f"{log.files[-1]}: params lack {', '.join(lacking)}; restore the file")
    state = STATES.get(trial["state"], TrialState.RUNNING)
    scores = scores_by_fold(records, f"val/{plan.config.search.metric}")
    reported = {one.step: mean_over_folds(scores, one.fold, one.epoch) for one in records}
    value = optuna_value(trial["value"]) if state == TrialState.COMPLETE else None
    if state == TrialState.COMPLETE:  # its last value is no intermediate one
        reported.pop(records[-1].step)
    last = next(reversed(reported.values()), nan)
    if state == TrialState.PRUNED and not isnan(last):
        value = last  # as Optuna has it
    return create_trial(
        state=state,
        value=value,
        params={key: trial["params"][key] for key in entries},
        distributions={key: distribution(entry) for key, entry in entries.items()},
        intermediate_values=reported,
    )


def difference(stored: list[FrozenTrial], logged: Trials) -> tuple[str, Trials]:
    """Compare Optuna's trials with the logs.

    Args:
        stored: Optuna's trials. One that runs may have ended in its log since.
        logged: Trials of the logs, by number. One that was proposed or has failed may have none.

    Returns:
        The first thing that Optuna's trials have other than the logs, empty if there is none; and
        Optuna's trials by number, none if they are those of another study.
    """
    known = {one.number: one for one in stored}
    others = [one for one in stored if _params(one) != _params(logged.get(one.number, one))]
    if others:
        return f"has other values for trial {others[0].number} than its log", {}
    for number, one in logged.items():
        other = known.get(number)
        if other is None:
            return f"lacks trial {number}", known
        if other.state != TrialState.RUNNING and _end(one) != _end(other):
            return f"has another end of trial {number} than its log", known
    for number, one in known.items():
        if one.state in (TrialState.COMPLETE, TrialState.PRUNED) and number not in logged:
            return f"has trial {number}, whose log is missing", known
    return "", known


def _end(trial: FrozenTrial) -> tuple[TrialState, float | None]:
    return trial.state, trial.value if trial.state == TrialState.COMPLETE else None


def _params(trial: FrozenTrial) -> Any:
    return json.loads(json.dumps(trial.params, sort_keys=True))


def _journal(database: Path) -> Path:
    return database.with_name(database.name + _JOURNAL)
