"""Lets trials whose processes are lost go on."""

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune
from ray.exceptions import RayActorError
from ray.train import WorkerGroupError

from pdray.display import say
from pdray.training.loop.launch import MAX_RESTARTS
from pdray.training.loop.part import NoticeError

if TYPE_CHECKING:
    from pdray.search.trial_plan import TrialPlan

_MACHINE_LOST = "node has died"  # in Ray's message


class Restarts(tune.Callback):
    """Tells that a trial goes on after a lost process, and counts losses without progress alone.

    A search of days on spot machines loses many processes. A trial that has ended an epoch since
    the last loss may lose :data:`MAX_RESTARTS` more; one whose epoch never ends is given up. A
    process that ends after a notice has saved what it did, so it counts as progress.

    Args:
        plan: What all trials share.
    """

    def __init__(self, plan: "TrialPlan") -> None:
        self._plan = plan

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Count from here: every result is an epoch that was not there before."""
        trial.max_failures = trial.num_failures + MAX_RESTARTS

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Print what was lost, and where the trial goes on."""
        error = last_error(trial)
        if isinstance(error, NoticeError):
            trial.max_failures = trial.num_failures + MAX_RESTARTS
        number, fold = trial.config["number"], trial.config.get("fold")
        left = trial.max_failures - trial.num_failures + 1
        last = f"; after {left} more such losses before it ends an epoch it is given up"
        say(
            f"{self._plan.title(number, fold)}: {told(error)}; it {self._next(number, fold)} "
            f"{'on another machine' if _MACHINE_LOST in str(error) else 'in a new process'}"
            f"{last if left < MAX_RESTARTS else ''}"
        )

    def _next(self, number: int, fold: int | None) -> str:
        log = self._plan.log(number, fold)
        records = log.epochs() if log.exists() else []
        if not records:
            return "starts again"
        at, epoch = divmod(records[-1].step + 1, int(log.read()["num_epochs"]))
        if at == (len(self._plan.sides) if fold is None else fold + 1):
            return "goes on after its last epoch"
        if self._plan.lanes > 1:  # folds that train at once begin again
            epoch = 0
        return f"goes on from fold {at + 1} epoch {epoch + 1}"


def last_error(trial: Any) -> BaseException | None:
    """Return the error that ended a trial of Ray Tune the last time; None: it left none."""
    path = trial.pickled_error_file
    if path is None or not Path(path).is_file():
        return None
    error: BaseException = pickle.loads(Path(path).read_bytes())  # Tune wrote it in this process
    error = getattr(error, "cause", error)
    if not isinstance(error, WorkerGroupError):
        return error
    found: list[BaseException] = list(error.worker_failures.values())
    first = [one for kind in (NoticeError, RayActorError) for one in found if isinstance(one, kind)]
    return [*first, *found][0]


def told(error: BaseException | None) -> str:
    """Return in one line what ended a trial's process."""
    if isinstance(error, NoticeError):
        return f"its process had notice to end ({error})"
    if error is None or isinstance(error, RayActorError):
        return f"its {'machine' if _MACHINE_LOST in str(error) else 'process'} was lost"
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}"
