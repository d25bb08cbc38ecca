"""Everything that all trials of a study share."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pdray.data.batches.plan import Evaluate, derive_seed
from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.data.cohort.settings import Target
from pdray.evaluation.predictions import Origin
from pdray.evaluation.settings import Method
from pdray.search.space import trial_config
from pdray.tracking.run_log import StudyLog, TrialLog
from pdray.training.loop.launch import Workers
from pdray.training.settings import FitConfig
from pdray.training.task import FitTask

if TYPE_CHECKING:
    from pdray.search.cluster import Reservation


@dataclass(frozen=True)
class TrialPlan:
    """Everything that all trials of a study share; sent once to every trial actor.

    Attributes:
        folder: The study's folder, readable and writable from every node.
        fit: Settings of a fit, before the values of a trial replace some.
        recordings: Recordings to which the positions in ``sides`` refer.
        sides: One entry per fold.
        num_classes: K.
        origin: Key columns of the predictions, except the trial's number.
        metric: Score to optimise.
        workers: Workers of a trial.
        role: A search trial is scored on validation subjects after every epoch; the winner and
            fixed trials are scored on test subjects once, after the last epoch. A winner without
            test subjects is never scored. "fold": one fold of the winning trial, trained again to
            keep its weights, and compared with what the trial predicted.
        labels: Labels of fixed trials, or of the first trials of a search, by number.
        epochs: Epochs per fold; None: as in the settings.
        synthetic: Whether the cohort is SYNTHETIC; pictures say so.
        pruner: Handle of the pruning actor; None: no pruning.
        interval: How test scores get their intervals: ``evaluation.interval``.
        reshuffle: Whether each trial of a search draws inner folds of its own.
        target: ``data.target``, which names the classes in pictures.
        made_share: Most made recordings of a class in a fold, for each real one.
        folds_at_once: Folds of a search trial or a fixed trial that train at once, each with the
            resources of ``workers``.
        reservation: How resources were chosen; the driver follows the cluster with it. None: the
            number of trials at once stays.
    """

    folder: Path
    fit: FitConfig
    recordings: tuple[RatedRecording, ...]
    sides: tuple[FoldSides, ...]
    num_classes: int
    origin: Origin
    metric: str
    workers: Workers
    role: Literal["trial", "winner", "fixed", "fold"] = "trial"
    labels: tuple[str, ...] = ()
    epochs: int | None = None
    synthetic: bool = False
    pruner: Any = None
    interval: Method = "transformed"
    reshuffle: bool = False
    target: Target = "grade"
    made_share: float = 0.0
    folds_at_once: int = 1
    reservation: "Reservation | None" = None

    def task(self, number: int, params: Mapping[str, Any]) -> FitTask:
        """Return the task of one trial."""
        config = trial_config(self.fit, params)
        return FitTask(
            origin=replace(self.origin, trial=number),
            config=config,
            recordings=self.recordings,
            sides=self._sides(number),
            num_classes=self.num_classes,
            epochs=self.epochs or config.optim.epochs,
            evaluate=self._evaluate,
        )

    def _sides(self, number: int) -> tuple[FoldSides, ...]:
        if not self.reshuffle or self.role not in ("trial", "fold"):
            return self.sides
        from pdray.data.cohort.reshuffling import reshuffled  # few searches draw folds anew

        seed = derive_seed(self.origin.seed, "reshuffle", number)
        return reshuffled(
            self.recordings,
            self.sides,
            num_classes=self.num_classes,
            seed=seed,
            made_share=self.made_share,
        )

    @property
    def _evaluate(self) -> Evaluate:
        if self.role == "trial" and self.fit.entry.predicts:
            return "every_epoch"
        return "last_epoch" if self.sides[0].evaluation else "never"

    @property
    def lanes(self) -> int:
        """Folds of a trial of this role that train at once."""
        return self.folds_at_once if self.role in ("trial", "fixed") else 1

    def title(self, number: int, fold: int | None = None) -> str:
        """Return study and trial, as Ray's dashboard, ``ps`` and ``nvidia-smi`` show them."""
        what = "winner" if self.role == "winner" else f"trial {number}"
        part = "" if fold is None else f" fold {fold}"
        return f"{StudyLog(self.folder).name} {what}{part}"

    def log(self, number: int, fold: int | None = None) -> TrialLog:
        """Return the log of a trial, of the winner, or of a fold of it."""
        study = StudyLog(self.folder)
        if fold is not None:
            return study.kept_fold(fold)
        return study.winner if self.role == "winner" else study.trial(number)
