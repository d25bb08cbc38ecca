"""Numbers of pictures that no grade enters: what stands still in them, and the course of movement.

Pictures are brought to 32 px on the shorter side. The *still picture* is the median over time. Of
it, only pixels that hardly change and those at the edges are described, since what a limb does
tells the grade and is no technical fact.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Doubles = NDArray[np.float64]

RATE = 50.0  # samples per second of every course [1/s]
SIGNS = np.array([1, -1, 1, 1], np.float32)  # of the courses of a mirrored recording
_SIDE = 32  # shorter side of a small picture [px]
_LOOK = 8  # squares across the picture of a look
_SHOWN = 48  # frames of the median
_EDGE = 5  # pixels at each edge of 32
_NOISE = 3.0  # a change below so many grey levels is noise


def shrink(frames: NDArray[np.uint8], *, side: int = _SIDE) -> Floats:
    """Return (N, H, W, C) frames with ``side`` px on the shorter side, as means of their pixels."""
    height, width = frames.shape[1:3]
    factor = max(1.0, min(height, width) / side)
    down, across = (_means(length, factor) for length in (height, width))
    rows = np.tensordot(frames.astype(np.float32), down, (1, 1))  # (N, W, C, H')
    return np.tensordot(rows, across, (1, 1)).transpose(0, 2, 3, 1)  # (N, C, H', W')


def _means(length: int, factor: float) -> Floats:
    """Return the (small, length) matrix of means of neighbouring pixels."""
    starts = np.unique((np.arange(round(length / factor)) * factor).astype(int))
    of = np.searchsorted(starts, np.arange(length), side="right") - 1
    found = (np.arange(len(starts))[:, None] == of).astype(np.float32)
    means: Floats = found / found.sum(axis=1, keepdims=True)
    return means


def small_frames(chunks: Iterable[NDArray[np.uint8]]) -> Floats:
    """Return small pictures of a recording that comes in (N, H, W, 3) uint8 chunks."""
    return np.concatenate([shrink(chunk) for chunk in chunks])


def grey(frames: Floats) -> Floats:
    """Return (N, H, W) luminance (BT.601) of (N, H, W, 3) pictures."""
    return np.asarray(frames @ np.array([0.299, 0.587, 0.114], np.float32))


def still_numbers(frames: Floats) -> dict[str, Floats]:
    """Describe what stands still.

    Args:
        frames: (N, H, W, 3) small pictures, 0 to 255.

    Returns:
        ``background``: (6,) red, green, blue, spread, and slope to the right and down of the pixels
        that change least; ``edges``: (E,) fine detail of the still picture at its edges, as
        text and logos have; ``look``: (84,) colours of the 28 outer ones of 8 x 8 squares of
        the still picture.
    """
    chosen = frames[np.linspace(0, len(frames) - 1, min(len(frames), _SHOWN)).round().astype(int)]
    middle = np.median(chosen, axis=0)
    low, high = np.percentile(grey(chosen), [10, 90], axis=0)
    change = high - low
    still = change <= np.median(change)
    light = grey(middle[None])[0]
    y, x = np.mgrid[-1 : 1 : light.shape[0] * 1j, -1 : 1 : light.shape[1] * 1j]
    slopes = [np.polyfit(axis[still], light[still], 1)[0] for axis in (x, y)]
    background = [*middle[still].mean(axis=0), light[still].std(), *slopes]
    squares = _fit_square(middle, side=2 * _LOOK).reshape(_LOOK, 2, _LOOK, 2, 3).mean(axis=(1, 3))
    outer = np.ones((_LOOK, _LOOK), bool)
    outer[1:-1, 1:-1] = False
    return {
        "background": np.array(background, np.float32),
        "edges": _edge_detail(light),
        "look": squares[outer].ravel().astype(np.float32),
    }


def _edge_detail(light: Floats) -> Floats:
    """Return the difference of the pixels at the edges from the mean of their neighbours."""
    padded = np.pad(light, 1, mode="edge")
    around = sum(
        padded[1 + dy : 1 + dy + light.shape[0], 1 + dx : 1 + dx + light.shape[1]]
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    )
    detail = light - np.asarray(around) / 9
    square = _fit_square(detail)
    edge = np.ones(square.shape, bool)
    edge[_EDGE:-_EDGE, _EDGE:-_EDGE] = False
    return np.asarray(square[edge], np.float32)


def _fit_square(picture: Floats, *, side: int = _SIDE) -> Floats:
    """Return a square of pixels of a picture of any shape, the nearest of each place."""
    rows, columns = (
        np.linspace(0, length - 1, side).round().astype(int) for length in picture.shape[:2]
    )
    found: Floats = picture[rows][:, columns]
    return found


def movement_course(frames: Floats, seconds: Doubles) -> Floats:
    """Return how movement goes on: how much differs from the still picture, where, how far spread.

    Args:
        frames: (N, H, W, 3) small pictures.
        seconds: (N,) their times [s].

    Returns:
        (4, T) at :data:`RATE`: amount, place to the right, place down, spread. A crop or another
        size of the same recording only shifts and scales each of them; a mirror turns the sign of
        the second (:data:`SIGNS`).
    """
    light = grey(frames)
    change = np.abs(light - np.median(light[:: max(1, len(light) // _SHOWN)], axis=0))
    change = np.maximum(change - _NOISE, 0)
    total = change.sum(axis=(1, 2)) + 1e-3
    y, x = np.mgrid[-1 : 1 : change.shape[1] * 1j, -1 : 1 : change.shape[2] * 1j]
    right, down = ((change * axis).sum(axis=(1, 2)) / total for axis in (x, y))
    square = (change * (x**2 + y**2)).sum(axis=(1, 2)) / total
    spread = np.sqrt(np.maximum(square - right**2 - down**2, 0))
    return at_rate(np.stack([total, right, down, spread]), seconds)


def at_rate(values: NDArray[np.floating], seconds: Doubles) -> Floats:
    """Return (C, T) values at :data:`RATE`, on straight lines between (C, N) at times (N,)."""
    wanted = np.arange(seconds[0], seconds[-1] + 1e-9, 1 / RATE)
    return np.stack([np.interp(wanted, seconds, one) for one in values]).astype(np.float32)
