import math
import warnings

import numpy as np
import pytest

from pdray.models.estimators.intensity_numbers import (
    LARGEST_LOG,
    STATISTICS,
    intensity_numbers,
    video_statistics,
)

LOGS = np.random.default_rng(0).normal(0, 3, (6, 4, 4))


def eq_4(i: list[float]) -> list[list[float]]:
    """Eq. 4 of Huang et al. 2025, as it is printed: i_1 to i_16, and four groups."""
    found = []
    for j in (1, 2, 3, 4):
        group = [i[4 * (j - 1) + k - 1] for k in (1, 2, 3, 4)]
        hv = i[{1: 1, 2: 6, 3: 11, 4: 16}[j] - 1]
        mean = math.fsum(group) / 4
        std = math.sqrt(math.fsum((one - mean) ** 2 for one in group) / 4)
        found.append(
            [hv, mean, std, (hv - mean) / std, (hv - mean) / mean, max(group) - min(group),
             hv - min(group), hv - max(group)]
        )  # fmt: skip
    return found


@pytest.mark.parametrize("scale", ["log", "exp"])
def test_statistics_are_those_of_the_paper(scale: str) -> None:
    given = np.exp(LOGS) if scale == "exp" else LOGS
    expected = [eq_4(visit.ravel().tolist()) for visit in given]
    np.testing.assert_allclose(intensity_numbers(LOGS, "processed", scale), expected, rtol=1e-12)
    np.testing.assert_array_equal(intensity_numbers(LOGS, "original", scale), given)
    both = intensity_numbers(LOGS, "both", scale)
    np.testing.assert_array_equal(both, np.concatenate([given, video_statistics(given)], axis=2))


def test_z_is_at_most_the_root_of_three() -> None:
    z = video_statistics(np.exp(20 * LOGS))[:, :, STATISTICS.index("z")]
    assert np.abs(z).max() <= math.sqrt(3) + 1e-12
    alone = np.zeros((1, 4, 4)) + np.eye(4)  # one of four differs
    np.testing.assert_allclose(video_statistics(alone)[0, :, 3], math.sqrt(3), rtol=1e-15)


def test_what_cannot_be_computed_is_absent_and_nothing_else() -> None:
    logs = LOGS.copy()
    logs[0, 1] = np.nan  # absent video
    logs[1, 2] = 0.7  # equal intensities: z is 0/0
    logs[2, 3] = [1.0, -1.0, 2.0, -2.0]  # mean 0: pd is x/0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = intensity_numbers(logs, "processed", "log")
    expected = np.zeros(found.shape, np.bool_)
    expected[0, 1] = expected[1, 2, 3] = expected[2, 3, 4] = True
    np.testing.assert_array_equal(np.isnan(found), expected)
    assert found[1, 2].tolist()[:3] == [0.7, 0.7, 0.0]


@pytest.mark.parametrize("num", range(2, 8))
def test_equal_intensities_have_no_z_whatever_their_mean_is_rounded_to(num: int) -> None:
    logs = np.random.default_rng(0).normal(0, 30, (500, 1, 1)) + np.zeros((num, num))
    assert np.isnan(intensity_numbers(logs, "processed", "log")[:, :, STATISTICS.index("z")]).all()


def test_the_largest_intensities_have_finite_statistics() -> None:
    logs = np.full((1000, 4, 4), LARGEST_LOG)
    logs[0] = -LARGEST_LOG
    found = intensity_numbers(logs, "both", "exp")
    squares = np.square(found).sum(axis=0)  # as a standard deviation needs them
    assert np.isfinite(squares).sum() == 4 * 11  # of every number but z


def test_axes_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one phrase for each video, got \(2, 4, 5\)"):
        intensity_numbers(np.zeros((2, 4, 5)), "original", "log")
