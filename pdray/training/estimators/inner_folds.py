"""Inner folds: folds of the training subjects, by which an estimator chooses its settings."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from pdray.data.batches.plan import derive_seed
from pdray.errors import FoldsError

Labels = NDArray[np.int64]
Fold = tuple[Labels, Labels]
"""Positions of the recordings to learn from, and of those that are held out."""


def inner_folds(
    y: Labels, subjects: Sequence[str], *, count: int, repeats: int, seed: int
) -> Iterator[list[Fold]]:
    """Yield the folds of each repeat, stratified by healthy (class 0) or ill.

    Args:
        y: (N,) class.
        subjects: Who must not be on two sides of a fold, for each recording.
        count: Folds per repeat.
        repeats: How often they are drawn.
        seed: Seed of the draws.

    Raises:
        FoldsError: If there are fewer ill or fewer healthy subjects than folds.
    """
    for repeat in range(repeats):
        drawn = derive_seed(seed, "inner", repeat)
        needs = f"each of the {count} inner folds needs one; lower model.num_folds"
        yield folds_of_subjects(y, subjects, count=count, seed=drawn, needs=needs)


def folds_of_subjects(
    y: Labels, subjects: Sequence[str], *, count: int, seed: int, needs: str
) -> list[Fold]:
    """Return folds of subjects, stratified by healthy (class 0) or ill.

    Args:
        y: (N,) class.
        subjects: Who must not be on two sides of a fold, for each recording.
        count: Number of folds.
        seed: Seed of the draw.
        needs: End of the error: what needs a subject in each fold, and what to do.

    Raises:
        FoldsError: If there are fewer ill or fewer healthy subjects than folds.
    """
    people = np.asarray(subjects)
    for told, members in (("ill", people[y > 0]), ("healthy", people[y == 0])):
        if len(set(members)) < count:
            raise FoldsError(f"only {len(set(members))} training subjects are {told}, but {needs}")
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=seed % 2**32)
    return list(folds.split(y, y > 0, people))
