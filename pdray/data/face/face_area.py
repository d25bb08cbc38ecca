"""The area of the face in a portrait: inside the outline of its landmarks."""

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull

from pdray.data.face.portraits import align_portraits

_FINE = 1e4  # pixels per pixel: how large the face is in its frame does not matter here


def face_area(points: npt.NDArray[np.floating], size: int) -> npt.NDArray[np.bool_]:
    """Return where the face is in the portraits of frames.

    Args:
        points: (N, 106, 2) landmarks x, y of each frame, in any unit of length; NaN where absent.
        size: Height and width S of a portrait [px].

    Returns:
        (N, S, S) whether the middle of a pixel is inside the convex hull of the known landmarks;
        nowhere in a frame that gives no portrait.
    """
    scaled = points.astype(np.float64) * _FINE
    found = align_portraits(scaled, picture=(np.inf, np.inf), size=size)
    middle = np.arange(size) + 0.5
    places = np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2)
    inside = np.zeros((len(points), size, size), bool)
    for number in np.flatnonzero(found.lack == 0):
        turn, shift = found.matrix[number, :, :2], found.matrix[number, :, 2]
        known = scaled[number][np.isfinite(scaled[number]).all(axis=1)]
        hull = ConvexHull((known - shift) @ np.linalg.inv(turn).T)
        sides = places @ hull.equations[:, :2].T + hull.equations[:, 2]
        inside[number] = (sides <= 0).all(axis=1).reshape(size, size)
    return inside
