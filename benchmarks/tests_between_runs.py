"""How often tests of two models reject: a true null hypothesis, and a false one.

    python -m benchmarks.tests_between_runs             # about 7 minutes of one core
    python -m benchmarks.tests_between_runs cohorts=50  # only a test run; ignore its numbers

SYNTHETIC cohorts of known truth, six recordings per person, half of the people ill. Two tables:

- *Fixed models*: the score of a recording is d (ill or not) + a part of the person, which both
  models see + a part of the person for each model + noise. With equal d, both models are equally
  good on new people, so a test at 5% should reject in 5% of the cohorts. Power: d = 2 and 1.2.
- *Methods*: two methods see different measures of the same people that tell equally much, are
  trained by linear least squares in five folds of people, repeated five times, and scored on the
  people left out. Both methods are equally good by symmetry. So a test that speaks of methods
  should reject in 5% of the cohorts.

"PDR006" is the rule of that check: the interval of the difference, sqrt(2) times as wide, is below
0. It is one-sided, and made for methods.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pdray.config import Settings, load
from pdray.errors import PdrayError
from pdray.evaluation.comparison_tests import difference_functions
from pdray.evaluation.metrics import predicted
from pdray.evaluation.report import aligned
from pdray.evaluation.score_intervals import interval_of
from pdray.evaluation.statistics.clustered import (
    clustered_auroc_test,
    clustered_mcnemar,
    mcnemar,
)
from pdray.evaluation.statistics.intervals import widening
from pdray.evaluation.statistics.paired import corrected_t, exchange_test

Numbers = NDArray[np.float64]
Labels = NDArray[np.int64]
EACH, FOLDS, REPEATS, MEASURES = 6, 5, 5, 5
PEOPLE = (16, 40, 100)
EXCHANGES = 499
METRICS = ("accuracy", "mcc", "auroc")
ALPHA = 0.05
STRENGTHS = {"size": (1.6, 1.6), "power": (2.0, 1.2)}


class SimulationConfig(Settings):
    """Settings of this benchmark."""

    cohorts: int = Field(1000, ge=1, description="cohorts for each row of a table")
    seed: int = Field(0, ge=0, description="seed of all cohorts")


def main(argv: list[str]) -> int:
    """Print both tables."""
    try:
        config = load(SimulationConfig, argv)
    except PdrayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    started = time.monotonic()
    print(f"SYNTHETIC: share of {config.cohorts} cohorts in which a test at 5% rejects [%]\n")
    rows = {
        f"{kind} {people}": _rejections(
            config, partial(fixed_models, people=people, strengths=strengths)
        )
        for kind, strengths in STRENGTHS.items()
        for people in PEOPLE
    }
    _print("fixed models, people", rows)
    rows = {
        f"{kind}": _rejections(config, partial(methods, people=40, effect=effect))
        for kind, effect in (("no effect", 0.0), ("some effect", 0.5), ("strong effect", 1.0))
    }
    _print("methods, 40 people", rows)
    print(f"took {(time.monotonic() - started) / 60:.1f} minutes")
    return 0


def fixed_models(
    draws: np.random.Generator, people: int, strengths: tuple[float, float]
) -> Iterator[tuple[str, bool]]:
    """Yield each test by name and whether it rejects, on one cohort."""
    subject = np.repeat(np.arange(people), EACH)
    y_true = (subject % 2).astype(np.int64)
    shared = draws.normal(0, 0.7, people)

    def model(strength: float) -> Numbers:
        own = shared + draws.normal(0, 0.7, people)
        score = strength * (y_true - 0.5) + own[subject]
        return _shares(score + draws.normal(size=len(subject)))

    shares = model(strengths[0]), model(strengths[1])
    one_network = np.zeros(len(subject), dtype=np.int64)
    for metric in METRICS:
        yield from _primary(metric, subject, y_true, shares, one_network, draws)
    first, second = (one[:, 1] for one in shares)
    p = clustered_auroc_test(subject, y_true == 1, first, second).p
    yield "Obuchowski AUROC", p <= ALPHA
    right = [predicted(one) == y_true for one in shares]
    yield "McNemar of clusters", clustered_mcnemar(subject, *right).p <= ALPHA
    yield "plain McNemar", mcnemar(*right).p <= ALPHA
    alone = clustered_auroc_test(np.arange(len(subject)), y_true == 1, first, second).p
    yield "DeLong AUROC", alone <= ALPHA


def methods(draws: np.random.Generator, people: int, effect: float) -> Iterator[tuple[str, bool]]:
    """Yield each test by name and whether it rejects, on one cohort with training."""
    subject = np.repeat(np.arange(people), EACH)
    y_true = (subject % 2).astype(np.int64)
    own = draws.normal(size=(people, 2 * MEASURES))
    seen = (
        effect * (y_true[:, None] - 0.5)
        + own[subject]
        + draws.normal(size=(len(subject), 2 * MEASURES))
    )
    sides = seen[:, :MEASURES], seen[:, MEASURES:]
    gaps: list[float] = []
    for repeat in range(REPEATS):
        fold = draws.permutation(np.arange(people) % FOLDS)[subject]
        shares = _out_of_fold(sides[0], y_true, fold), _out_of_fold(sides[1], y_true, fold)
        for one in range(FOLDS):
            rows = fold == one
            first, second = (_accuracy(y_true[rows], p[rows]) for p in shares)
            gaps.append(first - second)
        if repeat == 0:
            for metric in METRICS:
                yield from _primary(metric, subject, y_true, shares, fold, draws)
    num_test, num_train = people / FOLDS, people - people / FOLDS
    for count in (FOLDS, FOLDS * REPEATS):
        yield f"plain t, {count} folds", _t(gaps[:count], 0.0, 1.0)
        yield f"corrected t, {count} folds", _t(gaps[:count], num_test, num_train)


def _primary(
    metric: str,
    subject: NDArray[np.int64],
    y_true: Labels,
    shares: tuple[Numbers, Numbers],
    network: Labels,
    draws: np.random.Generator,
) -> Iterator[tuple[str, bool]]:
    weighted, exchanged = difference_functions(metric, y_true, shares, network)
    value = float(weighted(np.ones((1, len(subject))))[0])
    seed = int(draws.integers(2**31))
    p = exchange_test(subject, value, exchanged, num_exchanges=EXCHANGES, seed=seed).p
    yield f"exchange {metric}", p <= ALPHA
    found = interval_of(subject, value, weighted)
    yield f"interval {metric}", found.low > 0 or found.high < 0
    wide = interval_of(subject, value, weighted, factor=widening(1))
    yield f"PDR006 {metric}", wide.high < 0


def _t(gaps: list[float], num_test: float, num_train: float) -> bool:
    return corrected_t(gaps, num_test, num_train).p <= ALPHA


def _out_of_fold(seen: Numbers, y_true: Labels, fold: Labels) -> Numbers:
    """Return (N, 2) probabilities of linear least squares, trained on the other folds."""
    design = np.column_stack([np.ones(len(seen)), seen])
    score = np.empty(len(seen))
    for one in range(FOLDS):
        training = fold != one
        weights, *_ = np.linalg.lstsq(design[training], y_true[training] - 0.5, rcond=None)
        score[~training] = design[~training] @ weights
    return _shares(score)


def _shares(score: Numbers) -> Numbers:
    ill = 1 / (1 + np.exp(-2 * score))
    return np.column_stack([1 - ill, ill])


def _accuracy(y_true: Labels, shares: Numbers) -> float:
    return float((predicted(shares) == y_true).mean())


def _rejections(
    config: SimulationConfig,
    cohort: Callable[[np.random.Generator], Iterator[tuple[str, bool]]],
) -> dict[str, float]:
    draws = np.random.default_rng(config.seed)
    found: Counter[str] = Counter()
    for _ in range(config.cohorts):
        for test, rejects in cohort(draws):
            found[test] += int(rejects)
    return {test: 100 * count / config.cohorts for test, count in found.items()}


def _print(title: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    tests = list(next(iter(rows.values())))
    lines = [
        [title, *rows],
        *([test, *(f"{row[test]:.1f}" for row in rows.values())] for test in tests),
    ]
    print("\n".join([*aligned(lines), ""]), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
