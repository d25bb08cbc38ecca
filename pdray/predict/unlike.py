"""Finds new recordings that are unlike those that a model learnt from.

A recording is unlike if the nearest training recording is farther than for 95% of the recordings
that the model did not learn from, in the features that the model decides by (nearest neighbours:
Sun et al. 2022, ICML). Each feature counts in standard deviations of the training recordings.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pdray.data.batches.settings import StreamConfig
from pdray.data.cohort.rated import RatedRecording
from pdray.errors import PdrayError
from pdray.evaluation.predictions import Origin
from pdray.predict.models import REFIT, Model, read_network, training_recordings
from pdray.predict.studied import Studied
from pdray.training.estimators.fit import describe
from pdray.training.frozen.features import extract_features
from pdray.training.task import FitTask

SHARE = 0.95
LEAST = 20
"""Held-out recordings below which nothing is called unlike."""
Floats = NDArray[np.float64]


def unlike(
    studied: Studied, model: Model, recordings: Sequence[RatedRecording], device: torch.device
) -> tuple[NDArray[np.bool_] | None, str]:
    """Return which recordings are unlike the training recordings of a model.

    Args:
        studied: The study.
        model: A fold's, which has held-out recordings to compare with.
        recordings: N new recordings.
        device: Device of a network.

    Returns:
        (N,) whether each is unlike; None, and the reason, if it cannot be said.
    """
    if model.fold == REFIT:
        return None, "the refit has no held-out recordings to compare with"
    try:
        known = training_recordings(studied)
        vectors = _vectors(studied, model, [*known, *recordings], device)
    except PdrayError as error:
        return None, str(error)
    if vectors is None:
        return None, f"{studied.config.model.name} gives no vector of numbers for a recording"
    held = studied.held_out(model.fold)
    inside = np.array([one.subject_id in model.learnt for one in known])
    outside = np.array([one.subject_id in held for one in known])
    if outside.sum() < LEAST:
        return None, f"its fold held out {outside.sum()} recordings, and {LEAST} are needed"
    near = distances(vectors[: len(known)][inside], vectors)
    limit = np.quantile(near[: len(known)][outside], SHARE)
    return near[len(known) :] > limit, ""


def distances(bank: Floats, vectors: Floats) -> Floats:
    """Return the (N,) distance of each of (N, D) vectors to the nearest of a (M, D) bank.

    Each column counts in standard deviations of the bank; one that is constant or absent there does
    not count, and an absent number counts as the bank's mean.
    """
    from sklearn.neighbors import NearestNeighbors

    usable = ~np.isnan(bank).all(axis=0)
    bank, vectors = bank[:, usable], vectors[:, usable]
    mean, spread = np.nanmean(bank, axis=0), np.nanstd(bank, axis=0)
    scale = np.where(spread > 0, spread, np.inf)
    found = NearestNeighbors(n_neighbors=1).fit(np.nan_to_num((bank - mean) / scale))
    near: Floats = found.kneighbors(np.nan_to_num((vectors - mean) / scale))[0][:, 0]
    return near


def _vectors(
    studied: Studied, model: Model, recordings: Sequence[RatedRecording], device: torch.device
) -> Floats | None:
    """Return (N, D) numbers of recordings by which a model decides; None if there are none."""
    config = studied.config
    if config.entry.loop == "once":
        origin = Origin(study=studied.name, trial=0, fold=0, epoch=0)
        task = FitTask(origin, config, tuple(recordings), (), studied.num_classes, 1)
        found = describe(task)
        if not all(isinstance(one, np.ndarray) and one.shape == found[0].shape for one in found):
            return None
        return np.stack(found).reshape(len(found), -1).astype(np.float64)
    if not config.entry.has_maps:
        return None
    local = config.model_copy(update={"stream": StreamConfig(reader="local")})
    network = read_network(studied, model)
    return extract_features(network, recordings, local, device=device).vectors.astype(np.float64)
