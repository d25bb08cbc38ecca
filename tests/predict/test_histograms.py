import numpy as np
import pytest

from pdray.predict.histograms import match_histograms


def plainly(picture: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return one colour, matched pixel by pixel by sorting alone, before rounding (float64)."""
    values = sorted(set(reference.ravel().tolist()))
    shares = [float((reference <= one).mean()) for one in values]
    found = np.empty(picture.shape)
    for place in np.ndindex(picture.shape):
        share = float((picture <= picture[place]).mean())
        above = next(n for n, one in enumerate(shares) if one >= share - 1e-12)
        if above == 0:
            found[place] = values[0]
            continue
        low, high = shares[above - 1], shares[above]
        part = (share - low) / (high - low)
        found[place] = values[above - 1] + part * (values[above] - values[above - 1])
    return found


def test_each_colour_is_that_of_a_slow_reference() -> None:
    draw = np.random.default_rng(4)
    pictures = draw.normal(90, 30, (2, 9, 8, 3)).clip(0, 255).astype(np.uint8)
    references = draw.normal(150, 12, (2, 9, 8, 3)).clip(0, 255).astype(np.uint8)
    found = match_histograms(pictures, references)
    for n in range(2):
        for colour in range(3):
            right = plainly(pictures[n, ..., colour], references[n, ..., colour])
            assert np.abs(found[n, ..., colour] - right).max() <= 0.5 + 1e-9


def test_a_picture_takes_the_colours_of_another_and_keeps_its_own_order() -> None:
    draw = np.random.default_rng(5)
    source = draw.integers(60, 200, (1, 32, 32, 3), np.uint8)
    darker = (source // 2 + 10).astype(np.uint8)
    found = match_histograms(darker, source)
    assert np.abs(found.astype(int) - source).max() <= 1  # two codes of it share one when darker
    np.testing.assert_array_equal(match_histograms(source, source), source)
    flat = np.full_like(source, 7)
    assert len(np.unique(match_histograms(flat, source)[..., 0])) == 1


@pytest.mark.parametrize("colour", [0, 1, 2])
def test_colours_are_matched_apart(colour: int) -> None:
    draw = np.random.default_rng(6)
    picture, reference = draw.integers(0, 256, (2, 1, 16, 16, 3), np.uint8)
    other = reference.copy()
    other[..., colour] = 255 - other[..., colour]
    changed = match_histograms(picture, reference) != match_histograms(picture, other)
    assert {*np.nonzero(changed)[3].tolist()} == {colour}
