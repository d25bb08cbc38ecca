"""A score with its 95% interval, and the rules that say where there is none.

The unit of the interval is the subject, since rows of one subject are not independent.

- Below :data:`LEAST_SUBJECTS` subjects there is no interval.
- A score that contrasts classes needs :data:`LEAST_OF_CLASS` subjects of every class that it uses;
  a score of the grade as a number needs two classes of so many.

Axes: R resample, N row, S subject, K class.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

LEAST_SUBJECTS = 12
LEAST_OF_CLASS = 5

Truth = Literal["model", "procedure", "predictions"]
Sides = Literal["both", "lower", "upper"]
Classes = Literal["each", "positive", "negative", "scale"]

TRUTHS: Mapping[Truth, str] = {
    "model": "of this model on new people",
    "procedure": "of models trained this way",
    "predictions": "of these predictions; training not included",
}
"""What an interval covers, in the words that are printed under it."""


@dataclass(frozen=True)
class Interval:
    """A score with its interval.

    Attributes:
        value: The score of all rows; nan if undefined.
        low: Lower end; nan if there is no interval.
        high: Upper end, likewise.
        num_subjects: Subjects of the rows.
        num_undefined: Resamples in which the score is undefined.
        num_resamples: Resamples drawn.
        level: Share of cohorts whose interval contains the truth, 0..1.
        reason: Why there is no interval; empty if there is one.
        sides: "both", or the end that is exact where the score is the best or worst possible one:
            "lower" (the upper end is the score) or "upper" (the lower end is the score).
        truth: Key of :data:`TRUTHS`: what the interval covers.
    """

    value: float
    low: float
    high: float
    num_subjects: int
    num_undefined: int
    num_resamples: int
    level: float
    reason: str = ""
    sides: Sides = "both"
    truth: Truth = "model"

    @property
    def exists(self) -> bool:
        """Whether there is an interval."""
        return not math.isnan(self.low)


def too_few(subjects_of_class: Mapping[int, int], num_subjects: int, classes: Classes) -> str:
    """Return why there are too few subjects for an interval; empty if there are enough.

    Args:
        subjects_of_class: Number of subjects with a row of each class, for every class of the
            score, also those without a subject.
        num_subjects: Number of all subjects.
        classes: Which classes need :data:`LEAST_OF_CLASS` subjects: "each", only the "positive"
            (1) or the "negative" (0) one, or any two on the "scale".
    """
    start = "too few subjects for an interval: "
    if num_subjects < LEAST_SUBJECTS:
        return f"{start}{num_subjects}, {LEAST_SUBJECTS} are needed"
    wanted = {"positive": [1], "negative": [0]}.get(classes, sorted(subjects_of_class))
    few = [k for k in wanted if subjects_of_class.get(k, 0) < LEAST_OF_CLASS]
    if not few or (classes == "scale" and len(wanted) - len(few) >= 2):
        return ""
    counts = ", ".join(f"{subjects_of_class.get(k, 0)} of class {k}" for k in few)
    of_two = " of two classes" if classes == "scale" else ""
    return f"{start}{counts}, {LEAST_OF_CLASS}{of_two} are needed"
