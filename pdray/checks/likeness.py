"""Distances of recordings: by the picture that stands still, the voice, the shape of a face."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pdray.checks.traits import Traits

Doubles = NDArray[np.float64]
Places = NDArray[np.int64]

PARTS = {"look": "still picture", "voice": "voice", "shape": "shape of the face"}
_KEPT = 0.3  # of the squares at the edges of a picture


class Link(NamedTuple):
    """Two persons who are near-certainly one.

    Attributes:
        first: Number of the first person.
        second: Number of the second one.
        ratio: Their distance, divided by that of the nearest third person, 0..1.
    """

    first: int
    second: int
    ratio: float


def part_distances(traits: Sequence[Traits]) -> dict[str, Doubles]:
    """Return (N, N) distances of recordings by each of :data:`PARTS` that two of them have.

    Each is divided by its median over all pairs; NaN where a recording lacks the part, and on the
    diagonal.
    """
    found = {}
    for name in PARTS:
        have = np.array([name in one for one in traits])
        if have.sum() < 2:
            continue
        values = np.array([one[name] for one in traits if name in one], np.float64)
        square = _squares(values, squares=name == "look")
        np.fill_diagonal(square, np.nan)
        whole = np.full((len(traits), len(traits)), np.nan)
        whole[np.ix_(have, have)] = np.sqrt(square / max(np.nanmedian(square), 1e-12))
        found[name] = whole
    return found


def joined(parts: Sequence[Doubles]) -> Doubles:
    """Return the root of the mean square of the distances that are known."""
    there = np.isfinite(parts)
    total = np.where(there, parts, 0) ** 2
    counts = there.sum(axis=0)
    return np.asarray(np.sqrt(np.where(counts > 0, total.sum(axis=0) / counts.clip(1), np.nan)))


def _squares(values: Doubles, *, squares: bool) -> Doubles:
    """Return (N, N) squared distances of (N, F) values.

    Of the squares at the edges of a picture only the most alike count, since a limb lies elsewhere
    in each recording and the room does not.
    """
    if not squares:
        sums = (values**2).sum(axis=1)
        return np.asarray(np.maximum(sums[:, None] + sums - 2 * values @ values.T, 0))
    cells = values.reshape(len(values), -1, 3)
    kept = round(_KEPT * cells.shape[1])
    return np.array(
        [np.sort(((cells - one) ** 2).sum(axis=2), axis=1)[:, :kept].mean(axis=1) for one in cells]
    )


def told_apart(distance: Doubles, person: Places, visit: Places) -> tuple[float, float, int]:
    """Return how often the nearest recording is of the same person, and what chance gives.

    Recordings of one visit share a room and clothes, so only those of other visits stand for the
    same person where there are any.

    Args:
        distance: (N, N), NaN where unknown.
        person: (N,) number of the person.
        visit: (N,) number of the visit among the person's.

    Returns:
        Both shares, 0..1, and how many recordings could be asked; NaN for none.
    """
    same = person[:, None] == person
    several = (same & (visit[:, None] != visit)).any()
    if several:
        distance = np.where(same & (visit[:, None] == visit), np.nan, distance)
    can = np.isfinite(distance)
    asked = np.flatnonzero((can & same).any(axis=1))
    if not len(asked):
        return np.nan, np.nan, 0
    nearest = np.where(can, distance, np.inf)[asked].argmin(axis=1)
    right = person[nearest] == person[asked]
    chance = (can & same)[asked].sum(axis=1) / can[asked].sum(axis=1)
    return float(right.mean()), float(chance.mean()), len(asked)


def person_distances(distance: Doubles, person: Places) -> tuple[Doubles, Doubles]:
    """Return (P, P) least distances of persons, and of each recording to another of its person.

    Both are infinite where there is none.
    """
    count = int(person.max()) + 1
    filled = np.where(np.isfinite(distance), distance, np.inf)
    order = np.argsort(person, kind="stable")
    starts = np.searchsorted(person[order], np.arange(count))
    least = np.minimum.reduceat(filled[np.ix_(order, order)], starts, axis=0)
    least = np.minimum.reduceat(least, starts, axis=1)
    own = np.where(person[:, None] == person, filled, np.inf).min(axis=1)
    np.fill_diagonal(least, np.inf)
    return least, own


def links(distance: Doubles, person: Places, *, ratio: float, share: float) -> list[Link]:
    """Find persons who are near-certainly one.

    Args:
        distance: (N, N), NaN where unknown.
        person: (N,) number of the person, from 0.
        ratio: Of two linked persons, a third is at least ``1 / ratio`` times as far.
        share: Two linked persons are as near as this share of recordings is to another of its
            own person.

    Returns:
        Pairs, nearest first.
    """
    least, own = person_distances(distance, person)
    own = own[np.isfinite(own)]
    if not len(own) or len(least) < 3:
        return []
    limit = np.quantile(own, share)
    found = []
    for first, second in zip(*np.triu_indices(len(least), 1), strict=True):
        near = least[first, second]
        if near > limit:
            continue
        third = np.delete(least[[first, second]], [first, second], axis=1).min()
        if third > 0 and near <= ratio * third:  # 0: a plain background, which many have
            found.append(Link(int(first), int(second), float(near / third)))
    return sorted(found, key=lambda one: one.ratio)


def clusters(distance: Doubles, *, factor: float) -> Places:
    """Return (N,) number of the cluster of alike recordings that each belongs to.

    Average linkage, cut at ``factor`` times the median distance to the nearest recording.

    Args:
        distance: (N, N), NaN where unknown: those are as far as the farthest.
        factor: At least 1.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    filled = np.where(np.isfinite(distance), distance, np.nanmax(distance))
    np.fill_diagonal(filled, 0)
    cut = factor * np.nanmedian(np.nanmin(np.where(np.isfinite(distance), distance, np.inf), 1))
    tree = linkage(squareform(filled, checks=False), "average")
    found: Places = fcluster(tree, cut, "distance").astype(np.int64) - 1
    return found
