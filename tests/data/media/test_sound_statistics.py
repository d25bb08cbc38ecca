import math

import numpy as np
import pytest

from pdray.data.media.sound_statistics import sound_statistics
from pdray.errors import DecodeError


def slow(column: list[float]) -> tuple[float, float, float]:
    """Mean, population standard deviation and mean absolute change, as a schoolbook has them."""
    mean = math.fsum(column) / len(column)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in column) / len(column))
    steps = [abs(column[i + 1] - column[i]) for i in range(len(column) - 1)]
    return mean, spread, math.fsum(steps) / len(steps)


def test_the_numbers_are_those_of_the_schoolbook_under_their_names() -> None:
    items = np.random.default_rng(0).normal(-5, 3, (37, 4)).astype(np.float32)
    names, values = sound_statistics(items)
    assert values.dtype == np.float64
    told = dict(zip(names, values, strict=True))
    assert len(told) == 12
    for number in range(4):
        expected = slow([float(value) for value in items[:, number]])
        found = [told[f"{name}.{number}"] for name in ("mean", "spread", "change")]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_twice_the_same_sound_has_the_same_mean_and_spread() -> None:
    items = np.random.default_rng(1).normal(size=(50, 3))
    once, twice = (sound_statistics(np.tile(items, (n, 1))).values for n in (1, 2))
    np.testing.assert_allclose(once[:6], twice[:6], atol=1e-12)


def test_a_constant_sound_neither_varies_nor_changes() -> None:
    values = sound_statistics(np.full((5, 2), -23.0, np.float32)).values
    np.testing.assert_array_equal(values, [-23, -23, 0, 0, 0, 0])


def test_a_single_window_and_a_number_that_is_not_finite_are_refused() -> None:
    with pytest.raises(DecodeError, match=r"has 1 window of sound; .* needs 2"):
        sound_statistics(np.zeros((1, 4), np.float32))
    with pytest.raises(DecodeError, match="spectra that are not finite"):
        sound_statistics(np.array([[0.0], [np.nan]]))
