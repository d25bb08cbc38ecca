"""Finds new recordings that are unlike those that the models learnt from.

The measure is the distance to the nearest training recording (Sun et al. 2022, ICML), in the
features that a model decides by; each feature counts in standard deviations of the training
recordings. A recording is unlike if few of the recordings that the models did not learn from are as
far: a cross-conformal p-value (Vovk 2015, Ann Math Artif Intell 74:9) of at most :data:`ALPHA`.
Each held-out recording is compared with the new one by the same model, so models with other
features are joined, and all held-out recordings count. Of recordings like those of the study about
5% are called unlike; by theory at most about twice as many (Barber et al. 2021, Ann Stat 49:486).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pdray.data.cohort.rated import RatedRecording
from pdray.errors import PdrayError
from pdray.evaluation.predictions import Origin
from pdray.predict.learning import training_recordings
from pdray.predict.models import Model
from pdray.predict.new_recordings import New
from pdray.predict.parts import Place, run_models
from pdray.predict.studied import Studied
from pdray.training.estimators.fit import describe
from pdray.training.task import FitTask

ALPHA = 0.05
"""Highest p-value at which a recording is called unlike."""
LEAST = 20
"""Held-out recordings below which nothing is called unlike."""
Floats = NDArray[np.float64]


def unlike(
    studied: Studied, models: Sequence[Model], new: Sequence[New], place: Place
) -> tuple[NDArray[np.bool_] | None, str]:
    """Return which recordings are unlike the training recordings.

    Args:
        studied: The study.
        models: Those that predict. Only those that did not learn from a subject judge it.
        new: N new recordings.
        place: Where networks run.

    Returns:
        (N,) whether each is unlike; None, and the reason, if it cannot be said.
    """
    held = [studied.held_out(model.fold) for model in models]
    try:
        known = training_recordings(studied)
        people = np.array([one.subject_id for one in known])
        outside = [np.isin(people, [*some]) for some in held]
        if (num_held := sum(some.sum() for some in outside)) < LEAST:
            return None, f"{num_held} recordings were held out, and {LEAST} are needed"
        vectors = _vectors(studied, models, [*known, *(one.rated for one in new)], place)
    except PdrayError as error:
        return None, str(error)
    if vectors is None:
        return None, f"{studied.config.model.name} gives no vector of numbers for a recording"
    near_held, near_new, judges = [], [], []
    for model, some, values in zip(models, outside, vectors, strict=True):
        near = distances(values[: len(known)][np.isin(people, [*model.learnt])], values)
        near_held.append(near[: len(known)][some])
        near_new.append(near[len(known) :])
        judges.append(np.array([one.subject not in model.learnt for one in new]))
    shares, counts = p_values(near_held, near_new, judges)
    return (counts >= LEAST) & (shares <= ALPHA), ""


def p_values(
    near_held: Sequence[Floats], near_new: Sequence[Floats], judges: Sequence[NDArray[np.bool_]]
) -> tuple[Floats, Floats]:
    """Return cross-conformal p-values of N new recordings.

    Args:
        near_held: For each of M models, the (H,) distances of its held-out recordings.
        near_new: (N,) distances of the new recordings.
        judges: (N,) whether the model may judge each new recording.

    Returns:
        (N,) p-values: share of the held-out recordings, and of the new one itself, that are at
        least as far by the same model; and the (N,) number of held-out recordings that it is of.
    """
    as_far, of = np.zeros(len(near_new[0])), np.zeros(len(near_new[0]))
    for held, found, may in zip(near_held, near_new, judges, strict=True):
        as_far += may * (held >= found[:, None]).sum(axis=1)
        of += may * len(held)
    return (1 + as_far) / (1 + of), of


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
    studied: Studied, models: Sequence[Model], recordings: Sequence[RatedRecording], place: Place
) -> list[Floats] | None:
    """Return (N, D) numbers of recordings by which each model decides; None if there are none."""
    if not studied.learns_at_once:
        return run_models(
            studied, "features", [(one, recordings) for one in models], replace(place, parts=None)
        )
    origin = Origin(study=studied.name, trial=0, fold=0, epoch=0)
    task = FitTask(origin, studied.config, tuple(recordings), (), studied.num_classes, 1)
    found = [_numbers(one) for one in describe(task)]
    if not all(isinstance(one, np.ndarray) and one.shape == found[0].shape for one in found):
        return None
    vectors = np.stack(found).reshape(len(found), -1).astype(np.float64)
    return [vectors] * len(models)


def _numbers(described: Any) -> Any:
    """Return the values of features, or another description as it is."""
    values = getattr(described, "values", None)
    return values if isinstance(values, np.ndarray) else described
