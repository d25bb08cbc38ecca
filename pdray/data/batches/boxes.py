"""Boxes of facial regions, from the polygons of a track, moved and mirrored with the pictures.

Regions and their order are those of :mod:`pdray.data.face.points`. In a mirrored picture the right
eye looks like a left one. So left and right regions, and their marks, are exchanged.

Letters: B snippet, T frame, P point (vertices of all polygons back to back), R region.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pdray.data.batches.augment import Augmentation, augment_points
from pdray.data.face.points import REGIONS, VERTICES, mirrored
from pdray.data.media.tracks import Track, read_track
from pdray.errors import DecodeError

NUM_POINTS = int(VERTICES.sum())
_OUT = 0.5  # share of the picture's side; points farther out belong to another picture or scale


def _mirrored_regions() -> NDArray[np.int64]:
    others = [mirrored(name) for name in REGIONS]
    places = [
        REGIONS.index(other) if other in REGIONS else number for number, other in enumerate(others)
    ]
    return np.array(places, np.int64)


def _mirrored_points() -> NDArray[np.int64]:
    """Return for each vertex its replacement: one of the mirrored polygon, in the file's order.

    The order within a polygon does not matter for the box around it.
    """
    first = np.cumsum(VERTICES) - VERTICES
    return np.concatenate([first[other] + np.arange(VERTICES[other]) for other in REGION_MIRROR])


REGION_MIRROR = _mirrored_regions()
"""(R,) int64, the region that replaces each region in a mirrored picture."""

POINT_MIRROR = _mirrored_points()
"""(P,) int64, the same for the vertices."""


def region_boxes(
    points: Tensor, augmentation: Augmentation | None, size: tuple[int, int]
) -> Tensor:
    """Return the upright boxes around the regions, on the network's input.

    Args:
        points: (B, T, P, 2) float32 x, y of the vertices in the stored picture, from its corner
            [px]; NaN where absent.
        augmentation: Movement of the pictures; None: none.
        size: (height, width) of the stored picture [px].

    Returns:
        (B, T, R, 4) x0, y0, x1, y1 in pixels of the network's input, mostly within it; NaN if a
        vertex of the polygon is absent.

    Raises:
        ValueError: If the points are not those of the regions, or the augmentation is for another
            number of snippets.
    """
    if points.shape[-2:] != (NUM_POINTS, 2):
        raise ValueError(
            f"polygons of {len(REGIONS)} regions need {NUM_POINTS} vertices, got points of "
            f"{tuple(points.shape)}"
        )
    if augmentation is not None:
        points = augment_points(points, augmentation, size, torch.from_numpy(POINT_MIRROR))
    polygons = torch.split(points, VERTICES.tolist(), dim=-2)
    # Both return NaN if a value is NaN.
    low = torch.stack([polygon.amin(dim=-2) for polygon in polygons], dim=-2)
    high = torch.stack([polygon.amax(dim=-2) for polygon in polygons], dim=-2)
    return torch.cat([low, high], dim=-1)


def mirrored_regions(values: Tensor, augmentation: Augmentation | None) -> Tensor:
    """Exchange the values of left and right regions if the picture is flipped.

    Args:
        values: (B, R), one row per snippet.
        augmentation: One draw per snippet; None: no flip.

    Returns:
        As ``values``.
    """
    if augmentation is None:
        return values
    flipped = torch.tensor(augmentation.flipped, device=values.device)[:, None]
    order = torch.from_numpy(REGION_MIRROR).to(values.device)
    return torch.where(flipped, values[:, order], values)


def check_polygons(track: Path) -> None:
    """Refuse a track with wrong polygons, or with vertices far outside the picture.

    The frame store keeps only the vertices, not where a polygon ends.

    Raises:
        DecodeError: If the file cannot be read, its polygons are not those of the regions, or a
            vertex is outside the picture by more than half of its side; without the path.
    """
    found = read_track(track)
    vertices = found.vertices
    if vertices is None or not np.array_equal(vertices, VERTICES):
        got = "none" if vertices is None else " ".join(map(str, vertices.tolist()))
        raise DecodeError(
            f"its regions have polygons of {got} vertices; use a file of the {len(REGIONS)} facial "
            f"regions, which have {' '.join(map(str, VERTICES.tolist()))}"
        )
    _check_places(found)


def _check_places(track: Track) -> None:
    """Refuse vertices far outside the picture; a face at its edge may reach out a little.

    Raises:
        DecodeError: If there are any; names the first one and the number of rows with one.
    """
    size = np.array(track.size)
    points = track.points.astype(np.float64)
    # Both comparisons are false for absent points (NaN).
    far = (points < -_OUT * size) | (points > (1 + _OUT) * size)
    if not far.any():
        return
    row, point, axis = np.argwhere(far)[0]
    region = int(np.searchsorted(np.cumsum(VERTICES), point, side="right"))
    raise DecodeError(
        f"its regions at {track.seconds[row]:g} s: {'xy'[axis]} {points[row, point, axis]:g} of "
        f"{REGIONS[region]} is outside {-_OUT * size[axis]:g}..{(1 + _OUT) * size[axis]:g} px for "
        f"a picture of {size[axis]:g} px ({int(far.any(axis=(1, 2)).sum())} such rows); use the "
        "regions file of this video"
    )
