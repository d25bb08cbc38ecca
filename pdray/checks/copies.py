"""Finds copies of a recording: cut, cropped, mirrored, of another size, rate or quality.

Two recordings are compared by the course of their movement or sound at every shift in time
(normalised cross-correlation where they overlap), which does not change with the place, size or
sign of a picture. Different people may tap alike, so a pair that agrees is compared picture by
picture at the same moments, at several sizes and mirrored.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

from pdray.checks.pictures import RATE, SIGNS

Floats = NDArray[np.floating]

_LEAST_OVERLAP = 0.6  # of the shorter recording
_LEAST_SECONDS = 1.0
_CROP = 0.6  # share of a picture that is looked for in the other
_SCALES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4)


class Match(NamedTuple):
    """The best agreement of two courses.

    Attributes:
        likeness: Mean correlation over the numbers of the course, -1..1.
        shift: Samples by which the second course is later.
        is_mirrored: Whether they agree with :data:`~pdray.checks.pictures.SIGNS`.
    """

    likeness: float
    shift: int
    is_mirrored: bool


class Prepared(NamedTuple):
    """Courses in the form in which they are compared.

    Attributes:
        lengths: (N,) samples of each.
        length: Of the transforms.
        transforms: Of the standardised courses, (N, C, F), of their squares, and of where they are,
            (N, 1, F).
    """

    lengths: NDArray[np.int64]
    length: int
    transforms: tuple[NDArray[np.complexfloating], ...]

    def of(self, places: Sequence[int]) -> "Prepared":
        """Return some of the courses."""
        chosen = list(places)
        return Prepared(
            self.lengths[chosen], self.length, tuple(one[chosen] for one in self.transforms)
        )


def prepare(courses: Sequence[Floats], longest: int) -> Prepared:
    """Prepare courses for :func:`matches`.

    Args:
        courses: (C, T) each.
        longest: Of the T of all courses that are compared with each other.
    """
    lengths = np.array([course.shape[1] for course in courses])
    padded = np.stack([np.pad(x, ((0, 0), (0, longest - x.shape[1]))) for x in courses])
    there = (np.arange(longest) < lengths[:, None])[:, None]
    count = lengths[:, None, None]
    centred = np.where(there, padded - padded.sum(axis=2, keepdims=True) / count, 0)
    spread = np.sqrt((centred**2).sum(axis=2, keepdims=True) / count)
    scaled = (centred / np.maximum(spread, 1e-6)).astype(np.float32)
    length = 1 << (2 * longest - 1).bit_length()
    parts = (scaled, scaled**2, there.astype(np.float32))
    return Prepared(lengths, length, tuple(fft.rfft(part, length, axis=2) for part in parts))


def matches(one: Prepared, others: Prepared, *, mirrors: bool) -> list[Match]:
    """Compare a course with others at every shift.

    Args:
        one: A single course.
        others: Courses that were prepared for the same longest one.
        mirrors: Whether signs turn in a mirrored recording.
    """
    (x, xx, there), (y, yy, other) = one.transforms, others.transforms
    correlated = partial(_correlated, length=one.length)
    n = np.maximum(correlated(there, other), 0.5)  # (N, 1, length)
    sx, sxx, sy, syy = (
        correlated(*pair) for pair in ((x, other), (xx, other), (there, y), (there, yy))
    )
    spread = np.maximum(sxx - sx**2 / n, 1e-3 * n) * np.maximum(syy - sy**2 / n, 1e-3 * n)
    found = (correlated(x, y) - sx * sy / n) / np.sqrt(spread)
    least = np.maximum(
        _LEAST_OVERLAP * np.minimum(one.lengths, others.lengths), _LEAST_SECONDS * RATE
    )
    enough = n[:, 0] >= least[:, None] - 0.5
    best = (_best(*each, mirrors=mirrors) for each in zip(found, enough, strict=True))
    half = one.length // 2
    return [
        each._replace(shift=each.shift - one.length if each.shift >= half else each.shift)
        for each in best
    ]


def _best(likeness: Floats, enough: NDArray[np.bool_], *, mirrors: bool) -> Match:
    moves = np.abs(likeness).max(axis=1) > 1e-4  # what never changes says nothing
    if not enough.any() or not moves.any():
        return Match(-1.0, 0, False)
    signs = SIGNS if mirrors else np.ones(len(likeness), np.float32)
    turned = likeness * signs[:, None]
    means = np.stack([likeness[moves].mean(axis=0), turned[moves].mean(axis=0)])
    means[:, ~enough] = -1
    way, shift = np.unravel_index(means.argmax(), means.shape)
    return Match(float(means.max()), int(shift), bool(way))


def _correlated(
    first: NDArray[np.complexfloating], second: NDArray[np.complexfloating], *, length: int
) -> Floats:
    """Return sums of first[t] second[t + shift] at every shift, along the last axis."""
    found: Floats = fft.irfft(first.conj() * second, length, axis=-1)
    return found


def same_pictures(first: Floats, second: Floats, *, is_mirrored: bool = False) -> float:
    """Return how alike pictures of the same moments are, -1..1.

    Args:
        first: (N, H, W) grey pictures.
        second: (N, H', W') grey pictures.
        is_mirrored: Whether one is the mirror of the other.

    Returns:
        The median over the moments of the correlation of the middle of the first picture with the
        place of the second, at the size and place where it is greatest on average.
    """
    turned = second[:, :, ::-1] if is_mirrored else second
    some = slice(None, None, 3)  # moments by which the size is found
    best = max(_SCALES, key=lambda scale: _found(first[some], turned[some], scale))
    return _found(first, turned, best)


def _found(first: Floats, second: Floats, scale: float) -> float:
    height, width = (round(_CROP * length) for length in first.shape[1:])
    top, left = (first.shape[1] - height) // 2, (first.shape[2] - width) // 2
    piece = first[:, top : top + height, left : left + width]
    piece = _resized(piece, round(height * scale), round(width * scale))
    if piece.shape[1] > second.shape[1] or piece.shape[2] > second.shape[2]:
        return -1.0
    windows = sliding_window_view(second, piece.shape[1:], axis=(1, 2))
    size = piece.shape[1] * piece.shape[2]
    piece = piece - piece.mean(axis=(1, 2), keepdims=True)
    product = np.einsum("nabyx,nyx->nab", windows, piece)
    mean = windows.mean(axis=(3, 4))
    spread = np.einsum("nabyx,nabyx->nab", windows, windows) - size * mean**2
    norm = np.sqrt(np.maximum(spread, 1e-3) * np.square(piece).sum(axis=(1, 2))[:, None, None])
    likeness = product / np.maximum(norm, 1e-6)
    place = np.unravel_index(likeness.mean(axis=0).argmax(), likeness.shape[1:])
    return float(np.median(likeness[:, place[0], place[1]]))


def _resized(pictures: Floats, height: int, width: int) -> Floats:
    """Return pictures of another size, on straight lines between pixels."""
    rows, columns = (
        np.linspace(0, length - 1, wanted)
        for length, wanted in zip(pictures.shape[1:], (height, width), strict=True)
    )
    low_row, low_column = rows.astype(int), columns.astype(int)
    down, right = (rows - low_row)[:, None], columns - low_column
    next_row = np.minimum(low_row + 1, pictures.shape[1] - 1)
    next_column = np.minimum(low_column + 1, pictures.shape[2] - 1)
    upper = pictures[:, low_row][:, :, low_column] * (1 - right) + (
        pictures[:, low_row][:, :, next_column] * right
    )
    lower = pictures[:, next_row][:, :, low_column] * (1 - right) + (
        pictures[:, next_row][:, :, next_column] * right
    )
    return np.asarray(upper * (1 - down) + lower * down, np.float32)
