"""The models of a study that predict: of each fold, or the refit."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from pdray.data.cohort.rated import RatedRecording, table_rows
from pdray.errors import StudyError
from pdray.evaluation.predictions import by_recording, predictions_table
from pdray.predict.learning import learn_and_predict, origin_of
from pdray.predict.studied import REFIT, Studied
from pdray.tracking.generators import refuse_generator
from pdray.tracking.withdrawn import refuse_learnt
from pdray.training.frozen.features import load_network
from pdray.training.frozen.keep import keep_frozen, read_vector
from pdray.training.frozen.vectors import FrozenFeatures
from pdray.training.loop.predicting import predict_network

_TOLD = 200  # letters of torch's reason
_NO_WEIGHTS = (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, TypeError)
_CPU = torch.device("cpu")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """One model of a study.

    Attributes:
        fold: The fold that it did not learn from; -1 for the refit.
        learnt: Subjects that it learnt from.
    """

    fold: int
    learnt: frozenset[str]

    @property
    def name(self) -> str:
        """Its name, as the setting ``model`` writes it."""
        return "refit" if self.fold == REFIT else f"fold:{self.fold}"


def find_models(studied: Studied, asked: str) -> tuple[Model, ...]:
    """Return the models that predict.

    Args:
        studied: The study.
        asked: ``ensemble``, ``refit`` or ``fold:K``.

    Raises:
        StudyError: If the study has no such fold, or has not kept its weights, or they learnt from
            a withdrawn subject, or they make pictures and predict nothing.
    """
    refuse_generator(studied.name, studied.trial["settings"])
    development = frozenset(studied.folds.development)
    chosen = [REFIT] if asked == "refit" else _folds(studied, asked)
    models = tuple(Model(fold, development - studied.held_out(fold)) for fold in chosen)
    names = [f"fold:{fold}" for fold in range(len(studied.folds.folds))]
    refuse_learnt(studied.study, [one.name for one in models], ["refit", *names])
    lacking = [one.name for one in models if not _is_there(studied, one)]
    if lacking:
        right = "restore it"
        if asked != "refit":
            right = (
                "write model=refit, or continue the study with search.keep_folds=true, which "
                "trains the folds of its winner again"
            )
        raise StudyError(
            f"study {studied.name} has no weights of {', '.join(lacking)} "
            f"({weights_of(studied, models[0]).parent}); {right}"
        )
    return models


def _folds(studied: Studied, asked: str) -> list[int]:
    folds: list[int] = sorted(set(studied.inner["fold"]))
    if asked == "ensemble":
        return folds
    fold = int(asked.removeprefix("fold:"))
    if fold not in folds:
        raise StudyError(
            f"model: got '{asked}', but study {studied.name} has the folds "
            f"{', '.join(map(str, folds))}"
        )
    return [fold]


def weights_of(studied: Studied, model: Model) -> Path:
    """Return where the weights of a network are."""
    study = studied.study
    log = study.winner if model.fold == REFIT else study.kept_fold(model.fold)
    return log.model_path


def predict(
    studied: Studied, model: Model, recordings: Sequence[RatedRecording], device: torch.device
) -> pd.DataFrame:
    """Return the class probabilities of recordings by one model, as evaluation computes them.

    Args:
        studied: The study.
        model: One of :func:`find_models`.
        recordings: N at least; none of a subject that the model learnt from.
        device: Device of a network.

    Returns:
        ``probability_0..K-1`` by ``recording_id``.

    Raises:
        PdrayError: If the weights or a recording cannot be read.
    """
    if studied.learns_at_once:
        table = learn_and_predict(studied, model.fold, recordings)
    else:
        logits = predict_network(
            read_network(studied, model),
            recordings,
            studied.config,
            num_classes=studied.num_classes,
            seed=studied.seed,
            device=device,
        )
        rows = table_rows(recordings, num_snippets=logits.shape[1])
        origin = origin_of(studied, model.fold)
        table = predictions_table(origin, rows, np.concatenate(logits))
    units = by_recording(table).set_index("recording_id")
    return units[[f"probability_{k}" for k in range(studied.num_classes)]]


def features(
    studied: Studied, model: Model, recordings: Sequence[RatedRecording], device: torch.device
) -> Floats:
    """Return the (N, D) vectors of recordings by which a network decides.

    The store keeps them, like the descriptions that a model in one step learns from.

    Raises:
        PdrayError: If the weights or a recording cannot be read.
    """
    network = read_network(studied, model).to(_CPU if studied.config.beside else device)
    frozen = FrozenFeatures(network, studied.config)
    return np.stack([read_vector(keep_frozen(frozen, one)) for one in recordings])


@lru_cache(maxsize=1)
def read_network(studied: Studied, model: Model) -> nn.Module:
    """Return the network of a model with its weights; a process holds the last one.

    Raises:
        StudyError: If the file has other weights than those of the winner's settings.
    """
    path = weights_of(studied, model)
    try:
        weights = torch.load(path, weights_only=True, map_location="cpu")
        return load_network(studied.config, studied.num_classes, weights)
    except _NO_WEIGHTS as error:
        told = " ".join(str(error).split())[:_TOLD] or "cut short"
        raise StudyError(
            f"{path}: these are not the weights of the winner's settings: {told}; restore the file"
        ) from error


def _is_there(studied: Studied, model: Model) -> bool:
    return studied.learns_at_once or weights_of(studied, model).is_file()
