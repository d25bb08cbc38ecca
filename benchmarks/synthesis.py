"""Times measures of made pictures, and steps of translators, against another way to compute them.

    python -m benchmarks.synthesis             # some minutes on one core
    python -m benchmarks.synthesis quick=true  # only a test run; ignore its numbers

Pictures and features are random numbers. CPU time of one thread counts.
"""

import sys

import numpy as np
import torch
from scipy.linalg import sqrtm

from benchmarks.compare import Row, best
from benchmarks.translators import half_rows, patch_rows
from pdray.evaluation.statistics.frechet import frechet_distance

PICTURES, FEATURES, GOAL = 106, 2048, 50.0
SAME = 1e-6  # relative difference, where the matrix square root is exact


def by_roots(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Frechet distance by a square root of the product of both covariances."""
    first, second = (np.cov(x, rowvar=False) for x in (one, other))
    shift = one.mean(axis=0) - other.mean(axis=0)
    root = np.real(sqrtm(first @ second))
    return float(shift @ shift + np.trace(first + second - 2 * root))


def fid_row(*, is_quick: bool) -> Row:
    """Return the cost of FID of a table's pictures, beside the matrix square root."""
    width = 64 if is_quick else FEATURES
    few = np.random.default_rng(0).normal(size=(2, PICTURES, width))
    ways = (lambda: frechet_distance(*few), lambda: by_roots(*few))
    ours, rival = best(ways, rounds=1)
    return Row(f"FID, {PICTURES} x {width}", ours, rival, "scipy.linalg.sqrtm", GOAL)


def main(argv: list[str]) -> int:
    """Print the comparison; return 1 if a goal is missed or two ways differ."""
    is_quick = argv == ["quick=true"]
    torch.set_num_threads(1)
    many = np.random.default_rng(0).normal(size=(2, 400, 64))  # of full rank: the root is exact
    difference = abs(frechet_distance(*many) / by_roots(*many) - 1)
    patches = list(patch_rows(is_quick=is_quick))
    rows = [fid_row(is_quick=is_quick), *(row for row, _ in patches), *half_rows(is_quick=is_quick)]
    for row in rows:
        print(row.told())
    print(f"full rank, relative difference {difference:.1e} (at most {SAME:.0e})")
    is_same = difference <= SAME and all(one for _, one in patches)
    print(f"both ways agree: {'yes' if is_same else 'NO'}")
    is_met = all(row.rival / row.ours >= row.goal for row in rows)
    return int(not is_same or not (is_quick or is_met))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
