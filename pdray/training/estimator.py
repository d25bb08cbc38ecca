"""Fitting an estimator: every fold in one step, from the numbers that describe each recording.

The results are those of :func:`pdray.training.worker.fit`, one epoch a fold, so that trials, logs
and reports do not know the difference. Descriptions are computed once a process: the actors of a
search are handed from trial to trial, and a trial then costs its fits alone.
"""

import time
from collections.abc import Generator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pdray.data.entry import Entry
from pdray.data.landmark_motion import Features, feature_columns, landmark_features
from pdray.data.landmark_shape import nose_centred
from pdray.data.tracks import Track
from pdray.errors import DecodeError, DivergedError, StudyError
from pdray.evaluation.metrics import compute_metrics
from pdray.evaluation.predictions import predictions_table, probabilities, targets
from pdray.models.landmark_head import LandmarkHead, LandmarkHeadConfig, build_landmark_head
from pdray.models.landmark_mlp import LandmarkMlpConfig
from pdray.training.landmark_network import LandmarkNetwork
from pdray.training.task import EpochResult, FitConfig, FitTask

_HELD = 4096  # recordings whose description a process keeps, a kilobyte each
_LEAST = 1e-12  # for the logit of a class that the training side lacks


def fit_estimator(
    task: FitTask, *, resume: Mapping[str, Any] | None = None
) -> Generator[EpochResult]:
    """Fit and evaluate every fold of a task.

    Args:
        task: What to fit; its model is an estimator and its epochs are 1.
        resume: ``state`` of the last result that counts.

    Yields:
        One result a fold.

    Raises:
        DecodeError: If a recording's landmarks cannot be described; names it.
        DivergedError: If a loss is not finite; names the fold.
        StudyError: If ``resume`` does not belong to a task of this shape.
        SettingsError: If a group of features is not there.
    """
    if resume is not None and resume["num_steps"] != task.num_steps:
        raise StudyError(
            f"the checkpoint is of a fit of {resume['num_steps']} (fold, epoch) pairs, this one "
            f"has {task.num_steps}"
        )
    started = time.perf_counter()
    x = describe(task)
    for fold in range(0 if resume is None else int(resume["step"]), len(task.sides)):
        yield _fit_fold(task, fold, x, started)
        started = time.perf_counter()


def describe(task: FitTask) -> NDArray[np.float64]:
    """Return what the task's estimator sees of each recording.

    Returns:
        (N, D) features, NaN where absent, or (N, F, P, 2) nose-centred landmarks.

    Raises:
        DecodeError: If a recording's landmarks cannot be described; names it.
        SettingsError: If a group of features is not there.
    """
    found = []
    for recording in task.recordings:
        if recording.stored is None:
            raise DecodeError(f"recording {recording.recording_id}: its landmarks are not stored")
        try:
            found.append(_describe_one(recording.stored["landmarks"], task.config))
        except DecodeError as error:
            raise DecodeError(f"recording {recording.recording_id}: {error}") from error
    return np.stack(found)


def _describe_one(path: Path, config: FitConfig) -> NDArray[np.float64]:
    if isinstance(config.model, LandmarkMlpConfig):
        return _frames(path, config.model.num_frames, config.model.unit)
    features = _features(path)
    return features.values[feature_columns(features.names, config.landmarks)]


@lru_cache(maxsize=_HELD)
def _features(path: Path) -> Features:
    return landmark_features(_track(path))


@lru_cache(maxsize=_HELD)
def _frames(path: Path, num_frames: int, unit: Literal["pixels", "eyes"]) -> NDArray[np.float64]:
    return nose_centred(_track(path), num_frames=num_frames, unit=unit).astype(np.float64)


def _track(path: Path) -> Track:
    entry = Entry(path)
    points = entry.read(np.arange(len(entry)))
    # The size of the picture says nothing here: the face is described by itself.
    return Track(points, entry.seconds, (1.0, 1.0))


def _build(task: FitTask) -> LandmarkHead | LandmarkNetwork:
    config, seed = task.config.model, task.origin.seed
    if isinstance(config, LandmarkMlpConfig):
        return LandmarkNetwork(config, num_classes=task.num_classes, seed=seed)
    assert isinstance(config, LandmarkHeadConfig), "the only other estimator"
    return build_landmark_head(config, task.num_classes, seed=seed)


def _fit_fold(task: FitTask, fold: int, x: NDArray[np.float64], started: float) -> EpochResult:
    side = task.sides[fold]
    classes = np.array([recording.target for recording in task.recordings], np.int64)
    learnt, held = list(side.training), list(side.evaluation)
    try:
        shares = _build(task).fit(x[learnt], classes[learnt]).predict_proba(x[held])
    except DivergedError as error:
        raise DivergedError(f"fold {fold}, {error}") from error
    rows: dict[str, Any] = {
        name: [getattr(task.recordings[i], name) for i in held]
        for name in ("recording_id", "subject_id", "item", "grade", "target")
    }
    rows["snippet"] = [0] * len(held)
    number = fold if len(task.sides) > 1 else task.origin.fold
    origin = replace(task.origin, fold=number, epoch=0)
    table = predictions_table(origin, rows, np.log(shares.clip(_LEAST)), shares)
    scores = compute_metrics(targets(table), probabilities(table))
    metrics = {f"{task.origin.split}/{name}": value for name, value in scores.items()}
    metrics["time/epoch_seconds"] = time.perf_counter() - started
    state = {"step": fold + 1, "num_steps": task.num_steps, "model": {}}
    return EpochResult(fold, 0, metrics, table, state)
