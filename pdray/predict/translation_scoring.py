"""Scores changed portraits of a cohort by saved networks, beside rows without a method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pdray.errors import StudyError
from pdray.evaluation.made_copies import CopyError, Faces, find_copies
from pdray.evaluation.translation import face_errors
from pdray.evaluation.translation_rows import (
    REAL,
    Choice,
    Real,
    Row,
    changed_of,
    choose,
    is_scored,
    scale_of,
)
from pdray.evaluation.translation_scores import Changed, RowScores, Scale, Seen, floor_of, score_row
from pdray.predict.picture_networks import PictureNetwork, Pictures
from pdray.predict.seen_pictures import seen_by

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Judges:
    """Networks that score pictures.

    Attributes:
        judge: Tells ill from healthy; class 0 is healthy.
        identity: Tells people apart.
        distances: Whose features the distances of sets are of.
        folder: Where their numbers of each set of pictures are kept.
    """

    judge: PictureNetwork
    identity: PictureNetwork
    distances: PictureNetwork
    folder: Path

    def see(self, pictures: Pictures, subjects: Sequence[str]) -> Seen:
        """Return what they make of (F, S, S, 3) pictures; computed once for each set.

        Raises:
            StudyError: If a network cannot see them.
        """
        shares = seen_by(self.judge, "probabilities", pictures, subjects, self.folder)
        identity = seen_by(self.identity, "features", pictures, subjects, self.folder)
        features = seen_by(self.distances, "features", pictures, subjects, self.folder)
        return Seen(tuple(subjects), features, identity, 1.0 - shares[:, 0])


@dataclass(frozen=True)
class CohortPictures:
    """Real portraits of a cohort.

    Attributes:
        pictures: (F, S, S, 3) uint8, ordered by recording and time.
        subjects: (F,) the person of each.
        recordings: (F,) its recording.
        is_ill: (F,) whether that is of an ill class.
        held_in: (F,) the fold that holds the person out; -1: none.
        inside: (F, S, S) where the face is.
        true: (F, S, S, 3) the true ill picture of each that has one; None: of none.
        has_true: (F,) whether there is one.
    """

    pictures: Pictures
    subjects: tuple[str, ...]
    recordings: tuple[str, ...]
    is_ill: NDArray[np.bool_]
    held_in: Places
    inside: NDArray[np.bool_]
    true: Pictures | None = None
    has_true: NDArray[np.bool_] | None = None


class TranslationScoring:
    """Real pictures of a cohort, ready to score changed ones.

    Attributes:
        sources: (S,) places among the cohort's pictures of those that a method changes.
        scale: What rows are scored by.
    """

    def __init__(self, cohort: CohortPictures, judges: Judges, *, seed: int = 0) -> None:
        """See all real pictures, and choose the rows without a method.

        Args:
            cohort: The pictures.
            judges: Networks that know nobody in it.
            seed: Of the draws of these rows.

        Raises:
            StudyError: If a network cannot see them, or no healthy or no ill person is scored.
        """
        self._cohort, self._judges, self._seed = cohort, judges, seed
        seen = judges.see(cohort.pictures, cohort.subjects)
        self._real = Real(seen, cohort.recordings, cohort.is_ill, cohort.held_in)
        scored = is_scored(self._real)
        for is_ill, word in ((False, "healthy"), (True, "ill")):
            if not (scored & (cohort.is_ill == is_ill)).any():
                raise StudyError(
                    f"no {word} recording is scored, so there is nothing to compare with; add "
                    f"recordings of {word} people, or hold other people out"
                )
        sources = np.flatnonzero(scored & ~cohort.is_ill)
        there = None if cohort.has_true is None else cohort.has_true[sources]
        self._choice: Choice = choose(self._real, there, seed=seed)
        self.sources: Places = self._choice.sources
        self.scale: Scale = scale_of(self._real, self._choice)

    @property
    def num_without(self) -> Mapping[str, int]:
        """How many sources have no real ill, and no other healthy picture of the same person."""
        pairs = (("ill", self._choice.towards_ill), ("healthy", self._choice.towards_healthy))
        return {name: int((places < 0).sum()) for name, places in pairs}

    def controls(self) -> dict[str, RowScores]:
        """Return the rows without a method, by name."""
        found = {row.name: score_row(self._changed(row), self.scale) for row in self._choice.rows}
        scored = np.flatnonzero(self._cohort.held_in >= 0)
        healthy, ill = (
            self._real.seen.of(scored[self._cohort.is_ill[scored] == is_ill])
            for is_ill in (False, True)
        )
        return {**found, REAL: floor_of(healthy, ill, len(self.sources), seed=self._seed)}

    def score(self, pictures: Pictures, source: Places) -> RowScores:
        """Return the scores of pictures that a method made.

        Args:
            pictures: (F, S, S, 3) uint8.
            source: (F,) which of :attr:`sources` each was made from.

        Raises:
            StudyError: If a network cannot see them.
        """
        places = self.sources[source]
        subjects = [self._cohort.subjects[place] for place in places]
        seen = self._judges.see(pictures, subjects)
        errors = self._errors(pictures, places)
        return score_row(Changed(seen, source, np.full(len(source), -1), errors), self.scale)

    def copies_told(self, pictures: Pictures) -> str:
        """Return how many changed pictures look like somebody whom the generator learnt from.

        Args:
            pictures: (S, S', S', 3) uint8, one made of each source, in their order.
        """
        scored = np.flatnonzero(self._cohort.held_in >= 0)
        subjects = [self._cohort.subjects[place] for place in self.sources]
        identity = self._judges.see(pictures, subjects).identity
        try:
            found = find_copies(
                _faces(identity, subjects),
                self.scale.sources.identity,
                self._faces_at(np.flatnonzero(self._cohort.held_in < 0)),
                self._faces_at(scored),
            )
        except CopyError as error:
            return f"copies are not looked for: {error}"
        return (
            f"{len(found.ids)} of {found.num_made} pictures look like somebody whom the generator "
            "learnt from (nearer than real faces are in 1% of cases, or than to their source)"
        )

    def _faces_at(self, places: Places) -> Faces:
        seen = self._real.seen.of(places)
        return _faces(seen.identity, seen.subjects)

    def _changed(self, row: Row) -> Changed:
        of_sources = self.sources[row.source]
        if row.pool == "real":
            errors = self._errors(self._cohort.pictures[row.places], of_sources)
            return changed_of(row, self._choice, self._real.seen, errors)
        assert self._cohort.true is not None, "a row of true pictures needs some"
        true = self._cohort.true[of_sources]
        seen = self._judges.see(true, [self._cohort.subjects[place] for place in of_sources])
        everyone = np.arange(len(row.places))
        errors = self._errors(true, of_sources)
        return changed_of(Row(row.name, "true", everyone, row.source), self._choice, seen, errors)

    def _errors(self, pictures: Pictures, places: Places) -> NDArray[np.float64]:
        """Return the errors of pictures that stand for the sources at these places."""
        errors = np.full(len(pictures), np.nan)
        if self._cohort.true is not None and self._cohort.has_true is not None:
            there = np.flatnonzero(self._cohort.has_true[places])
            chosen = places[there]
            errors[there] = face_errors(
                pictures[there], self._cohort.true[chosen], self._cohort.inside[chosen]
            )
        return errors


def _faces(identity: NDArray[np.float64], subjects: Sequence[str]) -> Faces:
    return Faces(tuple(map(str, range(len(identity)))), tuple(subjects), identity)
