"""Proposes trials with Optuna, and reports to it how each trial ended."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from ray.tune.error import TuneError
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch
from sqlalchemy.exc import SQLAlchemyError

from pdray.data.batches.plan import derive_seed
from pdray.errors import StudyError
from pdray.search.full_disk import FULL_DISK
from pdray.search.kept_study import KeptStudy
from pdray.search.plan import StudyPlan
from pdray.search.space import Choices, Range, Start, Value, combinations
from pdray.tracking.run_log import TrialLog

# pdray prints its own lines about trials.
optuna.logging.set_verbosity(optuna.logging.WARNING)

STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


_AGAIN = "which makes it again from the logs of the trials"
_DAMAGED = f"it is damaged; continue with --resume, {_AGAIN}"
_DATABASE_FAULTS = {
    "database is locked": "another program has it open; close that program, then run the job again",
    "no longer compatible": "it was made by another version of Optuna; install that version, or "
    f"delete the file and continue with --resume, {_AGAIN}",
    "disk is full": "the disk is full; make room, then continue with --resume",
    "disk I/O error": "the disk failed, or your quota of it is used up; make room, then continue "
    "with --resume",
    "malformed": _DAMAGED,
    "not a database": _DAMAGED,
    "no such table": f"it was deleted or emptied; continue with --resume, {_AGAIN}",
    "readonly": "it cannot be written; mend its permissions, then run the job again",
}


@contextmanager
def naming_database(path: Path) -> Iterator[None]:
    """Turn the errors of Optuna's database into one that names the file, the cause and a way out.

    Raises:
        StudyError: In place of an error of Optuna, SQLAlchemy or SQLite.
    """
    try:
        yield
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
        # Optuna's own text may name another cause than the error beneath it.
        raise _database_error(path, f"{error} {error.__cause__}") from error
    except RuntimeError as error:
        if "optuna version" not in str(error):  # of others
            raise
        raise _database_error(path, str(error)) from error
    except TuneError as error:  # what a callback of Tune raised, as text
        if "StorageInternalError" not in str(error):
            raise
        raise _database_error(path, str(error)) from error


def _database_error(path: Path, text: str) -> StudyError:
    causes = (told for words, told in _DATABASE_FAULTS.items() if words in text)
    cause = next(causes, f"{text.splitlines()[0]}; delete the file and use --resume, {_AGAIN}")
    return StudyError(f"Optuna's database {path}: {cause}")


class StudySearch(OptunaSearch):
    """OptunaSearch that continues interrupted trials and reports to Optuna how each one ended.

    It differs from its parent in six ways. Trials that a kill left RUNNING come first, under
    their own number, so none stays RUNNING for ever. The sampler gets a new seed for each trial
    number, so a resumed study proposes the same values as an uninterrupted one. A pruned trial is
    reported as PRUNED with its intermediate values; the parent reports COMPLETE. Tune does not
    pass a trial's last result to ``on_trial_result``; this class reports it. Each combination of
    settings is tried once: fits are seeded, so a second trial would give the same result. The first
    trials are those of the plan; one whose settings the space does not hold has no values in
    Optuna, so that it counts, and the sampler does not learn from it.

    Attributes:
        may_start: Asked before each trial, with the number of one that was interrupted; False ends
            the search.
    """

    def __init__(self, plan: StudyPlan, *, storage: str, name: str, mode: str) -> None:
        self.may_start: Callable[[int | None], bool] = lambda number: True
        self._study_seed = plan.seed
        self._starts = () if plan.fixed else plan.starts
        self._startup_trials = plan.config.search.startup_trials
        self._kept = KeptStudy(storage, name, "maximize" if mode == "max" else "minimize")
        super().__init__(
            space={key: distribution(entry) for key, entry in plan.space.items()} or _no_space,
            metric="value",
            mode=mode,
            study_name=name,
            storage=self._kept,
        )
        self._entries = plan.space
        self._interrupted = self._adopt()
        # Of fixed trials each is one of its own.
        self._combinations = None if plan.fixed else combinations(plan.space)

    def num_ended(self) -> int:
        """Return how many trials have ended in any state, in this session or before."""
        return sum(trial.state.is_finished() for trial in self.trials())

    def num_left(self, trials: int) -> int:
        """Return how many of a study's trials are still to run, at most one per combination."""
        left = trials - self.num_ended()
        if self._combinations is not None:
            ended = [one for one in self.trials() if one.state.is_finished()]
            tried = self._tried(ended)
            # What an earlier version began although it was tried is ended too.
            again = len(self._interrupted) - len(self._tried(self._interrupted) - tried)
            begun = {one.number for one in [*ended, *self._interrupted]}
            outside = sum(
                not one.is_held and number not in begun for number, one in enumerate(self._starts)
            )
            left = min(left, len(set(self._combinations)) - len(tried) + again + outside)
        return max(left, 0)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, by number."""
        trials: list[FrozenTrial] = self._ot_study.get_trials(deepcopy=False)
        return trials

    def fill(self, logged: Mapping[int, FrozenTrial], proposed: Mapping[int, FrozenTrial]) -> None:
        """Add the trials of the logs to a study without trials, under their numbers.

        Args:
            logged: Trials of the logs, by number.
            proposed: Trials that Optuna had; those without a log run again, unless they failed. A
                number that is in neither is proposed again.
        """
        for number in range(max([*logged, *proposed], default=-1) + 1):
            trial = logged.get(number) or proposed.get(number)
            if trial is None or not (trial.state.is_finished() or self._is_whole(trial)):
                self._next_trial()
                continue
            if number not in logged and trial.state != TrialState.FAIL:
                trial = create_trial(
                    state=TrialState.RUNNING,
                    params=trial.params,
                    distributions=trial.distributions,
                )
            self._kept.keep(self._kept.create_new_trial(self._ot_study._study_id, trial))

    def completed(self) -> list[FrozenTrial]:
        """Return the trials that ran all their folds."""
        return self._trials_in(TrialState.COMPLETE)

    def best(self) -> FrozenTrial:
        """Return the best completed trial, the first of equals; at least one must be complete."""
        sign = 1.0 if self.mode == "max" else -1.0
        return max(self.completed(), key=lambda one: (sign * float(one.value or 0.0), -one.number))

    def importance(self) -> dict[str, float]:
        """Return the importance of each searched setting; empty where too few trials differ."""
        complete = [one for one in self.completed() if one.params.keys() >= self._entries.keys()]
        if len({one.value for one in complete}) < 2 or not self._entries:
            return {}
        # A seed: the forest is drawn.
        judge = FanovaImportanceEvaluator(seed=self._study_seed % 2**32)
        found = get_param_importances(self._ot_study, evaluator=judge, params=list(self._entries))
        return dict(found)

    def goes_on(self) -> bool:
        """Return whether the next trial may start."""
        return self.may_start(self._interrupted[0].number if self._interrupted else None)

    def num_running(self) -> int:
        """Return how many trials of this session have not ended."""
        return len(self._trials_in(TrialState.RUNNING)) - len(self._interrupted)

    def end_failed(self, log_of: Callable[[int], TrialLog]) -> None:
        """End the trials that failed in their logs alone, since their processes were lost."""
        for trial in self._trials_in(TrialState.RUNNING):
            log = log_of(trial.number)
            if log.exists() and log.read()["state"] == "failed":
                self._ot_study.tell(trial.number, state=TrialState.FAIL)

    def end_running(self, log_of: Callable[[int], TrialLog], reason: str) -> None:
        """End the trials that run as pruned, in their logs and in Optuna.

        One that ended on disk while Tune was stopping it keeps its state.

        Args:
            log_of: Returns the log of a trial.
            reason: Why they end.
        """
        for trial in self._trials_in(TrialState.RUNNING):
            log = log_of(trial.number)
            if log.exists() and log.read()["state"] == "running":
                value = next(reversed(trial.intermediate_values.values()), None)
                log.finish(state="pruned", value=value, reason=reason)
            found = log.read() if log.exists() else {}
            state = STATES[str(found.get("state", "failed"))]
            value = optuna_value(found["value"]) if state == TrialState.COMPLETE else None
            self._ot_study.tell(trial.number, value, state=state)
        self._interrupted.clear()

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Return the number and the searched values of the next trial, or that none follows."""
        if trial_id not in self._ot_trials:
            if not self.goes_on():
                return str(Searcher.FINISHED)
            self._ot_trials[trial_id] = self._next_trial()
        trial = self._ot_trials[trial_id]
        return {"number": trial.number, "params": self.params_of(trial)}

    def params_of(self, trial: Trial | FrozenTrial) -> dict[str, Any]:
        """Return the values of a trial's settings, by dotted key."""
        start = self._start_of(trial.number)
        return dict(trial.params if start is None else start.params)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Report an intermediate value under its (fold, epoch)."""
        if result["state"] in ("running", "pruned") and FULL_DISK not in result:
            self._ot_trials[trial_id].report(result["value"], result["step"])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Report the trial's state to Optuna.

        One whose process was lost, or that Ctrl-C stopped between two epochs, stays RUNNING.
        """
        state = STATES.get(result["state"]) if result and not error else None
        if trial_id in self._completed_trials or result is None or state is None:
            return
        trial = self._ot_trials[trial_id]
        self.on_trial_result(trial_id, result)
        value = optuna_value(result["value"]) if state == TrialState.COMPLETE else None
        self._ot_study.tell(trial, value, state=state)
        self._completed_trials.add(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing for Tune: Optuna's storage holds the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing from Tune; see :meth:`save`."""

    def _next_trial(self) -> Trial:
        if self._interrupted:
            frozen = self._interrupted.pop(0)
            return Trial(self._ot_study, frozen._trial_id)
        # One that a kill left waiting has its number already, and Optuna takes it first.
        waiting = self._trials_in(TrialState.WAITING)
        number = waiting[0].number if waiting else len(self.trials())
        self._ot_study.sampler = self._sampler_of(number)
        fixed = None if callable(self._space) else self._space
        start = self._start_of(number)
        if start is not None and not start.is_held:
            fixed = None
        elif not waiting and start is not None:
            self._ot_study.enqueue_trial(dict(start.params))
        trial: Trial = self._ot_study.ask(fixed_distributions=fixed)
        if not waiting and start is None and self._combinations and fixed:
            trial = self._replace_repeat(trial, fixed)
        self._kept.keep(trial._trial_id)
        return trial

    def _replace_repeat(self, trial: Trial, fixed: dict[str, BaseDistribution]) -> Trial:
        """Give a trial that repeats another a combination that was not tried, if one is left."""
        trials = self._ot_study.get_trials(deepcopy=False)
        tried = self._tried([one for one in trials if one.number != trial.number])
        left = [one for one in self._combinations or () if one not in tried]
        if not left or not self._tried([trial]) <= tried:
            return trial
        place = derive_seed(self._study_seed, "repeat", trial.number) % len(left)
        for key, value in zip(self._entries, left[place], strict=True):
            chosen = fixed[key].to_internal_repr(value)
            self._kept.set_trial_param(trial._trial_id, key, chosen, fixed[key])
        return Trial(self._ot_study, trial._trial_id)

    def _tried(self, trials: Sequence[FrozenTrial | Trial]) -> set[tuple[Value, ...]]:
        whole = [one.params for one in trials if one.params.keys() >= self._entries.keys()]
        return {
            tuple(_plain(params[key], entry) for key, entry in self._entries.items())
            for params in whole
        }

    def _adopt(self) -> list[FrozenTrial]:
        """Return the trials that a kill left running; complete those that were half proposed."""
        fixed = {} if callable(self._space) else self._space
        for trial in self._trials_in(TrialState.RUNNING):
            if not self._is_whole(trial):
                self._ot_study.sampler = self._sampler_of(trial.number)
                again = Trial(self._ot_study, trial._trial_id)
                for key, entry in fixed.items():
                    again._suggest(key, entry)
        return self._trials_in(TrialState.RUNNING)

    def _is_whole(self, trial: FrozenTrial) -> bool:
        start = self._start_of(trial.number)
        keys = self._entries.keys() if start is None or start.is_held else {}
        return trial.params.keys() == {*keys}

    def _start_of(self, number: int) -> Start | None:
        return self._starts[number] if number < len(self._starts) else None

    def _trials_in(self, state: TrialState) -> list[FrozenTrial]:
        trials: list[FrozenTrial] = self._ot_study.get_trials(deepcopy=False, states=(state,))
        return trials

    def _sampler_of(self, number: int) -> TPESampler:
        with warnings.catch_warnings():
            # Conditional spaces need group, which Optuna marks as experimental.
            warnings.simplefilter("ignore", ExperimentalWarning)
            return TPESampler(
                n_startup_trials=self._startup_trials,
                n_ei_candidates=24,
                seed=derive_seed(self._study_seed, "proposal", number) % 2**32,
                multivariate=True,
                group=True,
                constant_liar=True,
            )


def optuna_value(value: float) -> float:
    """Return the value of a complete trial as Optuna takes it: without nan.

    The only trial of a translator without a guide has no score; nothing is chosen by it.
    """
    return 0.0 if value != value else value


def _plain(value: Value, entry: Choices | Range) -> Value:
    """Return a value as :func:`combinations` has it: without the error of adding up steps."""
    return round(value, 9) if isinstance(value, float) and isinstance(entry, Range) else value


def distribution(entry: Choices | Range) -> BaseDistribution:
    """Return Optuna's form of a searched setting."""
    if isinstance(entry, Choices):
        return CategoricalDistribution(entry.values)
    if entry.whole:
        return IntDistribution(
            int(entry.low), int(entry.high), log=entry.log, step=int(entry.step or 1)
        )
    return FloatDistribution(entry.low, entry.high, log=entry.log, step=entry.step)


def _no_space(trial: Trial) -> dict[str, Any]:
    """Return no searched values: every trial has the study's settings."""
    return {}
