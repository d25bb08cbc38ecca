"""A score with its 95% interval, and the rules that say where there is none.

The unit of the interval is the subject, since rows of one subject are not independent.

- Below :data:`LEAST_SUBJECTS` subjects there is no interval.
- A score that contrasts classes needs :data:`LEAST_OF_CLASS` subjects of every class that it uses;
  a score of the grade as a number needs two classes of so many.
- The standard error is the delete-one-subject jackknife (Efron and Stein 1981), laid on a scale on
  which the score is nearly normal (delta method: Fisher z, logit or logarithm). The quantile is
  that of Student's t with Satterthwaite's (1946) degrees of freedom, from the spread of what the
  subjects contribute: few subjects with all errors give few degrees of freedom.
- A score at the end of its range has the exact bound of Clopper and Pearson (1934) over subjects.
- Scores of pooled folds are wider, see :func:`widening`.

How often these intervals cover the truth is measured by ``benchmarks/coverage.py``.

Axes: S subject.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

LEAST_SUBJECTS = 12
LEAST_OF_CLASS = 5

Truth = Literal["model", "procedure", "predictions"]
Sides = Literal["both", "lower", "upper"]
Classes = Literal["each", "positive", "negative", "scale"]
Transform = Literal["fisher", "logit", "log", "none"]

TRUTHS: Mapping[Truth, str] = {
    "model": "of this model on new people",
    "procedure": "of models trained this way",
    "predictions": "of these predictions; training not included",
}
"""What an interval covers, in the words that are printed under it."""
TOO_FEW = "too few subjects for an interval: "
"""Start of every reason why there is no interval."""


@dataclass(frozen=True)
class Interval:
    """A score with its interval.

    Attributes:
        value: The score of all rows; nan if undefined.
        low: Lower end; nan if there is no interval.
        high: Upper end, likewise.
        num_subjects: Subjects of the rows.
        num_undefined: Resamples in which the score is undefined.
        num_resamples: Resamples drawn; 0 if the interval needs none.
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


def without_interval(
    value: float, num_subjects: int, level: float, reason: str, truth: Truth = "model"
) -> Interval:
    """Return a score that has no interval, and why."""
    return Interval(value, math.nan, math.nan, num_subjects, 0, 0, level, reason, truth=truth)


def used_classes(present: Sequence[int], classes: Classes) -> tuple[int, ...]:
    """Return the classes of which a score needs several subjects; empty for the "scale".

    Args:
        present: All classes of the score, ascending.
        classes: As a metric declares it; "positive" and "negative" are of two classes, and mean
            each class for more.
    """
    if classes == "scale":
        return ()
    if len(present) == 2 and classes != "each":
        return (present[1],) if classes == "positive" else (present[0],)
    return tuple(present)


def too_few(subjects_of_class: Mapping[int, int], num_subjects: int, classes: Classes) -> str:
    """Return why there are too few subjects for an interval; empty if there are enough.

    Args:
        subjects_of_class: Number of subjects with a row of each class, for every class of the
            score, also those without a subject.
        num_subjects: Number of all subjects.
        classes: Which classes need :data:`LEAST_OF_CLASS` subjects, see :func:`used_classes`; any
            two on the "scale".
    """
    if num_subjects < LEAST_SUBJECTS:
        return f"{TOO_FEW}{num_subjects}, {LEAST_SUBJECTS} are needed"
    used = used_classes(sorted(subjects_of_class), classes)
    few = [k for k in used or subjects_of_class if subjects_of_class[k] < LEAST_OF_CLASS]
    if not few or (not used and len(subjects_of_class) - len(few) >= 2):
        return ""
    counts = ", ".join(f"{subjects_of_class[k]} of class {k}" for k in few)
    of_two = "" if used else " of two classes"
    return f"{TOO_FEW}{counts}, {LEAST_OF_CLASS}{of_two} are needed"


def jackknife_se(without: Numbers) -> float:
    """Return the jackknife's standard error (Efron and Stein 1981).

    Args:
        without: (S,) the score without each subject.
    """
    offset = without - without.mean()
    return float(np.sqrt((len(without) - 1) / len(without) * (offset @ offset)))


def degrees_of_freedom(without: Numbers) -> float:
    """Return Satterthwaite's degrees of freedom of :func:`jackknife_se`, 1..S-1.

    The variance is a sum over subjects; its own variance is estimated from the fourth powers.

    Args:
        without: (S,) the score without each subject, not all equal.
    """
    squares = (without - without.mean()) ** 2
    num = len(without)
    spread = float(squares @ squares / squares.sum() ** 2 - 1 / num)
    return float(np.clip(2 / spread if spread > 0 else np.inf, 1, num - 1))


def t_interval(
    value: float, without: Numbers, *, level: float, transform: Transform, factor: float = 1.0
) -> tuple[float, float]:
    """Return the interval of a score that is inside its range.

    Args:
        value: The score of all subjects.
        without: (S,) the score without each subject, not all equal.
        level: Share of cohorts whose interval is to contain the truth, 0..1.
        transform: Scale on which the interval is symmetric.
        factor: Factor of the standard error, see :func:`widening`.

    Returns:
        Lower and upper end.
    """
    from scipy.special import expit, logit, stdtrit

    quantile = float(stdtrit(degrees_of_freedom(without), (1 + level) / 2))
    half = quantile * factor * jackknife_se(without)
    if transform == "fisher":
        middle, half = math.atanh(value), half / (1 - value**2)
        return math.tanh(middle - half), math.tanh(middle + half)
    if transform == "logit":
        middle, half = float(logit(value)), half / (value * (1 - value))
        return float(expit(middle - half)), float(expit(middle + half))
    if transform == "log":
        return value * math.exp(-half / value), value * math.exp(half / value)
    return value - half, value + half


def exact_share(num_subjects: int, level: float) -> float:
    """Return the bound of Clopper and Pearson (1934) for n of n subjects: ((1 - level) / 2)^(1/n).

    Args:
        num_subjects: n.
        level: Share of cohorts, 0..1.

    Returns:
        Lower end of the share of subjects without an error, 0..1; the upper end is 1.
    """
    return float(((1 - level) / 2) ** (1 / num_subjects))


def noise_share(auroc: float, without: Numbers, num_folds: int, numbers: float) -> float:
    """Return how much of what a model has learnt is noise of its training subjects, 0..1.

    A model that adds up D numbers has learnt a direction d + e in them: d of the disease, e of the
    subjects that it was trained on. With r = |e|^2 / |d + e|^2 the AUROC leads chance by z standard
    errors, z^2 = K / (K-1) * D * (1 - r)^2 / r. This is solved for r.

    Args:
        auroc: AUROC of pairs inside one of K folds.
        without: (S,) the same without each subject.
        num_folds: K.
        numbers: D.
    """
    se = jackknife_se(without)
    if not auroc > 0.5:
        return 1.0
    if not se > 0:
        return 0.0
    lead = ((auroc - 0.5) / se) ** 2 * (num_folds - 1) / num_folds / numbers
    return float((2 + lead - math.sqrt((2 + lead) ** 2 - 4)) / 2)


def widening(share: float) -> float:
    """Return the factor of the standard error of a score of pooled folds: sqrt(1 + r).

    Each fold is scored by a model of the other folds. So what is special in fold A moves the model
    of fold B and the reverse, and the scores of both move together: with K folds of variance v each
    pair has the covariance v r / (K-1), and the mean has the variance v / K * (1 + r). Without any
    effect of the disease r is 1: sqrt(2), as simulated (SD .121 against .092).

    Args:
        share: r, of :func:`noise_share`.
    """
    return math.sqrt(1 + share)
