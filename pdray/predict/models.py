"""The models of a study that predict: of each fold, or the refit.

Networks read their kept weights. A model that learns in one step is learnt again from the study's
recordings, whose descriptions the store caches, so that a study keeps no numbers of a person.
"""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from pdray.data.batches.plan import derive_seed
from pdray.data.cohort.manifest import Manifest, load_manifest
from pdray.data.cohort.members import inner_sides, outer_sides, rate
from pdray.data.cohort.rated import FoldSides, RatedRecording, table_rows
from pdray.data.cohort.reshuffling import reshuffled
from pdray.data.store.extract import available
from pdray.errors import StudyError
from pdray.evaluation.predictions import Origin, by_recording, predictions_table
from pdray.predict.studied import Studied
from pdray.training.estimators.fit import fit_estimator
from pdray.training.frozen.features import load_network
from pdray.training.loop.predicting import predict_network
from pdray.training.task import FitTask

_TOLD = 200  # letters of torch's reason
_NO_WEIGHTS = (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, TypeError)
REFIT = -1


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
        StudyError: If the study has no such fold, or has not kept its weights.
    """
    development = frozenset(studied.folds.development)
    folds = sorted(set(studied.inner["fold"]))
    if asked.startswith("fold:"):
        fold = int(asked.removeprefix("fold:"))
        if fold not in folds:
            raise StudyError(
                f"model: got '{asked}', but study {studied.name} has the folds "
                f"{', '.join(map(str, folds))}"
            )
        folds = [fold]
    chosen = [REFIT] if asked == "refit" else folds
    models = tuple(
        Model(fold, development - (studied.held_out(fold) if fold != REFIT else frozenset()))
        for fold in chosen
    )
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
    if studied.config.entry.loop == "once":
        table = _learn_and_predict(studied, model, recordings)
    else:
        table = _run_network(studied, model, recordings, device)
    units = by_recording(table).set_index("recording_id")
    return units[[f"probability_{k}" for k in range(studied.num_classes)]]


def read_network(studied: Studied, model: Model) -> nn.Module:
    """Return the network of a model with its weights.

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


def training_recordings(studied: Studied) -> tuple[RatedRecording, ...]:
    """Return the recordings of a study as its fits read them, in their order.

    Raises:
        StudyError: If its manifest or a recording has changed since.
        PdrayError: If the manifest or a recording cannot be read.
    """
    manifest, entries = _manifest(studied), studied.entries or {}
    config, found = studied.config, []
    for row in manifest.recordings:
        if row.recording_id not in entries or row.grade is None:
            continue
        stored = studied.store.add(row, available(row, config.sees, config.needs))
        names = {path.stem for path in stored.paths.values()}
        if not names <= set(entries[row.recording_id]):
            raise StudyError(
                f"recording {row.recording_id}: its file has changed since the study ran, and "
                "is read again; restore the old file"
            )
        found.append(rate(row, studied.data.grade_cuts, stored=stored))
    return tuple(found)


def fold_sides(studied: Studied, learnt: Sequence[RatedRecording]) -> tuple[FoldSides, ...]:
    """Return both sides of each fold of the winning trial."""
    sides = inner_sides(studied.folds, learnt)
    if not studied.setting("search.reshuffle"):
        return sides
    seed = derive_seed(studied.seed, "reshuffle", studied.trial["number"])
    return reshuffled(learnt, sides, num_classes=studied.num_classes, seed=seed)


def _is_there(studied: Studied, model: Model) -> bool:
    return studied.config.entry.loop == "once" or weights_of(studied, model).is_file()


def _origin(studied: Studied, fold: int) -> Origin:
    return Origin(
        study=studied.name, trial=studied.trial["number"], fold=fold, epoch=0, seed=studied.seed
    )


def _run_network(
    studied: Studied, model: Model, recordings: Sequence[RatedRecording], device: torch.device
) -> pd.DataFrame:
    logits = predict_network(
        read_network(studied, model),
        recordings,
        studied.config,
        num_classes=studied.num_classes,
        seed=studied.seed,
        device=device,
    )
    rows = table_rows(recordings, num_snippets=logits.shape[1])
    return predictions_table(_origin(studied, model.fold), rows, np.concatenate(logits))


def _learn_and_predict(
    studied: Studied, model: Model, recordings: Sequence[RatedRecording]
) -> pd.DataFrame:
    learnt = training_recordings(studied)
    fold, sides = 0, list(outer_sides(studied.folds, learnt))
    if model.fold != REFIT:
        fold, sides = model.fold, list(fold_sides(studied, learnt))
    new = tuple(range(len(learnt), len(learnt) + len(recordings)))
    sides[fold] = FoldSides(sides[fold].training, new)
    task = FitTask(
        origin=_origin(studied, model.fold),
        config=studied.config,
        recordings=(*learnt, *recordings),
        sides=tuple(sides),
        num_classes=studied.num_classes,
        epochs=1,
        evaluate="last_epoch",
    )
    result = next(fit_estimator(task, resume={"step": fold, "num_steps": len(sides)}))
    assert result.predictions is not None, "the new recordings are its evaluation side"
    return result.predictions


def _manifest(studied: Studied) -> Manifest:
    data, name = studied.data, studied.config.model.name
    why = "new recordings are compared with those that it learnt from"
    if studied.config.entry.loop == "once":
        why = f"{name} learns in one step, so it is learnt again from the recordings of the study"
    manifest = load_manifest(
        data.manifest, check_files=False, subjects=data.subjects, scale=data.scale, allowed=None
    )
    if manifest.digest != studied.facts["tags"].get("manifest_digest"):
        raise StudyError(
            f"study {studied.name}: {why}, but its manifest {data.manifest.name} has changed "
            "since; restore it"
        )
    if not studied.keeps_frames:
        raise StudyError(f"study {studied.name}: {why}, but it kept no frames; use another study")
    return manifest
