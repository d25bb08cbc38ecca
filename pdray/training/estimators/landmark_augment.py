"""Augmentation of landmarks: rarer classes are filled up, in the memory of the training process.

``oversample`` repeats recordings of the class. ``damp`` draws recordings of class 0 and scales the
movement of their faces (:mod:`pdray.data.face.damping`) as the class moves less in this training
side. Both draw the same number of recordings, so that they can be compared. What is drawn is drawn
anew in each epoch of a model that has epochs, and is neither written, drawn, shown nor exported.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pdray.data.batches.plan import derive_seed
from pdray.data.face.damping import (
    at_strength,
    damping_factors,
    movement_ratios,
)
from pdray.data.face.settings import LandmarkAugmentConfig
from pdray.data.face.shape import Floats
from pdray.training.estimators.fit import Learner

FEWEST_SUBJECTS = 5
"""A class with fewer moves as much less as all classes above 0 together."""


class Face(NamedTuple):
    """Description of a recording that can be drawn anew.

    Attributes:
        values: What the estimator learns from.
        amounts: (G,) how much each part moves.
        again: Returns ``values`` with movement scaled by (G,) factors.
        is_made: Whether it is a made recording, of which nothing is drawn.
    """

    values: Any
    amounts: Floats
    again: Callable[[Floats], Any]
    is_made: bool


@dataclass(frozen=True)
class Additions:
    """The recordings that are added to a training side.

    Attributes:
        faces: Of the training side.
        classes: (M,) class of each addition.
        pools: Positions to draw from, of each class.
        factors: (K, G) at full strength; None repeats recordings as they are.
        least_strength: Of the edit.
        seed: Of the draws.
    """

    faces: Sequence[Face]
    classes: NDArray[np.int64]
    pools: dict[int, NDArray[np.int64]]
    factors: Floats | None
    least_strength: float
    seed: int

    def draw(self, epoch: int) -> list[Any]:
        """Return M descriptions; the same ones for the same epoch."""
        rng = np.random.default_rng([self.seed, epoch])
        found = []
        for number in self.classes.tolist():
            face = self.faces[int(rng.choice(self.pools[number]))]
            strength = rng.uniform(self.least_strength, 1)
            if self.factors is None:
                found.append(face.values)
            else:
                found.append(face.again(at_strength(self.factors[number], strength)))
        return found


class AugmentedLearner:
    """An estimator that also learns from additions.

    Args:
        inner: The estimator; one with epochs has ``redraw``.
        config: Settings, of kind oversample or damp.
        num_classes: K.
        seed: Seed of the draws.

    Attributes:
        told: Those of the estimator, and how many recordings were added.
    """

    def __init__(
        self, inner: Learner, config: LandmarkAugmentConfig, *, num_classes: int, seed: int
    ) -> None:
        self.inner, self.config, self.num_classes, self.seed = inner, config, num_classes, seed
        self.told: dict[str, float] = {}

    def fit(self, x: Sequence[Face], y: NDArray[np.int64], subjects: Sequence[str]) -> Self:
        """Learn from recordings and from additions.

        Args:
            x: N descriptions.
            y: (N,) class.
            subjects: Subject of each recording.
        """
        added = plan_additions(
            x, y, subjects, self.config, num_classes=self.num_classes, seed=self.seed
        )
        drawn = added.draw(0)
        if drawn and hasattr(self.inner, "redraw"):
            self.inner.redraw = added.draw
        values = [*(one.values for one in x), *drawn]
        # An addition is of no person: nothing is chosen by the subjects of these estimators.
        whose = [*subjects, *[""] * len(drawn)]
        self.inner.fit(values, np.concatenate([y, added.classes]), whose)
        if hasattr(self.inner, "redraw"):
            self.inner.redraw = None  # the draws hold the faces of the training side
        self.told = {**self.inner.told, "fit/augmentation_recordings": len(drawn)}
        return self

    def predict_proba(self, x: Sequence[Face]) -> NDArray[np.float64]:
        """Return (N, K) probabilities of N descriptions, as they are."""
        return self.inner.predict_proba([one.values for one in x])


def plan_additions(
    faces: Sequence[Face],
    classes: NDArray[np.int64],
    subjects: Sequence[str],
    config: LandmarkAugmentConfig,
    *,
    num_classes: int,
    seed: int,
) -> Additions:
    """Decide which classes are filled up, from what and by how much less movement.

    A class that moves no less than class 0 in any part gets nothing from ``damp``: it would be
    class 0 under another name.

    Args:
        faces: Of the training side.
        classes: (N,) their classes.
        subjects: Whose each is.
        config: Settings, of kind oversample or damp.
        num_classes: K.
        seed: Of the draws.
    """
    counts = np.bincount(classes, minlength=num_classes)
    wanted = round(config.share * counts.max())
    lacking = {k: max(0, int(wanted - counts[k])) for k in range(1, num_classes) if counts[k]}
    factors = None
    if config.kind == "damp":
        factors = _factors(faces, classes, subjects, config, num_classes=num_classes)
        lacking = {k: count for k, count in lacking.items() if (factors[k] < 1).any()}
    real = np.array([not one.is_made for one in faces])
    pools = {k: np.flatnonzero(real & (classes == (k if factors is None else 0))) for k in lacking}
    lacking = {k: count if len(pools[k]) else 0 for k, count in lacking.items()}
    return Additions(
        faces,
        np.repeat(np.array([*lacking], np.int64), [*lacking.values()]),
        pools,
        factors,
        config.least_strength,
        derive_seed(seed, "augmentation"),
    )


def _factors(
    faces: Sequence[Face],
    classes: NDArray[np.int64],
    subjects: Sequence[str],
    config: LandmarkAugmentConfig,
    *,
    num_classes: int,
) -> Floats:
    """Return the (K, G) factors of each class; see :func:`plan_additions`."""
    real = [place for place, one in enumerate(faces) if not one.is_made]
    amounts = np.stack([faces[place].amounts for place in real])
    known, whose = classes[real], [subjects[place] for place in real]
    if config.factor is not None:
        ratios = np.full((num_classes, amounts.shape[1]), config.factor)
    else:
        ratios = movement_ratios(amounts, known.tolist(), whose, num_classes=num_classes)
        ill = np.minimum(known, 1).tolist()
        together = movement_ratios(amounts, ill, whose, num_classes=2)[1]
        people = Counter(number for number, _ in {*zip(known.tolist(), whose, strict=True)})
        for number in range(1, num_classes):
            if people[number] < FEWEST_SUBJECTS:
                ratios[number] = together
    return np.stack([damping_factors(one, head=config.head) for one in ratios])
