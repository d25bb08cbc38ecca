"""Distances of recordings: by the picture that stands still, the voice, the shape of a face."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pdray.checks.traits import Traits
from pdray.data.cohort.rated import RatedRecording
from pdray.data.modalities import is_table
from pdray.data.store.entry import Entry

Doubles = NDArray[np.float64]
Places = NDArray[np.int64]

PARTS = {"look": "still picture", "voice": "voice", "shape": "shape of the face"}
"""Name of each part; tables of features have that of their modality."""
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


def feature_values(
    recordings: Sequence[RatedRecording],
) -> dict[str, tuple[tuple[str, ...], Doubles]]:
    """Return names (D) and values (N, D) of the features of recordings, by modality.

    A value is NaN where it is absent, and where a recording has no such features.
    """
    found: dict[str, tuple[tuple[str, ...], Doubles]] = {}
    for place, one in enumerate(recordings):
        for modality, path in (one.stored or {}).items():
            if is_table(modality):
                entry = Entry(path)
                values = entry.read(np.zeros(1, np.int64))[0]
                if modality not in found:
                    empty = np.full((len(recordings), len(values)), np.nan)
                    found[modality] = entry.names, empty
                found[modality][1][place] = values
    return found


def standardised(values: Doubles) -> Doubles:
    """Return (N, D) values with mean 0 and variance 1 in each column; absent ones are 0."""
    known = values[:, ~np.isnan(values).all(axis=0)]
    centred = known - np.nanmean(known, axis=0)
    spread = np.nanstd(known, axis=0)
    found: Doubles = np.nan_to_num(centred / np.where(spread > 0, spread, 1))
    return found


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
        found[name] = _distances(_squares(values, squares=name == "look"), have)
    return found


def table_distances(tables: Mapping[str, Doubles]) -> dict[str, Doubles]:
    """Return distances by :func:`standardised` features, as :func:`part_distances`."""
    found = {}
    for modality, values in tables.items():
        have = np.asarray(~np.isnan(values).all(axis=1))
        if have.sum() >= 2:
            square = _squares(standardised(values[have]), squares=False)
            found[modality] = _distances(square, have)
    return found


def _distances(square: Doubles, have: NDArray[np.bool_]) -> Doubles:
    np.fill_diagonal(square, np.nan)
    whole = np.full((len(have), len(have)), np.nan)
    whole[np.ix_(have, have)] = np.sqrt(square / max(np.nanmedian(square), 1e-12))
    return whole


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
    nearest = least.argmin(axis=1)
    two = np.partition(least, 1, axis=1)
    first, second = np.triu_indices(len(least), 1)
    near = least[first, second]
    # The nearest person but for the other of the pair.
    others = [
        np.where(nearest[one] == other, two[one, 1], two[one, 0])
        for one, other in ((first, second), (second, first))
    ]
    third = np.minimum(*others)
    # 0: a plain background, which many have.
    is_link = (near <= limit) & (third > 0) & (near <= ratio * third)
    return sorted(
        (
            Link(int(first[place]), int(second[place]), float(near[place] / third[place]))
            for place in np.flatnonzero(is_link)
        ),
        key=lambda one: one.ratio,
    )


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
