"""Boxes of a face's regions, from the polygons of a track, moved and mirrored with the pictures.

Regions and their order are those of :mod:`pdray.data.face.points`. In a mirrored picture the right
eye lies where a left one does and looks like one, so that names change sides with the pixels, as do
marks of the regions.

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
_OUT = 0.5  # of the picture's side: farther out is of another picture or another scale


def _mirrored_regions() -> NDArray[np.int64]:
    others = [mirrored(name) for name in REGIONS]
    places = [
        REGIONS.index(other) if other in REGIONS else number for number, other in enumerate(others)
    ]
    return np.array(places, np.int64)


def _mirrored_points() -> NDArray[np.int64]:
    """Return the vertex that takes each one's place: of the other polygon, in the file's order.

    Which vertex of a polygon is which does not matter to the box around it.
    """
    first = np.cumsum(VERTICES) - VERTICES
    return np.concatenate([first[other] + np.arange(VERTICES[other]) for other in REGION_MIRROR])


REGION_MIRROR = _mirrored_regions()
"""(R,) int64, the region that takes the place of each in a mirrored picture."""

POINT_MIRROR = _mirrored_points()
"""(P,) int64, the same of the vertices."""


def region_boxes(
    points: Tensor, augmentation: Augmentation | None, size: tuple[int, int]
) -> Tensor:
    """Return the upright boxes round the regions, as they lie on what the network sees.

    Args:
        points: (B, T, P, 2) float32 x, y of the vertices in the stored picture, from its corner
            [px]; NaN where absent.
        augmentation: What has been done, or is done, to the pictures; None is nothing.
        size: (height, width) of the stored picture [px].

    Returns:
        (B, T, R, 4) x0, y0, x1, y1 in pixels of what the network sees, mostly within it; NaN where
        a vertex of the polygon is absent: a box round the rest would be another region.

    Raises:
        ValueError: If the points are not those of the regions, or the draws are for another number
            of snippets.
    """
    if points.shape[-2:] != (NUM_POINTS, 2):
        raise ValueError(
            f"polygons of {len(REGIONS)} regions need {NUM_POINTS} vertices, got points of "
            f"{tuple(points.shape)}"
        )
    if augmentation is not None:
        points = augment_points(points, augmentation, size, torch.from_numpy(POINT_MIRROR))
    polygons = torch.split(points, VERTICES.tolist(), dim=-2)
    # Both hand NaN on.
    low = torch.stack([polygon.amin(dim=-2) for polygon in polygons], dim=-2)
    high = torch.stack([polygon.amax(dim=-2) for polygon in polygons], dim=-2)
    return torch.cat([low, high], dim=-1)


def mirrored_regions(values: Tensor, augmentation: Augmentation | None) -> Tensor:
    """Exchange what belongs to left and right regions where the picture is flipped.

    Args:
        values: (B, R) of each snippet.
        augmentation: One draw a snippet; None flips nothing.

    Returns:
        As ``values``.
    """
    if augmentation is None:
        return values
    flipped = torch.tensor(augmentation.flipped, device=values.device)[:, None]
    order = torch.from_numpy(REGION_MIRROR).to(values.device)
    return torch.where(flipped, values[:, order], values)


def check_polygons(track: Path) -> None:
    """Refuse a track whose polygons are not those of the regions, or of another picture.

    An entry of the frame store holds the vertices and not where a polygon ends.

    Raises:
        DecodeError: If the file cannot be read, its polygons are others, or a vertex lies farther
            out of the picture than half of its side; without the path.
    """
    found = read_track(track)
    vertices = found.vertices
    if vertices is None or not np.array_equal(vertices, VERTICES):
        got = "none" if vertices is None else " ".join(map(str, vertices.tolist()))
        raise DecodeError(
            f"its regions have polygons of {got} vertices; the {len(REGIONS)} regions of a face "
            f"have {' '.join(map(str, VERTICES.tolist()))}"
        )
    _check_places(found)


def _check_places(track: Track) -> None:
    """Refuse vertices far outside of the picture; those of a face at its edge reach a little out.

    Raises:
        DecodeError: Names the first one and how many rows there are.
    """
    size = np.array(track.size)
    points = track.points.astype(np.float64)
    # Both comparisons are false of what is absent.
    far = (points < -_OUT * size) | (points > (1 + _OUT) * size)
    if not far.any():
        return
    row, point, axis = np.argwhere(far)[0]
    region = int(np.searchsorted(np.cumsum(VERTICES), point, side="right"))
    raise DecodeError(
        f"its regions at {track.seconds[row]:g} s: {'xy'[axis]} {points[row, point, axis]:g} of "
        f"{REGIONS[region]} is not within {-_OUT * size[axis]:g}..{(1 + _OUT) * size[axis]:g} px "
        f"of a picture of {size[axis]:g} px; so are {int(far.any(axis=(1, 2)).sum())} rows"
    )
