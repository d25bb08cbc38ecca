import numpy as np
import pytest

from pdray.data.media.lettering import LETTER_WIDTH, lettered


def lit(picture: np.ndarray, axis: int) -> int:
    """Return the extent of what is not black."""
    found = np.flatnonzero((picture > 64).any(axis=(1 - axis, 2)))
    return int(found[-1] - found[0] + 1)


@pytest.mark.parametrize("size", [10.0, 14.5, 40.0])
def test_letters_have_the_width_that_lines_are_counted_by(size: float) -> None:
    one, many = (lettered("M" * n, height=64, width=640, size=size) for n in (1, 20))
    assert one.shape == (64, 640, 3)
    assert one.dtype == np.uint8
    assert (lit(many, 1) - lit(one, 1)) / 19 == pytest.approx(size * LETTER_WIDTH, abs=0.5)
    assert lit(many, 0) < size


def test_signs_of_formulas_and_lines_are_drawn_as_they_are() -> None:
    plain = lettered("a$b$\nSYNTHETIC", height=48, width=96, size=10)
    assert lit(plain, 0) > 15
    assert not np.array_equal(plain, lettered("a b \nSYNTHETIC", height=48, width=96, size=10))
