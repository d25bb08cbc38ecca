"""Anti-aliased polygons, lines and soft spots on several frames at once, float32.

Coordinates are x, y in pixels from the picture's corner, so that the centre of pixel (0, 0) is at
0.5. Distances are signed, negative inside, and a cover goes from 0 to 1 across one pixel.
Everything works in a window, the part of the picture that a shape can reach in any frame.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from pdray.demo.illness.movement import Floats

MARGIN = 1.5  # px round a shape, for its edge and for the rounding of the window


@dataclass(frozen=True)
class Window:
    """A part of N pictures.

    Attributes:
        rows: Of the picture.
        columns: Of the picture.
        x: (1, 1, w) float32 centres of the columns [px].
        y: (1, h, 1) float32 centres of the rows [px].
    """

    rows: slice
    columns: slice
    x: Floats
    y: Floats


def window(points: Floats, size: int, reach: float = 0.0) -> Window:
    """Return the part of a square picture that shapes can touch.

    Args:
        points: (N, V, 2) of all frames [px].
        size: Height and width of the picture [px].
        reach: How far a shape goes beyond its points [px].

    Returns:
        The window; of zero size where nothing is inside the picture.
    """
    margin = reach + MARGIN
    low = (points.min(axis=(0, 1)) - margin).clip(0, size).astype(int)
    high = np.maximum((points.max(axis=(0, 1)) + margin + 1).clip(0, size).astype(int), low)
    x = np.arange(low[0], high[0], dtype=np.float32) + np.float32(0.5)
    y = np.arange(low[1], high[1], dtype=np.float32) + np.float32(0.5)
    rows, columns = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
    return Window(rows, columns, x[None, None, :], y[None, :, None])


def polygon_distance(corners: Floats, place: Window) -> Floats:
    """Return the signed distance to the edge of a polygon, which may be bent but not crossed.

    Args:
        corners: (N, V, 2) in order, either way round [px].
        place: The window of h rows and w columns.

    Returns:
        (N, h, w) float32 [px], below 0 inside.
    """
    shape = (len(corners), place.y.size, place.x.size)
    squared = np.full(shape, 1e6, np.float32)
    inside = np.zeros(shape, bool)
    closed = np.concatenate([corners, corners[:, :1]], axis=1).transpose(1, 2, 0)
    for start, end in pairwise(closed[..., None, None]):
        (ax, ay), (bx, by) = start, end
        np.minimum(squared, _segment(start, end, place), out=squared)
        # A ray to the right crosses this edge in some rows, to the right of one x.
        spans = (ay <= place.y) != (by <= place.y)
        crossing = ax + (place.y - ay) * (bx - ax) / np.where(spans, by - ay, 1)
        inside ^= place.x < np.where(spans, crossing, -np.inf)
    distance = np.sqrt(squared)
    return np.where(inside, -distance, distance)


def line_distance(points: Floats, place: Window) -> Floats:
    """Return (N, h, w) float32 the distance to an open line through (N, V, 2) points [px]."""
    squared = np.full((len(points), place.y.size, place.x.size), 1e6, np.float32)
    for start, end in pairwise(points.transpose(1, 2, 0)[..., None, None]):
        np.minimum(squared, _segment(start, end, place), out=squared)
    return np.sqrt(squared)


def _segment(start: Floats, end: Floats, place: Window) -> Floats:
    """Return (N, h, w) the squared distance to a segment with (2, N, 1, 1) ends."""
    (ax, ay), (bx, by) = start, end
    ux, uy = bx - ax, by - ay
    px, py = place.x - ax, place.y - ay
    per_length = 1 / (ux * ux + uy * uy + np.float32(1e-9))
    along = (px * (ux * per_length) + py * (uy * per_length)).clip(0, 1)
    gap_x, gap_y = px - along * ux, py - along * uy
    return np.asarray(gap_x * gap_x + gap_y * gap_y)


def blend(picture: Floats, place: Window, cover: Floats, colour: Floats) -> None:
    """Paint onto (3, N, H, W) in place: where the cover is 1 the colour is all that is left.

    Args:
        picture: (3, N, H, W) float32.
        place: The window of h rows and w columns.
        cover: (N, h, w) float32, 0 to 1.
        colour: (3,) float32.
    """
    for channel in range(3):
        part = picture[channel, :, place.rows, place.columns]
        part += cover * (colour[channel] - part)


def paint_polygon(picture: Floats, corners: Floats, colour: Floats) -> None:
    """Paint a polygon of (N, V, 2) corners onto (3, N, H, W) in place."""
    place = window(corners, picture.shape[-1])
    blend(picture, place, (0.5 - polygon_distance(corners, place)).clip(0, 1), colour)


def paint_line(
    picture: Floats,
    points: Floats,
    colour: Floats,
    width: float,
    *,
    strength: Floats | float = 1.0,
    softness: float = 1.0,
) -> None:
    """Paint an open line onto (3, N, H, W) in place.

    Args:
        picture: (3, N, H, W) float32.
        points: (N, V, 2) [px].
        colour: (3,) float32.
        width: Half the line's width [px].
        strength: 0 nothing to 1 opaque; (N, 1, 1) where it differs between frames.
        softness: Across how much the edge fades, at least 1 [px].
    """
    # A line thinner than its fading edges is drawn as wide as they are, and as much weaker.
    radius = max(width, 0.5 * softness)
    place = window(points, picture.shape[-1], radius + 0.5 * softness)
    distance = line_distance(points, place) - np.float32(radius)
    cover = (0.5 - distance * np.float32(1 / softness)).clip(0, 1)
    blend(picture, place, cover * np.asarray(strength * width / radius, np.float32), colour)


def paint_spot(
    picture: Floats,
    centre: Floats,
    radii: tuple[float, float],
    colour: Floats,
    strength: Floats | float,
) -> None:
    """Paint a spot that fades from its (N, 2) centre to nothing at an upright ellipse's edge.

    Args:
        picture: (3, N, H, W) float32, in place.
        centre: (N, 2) [px].
        radii: Across and down [px].
        colour: (3,) float32.
        strength: In the centre, 0 nothing to 1 opaque; (N, 1, 1) where it differs between frames.
    """
    place = window(centre[:, None], picture.shape[-1], max(radii))
    x = (place.x - centre[:, 0, None, None]) * np.float32(1 / radii[0])
    y = (place.y - centre[:, 1, None, None]) * np.float32(1 / radii[1])
    fade = (1 - x * x - y * y).clip(0)
    blend(picture, place, np.asarray(strength, np.float32) * fade * fade, colour)


def smooth(points: Floats, steps: int) -> Floats:
    """Lay an open curve through points (Catmull and Rom 1974), with the points still on it.

    Args:
        points: (N, V, 2) in order, V at least 3.
        steps: Pieces of each span, at least 1.

    Returns:
        (N, (V - 1) * steps + 1, 2) float32.
    """
    return np.asarray(_weights(points.shape[1], steps) @ points)


@cache
def _weights(num_points: int, steps: int) -> Floats:
    """Return what each point adds to each place of the curve."""
    # Beyond both ends the curve goes on straight: point -1 is 2 p0 - p1.
    beyond = np.zeros((num_points + 2, num_points))
    beyond[1:-1] = np.eye(num_points)
    beyond[0, :2] = beyond[-1, :-3:-1] = 2, -1
    rows = []
    for span in range(num_points - 1):
        for t in np.arange(steps) / steps:
            basis = np.array([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3,
                              t + 4 * t**2 - 3 * t**3, t**3 - t**2]) / 2  # fmt: skip
            rows.append(basis @ beyond[span : span + 4])
    return np.array([*rows, beyond[-2]], np.float32)
