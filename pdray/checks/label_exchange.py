"""Exchange of labels between subjects: the null hypothesis that nothing known tells the class.

All recordings of a subject hang together, so single labels cannot change places. A subject's labels
are laid on the recordings of another subject: visit on visit, side on side and item on item, after
the visits, sides and items of the labels have changed places at random, so that an effect of the
visit or the side that all subjects share is broken too. Where the other subject has no such
recording, the nearest one gives its label.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


class Slot(NamedTuple):
    """Place of a recording among those of its subject.

    Attributes:
        visit: Number of the visit, from 0.
        side: Side of the body.
        item: Item that was rated.
    """

    visit: Hashable
    side: Hashable
    item: Hashable


def exchanges(
    subjects: Sequence[str], slots: Sequence[Slot], *, count: int, seed: int = 0
) -> Places:
    """Draw exchanges of labels.

    Args:
        subjects: Subject of each of N recordings.
        slots: Place of each recording.
        count: Exchanges R.
        seed: Of the draws.

    Returns:
        (R, N): exchange r gives recording i the label of recording ``[r, i]``.
    """
    rng = np.random.default_rng(seed)
    names = sorted(set(subjects))
    of = [np.array([i for i, one in enumerate(subjects) if one == name]) for name in names]
    ranks = [_ranks([slots[i] for i in mine]) for mine in of]
    found = np.empty((count, len(subjects)), np.int64)
    for row in found:
        for mine, other in enumerate(rng.permutation(len(of)).tolist()):
            row[of[mine]] = of[other][_laid(ranks[mine], ranks[other], rng)]
    return found


def _ranks(slots: Sequence[Slot]) -> Places:
    """Return (3, N) ranks of the visits, sides and items of a subject."""
    columns = ([repr(slot[part]) for slot in slots] for part in range(3))
    return np.array([np.unique(one, return_inverse=True)[1] for one in columns])


def _laid(mine: Places, other: Places, rng: np.random.Generator) -> Places:
    """Return which of the other subject's recordings gives its label to each of mine.

    Ranks are compared: the first of two visits meets the first of three.
    """
    # Repeats of one place follow each other, from a random one on.
    place = np.linspace(0, 1, mine.shape[1])[:, None]
    match = -0.5 * np.abs(place - rng.permutation(np.linspace(0, 1, other.shape[1])))
    for weight, own, theirs in zip((4.0, 2.0, 1.0), mine, other, strict=True):
        turned = rng.permutation(max(own.max(), theirs.max()) + 1)[theirs]
        match += weight * (own[:, None] == turned)
    nearest: Places = match.argmax(axis=1)
    return nearest
