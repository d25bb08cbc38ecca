"""Models that learn in one step: learnt again from the recordings of the study.

The store caches the descriptions of recordings, so that a study keeps no numbers of a person.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations

import pandas as pd

from pdray.data.batches.plan import derive_seed
from pdray.data.cohort.manifest import Manifest, Recording
from pdray.data.cohort.members import inner_sides, outer_sides
from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.data.cohort.reshuffling import reshuffled
from pdray.data.store.extract import available
from pdray.errors import StudyError
from pdray.evaluation.predictions import Origin, num_classes
from pdray.predict.studied import REFIT, Studied
from pdray.training.estimators.fit import fit_estimator
from pdray.training.task import FitTask


@lru_cache(maxsize=1)
def training_recordings(studied: Studied) -> tuple[RatedRecording, ...]:
    """Return the recordings of a study as its fits read them, in their order.

    Raises:
        StudyError: If its manifest or a recording has changed since.
        PdrayError: If the manifest or a recording cannot be read.
    """
    sees, needs = studied.config.sees, studied.config.needs
    return tuple(
        studied.read_again(row, available(row, sees, needs)) for row in training_rows(studied)
    )


def training_rows(studied: Studied) -> tuple[Recording, ...]:
    """Return the rows of the manifest of a study that are its recordings.

    Raises:
        StudyError: If its manifest has changed since, or it kept no frames.
        ManifestError: If the manifest cannot be read.
    """
    rows, read = _manifest(studied).recordings, studied.entries or {}
    return tuple(one for one in rows if one.recording_id in read and one.grade is not None)


def fold_sides(studied: Studied, learnt: Sequence[RatedRecording]) -> tuple[FoldSides, ...]:
    """Return both sides of each fold of the winning trial."""
    sides = inner_sides(studied.folds, learnt)
    if not studied.setting("search.reshuffle"):
        return sides
    seed = derive_seed(studied.seed, "reshuffle", studied.trial["number"])
    return reshuffled(learnt, sides, num_classes=studied.num_classes, seed=seed)


def learn_and_predict(
    studied: Studied, fold: int, recordings: Sequence[RatedRecording]
) -> pd.DataFrame:
    """Return the predictions table of recordings by the model of a fold, or by the refit.

    Args:
        studied: A study whose model learns in one step.
        fold: The fold that the model does not learn from; -1 for the refit.
        recordings: N at least; none of a subject that the model learns from.

    Raises:
        PdrayError: If a recording cannot be read, or the study's have changed.
    """
    learnt = training_recordings(studied)
    is_refit = fold == REFIT
    sides = [*(outer_sides(studied.folds, learnt) if is_refit else fold_sides(studied, learnt))]
    place = max(fold, 0)
    new = tuple(range(len(learnt), len(learnt) + len(recordings)))
    sides[place] = FoldSides(sides[place].training, new)
    task = _task(studied, (*learnt, *recordings), tuple(sides), fold)
    result = next(fit_estimator(task, resume={"step": place, "num_steps": len(sides)}))
    assert result.predictions is not None, "the new recordings are its evaluation side"
    return result.predictions


def out_of_fold_means(studied: Studied) -> pd.DataFrame:
    """Return for each development recording the mean of models that did not learn from its subject.

    With K folds, the models of the mean are the K - 1 that learnt from all folds but the subject's
    and one other: K (K - 1) / 2 fits, since each pair of folds that is left out serves both.

    Args:
        studied: A study whose model learns in one step.

    Returns:
        ``recording_id``, ``subject_id``, ``target`` and ``probability_0..K-1``.

    Raises:
        FoldsError: If too few recordings are left to learn from without two folds.
        PdrayError: If a recording of the study cannot be read, or they have changed.
    """
    learnt = training_recordings(studied)
    pairs = tuple(
        FoldSides(
            tuple(sorted({*one.training} & {*other.training})),
            (*one.evaluation, *other.evaluation),
        )
        for one, other in combinations(fold_sides(studied, learnt), 2)
    )
    results = fit_estimator(_task(studied, learnt, pairs, 0))
    table = pd.concat([one.predictions for one in results if one.predictions is not None])
    groups = table.groupby("recording_id")
    shares = [f"probability_{k}" for k in range(num_classes(table))]
    return groups[["subject_id", "target"]].first().join(groups[shares].mean()).reset_index()


def origin_of(studied: Studied, fold: int) -> Origin:
    """Return the origin of the predictions of a model."""
    return Origin(
        study=studied.name, trial=studied.trial["number"], fold=fold, epoch=0, seed=studied.seed
    )


def _task(
    studied: Studied,
    recordings: tuple[RatedRecording, ...],
    sides: tuple[FoldSides, ...],
    fold: int,
) -> FitTask:
    return FitTask(
        origin=origin_of(studied, fold),
        config=studied.config,
        recordings=recordings,
        sides=sides,
        num_classes=studied.num_classes,
        epochs=1,
        evaluate="last_epoch",
    )


def _manifest(studied: Studied) -> Manifest:
    why = "new recordings are compared with those that it learnt from"
    if studied.learns_at_once:
        name = studied.config.model.name
        why = f"{name} learns in one step, so it is learnt again from the recordings of the study"
    manifest = studied.manifest(why)
    if not studied.keeps_frames:
        raise StudyError(f"study {studied.name}: {why}, but it kept no frames; use another study")
    return manifest
