"""Scores of a set of changed pictures: one row of a table of translation methods.

YouTubePD sections 4.3 and 5.3 and Table 4, with what they lack: each score has an interval over
subjects and the number of pictures that it is of. A score that no picture has is absent.

Means of pictures have percentile intervals of resampled subjects. The two distances of sets have
intervals of value -+ 1.96 standard errors from leaving out one subject at a time: a resample
repeats pictures, which moves a Frechet distance by more than its error. (Of 60 drawn cohorts of 40
people, 2 pictures of 64 features each, percentiles held the mean distance in none, these in all.)

Axes: F pictures, D features, S sources.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pdray.evaluation.statistics.frechet import LEAST, frechet_distance, kernel_distance
from pdray.evaluation.translation import cosine, directions, is_right_person, over_subjects

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]

LEAST_SUBJECTS = 5  # for an interval
CALLED_ILL = 0.5
_NORMAL = 1.96


@dataclass(frozen=True)
class Seen:
    """Pictures as networks see them.

    Attributes:
        subjects: (F,) the person of each.
        features: (F, D) by which sets are compared.
        identity: (F, E) of a network that tells people apart.
        ill: (F,) probability of ill by the judge, 0..1.
    """

    subjects: tuple[str, ...]
    features: Numbers
    identity: Numbers
    ill: Numbers

    def of(self, places: Sequence[int] | Places) -> "Seen":
        """Return some of the pictures."""
        chosen = np.asarray(places, np.int64)
        return Seen(
            tuple(self.subjects[k] for k in chosen),
            self.features[chosen],
            self.identity[chosen],
            self.ill[chosen],
        )

    def __len__(self) -> int:
        return len(self.subjects)


@dataclass(frozen=True)
class Scale:
    """Real pictures of held-out people, by which every row is scored.

    Attributes:
        sources: S healthy pictures, which are changed.
        towards_ill: (S, E) identity features of P, the real ill picture of the same person that is
            most alike; NaN where there is none.
        towards_healthy: (S, E) of H, the real healthy picture chosen like P; NaN likewise.
        ill: Real ill pictures, no row's.
        people: Real pictures among which the nearest is looked for; no sources.
    """

    sources: Seen
    towards_ill: Numbers
    towards_healthy: Numbers
    ill: Seen
    people: Seen


@dataclass(frozen=True)
class Changed:
    """Pictures that stand for the changed sources.

    Attributes:
        seen: F pictures.
        source: (F,) which source each was made from, or stands for.
        people: (F,) which of the scale's ``people`` it is itself, and is not compared with; -1:
            none.
        errors: (F,) mean absolute difference from the true picture inside the face, in grey levels
            0..255; NaN where there is no true picture.
    """

    seen: Seen
    source: Places
    people: Places
    errors: Numbers


@dataclass(frozen=True)
class Measure:
    """One score of a row.

    Attributes:
        value: The score; None if no picture has it.
        low, high: Ends of its 95% interval over subjects; None below five subjects.
        error: Standard error, of a distance of sets; None of others, and below five subjects.
        count: Pictures that it is of.
        absent: Pictures of the row without it.
    """

    value: float | None
    count: int
    absent: int = 0
    low: float | None = None
    high: float | None = None
    error: float | None = None


@dataclass(frozen=True)
class RowScores:
    """All scores of a row.

    Attributes:
        pictures: Number of pictures.
        frechet_source, frechet_ill: Frechet distance from the sources, and from real ill pictures.
        kernel_ill: Kernel distance from real ill pictures. Sources are no independent set: a row
            shows the same moments.
        called_ill: Share that the judge calls ill (CLS of the paper).
        direction: Mean cosine of N' - N and P - N (eq. 1 of the paper).
        control: The same with H in the place of P.
        excess: Mean of their difference.
        likeness: Mean cosine of N' and N.
        right_person: Share whose nearest real picture is of the person who was changed.
        error: Mean of ``errors``.
    """

    pictures: int
    frechet_source: Measure
    frechet_ill: Measure
    kernel_ill: Measure
    called_ill: Measure
    direction: Measure
    control: Measure
    excess: Measure
    likeness: Measure
    right_person: Measure
    error: Measure


class Distance(Protocol):
    """A distance of two sets of pictures."""

    def __call__(self, one: Numbers, other: Numbers) -> float:
        """Return it of (N, D) and (M, D) features."""
        ...


def score_row(row: Changed, scale: Scale) -> RowScores:
    """Return the scores of a row.

    Args:
        row: Its pictures.
        scale: Real pictures of held-out people.
    """
    seen, sources = row.seen, scale.sources
    kept = scale.sources.identity[row.source]
    turned = directions(
        seen.identity, kept, scale.towards_ill[row.source], scale.towards_healthy[row.source]
    )

    whose = [sources.subjects[k] for k in row.source]
    right = is_right_person(
        seen.identity, whose, scale.people.identity, scale.people.subjects, itself=row.people
    )

    def mean(values: Numbers) -> Measure:
        return mean_of(values, whose)

    return RowScores(
        pictures=len(seen),
        frechet_source=distance_of(frechet_distance, seen, sources),
        frechet_ill=distance_of(frechet_distance, seen, scale.ill),
        kernel_ill=distance_of(kernel_distance, seen, scale.ill),
        called_ill=mean((seen.ill > CALLED_ILL).astype(np.float64)),
        direction=mean(turned.towards_ill),
        control=mean(turned.towards_healthy),
        excess=mean(turned.excess),
        likeness=mean(cosine(seen.identity, kept)),
        right_person=mean(right.astype(np.float64)),
        error=mean(row.errors),
    )


def floor_of(healthy: Seen, ill: Seen, size: int, *, seed: int = 0) -> RowScores:
    """Return the distances of real pictures of some people from those of others.

    The people are divided at random into two halves, and ``size`` pictures of each half are drawn,
    or as many as the smaller half has. A method can hardly be nearer than this.

    Args:
        healthy: Real healthy pictures, for the distances from the sources.
        ill: Real ill pictures, for the others.
        size: Pictures of a row.
        seed: Of the draws.
    """
    draws = np.random.default_rng(seed)
    halves = [_halves(one, size, draws) for one in (healthy, ill)]
    none = Measure(None, 0)
    return RowScores(
        pictures=min(len(half) for pair in halves for half in pair),
        frechet_source=distance_of(frechet_distance, *halves[0]),
        frechet_ill=distance_of(frechet_distance, *halves[1]),
        kernel_ill=distance_of(kernel_distance, *halves[1]),
        **dict.fromkeys(
            ("called_ill", "direction", "control", "excess", "likeness", "right_person", "error"),
            none,
        ),
    )


def mean_of(values: Numbers, subjects: Sequence[str]) -> Measure:
    """Return the mean of the pictures that have a value.

    Args:
        values: (F,) NaN where a picture has none.
        subjects: (F,) the person of each.
    """
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return Measure(None, 0, len(values))
    found, whose = values[known], [subjects[int(k)] for k in known]
    made = Measure(float(found.mean()), len(known), len(values) - len(known))
    if len(set(whose)) < LEAST_SUBJECTS:
        return made
    low, high = over_subjects(lambda places: float(found[places].mean()), whose)
    return replace(made, low=low, high=high)


def distance_of(distance: Distance, one: Seen, other: Seen) -> Measure:
    """Return a distance of two sets, with an interval from leaving out one subject at a time.

    A subject of both sets is left out of both.

    Args:
        distance: Of two arrays of features.
        one: The set that is counted.
        other: The set that it is compared with.
    """
    if min(len(one), len(other)) < LEAST:
        return Measure(None, 0, len(one))
    value = distance(one.features, other.features)
    made = Measure(value, len(one))
    variance = _variance(distance, one, other)
    if variance is None:
        return made
    error = math.sqrt(variance)
    low, high = value - _NORMAL * error, value + _NORMAL * error
    if distance is frechet_distance:
        low = max(0.0, low)
    return replace(made, low=low, high=high, error=error)


def _variance(distance: Distance, one: Seen, other: Seen) -> float | None:
    """Return the jackknife variance over subjects; None if there are too few."""
    names = [np.array(seen.subjects) for seen in (one, other)]
    mine, theirs = ({*seen.subjects} for seen in (one, other))
    if min(len(mine), len(theirs)) < LEAST_SUBJECTS:
        return None
    total = 0.0
    for stratum in (mine & theirs, mine - theirs, theirs - mine):
        left = []
        for name in sorted(stratum):
            first, second = one.features[names[0] != name], other.features[names[1] != name]
            if min(len(first), len(second)) < LEAST:
                return None
            left.append(distance(first, second))
        # One subject alone in its stratum says nothing of the spread of others like it.
        if len(left) > 1:
            total += (len(left) - 1) * float(np.var(left))
    return total


def _halves(seen: Seen, size: int, draws: np.random.Generator) -> tuple[Seen, Seen]:
    people = draws.permutation(sorted({*seen.subjects}))
    chosen = {*people[: len(people) // 2]}
    is_first = np.array([name in chosen for name in seen.subjects], bool)
    sides = [draws.permutation(np.flatnonzero(side)) for side in (is_first, ~is_first)]
    count = min(size, *map(len, sides))
    return seen.of(sides[0][:count]), seen.of(sides[1][:count])
