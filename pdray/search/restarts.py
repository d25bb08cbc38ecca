"""Lets trials whose processes are lost go on."""

from typing import Any

from ray import tune

from pdray.display import say
from pdray.tracking.run_log import TrialLog
from pdray.training.loop.launch import MAX_RESTARTS


class Restarts(tune.Callback):
    """Tells that a trial goes on after a lost process, and counts losses without progress alone.

    A search of days on spot machines loses many processes. A trial that has ended an epoch since
    the last loss may lose :data:`MAX_RESTARTS` more; one whose epoch never ends is given up.

    Args:
        log: ``log(number, fold)`` returns the log of a trial.
    """

    def __init__(self, log: Any) -> None:
        self._log = log

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Count from here: every result is an epoch that was not there before."""
        trial.max_failures = trial.num_failures + MAX_RESTARTS

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Print where the trial goes on."""
        number = trial.config["number"]
        log: TrialLog = self._log(number, trial.config.get("fold"))
        done = log.epochs() if log.exists() else []
        after = f"after fold {done[-1].fold + 1} epoch {done[-1].epoch + 1}" if done else "anew"
        left = trial.max_failures - trial.num_failures + 1
        say(
            f"trial {number}: its process was lost; it goes on {after} in another one (given up "
            f"after {left} more without an epoch)"
        )
