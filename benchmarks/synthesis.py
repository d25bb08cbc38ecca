"""Times measures of made pictures against another way to compute them, on random numbers.

    python -m benchmarks.synthesis             # a minute on one core
    python -m benchmarks.synthesis quick=true  # only a test run; ignore its numbers

CPU time of one thread counts.
"""

import sys

import numpy as np
from scipy.linalg import sqrtm

from benchmarks.compare import Row, best
from pdray.evaluation.statistics.frechet import frechet_distance

PICTURES, FEATURES, GOAL = 106, 2048, 50.0
SAME = 1e-6  # relative difference, where the matrix square root is exact


def by_roots(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Frechet distance by a square root of the product of both covariances."""
    first, second = (np.cov(x, rowvar=False) for x in (one, other))
    shift = one.mean(axis=0) - other.mean(axis=0)
    root = np.real(sqrtm(first @ second))
    return float(shift @ shift + np.trace(first + second - 2 * root))


def main(argv: list[str]) -> int:
    """Print the comparison; return 1 if the goal is missed or both ways differ."""
    is_quick = argv == ["quick=true"]
    rng = np.random.default_rng(0)
    many = rng.normal(size=(2, 400, 64))  # of full rank, so that the root is exact
    difference = abs(frechet_distance(*many) / by_roots(*many) - 1)
    width = 64 if is_quick else FEATURES
    few = rng.normal(size=(2, PICTURES, width))
    ways = (lambda: frechet_distance(*few), lambda: by_roots(*few))
    ours, rival = best(ways, rounds=1)
    row = Row(f"FID, {PICTURES} x {width}", ours, rival, "scipy.linalg.sqrtm", GOAL)
    print(row.told())
    print(f"full rank, relative difference {difference:.1e} (at most {SAME:.0e})")
    return int(not is_quick and (rival / ours < GOAL or difference > SAME))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
