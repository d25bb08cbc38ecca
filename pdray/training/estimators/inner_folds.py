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
    people = np.asarray(subjects)
    for told, members in (("ill", people[y > 0]), ("healthy", people[y == 0])):
        if len(set(members)) < count:
            raise FoldsError(
                f"only {len(set(members))} training subjects are {told}, but each of the "
                f"{count} inner folds needs one; lower model.num_folds"
            )
    for repeat in range(repeats):
        drawn = derive_seed(seed, "inner", repeat) % 2**32
        folds = StratifiedGroupKFold(count, shuffle=True, random_state=drawn)
        yield list(folds.split(y, y > 0, people))
