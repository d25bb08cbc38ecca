"""Converts MediaPipe's face mesh to the 106 landmarks and 14 regions of ``pdray.data.face.points``.

The mesh has 478 points: 468 of MediaPipe's canonical face model (Apache 2.0) and 5 per iris.
Each landmark is a fixed mixture of a few of them, so that it moves with its part of the skin:

- Corners and middles of eyes, brows, lips and nose are mesh points of the same name.
- A landmark between two points of a mesh line (a quarter of an eye, a third of a lip) divides the
  line as in the benchmark's median face.
- The contour is the mesh's oval from beside the eye to the chin, divided like the benchmark's 17
  points per side.
- A pupil is the centre of its iris; the centre of an eye is the mean of its corners and lids.

The shares are rounded. They were found on the canonical model, with its oval seen from 60 cm and
fitted to the benchmark's median face by the corners of the eyes. The median distances between the
two are, in distances between the eyes: eyes 0.015 (the model has no irises; pupils were put in the
middle), nose 0.017, contour 0.026, mouth 0.053, brows 0.054. This is not a test, since the shares
come from the same face. Results of a Face Landmarker on videos have not been compared with it.
The mesh is symmetric. The table has the side that is on the left of the picture, the person's
right.
"""

import numpy as np
from numpy.typing import NDArray

from pdray.data.face.points import INDEX, LANDMARKS, mirrored, place_corners

NUM_MESH = 478
_NUM_MODEL = 468
_NUM_HALF = 248  # points of the canonical model on the left side and in the middle
# Those in the middle; the mirror images of the others follow in the same order from 248 on.
_MIDDLE_MESH = (0, 1, 2, 4, 5, 6, *range(8, 20), 94, 151, 152, 164, 168, 175, 195, 197, 199, 200)
_IRISES = (468, 473)  # centres

Floats = NDArray[np.float64]
_Place = int | tuple[int, int, float] | tuple[int, ...]

# One point; or two and the share of the way between them; or several, whose mean is taken.
_LEFT: dict[str, _Place] = {
    "contour_left1": (162, 127, 0.31), "contour_left2": (162, 127, 0.93),
    "contour_left3": (127, 234, 0.57), "contour_left4": (234, 93, 0.21),
    "contour_left5": (234, 93, 0.84), "contour_left6": (93, 132, 0.43),
    "contour_left7": (132, 58, 0.04), "contour_left8": (132, 58, 0.6),
    "contour_left9": (58, 172, 0.17), "contour_left10": (58, 172, 0.8),
    "contour_left11": (172, 136, 0.53), "contour_left12": (136, 150, 0.32),
    "contour_left13": (150, 149, 0.11), "contour_left14": (149, 176, 0.13),
    "contour_left15": (176, 148, 0.19), "contour_left16": (148, 152, 0.12),
    "left_eye_left_corner": 33, "left_eye_right_corner": 133,
    "left_eye_top": 159, "left_eye_bottom": 145,
    "left_eye_upper_left_quarter": (161, 160, 0.6), "left_eye_upper_right_quarter": (158, 157, 0.5),
    "left_eye_lower_left_quarter": (163, 144, 0.5), "left_eye_lower_right_quarter": (153, 154, 0.5),
    "left_eye_center": (33, 133, 159, 145), "left_eye_pupil": 468,
    "left_eyebrow_left_corner": (70, 46, 0.5), "left_eyebrow_lower_left_quarter": 53,
    "left_eyebrow_lower_middle": 52, "left_eyebrow_lower_right_quarter": 65,
    "left_eyebrow_lower_right_corner": 55, "left_eyebrow_upper_left_quarter": 63,
    "left_eyebrow_upper_middle": 105, "left_eyebrow_upper_right_quarter": 66,
    "left_eyebrow_upper_right_corner": 107,
    "nose_left_contour1": 245, "nose_left_contour2": 209, "nose_left_contour3": 129,
    "nose_left_contour4": 98, "nose_left_contour5": 97,
    "mouth_left_corner": 61, "mouth_upper_lip_left_contour1": 37,
    "mouth_upper_lip_left_contour2": (39, 40, 0.55), "mouth_upper_lip_left_contour3": 78,
    "mouth_upper_lip_left_contour4": (81, 80, 0.65),
    "mouth_lower_lip_left_contour1": (178, 88, 0.5),
    "mouth_lower_lip_left_contour2": (91, 146, 0.35),
    "mouth_lower_lip_left_contour3": (181, 84, 0.3),
}  # fmt: skip
_MIDDLE: dict[str, _Place] = {
    "contour_chin": 152, "nose_bridge1": 168, "nose_bridge2": 197, "nose_bridge3": 5,
    "nose_tip": (4, 1, 0.5), "nose_middle_contour": 2,
    "mouth_upper_lip_top": 0, "mouth_upper_lip_bottom": 13,
    "mouth_lower_lip_top": 14, "mouth_lower_lip_bottom": 17,
}  # fmt: skip


def mirrored_vertex(number: int) -> int:
    """Return the mesh point on the other side of the face; a point in the middle is its own.

    Args:
        number: Number of a point on the left side or in the middle, or of the left iris' centre.

    Raises:
        ValueError: If it is another point.
    """
    if number == _IRISES[0]:
        return _IRISES[1]
    if not 0 <= number < _NUM_HALF:
        raise ValueError(f"mesh point {number} is not in the left half")
    if number in _MIDDLE_MESH:
        return number
    before = len([other for other in _MIDDLE_MESH if other < number])
    return _NUM_HALF + number - before


def _mixture(place: _Place) -> dict[int, float]:
    """Return the share of each mesh point."""
    if isinstance(place, int):
        return {place: 1.0}
    *points, last = place
    if isinstance(last, float):
        first, second = points
        return {int(first): 1.0 - last, int(second): last}
    return {int(point): 1.0 / len(place) for point in place}


def _mixtures() -> Floats:
    shares = np.zeros((len(LANDMARKS), NUM_MESH))
    for name, place in {**_LEFT, **_MIDDLE}.items():
        for point, share in _mixture(place).items():
            shares[INDEX[name], point] += share
            if name in _LEFT:
                shares[INDEX[mirrored(name)], mirrored_vertex(point)] += share
    return shares


MIXTURES = _mixtures()
"""(106, 478) share of each mesh point in each landmark; a row sums to 1."""


def to_landmarks(mesh: Floats) -> Floats:
    """Return the 106 landmarks of faces.

    Args:
        mesh: (N, 478, 2) x, y, both in the same unit, such as px; NaN where there is no face.

    Returns:
        (N, 106, 2) in the same unit, in the order of LANDMARKS.

    Raises:
        ValueError: If the mesh has another shape, such as 468 points without irises.
    """
    if mesh.ndim != 3 or mesh.shape[1:] != (NUM_MESH, 2):
        hint = " without irises" if mesh.shape[1:2] == (_NUM_MODEL,) else ""
        raise ValueError(f"a mesh must be (N, {NUM_MESH}, 2), got {mesh.shape}{hint}")
    landmarks: Floats = np.einsum("pm,nmc->npc", MIXTURES, mesh)
    return landmarks


def to_regions(landmarks: Floats) -> Floats:
    """Return the corners of the 14 regions, with the rotation and size of the face.

    Args:
        landmarks: (N, 106, 2) x right, y down [px]; NaN where there is no face.

    Returns:
        (N, 58, 2) [px], polygons concatenated; NaN if a corner of an eye is NaN, or if both eyes
        are in one place.
    """
    eyes = [
        landmarks[:, [INDEX[f"{side}_eye_left_corner"], INDEX[f"{side}_eye_right_corner"]]]
        for side in ("left", "right")
    ]
    left, right = (_complex(corners).mean(axis=1) for corners in eyes)
    middle, line = (left + right) / 2, right - left
    line = np.where(np.abs(line) > 0, line, np.nan)
    with np.errstate(invalid="ignore"):  # complex NaN (absent) would warn
        upright = (_complex(landmarks) - middle[:, None]) / line[:, None]
        corners = _complex(place_corners(_real(upright)))
        return _real(corners * line[:, None] + middle[:, None])


def _complex(points: Floats) -> NDArray[np.complex128]:
    z: NDArray[np.complex128] = points[..., 0] + 1j * points[..., 1]
    return z


def _real(z: NDArray[np.complex128]) -> Floats:
    absent = np.isnan(z)
    points = np.stack([z.real, z.imag], axis=-1)
    points[absent] = np.nan  # both coordinates
    return points
