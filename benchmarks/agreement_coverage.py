"""Counts how often intervals of calibration and of agreement contain the truth.

    python -m benchmarks.agreement_coverage            # 1,000 cohorts per cell
    python -m benchmarks.agreement_coverage cohorts=20 # only a test run; ignore its numbers

Cohorts are drawn: 16, 40 or 100 subjects with two to four recordings each. ``alike`` is the
correlation of the recordings of a subject.

- Calibration: the model's probabilities are right, so the intercept is 0 and the slope 1.
- Agreement: three raters with a bias of their own grade 0 to 4; the truth is the value in 100,000
  subjects.

Printed for each cell: share of the intervals that contain the truth, and share of the cohorts that
have none.
"""

import sys
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from pdray.evaluation.numbers import Number, Rows, measured
from pdray.evaluation.statistics.agreement import CLOSENESS, targets_without, weighted_icc
from pdray.evaluation.statistics.calibration import Event, intercepts, slopes, undefined_slope
from pdray.evaluation.statistics.intervals import Transform

SUBJECTS, ALIKE, MANY = (16, 40, 100), (0.0, 0.5), 100_000
BIASES = np.array([-0.2, 0.0, 0.4])
NAMES = ("intercept", "slope", "icc_a1", "kappa", "mae", "exact", "within_one")
Draws = np.random.Generator
Numbers = NDArray[np.float64]
Values = dict[str, tuple[Callable[[Numbers], Numbers], Transform]]


def main(words: list[str]) -> None:
    """Draw the cohorts and print one line per cell."""
    number = int(dict(word.split("=") for word in words).get("cohorts", 1000))
    draws = np.random.default_rng(1)
    print(f"{'subjects':>8} {'alike':>5}  " + "  ".join(f"{name:>13}" for name in NAMES))
    for num_subjects in SUBJECTS:
        for alike in ALIKE:
            truth = {"intercept": 0.0, "slope": 1.0, **true_agreement(draws, alike)}
            found = [cohort(draws, num_subjects, alike) for _ in range(number)]
            cells = [cell([one[name] for one in found], truth[name]) for name in NAMES]
            print(f"{num_subjects:>8} {alike:>5}  " + "  ".join(cells), flush=True)


def cell(numbers: list[Number], truth: float) -> str:
    """Return the share of intervals with the truth, and of cohorts without an interval."""
    shown = [one for one in numbers if one.has_interval]
    inside = np.mean([not (one.low > truth or one.high < truth) for one in shown])
    return f"{inside:.3f} ({1 - len(shown) / len(numbers):.2f})".rjust(13)


def cohort(draws: Draws, num_subjects: int, alike: float) -> dict[str, Number]:
    """Return the numbers of one cohort, with their intervals."""
    subjects = np.repeat(np.arange(num_subjects), draws.integers(2, 5, num_subjects))
    event = calibrated(draws, subjects, alike)
    undefined = undefined_slope(event)
    of_event = Rows(subjects, event.happened.astype(np.int64))
    make = partial(measured, transform="none", rule="each", table="calibration")
    found = {
        "intercept": make("intercept", of_event, partial(intercepts, event), undefined=undefined),
        "slope": make("slope", of_event, partial(slopes, event), undefined=undefined),
    }
    ratings = rated(draws, subjects, alike)
    classes = np.floor(ratings.mean(axis=1) + 0.5).astype(np.int64)
    for name, (values, transform) in agreement(ratings).items():
        found[name] = measured(
            name, Rows(subjects, classes), values, transform=transform, table="raters"
        )
    return found


def calibrated(draws: Draws, subjects: NDArray[np.int64], alike: float) -> Event:
    """Draw probabilities, and outcomes with these probabilities."""
    share = norm.cdf(correlated(draws, subjects, 0.6) * 0.9)
    return Event("class 1", norm.cdf(correlated(draws, subjects, alike)) < share, share)


def rated(draws: Draws, subjects: NDArray[np.int64], alike: float) -> Numbers:
    """Draw (N, 3) grades of three raters with errors and biases of their own."""
    severity = 1.5 + correlated(draws, subjects, alike)
    seen = severity[:, None] + BIASES + 0.5 * draws.normal(size=(len(subjects), 3))
    grades: Numbers = np.clip(np.round(seen), 0, 4)
    return grades


def correlated(draws: Draws, subjects: NDArray[np.int64], alike: float) -> Numbers:
    """Draw (N,) standard normal numbers, correlated inside a subject."""
    own, shared = draws.normal(size=len(subjects)), draws.normal(size=subjects.max() + 1)[subjects]
    mixed: Numbers = np.sqrt(alike) * shared + np.sqrt(1 - alike) * own
    return mixed


def agreement(ratings: Numbers) -> Values:
    """Return the scores of agreement, and the scale of each: ICC, and rater 1 against the rest."""
    first = next(targets_without(ratings))
    scales: dict[str, Transform] = {
        "mae": "log",
        "exact": "logit",
        "within_one": "logit",
        "kappa": "fisher",
    }
    return {
        "icc_a1": (partial(weighted_icc, ratings), "fisher"),
        **{
            name: (partial(CLOSENESS[name], first.grade, first.target), scale)
            for name, scale in scales.items()
        },
    }


def true_agreement(draws: Draws, alike: float) -> dict[str, float]:
    """Return the agreement in many subjects."""
    subjects = np.repeat(np.arange(MANY), draws.integers(2, 5, MANY))
    ones = np.ones((1, len(subjects)))
    scores = agreement(rated(draws, subjects, alike))
    return {name: float(values(ones)[0]) for name, (values, _) in scores.items()}


if __name__ == "__main__":
    main(sys.argv[1:])
