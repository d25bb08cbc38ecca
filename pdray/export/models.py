"""The models of a study, ready to be exported: a module, and how each model scores recordings.

Networks are read with their kept weights. Linear models of numbers are learnt again from the
study's recordings, as in predictions, and leave coefficients alone. Others are refused by name.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pdray.data.batches.snippet import snippet_shape
from pdray.data.cohort.members import outer_sides
from pdray.data.cohort.rated import RatedRecording
from pdray.data.media.movement_spectrum import NUM_BANDS
from pdray.data.modalities import MODALITIES, PICTURES, picture_spec
from pdray.errors import StudyError
from pdray.export.program import Features, Linear, LinearScores, NetworkScores, safe_names
from pdray.predict.learning import fold_sides, origin_of, training_recordings
from pdray.predict.models import Model, predict, read_network
from pdray.predict.studied import REFIT, Studied
from pdray.tracking.generators import generator_of
from pdray.training.estimators.fit import describe, fit_learner
from pdray.training.task import FitTask

Shares = Callable[[Model, Sequence[RatedRecording]], NDArray[np.float64]]
_CPU = torch.device("cpu")
_ROWS = {"landmark_head": ("svm", "vote"), "landmark_choice": None}
"""Models that keep rows of people: support vectors; of those with kinds, which."""


@dataclass(frozen=True)
class Exportable:
    """Models of a study as one module.

    Attributes:
        module: From ``example`` to (1, M, K) scores.
        example: (1, ...) zeros: an input.
        reads: "snippets": stored pictures of a snippet; "spectrum": that of a recording.
        mean_of: What is averaged over the snippets of a recording: "probabilities", or "scores".
        shares: Returns the (N, K) probabilities of recordings by one model, also of people that it
            learnt from.
    """

    module: nn.Module
    example: Tensor
    reads: Literal["snippets", "spectrum"]
    mean_of: Literal["probabilities", "scores"]
    shares: Shares


def refuse_model(studied: Studied) -> None:
    """Refuse a model that cannot be exported, before anything is computed.

    Raises:
        StudyError: Names the model and the reason.
    """
    config = studied.config
    name, why = config.model.name, ""
    if generator_of(studied.trial["settings"]):
        raise StudyError(
            f"study {studied.name}: {name} is never exported: it makes pictures, and whoever has "
            "its weights can bring out faces that it learnt. Share numbers and tables instead"
        )
    kinds = _ROWS.get(name, ())
    others = [one for one in config.sees if one not in PICTURES or MODALITIES[one].placed_by]
    if kinds is None or getattr(config.model, "kind", None) in kinds:
        why = "it keeps rows of people (support vectors), and reads landmarks"
    elif others:
        why = f"it reads {', '.join(others)}, and predict.py of an export reads videos alone"
    elif studied.learns_at_once and name not in _LINEAR:
        why = "it is no network, and no linear model whose coefficients pdray knows"
    if why:
        raise StudyError(
            f"study {studied.name}: {name} cannot be exported: {why}; grade recordings with "
            "jobs/predict.py"
        )


def make_exportable(studied: Studied, models: Sequence[Model]) -> Exportable:
    """Return models as one module.

    Raises:
        PdrayError: If weights or the recordings of the study cannot be read.
    """
    names = safe_names([one.name for one in models])
    if studied.learns_at_once:
        return _LINEAR[studied.config.model.name](studied, models, names)
    networks = {
        # Copies, since predicting orders the memory of a network that is held.
        name: deepcopy(read_network(studied, model))
        for name, model in zip(names, models, strict=True)
    }

    def shares(model: Model, recordings: Sequence[RatedRecording]) -> NDArray[np.float64]:
        table = predict(studied, model, recordings, _CPU)
        return table.loc[[one.recording_id for one in recordings]].to_numpy(dtype=np.float64)

    module = NetworkScores(networks, studied.config)
    return Exportable(module, _blank(studied), "snippets", "probabilities", shares)


def _blank(studied: Studied) -> Tensor:
    """Return a black snippet."""
    config = studied.config
    _, num_frames = snippet_shape(config.snippet, training=False)
    channels = picture_spec(config.modality).num_channels
    return torch.zeros((1, num_frames, *config.picture_size, channels), dtype=torch.uint8)


def _learners(studied: Studied, models: Sequence[Model]) -> tuple[Mapping[Model, Any], Shares]:
    """Learn each model again; return the learners, and how they score recordings."""
    known = training_recordings(studied)
    inner = fold_sides(studied, known)
    task = _task(studied, known)
    x = describe(task)
    learners = {
        model: fit_learner(
            task,
            x,
            (
                outer_sides(studied.folds, known)[0] if model.fold == REFIT else inner[model.fold]
            ).training,
        )
        for model in models
    }

    def shares(model: Model, recordings: Sequence[RatedRecording]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = learners[model].predict_proba(
            describe(_task(studied, recordings))
        )
        return found

    return learners, shares


def _task(studied: Studied, recordings: Sequence[RatedRecording]) -> FitTask:
    origin = origin_of(studied, 0)
    return FitTask(origin, studied.config, tuple(recordings), (), studied.num_classes, 1)


def _motion(studied: Studied, models: Sequence[Model], names: Sequence[str]) -> Exportable:
    learners, shares = _learners(studied, models)
    heads = {}
    for name, model in zip(names, models, strict=True):
        imputer, scaler, regression = (step for _, step in learners[model].fitted.steps)
        filled = torch.tensor(np.nan_to_num(imputer.statistics_), dtype=torch.float64)
        heads[name] = Linear.of_regression(scaler, regression, studied.num_classes, filled)
    example = torch.zeros((1, NUM_BANDS), dtype=torch.float64)
    return Exportable(LinearScores(heads), example, "spectrum", "scores", shares)


def _probe(studied: Studied, models: Sequence[Model], names: Sequence[str]) -> Exportable:
    from pdray.training.estimators.probe import LogisticProbe, frozen_features

    learners, shares = _learners(studied, models)
    heads: dict[str, nn.Module] = {}
    for name, model in zip(names, models, strict=True):
        learner = learners[model]
        if isinstance(learner, LogisticProbe):
            scaler, regression = (step for _, step in learner.fitted.steps)
            heads[name] = Linear.of_regression(scaler, regression, studied.num_classes)
        else:
            last = learner.network
            heads[name] = Linear(learner.scaler, last.weight.detach(), last.bias.detach())
    features = Features(deepcopy(frozen_features(studied.config).network).cpu(), studied.config)
    return Exportable(LinearScores(heads, features), _blank(studied), "snippets", "scores", shares)


_LINEAR: Mapping[str, Callable[[Studied, Sequence[Model], Sequence[str]], Exportable]] = {
    "motion_linear": _motion,
    "linear_probe": _probe,
}
