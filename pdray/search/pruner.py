"""The actor that decides which trials end early; it starts with what the logs of the study hold."""

from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pdray.evaluation.metrics import greater_is_better
from pdray.search.plan import StudyPlan
from pdray.search.pruning import FoldRule, QuantileRule, Scores, scores_by_fold
from pdray.tracking.run_log import StudyLog

ANSWER_SECONDS = 60.0
"""Time that a trial waits for a decision; without one it goes on [s]."""


class Pruner:
    """A rule of :mod:`pdray.search.pruning` with the memory of all trials of a study.

    The logs of the trials are the memory: whoever starts it again, after a killed process or in
    another session, gets the same decisions.

    Args:
        rule: The rule, which has seen nothing.
        folder: Folder of the study.
        metric: The score that the rule compares, such as ``mcc``.
    """

    def __init__(self, rule: FoldRule | QuantileRule, folder: Path, metric: str) -> None:
        self._rule = rule
        for log in StudyLog(folder).trials():
            if scores := scores_by_fold(log.epochs(), f"val/{metric}"):
                rule.observe(log.read()["number"], scores)

    def decide(self, trial: int, scores: Scores) -> str | None:
        """Store the scores of a trial; return the reason to end it, or None."""
        return self._rule.decide(trial, scores)


def start_pruner(plan: StudyPlan, study: StudyLog, num_folds: int) -> Any:
    """Start the actor that ends trials; return its handle, or None if no trial is to end early."""
    config = plan.config.search
    if not config.prune_quantile:
        return None
    rule: Any = FoldRule
    own: dict[str, Any] = {"num_folds": num_folds}
    if config.prune_rule == "quantile":
        rule, own = QuantileRule, {"quantile": config.prune_quantile}
    # Keep it on the driver's node, which stays; a zero-CPU actor could land on a spot machine.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(num_cpus=0, scheduling_strategy=here, max_restarts=-1, max_task_retries=-1)(
        Pruner
    )
    empty = rule(
        num_trials=config.prune_after_trials,
        num_epochs=plan.config.optim.epochs,
        first_epoch=config.prune_after_epochs,
        greater_is_better=greater_is_better(config.metric),
        **own,
    )
    return actor.remote(empty, study.folder, config.metric)


def ask_pruner(pruner: Any, trial: int, scores: Scores) -> str | None:
    """Return the reason to end a trial; None to go on, also while nobody answers.

    Args:
        pruner: Handle of the actor.
        trial: Its number.
        scores: Of the trial so far, as its log has them.
    """
    try:
        reason: str | None = ray.get(pruner.decide.remote(trial, scores), timeout=ANSWER_SECONDS)
    except (RayActorError, GetTimeoutError):  # a helper that is gone must not fail a trial
        return None
    return reason
