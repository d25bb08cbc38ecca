"""Fits an estimator: each fold in one step, from the numbers that describe each recording.

Results have the form of :func:`pdray.training.loop.worker.fit` with one epoch per fold, so that
trials, logs and reports need not distinguish the two. The numbers are computed once per process,
and a search reuses its processes.
"""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pkgutil import resolve_name
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pdray.data.cohort.rated import RatedRecording, table_rows
from pdray.errors import DecodeError, DivergedError, StudyError
from pdray.evaluation.metrics import compute_metrics
from pdray.evaluation.predictions import (
    WITHHELD_BELOW,
    predictions_table,
    probabilities,
    targets,
)
from pdray.evaluation.withheld_numbers import given_scores
from pdray.training.settings import FitConfig
from pdray.training.task import EpochResult, FitTask

WITHHELD = "fit/withheld_below"
"""Fact of a fit: the highest class probability below which a prediction is withheld."""
_LEAST = 1e-12  # for the logit of a class that is absent from training


class Learner(Protocol):
    """An estimator that learns classes from descriptions of recordings.

    Attributes:
        told: Facts about the last fit by name (``fit/...``), logged with its scores.
    """

    told: dict[str, float]

    def fit(self, x: Sequence[Any], y: NDArray[np.int64], subjects: Sequence[str]) -> Self:
        """Learn from N descriptions, their (N,) classes and their subjects."""

    def predict_proba(self, x: Sequence[Any]) -> NDArray[np.float64]:
        """Return (N, K) probabilities of N descriptions."""


def _nothing(_: FitConfig) -> list[str]:
    return []


class Parts(NamedTuple):
    """Parts of an estimator.

    Attributes:
        describe: Returns the description of a recording.
        build: ``build(config, num_classes=, seed=)`` returns the learner.
        start: Returns lines of text about the pretrained weights that it uses.
    """

    describe: Callable[[RatedRecording, FitConfig], Any]
    build: Callable[..., Learner]
    start: Callable[[FitConfig], list[str]] = _nothing


def find_parts(config: FitConfig) -> Parts:
    """Return the parts of the estimator of a fit."""
    parts: Parts = resolve_name(config.entry.learner)
    return parts


def fit_estimator(
    task: FitTask, *, resume: Mapping[str, Any] | None = None
) -> Generator[EpochResult]:
    """Fit and evaluate every fold of a task.

    Args:
        task: What to fit; its model is an estimator and its epochs are 1.
        resume: ``state`` of the last valid result.

    Yields:
        One result per fold.

    Raises:
        DecodeError: If a recording cannot be described; names it.
        DivergedError: If a loss is not finite; names the fold.
        StudyError: If ``resume`` is from a task with another number of folds.
        PdrayError: If a fold has too few training recordings.
    """
    if resume is not None and resume["num_steps"] != task.num_steps:
        raise StudyError(
            f"the checkpoint is from a fit with {resume['num_steps']} (fold, epoch) pairs, but "
            f"this fit has {task.num_steps}; start a new study with another search.name"
        )
    started = time.perf_counter()
    x = describe(task)
    for fold in range(0 if resume is None else int(resume["step"]), len(task.sides)):
        yield _fit_fold(task, fold, x, started)
        started = time.perf_counter()


def describe(task: FitTask) -> list[Any]:
    """Return the estimator's description of each recording.

    Raises:
        DecodeError: If a recording cannot be described; names it.
        SettingsError: If a group of features does not exist.
    """
    parts = find_parts(task.config)
    found = []
    for recording in task.recordings:
        if recording.stored is None:
            raise DecodeError(
                f"recording {recording.recording_id}: its {task.config.modality} is not in the "
                "frame store; run jobs/prepare.py"
            )
        try:
            found.append(parts.describe(recording, task.config))
        except DecodeError as error:
            named = f"recording {recording.recording_id}: "
            told = str(error).removeprefix(named)  # errors of the store name it already
            raise DecodeError(named + told) from error
    return found


def fit_learner(task: FitTask, x: Sequence[Any], training: Sequence[int]) -> Learner:
    """Return the estimator of a task, fitted on some of its recordings.

    Args:
        task: Settings, recordings, classes and seed.
        x: Result of :func:`describe`.
        training: Positions of the recordings to learn from.

    Raises:
        DivergedError: If a loss is not finite.
        PdrayError: If there are too few recordings.
    """
    learnt = [task.recordings[i] for i in training]
    classes = np.array([recording.target for recording in learnt], np.int64)
    build = find_parts(task.config).build
    learner = build(task.config, num_classes=task.num_classes, seed=task.origin.seed)
    learner.fit([x[i] for i in training], classes, [one.people for one in learnt])
    return learner


def _fit_fold(task: FitTask, fold: int, x: Sequence[Any], started: float) -> EpochResult:
    side = task.sides[fold]
    held = [task.recordings[i] for i in side.evaluation]
    try:
        learner = fit_learner(task, x, side.training)
        shares = learner.predict_proba([x[i] for i in side.evaluation]) if held else None
    except DivergedError as error:
        raise DivergedError(f"fold {fold}, {error}") from error
    metrics, table = {}, None
    if shares is not None:
        number = fold if len(task.sides) > 1 else task.origin.fold
        origin = replace(task.origin, fold=number, epoch=0)
        rows = dict(table_rows(held))
        below = learner.told.get(WITHHELD)
        if below is not None:
            rows[WITHHELD_BELOW] = [below] * len(held)
        table = predictions_table(origin, rows, np.log(shares.clip(_LEAST)), shares)
        scores = compute_metrics(targets(table), probabilities(table))
        if below is not None:
            scores |= given_scores(table)
        metrics = {f"{task.origin.split}/{name}": value for name, value in scores.items()}
    metrics |= {name: float(value) for name, value in learner.told.items()}
    metrics["time/epoch_seconds"] = time.perf_counter() - started
    state = {"step": fold + 1, "num_steps": task.num_steps, "model": {}}
    return EpochResult(fold, 0, metrics, table, state)
