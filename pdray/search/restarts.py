"""Lets trials whose processes are lost go on."""

from typing import TYPE_CHECKING, Any

from ray import tune

from pdray.display import say
from pdray.training.loop.launch import MAX_RESTARTS

if TYPE_CHECKING:
    from pdray.search.trial_plan import TrialPlan


class Restarts(tune.Callback):
    """Tells that a trial goes on after a lost process, and counts losses without progress alone.

    A search of days on spot machines loses many processes. A trial that has ended an epoch since
    the last loss may lose :data:`MAX_RESTARTS` more; one whose epoch never ends is given up.

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
        """Print where the trial goes on."""
        place = trial.config["number"], trial.config.get("fold")
        log = self._plan.log(*place)
        done = log.epochs() if log.exists() else []
        how = "starts again"
        if done:
            how = f"goes on after fold {done[-1].fold + 1} epoch {done[-1].epoch + 1}"
        left = trial.max_failures - trial.num_failures + 1
        say(
            f"{self._plan.title(*place)}: its process was lost; it {how} in a new one, and fails "
            f"if {left} more in a row are lost before they end an epoch"
        )
