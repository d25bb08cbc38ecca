"""Agreement of a model's change with the rater's, and the error of repeats in one state.

A change is the difference of one subject, item and side between two states or visits. Each subject
has the same weight, whatever the number of its changes; repeats have one weight per pair.

- Share of right signs: the model's change has the sign of the rater's. A rater's change of 0 has no
  sign, so it is left out (and counted by the caller); a model's change of 0 is then wrong.
- Standardised response mean (Liang, Fossel and Larson 1990): mean change / SD of the change, of one
  mean change per subject.
- Standard error of measurement: the square root of the mean square within pairs, sum d^2 / 2n, of
  "agreement" (de Vet et al. 2006, J Clin Epidemiol 59:1033), so a shift between first and second is
  an error too. Unlike SD sqrt(1 - ICC) (Weir 2005), it does not depend on how different the
  subjects are.
- Smallest detectable change: 1.96 sqrt(2) SEM.

All functions compute a value for many resamples at once. Axes: R resample, N row.
"""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
_ZERO = 1e-12


def subject_means(
    subjects: NDArray[np.object_], values: Numbers
) -> tuple[NDArray[np.int64], Numbers]:
    """Return the first row of each subject, and the mean of its values.

    Args:
        subjects: (N,) subject of each row.
        values: (N,) values.
    """
    _, first, place = np.unique(subjects, return_index=True, return_inverse=True)
    means: Numbers = np.bincount(place, values) / np.bincount(place)
    return first, means


def mean_change(subjects: NDArray[np.object_], change: Numbers, weights: Numbers) -> Numbers:
    """Return the mean over subjects of each one's mean change.

    Args:
        subjects: (N,) subject of each row.
        change: (N,) changes, or any other value of them, such as 1 where the sign is right.
        weights: (R, N) number of times that a resample has a row; those of a subject are equal.

    Returns:
        (R,) means.
    """
    first, means = subject_means(subjects, change)
    times = weights[:, first]
    found: Numbers = times @ means / times.sum(axis=1)
    return found


def response_mean(subjects: NDArray[np.object_], change: Numbers, weights: Numbers) -> Numbers:
    """Return the standardised response mean.

    Args:
        subjects: As in :func:`mean_change`.
        change: (N,) changes.
        weights: As in :func:`mean_change`.

    Returns:
        (R,) values; nan where all subjects change alike.
    """
    first, means = subject_means(subjects, change)
    times = weights[:, first]
    total = times.sum(axis=1)
    mean = times @ means / total
    squares = (times * (means[None] - mean[:, None]) ** 2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        deviation = np.sqrt(squares / (total - 1))
        value: Numbers = np.where(deviation > _ZERO, mean / deviation, np.nan)
    return value


def right_sign(model: Numbers, rater: Numbers) -> Numbers:
    """Return (N,) 1 where the model's change has the sign of the rater's (not 0), else 0."""
    right: Numbers = (np.sign(model) == np.sign(rater)).astype(np.float64)
    return right


def measurement_error(repeats: Numbers, weights: Numbers) -> Numbers:
    """Return the standard error of measurement.

    Args:
        repeats: (N, 2) first and second value of each pair.
        weights: (R, N) number of times that a resample has a pair.

    Returns:
        (R,) errors in units of the values, at least 0.
    """
    squares = (repeats[:, 1] - repeats[:, 0]) ** 2 / 2
    error: Numbers = np.sqrt(weights @ squares / weights.sum(axis=1))
    return error


def detectable_change(repeats: Numbers, weights: Numbers) -> Numbers:
    """Return the smallest change that is no error of measurement at 95%: 1.96 sqrt(2) SEM.

    Args:
        repeats: As in :func:`measurement_error`.
        weights: As in :func:`measurement_error`.
    """
    change: Numbers = 1.96 * np.sqrt(2) * measurement_error(repeats, weights)
    return change
