"""Measures of pictures that a method changed to look ill, and what they are without a method.

YouTubePD section 4.3: CLS is the share of changed faces that a classifier calls ill. The direction
score (eq. 1) asks whether a face changed as the same person's real ill face differs. It is not 0
without a method: N' - N and P - N share -N, so that another healthy frame of the person scores
about 0.5. So the same score towards a *healthy* frame H, chosen like P, is subtracted: the excess.
Where N' is N, a direction is 0/0: absent, not 0.

Axes: F changed frames, D features of a recogniser of faces.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Directions:
    """The direction of each changed frame.

    Attributes:
        towards_ill: (F,) cosine of N' - N and P - N; NaN where absent.
        towards_healthy: (F,) the same with H in the place of P.
    """

    towards_ill: Numbers
    towards_healthy: Numbers

    @property
    def excess(self) -> Numbers:
        """(F,) towards the ill frame minus towards the healthy one."""
        return self.towards_ill - self.towards_healthy

    @property
    def num_absent(self) -> int:
        """How many frames have no excess."""
        return int(np.isnan(self.excess).sum())


def cosine(one: Numbers, other: Numbers) -> Numbers:
    """Return the cosine of rows; NaN where one of them is 0.

    Args:
        one: (F, D).
        other: (F, D).

    Returns:
        (F,) from -1 to 1.
    """
    norm = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (one * other).sum(axis=1) / norm
    return np.asarray(np.where(norm > 0, found, np.nan))


def nearest_frame(
    frame: Numbers, subject: str, frames: Numbers, subjects: Sequence[str]
) -> int | None:
    """Return which frame of the same person is most alike; None if there is none.

    Args:
        frame: (D,) features of a frame, which is not among ``frames``.
        subject: Whose it is.
        frames: (K, D) frames to choose from.
        subjects: Whose each of these is.

    Returns:
        Its place in ``frames``, by the cosine; of equally alike frames, the first.
    """
    own = [place for place, name in enumerate(subjects) if name == subject]
    if not own:
        return None
    alike = cosine(frames[own], np.broadcast_to(frame, (len(own), len(frame))))
    return own[int(np.nanargmax(alike))] if np.isfinite(alike).any() else None


def directions(changed: Numbers, source: Numbers, ill: Numbers, healthy: Numbers) -> Directions:
    """Return the direction score of each frame, and its control.

    Args:
        changed: (F, D) N', the changed frames.
        source: (F, D) N, what they were made from.
        ill: (F, D) P, the most alike real ill frame of each person; NaN where there is none.
        healthy: (F, D) H, the most alike other healthy frame of each person; NaN likewise.
    """
    made = changed - source
    return Directions(cosine(made, ill - source), cosine(made, healthy - source))


def is_right_person(
    changed: Numbers,
    subjects: Sequence[str],
    frames: Numbers,
    others: Sequence[str],
    itself: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_]:
    """Return whether the most alike real frame is of the person who was changed.

    Args:
        changed: (F, D) changed frames.
        subjects: Whose each is.
        frames: (K, D) real frames of all people; not the sources themselves.
        others: Whose each of these is.
        itself: (F,) which of ``frames`` a changed one is, and is not compared with; -1: none.

    Returns:
        (F,) of equally alike frames, the first counts.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        units = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (changed, frames)]
    alike = np.nan_to_num(units[0] @ units[1].T, nan=-np.inf)
    if itself is not None:
        own = np.flatnonzero(itself >= 0)
        alike[own, itself[own]] = -np.inf
    nearest = alike.argmax(axis=1)
    return np.array([others[place] == name for place, name in zip(nearest, subjects, strict=True)])


def face_errors(
    changed: NDArray[np.uint8], truth: NDArray[np.uint8], inside: NDArray[np.bool_]
) -> Numbers:
    """Return how far changed pictures are from the true ones, inside the face.

    Args:
        changed: (F, H, W, C) changed pictures.
        truth: (F, H, W, C) true pictures of the same people, moments and light.
        inside: (F, H, W) where the face is.

    Returns:
        (F,) mean absolute difference, 0..255 grey levels; NaN where nothing is inside.
    """
    apart = np.abs(changed.astype(np.float64) - truth.astype(np.float64)).mean(axis=3)
    area = inside.sum(axis=(1, 2))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(inside, apart, 0.0).sum(axis=(1, 2)) / area)


def over_subjects(
    statistic: Callable[[NDArray[np.int64]], float],
    subjects: Sequence[str],
    *,
    num_resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95% percentile interval of a statistic of frames, by resampling subjects.

    Args:
        statistic: Of positions of frames, some of them several times.
        subjects: Whose each frame is.
        num_resamples: How often all subjects are drawn with replacement.
        seed: Of the draws.

    Returns:
        Both ends; NaN if no draw has a value.
    """
    names = np.array(subjects)
    own = [np.flatnonzero(names == name) for name in dict.fromkeys(subjects)]
    rng = np.random.default_rng(seed)
    values = [
        statistic(np.concatenate([own[k] for k in rng.integers(len(own), size=len(own))]))
        for _ in range(num_resamples)
    ]
    known = np.array([value for value in values if np.isfinite(value)])
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def flicker(made: NDArray[np.floating[Any]], source: NDArray[np.floating[Any]]) -> float:
    """Return the mean change between frames of a made recording over that of its source.

    Args:
        made: (N, ...) N frames of pictures or points; NaN where absent.
        source: (N, ...) the same frames of its source.

    Returns:
        At least 0; 1 is as much change as in the source, NaN where that does not change.
    """
    change, of_source = (np.abs(np.diff(one.astype(np.float64), axis=0)) for one in (made, source))
    there = ~(np.isnan(change) | np.isnan(of_source))
    whole = of_source[there].sum()
    return float(change[there].sum() / whole) if whole else float("nan")


class Flicker:
    """:func:`flicker` of a recording whose frames come one by one."""

    def __init__(self) -> None:
        self._change, self._of_source = 0.0, 0.0
        self._last: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None

    def add(self, made: NDArray[np.uint8], source: NDArray[np.uint8]) -> None:
        """Take in the next frame.

        Args:
            made: (H, W, 3) uint8 picture of the made recording.
            source: (H, W, 3) uint8 the same of its source.
        """
        now = made.astype(np.int32), source.astype(np.int32)
        if self._last is not None:
            self._change += float(np.abs(now[0] - self._last[0]).sum())
            self._of_source += float(np.abs(now[1] - self._last[1]).sum())
        self._last = now

    def skip(self) -> None:
        """Leave out a frame: the change to it and from it is not counted."""
        self._last = None

    @property
    def value(self) -> float:
        """The flicker of the frames so far; NaN where the source does not change."""
        return self._change / self._of_source if self._of_source else float("nan")
