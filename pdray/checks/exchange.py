"""Tests whether classes go with a fact of recordings, by exchange of whole subjects.

The classes of a subject are the shares of its recordings in each class. Under the null hypothesis
they could stand at any other subject, so they are exchanged between subjects, or between the visits
of one subject. The number of recordings does not matter: every subject, or visit, counts once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 1999
_CELLS = 1_000_000  # numbers in memory at once
Numbers = NDArray[np.float64]


class Looked(NamedTuple):
    """Result of one test.

    Attributes:
        strength: Share of the variance of the classes that the fact explains, 0..1.
        p: Probability of at least this strength by chance.
    """

    strength: float
    p: float


def exchange_classes(
    facts: Numbers, classes: Numbers, blocks: Sequence[object], draws: np.random.Generator
) -> Looked | None:
    """Test whether classes go with facts.

    Args:
        facts: (U, F) facts of each unit, subject or visit: shares of the values of a category, or
            one number.
        classes: (U, K) shares of the classes of each unit.
        blocks: Block of each unit; classes are exchanged inside blocks alone.
        draws: Random numbers.

    Returns:
        The result; None if facts or classes do not differ inside any block.
    """
    order = {block: number for number, block in enumerate(dict.fromkeys(blocks))}
    home = np.array([order[block] for block in blocks])
    counts = np.bincount(home)[:, None]

    def inside(values: Numbers) -> Numbers:
        """Subtract the mean of the block of each unit."""
        means = np.zeros((len(counts), values.shape[1]))
        np.add.at(means, home, values)
        centred: Numbers = values - (means / counts)[home]
        return centred

    x, y = inside(facts), inside(classes)
    # The fact's directions, as an orthonormal basis: the strength is then a share of variance.
    basis, sizes, _ = np.linalg.svd(x, full_matrices=False)
    basis = basis[:, sizes > 1e-9 * max(1.0, sizes.max(initial=0.0))]
    whole = float((y**2).sum())
    if basis.shape[1] == 0 or whole < 1e-12:
        return None
    found = float(((basis.T @ y) ** 2).sum())
    by_block = basis[np.argsort(home, kind="stable")].T
    as_large, left = 1, DRAWS
    while left:
        some = min(left, max(1, _CELLS // y.size))
        # Sorting block + random number exchanges units inside each block.
        exchanged = y[np.argsort(home + draws.random((some, len(y))), axis=1)]
        sizes = ((by_block @ exchanged) ** 2).sum(axis=(1, 2))
        as_large += int((sizes >= found * (1 - 1e-9)).sum())
        left -= some
    return Looked(found / whole, as_large / (DRAWS + 1))
