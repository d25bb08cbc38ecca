"""Copy check: made faces that are too near to somebody whom the generator learnt from.

A generator that memorised a training person may paste that face over another one. So each made
face is compared with the frames of all *other* training people, by the features of a recogniser
that saw none of them. It counts as a copy if it is nearer to one of these than real frames of
held-out people are to their nearest training frame in 1% of cases, or nearer than to its own
source. Both sides are nearest distances, because the nearest of many frames is near by chance.
Frames of the source's own person are left out: an edit is near to them by design.

Axes: F frames, D features.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdray.errors import PdrayError

Numbers = NDArray[np.float64]

SHARE_OF_REAL = 0.01  # of real frames of held-out people that are so near to a training frame
LEAST_REAL = 100  # of these, so that 1% of them is one
_SHOWN = 10
_CHUNK = 512  # rows of distances at once


class CopyError(PdrayError):
    """Too many made faces look like somebody whom the generator learnt from."""


@dataclass(frozen=True)
class Faces:
    """Frames of faces as a recogniser sees them.

    Attributes:
        ids: (F,) id of each frame.
        subjects: (F,) the person of each; of a made frame, that of its source.
        features: (F, D), none of them 0.
    """

    ids: tuple[str, ...]
    subjects: tuple[str, ...]
    features: Numbers

    def __post_init__(self) -> None:
        """Refuse sizes that differ, and features without a direction."""
        if not len(self.ids) == len(self.subjects) == len(self.features):
            raise ValueError(
                f"{len(self.ids)} ids, {len(self.subjects)} subjects and {len(self.features)} rows"
            )
        norms = np.linalg.norm(self.features, axis=1)
        if not (np.isfinite(norms) & (norms > 0)).all():
            raise ValueError("features of a frame are 0 or not finite, so it has no distance")


@dataclass(frozen=True)
class Copies:
    """Result of a copy check.

    Attributes:
        ids: The made frames that count as copies, in their order.
        nearest: Id of the training frame to which each is nearest.
        num_made: Made frames that were checked.
        limit: Distance (1 - cosine) under which a frame counts, 0..2.
    """

    ids: tuple[str, ...]
    nearest: tuple[str, ...]
    num_made: int
    limit: float

    @property
    def share(self) -> float:
        """Share of the made frames that count as copies, 0..1."""
        return len(self.ids) / self.num_made


def find_copies(made: Faces, sources: Numbers, learnt: Faces, held_out: Faces) -> Copies:
    """Return the made frames that are too near to another training person.

    Args:
        made: F frames, at least one.
        sources: (F, D) features of the frame that each was made from.
        learnt: Frames that the generator learnt from.
        held_out: Real frames of people that it did not learn from, at least 100.

    Raises:
        CopyError: If there are too few held-out frames, nothing was made, nothing was learnt from,
            or a held-out subject is one whom the generator learnt from.
    """
    if not made.ids or not learnt.ids:
        raise CopyError(
            f"the copy check got {len(made.ids)} made frames and {len(learnt.ids)} training "
            "frames; give at least one of each"
        )
    if len(held_out.ids) < LEAST_REAL:
        raise CopyError(
            f"the copy check got {len(held_out.ids)} real frames of people that the generator did "
            f"not learn from, and {SHARE_OF_REAL:.0%} of cases needs {LEAST_REAL}; give more "
            "frames of each, or hold out more people"
        )
    if both := sorted({*held_out.subjects} & {*learnt.subjects}):
        raise CopyError(
            f"the generator learnt from {len(both)} of the held-out people, the first {both[0]}; "
            "give frames of people that it did not learn from"
        )
    real, _ = _nearest(held_out, learnt)
    limit = float(np.quantile(real, SHARE_OF_REAL, method="lower"))
    apart, places = _nearest(made, learnt)
    from_source = 1.0 - (_units(made.features) * _units(sources)).sum(axis=1)
    found = np.flatnonzero((apart < limit) | (apart < from_source))
    return Copies(
        tuple(made.ids[k] for k in found),
        tuple(learnt.ids[places[k]] for k in found),
        len(made.ids),
        limit,
    )


def refuse_copies(copies: Copies, most: float) -> None:
    """Refuse a set of made frames with too many copies.

    Args:
        copies: Result of :func:`find_copies`.
        most: Largest share that is accepted, 0..1.

    Raises:
        CopyError: Names the share and the first ids.
    """
    if copies.share <= most:
        return
    shown = ", ".join(copies.ids[:_SHOWN]) + (", ..." if len(copies.ids) > _SHOWN else "")
    raise CopyError(
        f"{len(copies.ids)} of {copies.num_made} made faces ({copies.share:.1%}) look like "
        "somebody else whom the generator learnt from, and synthesis.max_copies allows "
        f"{most:.1%}: {shown}; nothing was written. Train on more people, or for fewer steps"
    )


def _nearest(faces: Faces, learnt: Faces) -> tuple[Numbers, NDArray[np.int64]]:
    """Return the distance and place of the nearest training frame of another person.

    Where there is no other person, the distance is infinite.
    """
    known = _units(learnt.features)
    theirs = np.array(learnt.subjects)
    found, places = [], []
    for start in range(0, len(faces.ids), _CHUNK):
        chosen = slice(start, start + _CHUNK)
        apart = 1.0 - _units(faces.features[chosen]) @ known.T
        apart[np.array(faces.subjects[chosen])[:, None] == theirs] = np.inf
        places.append(apart.argmin(axis=1))
        found.append(apart.min(axis=1))
    return np.concatenate(found), np.concatenate(places)


def _units(features: Numbers) -> Numbers:
    return np.asarray(features / np.linalg.norm(features, axis=1, keepdims=True))
