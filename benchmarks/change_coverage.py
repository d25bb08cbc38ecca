"""Counts how often intervals of change and of repeats contain the truth, on drawn cohorts.

    python -m benchmarks.change_coverage [COHORTS]     # 2000 cohorts per size: 35 s on one core

A cohort is drawn: each subject has an own effect of a drug (mean -0.8 classes, SD 0.5) and 1 to 6
pairs. The rater's change is a whole number, the model's follows 0.7 of the effect; repeats of one
state have an error of SD 0.4 and a shift of SD 0.2 between both. The truth is the value of 100,000
other subjects. Printed for each size: share of cohorts whose interval contains it, of those with an
interval, and the median width.
"""

import sys
from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pdray.evaluation.numbers import Number, Rows, measured
from pdray.evaluation.statistics.agreement import weighted_icc
from pdray.evaluation.statistics.change import (
    Numbers,
    mean_change,
    measurement_error,
    response_mean,
    right_sign,
)
from pdray.evaluation.statistics.intervals import Transform

SIZES, COHORTS, POPULATION = (16, 40, 100), 2000, 100_000


def values_of(
    num_subjects: int, draws: np.random.Generator
) -> Iterator[tuple[str, NDArray[np.object_], partial[Numbers], Transform]]:
    """Yield name, subjects, values and scale of each number of a drawn cohort."""
    counts = draws.integers(1, 7, size=num_subjects)
    people = np.repeat(np.arange(num_subjects), counts).astype(object)
    size = len(people)

    def of_subject(mean: float, deviation: float) -> Numbers:
        return np.repeat(draws.normal(mean, deviation, size=num_subjects), counts)

    effect = of_subject(-0.8, 0.5)
    rater = np.round(effect + draws.normal(0, 0.7, size=size))
    model = 0.7 * effect + draws.normal(0, 0.4, size=size)
    state, shift = of_subject(2.0, 0.8), of_subject(0.0, 0.2)
    both = np.stack([state, state + shift], axis=1) + draws.normal(0, 0.4, size=(size, 2))
    signed = rater != 0
    right = right_sign(model[signed], rater[signed])
    yield "change_model", people, partial(mean_change, people, model), "none"
    yield "srm_model", people, partial(response_mean, people, model), "none"
    yield "srm_rater", people, partial(response_mean, people, rater), "none"
    yield "mae", people, partial(mean_change, people, np.abs(model - rater)), "log"
    yield "right_sign", people[signed], partial(mean_change, people[signed], right), "logit"
    yield "icc_a1", people, partial(weighted_icc, both), "fisher"
    yield "sem", people, partial(measurement_error, both), "log"


def number_of(
    name: str, people: NDArray[np.object_], values: partial[Numbers], scale: Transform
) -> Number:
    """Return a number with its interval, as an evaluation does."""
    rows = Rows(people, np.ones(len(people), dtype=np.int64))
    return measured(name, rows, values, transform=scale, rule="positive", table="change")


def main(cohorts: int) -> None:
    """Print the coverage of each number at each size."""
    draws = np.random.default_rng(1)
    truth = {
        name: float(values(np.ones((1, len(people))))[0])
        for name, people, values, _ in values_of(POPULATION, draws)
    }
    print(f"{cohorts} cohorts of each size; share with the truth inside (with an interval), width")
    for size in SIZES:
        found: dict[str, list[Number]] = {name: [] for name in truth}
        for _ in range(cohorts):
            for parts in values_of(size, draws):
                found[parts[0]].append(number_of(*parts))
        for name, numbers in found.items():
            ends = np.array([(one.low, one.high) for one in numbers if one.has_interval])
            inside = (ends[:, 0] <= truth[name]) & (truth[name] <= ends[:, 1])
            width = np.median(ends[:, 1] - ends[:, 0])
            print(f"{size:4d} subjects  {name:13s} {truth[name]:7.3f}  {inside.mean():.3f} "
                  f"({len(ends) / cohorts:.3f})  {width:.3f}")  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COHORTS)
