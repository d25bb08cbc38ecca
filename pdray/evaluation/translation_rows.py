"""Rows without a method that stand in every table of changed pictures.

A method is read against them: the sources as they are, other real pictures of the same people, ill
people of the training group in the place of the changed ones, and true pictures where a cohort has
them.

In each recording every second picture, from the first on, is scored: of the healthy they are the
sources, of the ill the set from which distances are measured. Of the others, two are chosen for
each source. P is the real ill picture of the same person with the highest cosine of identity
features; of equally alike pictures, the first. H is chosen like P among healthy pictures, and
from other recordings than the source's if the person has any, as P is from another one.

Axes: F pictures, S sources.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pdray.evaluation.translation import nearest_frame
from pdray.evaluation.translation_scores import Changed, Scale, Seen

Places = NDArray[np.int64]
Numbers = NDArray[np.float64]
Pool = Literal["real", "true"]

SOURCE, HEALTHY, ILL = "source itself", "another healthy picture", "real ill picture"
TRUE, OTHERS = "true ill picture", "ill training faces"
REAL = "real against real"
CONTROLS = (SOURCE, HEALTHY, ILL, TRUE, OTHERS, REAL)
"""Names of the rows, in their order; the last has distances alone."""


@dataclass(frozen=True)
class Real:
    """Real pictures of a cohort.

    Attributes:
        seen: F pictures, ordered by recording and time.
        recordings: (F,) the recording of each.
        is_ill: (F,) whether its recording is of an ill class.
        held_in: (F,) the fold that holds its person out, 0, 1, ...; -1: none, so that the person
            is learnt from and not scored.
    """

    seen: Seen
    recordings: tuple[str, ...]
    is_ill: NDArray[np.bool_]
    held_in: Places


@dataclass(frozen=True)
class Row:
    """Pictures that stand for changed ones.

    Attributes:
        name: One of :data:`CONTROLS`.
        pool: The pictures are among the real ones, or the true ones, which are in the order of the
            sources.
        places: (F,) which pictures of the pool.
        source: (F,) the source that each stands for, as a place in :attr:`Choice.sources`.
    """

    name: str
    pool: Pool
    places: Places
    source: Places


@dataclass(frozen=True)
class Choice:
    """Which real pictures stand where.

    Attributes:
        sources: (S,) places of the sources among the real pictures.
        towards_ill: (S,) of P; -1 where the person has no ill picture.
        towards_healthy: (S,) of H; -1 where the person has no other healthy picture.
        ill: Of the ill pictures from which distances are measured.
        people: Of all pictures of people who are scored, but the sources.
        rows: The rows that have a picture.
    """

    sources: Places
    towards_ill: Places
    towards_healthy: Places
    ill: Places
    people: Places
    rows: tuple[Row, ...]


def choose(real: Real, has_true: NDArray[np.bool_] | None = None, *, seed: int = 0) -> Choice:
    """Return the sources, what they are compared with, and the rows without a method.

    Args:
        real: All pictures.
        has_true: (S,) whether there is a true picture of a source; None: of none.
        seed: Of the draws: of the pictures in :data:`HEALTHY`, :data:`ILL` and :data:`OTHERS`.
    """
    scored = is_scored(real)
    sources = np.flatnonzero(scored & ~real.is_ill)
    near = [_nearest(real, int(place), scored) for place in sources]
    towards = [np.array([pair[k] for pair in near], np.int64).reshape(-1) for k in (0, 1)]
    draws = np.random.default_rng(seed)
    everyone = np.arange(len(sources))
    rows = [Row(SOURCE, "real", sources, everyone)]
    for name, is_ill, chosen in ((HEALTHY, False, towards[1]), (ILL, True, towards[0])):
        others = [
            _another(real, int(place), int(one), (real.is_ill == is_ill) & ~scored, draws)
            for place, one in zip(sources, chosen, strict=True)
        ]
        rows.append(_row(name, "real", np.array(others, np.int64)))
    if has_true is not None:
        rows.append(_row(TRUE, "true", np.where(has_true, everyone, -1)))
    rows.append(_row(OTHERS, "real", np.array([*_strangers(real, sources, draws)], np.int64)))
    return Choice(
        sources, towards[0], towards[1], np.flatnonzero(scored & real.is_ill),
        np.setdiff1d(np.flatnonzero(real.held_in >= 0), sources),
        tuple(row for row in rows if len(row.places)),
    )  # fmt: skip


def scale_of(real: Real, choice: Choice) -> Scale:
    """Return the real pictures by which rows are scored."""

    def towards(places: Places) -> Numbers:
        found = real.seen.identity[np.maximum(places, 0)].astype(np.float64)
        found[places < 0] = np.nan
        return found

    return Scale(
        real.seen.of(choice.sources),
        towards(choice.towards_ill),
        towards(choice.towards_healthy),
        real.seen.of(choice.ill),
        real.seen.of(choice.people),
    )


def changed_of(row: Row, choice: Choice, pool: Seen, errors: Numbers) -> Changed:
    """Return the pictures of a row.

    Args:
        row: One of the choice's.
        choice: To which it belongs.
        pool: All pictures of its pool.
        errors: (F,) as :attr:`Changed.errors`.
    """
    people = np.full(len(row.places), -1)
    if row.pool == "real":
        place_of = {int(place): number for number, place in enumerate(choice.people)}
        people[:] = [place_of.get(int(place), -1) for place in row.places]
    return Changed(pool.of(row.places), row.source, people, errors)


def is_scored(real: Real) -> NDArray[np.bool_]:
    """Return whether each picture is of a person who is scored, and at an even place."""
    count: dict[str, int] = {}
    found = []
    for name, fold in zip(real.recordings, real.held_in, strict=True):
        found.append(fold >= 0 and count.setdefault(name, 0) % 2 == 0)
        count[name] = count.get(name, 0) + 1
    return np.array(found, bool)


def _row(name: str, pool: Pool, places: Places) -> Row:
    there = np.flatnonzero(places >= 0)
    return Row(name, pool, places[there], there)


def _own(real: Real, place: int, among: NDArray[np.bool_], but: Sequence[str]) -> Places:
    """Return pictures of the same person, of other recordings than some if there are such."""
    whose = np.array(real.seen.subjects) == real.seen.subjects[place]
    found = np.flatnonzero(whose & among)
    elsewhere = [k for k in found if real.recordings[k] not in but]
    return np.array(elsewhere, np.int64) if elsewhere else found


def _nearest(real: Real, place: int, scored: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the places of P and H of a source; -1 where there is none."""
    found = []
    for is_ill in (True, False):
        own = _own(real, place, (real.is_ill == is_ill) & ~scored, [real.recordings[place]])
        name = real.seen.subjects[place]
        nearest = nearest_frame(
            real.seen.identity[place], name, real.seen.identity[own], [name] * len(own)
        )
        found.append(-1 if nearest is None else int(own[nearest]))
    return found[0], found[1]


def _another(
    real: Real, place: int, chosen: int, among: NDArray[np.bool_], draws: np.random.Generator
) -> int:
    """Return a picture of the same person that is not the chosen one; -1 if there is none."""
    if chosen < 0:
        return -1
    others = among.copy()
    others[chosen] = False
    own = _own(real, place, others, [real.recordings[place], real.recordings[chosen]])
    return int(draws.choice(own)) if len(own) else -1


def _strangers(real: Real, sources: Places, draws: np.random.Generator) -> Iterator[int]:
    """Yield for each source an ill picture that its fold learns from; each once before any twice.

    -1 where there is none.
    """
    left: list[int] = []
    learnt = np.flatnonzero(real.is_ill)
    for place in sources:
        fold = real.held_in[place]
        if all(real.held_in[k] == fold for k in left):
            left = [*map(int, draws.permutation(learnt)), *left]
        found = next((k for k in left if real.held_in[k] != fold), -1)
        if found >= 0:
            left.remove(found)
        yield found
