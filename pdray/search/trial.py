"""Runs one trial: its folds, its log on disk, its checkpoint, its end.

A trial with one worker is a Tune class, whose actor the next trial reuses. A distributed trial is
a Tune function around a Ray Train worker group. Both pass their results to the same
:class:`Recorder`, which calls the pruning actor, so a trial always ends itself.
"""

from collections.abc import Callable, Generator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import ray
import torch
from ray import tune
from ray.train import WorkerGroupError

from pdray.atomic import replacing, sweep
from pdray.config import dump
from pdray.errors import ClusterError, PdrayError, full_disk
from pdray.evaluation.metrics import greater_is_better, metrics_for, undefined_reason
from pdray.evaluation.predictions import (
    by_recording,
    num_classes,
    probabilities,
    read_predictions,
    targets,
)
from pdray.evaluation.settings import Method
from pdray.search.checkpoint import find_start, owner_of, read_state, save_checkpoint
from pdray.search.full_disk import FULL_DISK
from pdray.search.pruning import choose_epoch, mean_over_folds
from pdray.search.trial_plan import TrialPlan
from pdray.tracking.run_log import PICTURES, StudyLog
from pdray.training.loop.launch import (
    EndsSoon,
    run_distributed,
    run_in_process,
)
from pdray.training.task import EpochResult

APART = "val/largest_difference"
"""Score of a kept fold: how far its probabilities are from those of the trial that won."""


class Recorder:
    """Writes a trial's results to disk and decides when it ends; a ``Listener`` of its fit.

    Args:
        plan: What all trials share.
        number: Number of the trial.
        params: Values of what is searched.
        fold: The fold that role "fold" trains; None of other roles.
    """

    def __init__(
        self, plan: TrialPlan, number: int, params: Mapping[str, Any], fold: int | None = None
    ) -> None:
        self.plan, self.number, self.params, self.fold = plan, number, dict(params), fold
        self.task = plan.task(number, params)
        self.log = plan.log(number, fold)
        self._checkpoint = self.log.folder / "checkpoint.pt"
        self._in_epoch = self.log.folder / "checkpoint_in_epoch.pt"
        self._owner = owner_of(plan.role, fold, self.task, self.params)
        self._scores: list[list[float]] = []
        self._note = ""
        self._predicts = self.task.config.entry.predicts

    def ended(self) -> dict[str, Any] | None:
        """Return the last report of a trial that ended before a kill, else None.

        A winner or a fixed trial that failed counts as not ended: the user may have corrected the
        cause, so it runs again.
        """
        if not self.log.exists():
            return None
        trial = self.log.read()
        is_tried_again = self.plan.role != "trial" and trial["state"] == "failed"
        if trial["state"] == "running" or is_tried_again:
            return None
        records = self.log.epochs()
        return self._report(records[-1].step if records else 0, trial["state"], trial["value"])

    def resume(self) -> Mapping[str, Any] | None:
        """Start or continue the log; return the state of the checkpoint, or None.

        Raises:
            ClusterError: If this node cannot read the study's folder.
        """
        if not StudyLog(self.plan.folder).exists():
            raise ClusterError(
                f"node {ray.util.get_node_ip_address()} cannot read {self.plan.folder}; choose an "
                "output folder that all nodes share"
            )
        self.log.start(
            number=self.number,
            num_epochs=self.task.epochs,
            params=self.params,
            settings=dump(self.task.config),
            role=self.plan.role,
            label=next(iter(self.plan.labels[self.number :]), None),
        )
        for folder in (self.log.folder, self.log.folder / "predictions"):
            sweep(folder, below=False)  # no other process runs this trial
        first = (self.fold or 0) * self.task.epochs
        start = find_start(self._checkpoint, self.log, self.task, owner=self._owner, first=first)
        step = int(start.state["step"]) if start.state else 0
        self.log.truncate(step)
        self._scores, self._note = [], start.note
        for record in self.log.epochs():
            self._add_score(record.fold, record.metrics)
        return self._inside_epoch(step) or start.state

    def _inside_epoch(self, step: int) -> Mapping[str, Any] | None:
        """Return the state saved inside the epoch that is next, if these workers can use it."""
        if not self._in_epoch.exists():
            return None
        workers = self.plan.workers
        states_per_worker = 2 if workers.gpus_per_worker else 1
        state, damage = read_state(self._in_epoch, self._owner, ("step", "num_steps", "parts"))
        if damage:
            self._note = self._note or f"{damage}; the epoch starts again"
            return None
        found = [len(part["random"]) for part in state["parts"]]
        fits = (state["step"], state["num_steps"]) == (step, self.task.num_steps)
        return state if fits and found == [states_per_worker] * workers.num_workers else None

    def record(self, result: EpochResult) -> dict[str, Any]:
        """Log an epoch, save the checkpoint, and end the trial if it is complete or pruned."""
        self.log.write_epoch(
            fold=result.fold,
            epoch=result.epoch,
            metrics=result.metrics,
            predictions=result.predictions,
        )
        self._add_score(result.fold, result.metrics)
        step = int(result.state["step"]) - 1
        is_last = step == self.task.num_steps - 1
        if self.fold is not None:
            is_last = result.epoch == self.task.epochs - 1
            return self._finish_fold(result) if is_last else self._going_on(step, result, None)
        if self.plan.role == "winner":
            return self._finish_winner(result) if is_last else self._going_on(step, result, None)
        value = mean_over_folds(self._scores, result.fold, result.epoch)
        if self.plan.role == "fixed":
            if is_last:
                return self._finish_fixed(step, value)
            return self._going_on(step, result, value)
        reason = self._prune_reason()
        if is_last:
            return self._finish_trial(step)
        if reason is not None:
            self.log.finish(state="pruned", value=value, reason=reason)
            self._remove_checkpoints()
            return self._report(step, "pruned", value)
        return self._going_on(step, result, value)

    def fail(self, reason: str) -> dict[str, Any]:
        """End the trial as failed."""
        records = self.log.epochs()
        step = records[-1].step if records else 0
        self.log.finish(state="failed", reason=reason)
        return self._report(step, "failed", None)

    def keep(self, state: Mapping[str, Any]) -> None:
        """Save the state inside an epoch; it counts until the epoch ends."""
        save_checkpoint(self._in_epoch, state, self._owner)

    def stop(self, full: OSError) -> dict[str, Any]:
        """Report that the disk is full; the trial goes on when the study is continued."""
        records = self.log.epochs()
        report = self._report(records[-1].step if records else 0, "running", None)
        place = full.filename or self.log.folder
        return {**report, "last": True, FULL_DISK: f"{full.errno} {place}"}

    def _add_score(self, fold: int, metrics: Mapping[str, float]) -> None:
        while len(self._scores) <= fold:
            self._scores.append([])
        name = f"{self.plan.origin.split}/{self.plan.metric}"
        self._scores[fold].append(metrics.get(name, float("nan")))

    def _prune_reason(self) -> str | None:
        if self.plan.pruner is None:
            return None
        from pdray.search.pruner import ask_pruner  # a trial without a pruner does not need it

        return ask_pruner(self.plan.pruner, self.number, self._scores)

    def _going_on(self, step: int, result: EpochResult, value: float | None) -> dict[str, Any]:
        state = result.state
        if "model" not in state:  # of a fold that trains in another process: it would begin again
            whole = result.fold + (result.epoch + 1 == self.task.epochs)
            state = {**state, "step": whole * self.task.epochs, "model": {}, "optimizer": {}}
        save_checkpoint(self._checkpoint, state, self._owner)
        self._in_epoch.unlink(missing_ok=True)
        return self._report(step, "running", value)

    def _remove_checkpoints(self) -> None:
        for path in (self._checkpoint, self._in_epoch):
            path.unlink(missing_ok=True)

    def _finish_trial(self, step: int) -> dict[str, Any]:
        if not self._predicts and self.task.config.synthesis.guide is None:
            return self._complete(step, self.task.epochs - 1, value=float("nan"))
        is_more = greater_is_better(self.plan.metric)
        epoch, value = choose_epoch(self._scores, greater_is_better=is_more)
        return self._complete(step, epoch, value=value)

    def _finish_fixed(self, step: int, value: float) -> dict[str, Any]:
        """Score the last epoch of all folds as one table; each subject was held out once."""
        epoch = self.task.epochs - 1
        rows = self.log.read_epoch(epoch)
        if rows is None:
            raise RuntimeError("the last epoch of a fixed trial was not evaluated")
        return self._complete(step, epoch, value=value, scores=self._held_out_scores(rows))

    def _finish_winner(self, result: EpochResult) -> dict[str, Any]:
        scores = {}
        if not self._predicts:
            found = ((name, one) for name, one in result.metrics.items() if name[:5] == "test/")
            scores = {name: {"value": one} for name, one in found}
        elif result.predictions is not None:
            scores = self._held_out_scores(result.predictions)
        elif self.task.evaluate != "never":
            raise RuntimeError("the winner's last epoch was not evaluated")
        self._keep_weights(result)
        report = self._complete(int(result.state["step"]) - 1, result.epoch, scores=scores)
        value = scores.get(f"test/{self.plan.metric}", {}).get("value", float("nan"))
        return {**report, "value": value}

    def _finish_fold(self, result: EpochResult) -> dict[str, Any]:
        """Keep the weights, and by how much they differ from the trial that won."""
        apart = self._apart(result)
        self._keep_weights(result)
        scores = {APART: {"value": apart}}
        return self._complete(int(result.state["step"]) - 1, result.epoch, scores=scores)

    def _apart(self, result: EpochResult) -> float:
        """Return by how much the result of a fold differs from that of the trial that won."""
        log = StudyLog(self.plan.folder).trial(self.number)
        if not self._predicts:
            step = result.fold * int(log.read()["num_epochs"]) + result.epoch
            then = next(one.metrics for one in log.epochs() if one.step == step)
            now = {name: one for name, one in result.metrics.items() if name[:5] != "time/"}
            return float(max(abs(one - then.get(name, np.nan)) for name, one in now.items()))
        table = read_predictions(log.predictions_path)
        assert result.predictions is not None, "each fold is evaluated once, after its last epoch"
        return largest_difference(result.predictions, table[table["fold"] == result.fold])

    def _keep_weights(self, result: EpochResult) -> None:
        if not self._predicts:
            from pdray.training.translators.learnt import (
                keep_learnt,  # few studies fit a translator
            )

            keep_learnt(self.task, self.log.learnt_path, fold=result.fold)
        if result.state["model"]:  # an estimator has no weights
            with replacing(self.log.model_path) as temporary:
                torch.save(result.state["model"], temporary)

    def _complete(
        self,
        step: int,
        epoch: int,
        *,
        value: float | None = None,
        scores: Mapping[str, dict[str, float]] | None = None,
    ) -> dict[str, Any]:
        draw = self._draw if self.fold is None and self._predicts else None
        self.log.finish(state="complete", value=value, chosen_epoch=epoch, scores=scores, draw=draw)
        self._remove_checkpoints()
        return self._report(step, "complete", value)

    def _held_out_scores(self, rows: pd.DataFrame) -> dict[str, dict[str, float]]:
        table, method = by_recording(rows), self.plan.interval
        names = metrics_for(num_classes(table))
        return {f"test/{name}": held_out_score(table, name, method) for name in names}

    def _draw(self, table: pd.DataFrame, folder: Path) -> None:
        from pdray.evaluation.plots import confusion_picture, roc_picture

        confusion, roc = PICTURES
        pooled = by_recording(table)
        confusion_picture(
            pooled, folder / confusion, synthetic=self.plan.synthetic, target=self.plan.target
        )
        roc_picture(pooled, folder / roc, synthetic=self.plan.synthetic)

    def _report(self, step: int, state: str, value: float | None) -> dict[str, Any]:
        # ``value`` is a number in every report, because Tune requires the metric.
        note, self._note = self._note, ""
        return {
            "note": note,
            "number": self.number,
            "step": step,
            "fold": step // self.task.epochs,
            "epoch": step % self.task.epochs,
            "state": state,
            "value": float("nan") if value is None else float(value),
            "last": state != "running",
        }


def largest_difference(one: pd.DataFrame, other: pd.DataFrame) -> float:
    """Return the largest difference of probabilities of the same snippets in two tables.

    Args:
        one: Predictions table; all its snippets must be in the other.
        other: Predictions table of the same classes.
    """
    keys = ["recording_id", "snippet"]
    both = one[keys].merge(other, on=keys, how="left", validate="one_to_one")
    return float(np.abs(probabilities(one) - probabilities(both)).max())


def held_out_score(
    table: pd.DataFrame, metric: str, method: Method = "transformed"
) -> dict[str, float]:
    """Return a metric with its 95% interval over subjects; nan where there is none.

    Args:
        table: Predictions of the test subjects, one row per recording.
        metric: Name in ``METRICS``.
        method: How the interval is made.

    Returns:
        ``value``, ``low`` and ``high``.
    """
    if undefined_reason(metric, targets(table), probabilities(table)) is not None:
        return dict.fromkeys(("value", "low", "high"), float("nan"))
    from pdray.evaluation.score_intervals import score_interval  # only the end of a trial needs it

    interval = score_interval(table, metric, method=method)
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def run_trial(
    plan: TrialPlan, config: Mapping[str, Any], ends_soon: Callable[[], bool] = bool
) -> Generator[dict[str, Any]]:
    """Run or continue a trial in this process, and yield its reports; closing it stops the trial.

    Args:
        plan: What all trials share.
        config: Arguments of the :class:`Recorder`.
        ends_soon: Returns whether this process will end soon; default: it will not.
    """
    recorder = Recorder(plan, **config)
    ended = recorder.ended()
    if ended is not None:
        yield ended
        return
    try:
        if plan.lanes > 1:
            from pdray.training.loop.parallel_folds import run_folds  # few searches need it

            how = plan.workers, plan.lanes, ends_soon
            yield from run_folds(recorder.task, recorder, *how)
            return
        yield from run_in_process(recorder.task, recorder, plan.workers, ends_soon)
    except (OSError, PdrayError) as error:
        full = full_disk(error)
        if full is None:
            raise
        yield recorder.stop(full)


class FoldTrial(tune.Trainable):
    """A trial with one worker; Tune reuses its actor for the next trial."""

    def setup(self, config: dict[str, Any], plan: TrialPlan) -> None:
        """Start the trial that ``config`` names."""
        torch.set_num_threads(max(1, int(plan.workers.cpus_per_worker)))
        if 0 < plan.workers.gpus_per_worker < 1:  # what does not fit must not take from others
            torch.cuda.set_per_process_memory_fraction(plan.workers.gpus_per_worker)
        self._plan, self._ends_soon = plan, EndsSoon()
        self._reports = run_trial(plan, config, self._ends_soon)
        self._title = self._first = plan.title(config["number"], config.get("fold"))

    def __repr__(self) -> str:
        """Return the actor's name in Ray's dashboard, which asks for it once."""
        return self._first if self._plan.role == "winner" else f"{self._first} and later"

    def step(self) -> dict[str, Any]:
        """Run one epoch of one fold and report it."""
        ray._raylet.setproctitle(f"ray::{self._title}")  # Ray puts its own after this method
        with self._ends_soon.heeding_sigterm():
            report = next(self._reports)
        if report["last"]:
            self.cleanup()
        return {**report, "done": report["last"]}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start the next trial in the same process."""
        self.cleanup()
        self._reports = run_trial(self._plan, new_config, self._ends_soon)
        self._title = self._plan.title(new_config["number"], new_config.get("fold"))
        return True

    def cleanup(self) -> None:
        """Stop reading ahead."""
        self._reports.close()


def distributed_trial(config: dict[str, Any], plan: TrialPlan) -> None:
    """Run a trial with two or more workers."""
    recorder = Recorder(plan, **config)
    ended = recorder.ended()
    if ended is not None:
        tune.report(ended)
        return
    make_listener: Callable[[], Recorder] = partial(Recorder, plan, **config)
    folder = plan.folder / "ray" / recorder.log.folder.name
    try:
        run_distributed(recorder.task, make_listener, plan.workers, folder=folder)
    except WorkerGroupError as error:
        failed, full = recorder.ended(), full_disk(error)
        if failed is None and full is not None:
            failed = recorder.stop(full)
        if failed is None:  # a lost worker: Tune restarts the trial from its checkpoint
            raise
        tune.report(failed)
