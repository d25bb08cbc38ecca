"""Names and order of the 106 landmarks and 14 regions of a face, and positions of the regions.

Order and names are those of the YouTubePD benchmark (Zhou et al. 2023; its labels are CC0):
landmarks sorted by name, regions as in its Table 10. "Left" and "right" are sides of the picture.
Each corner of a region is placed relative to a landmark. The offsets are rounded medians over the
benchmark's clips, in units of the distance between the eyes.
"""

import numpy as np
from numpy.typing import NDArray

CONTOUR = 16  # contour points per side; the chin is between them
_EYE = ("bottom", "center", "left_corner", "lower_left_quarter", "lower_right_quarter", "pupil",
        "right_corner", "top", "upper_left_quarter", "upper_right_quarter")  # fmt: skip
_BROW = ("lower_left_corner", "lower_left_quarter", "lower_middle", "lower_right_quarter",
         "right_corner", "upper_left_corner", "upper_left_quarter", "upper_middle",
         "upper_right_quarter")  # fmt: skip
_LIPS = ("mouth_lower_lip_right_contour1", "mouth_lower_lip_right_contour2",
         "mouth_lower_lip_right_contour3", "mouth_right_corner", "mouth_upper_lip_right_contour1",
         "mouth_upper_lip_right_contour2", "mouth_upper_lip_right_contour3",
         "mouth_upper_lip_right_contour4")  # fmt: skip
_RIGHT = (
    *(f"contour_right{number}" for number in range(1, CONTOUR + 1)),
    *(f"right_eye_{part}" for part in _EYE),
    *(f"right_eyebrow_{part}" for part in _BROW),
    *(f"nose_right_contour{number}" for number in range(1, 6)),
    *_LIPS,
)
_MIDDLE = ("contour_chin", "mouth_lower_lip_bottom", "mouth_lower_lip_top",
           "mouth_upper_lip_bottom", "mouth_upper_lip_top", "nose_bridge1", "nose_bridge2",
           "nose_bridge3", "nose_middle_contour", "nose_tip")  # fmt: skip


def mirrored(name: str) -> str:
    """Return the landmark on the other side: its name with left and right exchanged."""
    return name.replace("left", "*").replace("right", "left").replace("*", "right")


LANDMARKS = tuple(sorted({*_RIGHT, *_MIDDLE, *map(mirrored, _RIGHT)}))
INDEX = {name: number for number, name in enumerate(LANDMARKS)}

# Corners of the regions: a landmark, and the offset to the right and down. Left mirrors right.
Corner = tuple[str, float, float]
_RIGHT_REGIONS: dict[str, tuple[Corner, ...]] = {
    "right nasolabial fold": (
        ("nose_right_contour2", -0.14, -0.04), ("nose_right_contour2", 0.08, -0.05),
        ("mouth_right_corner", 0.28, 0.03), ("mouth_right_corner", 0.055, 0.0),
    ),
    "right lip crease": (
        ("mouth_lower_lip_right_contour2", -0.01, 0.075), ("mouth_lower_lip_bottom", 0.32, 0.36),
        ("mouth_right_corner", 0.31, 0.22), ("mouth_right_corner", 0.015, -0.12),
    ),
    "right outer eye": (
        ("right_eye_right_corner", -0.015, -0.12), ("right_eye_right_corner", -0.07, 0.25),
        ("right_eye_right_corner", 0.32, 0.27), ("right_eye_right_corner", 0.4, -0.04),
    ),
    "right eye": (
        ("right_eye_left_corner", -0.18, 0.15), ("right_eye_right_corner", 0.15, 0.08),
        ("right_eye_right_corner", 0.125, -0.2), ("right_eyebrow_lower_left_corner", 0.04, -0.04),
    ),
    "right eyebrow": (
        ("right_eyebrow_lower_left_corner", -0.025, 0.225),
        ("right_eyebrow_right_corner", -0.03, 0.195), ("right_eyebrow_right_corner", 0.025, -0.2),
        ("right_eyebrow_upper_left_corner", 0.07, -0.185),
    ),
}  # fmt: skip


def _other_side(corners: tuple[Corner, ...]) -> tuple[Corner, ...]:
    return tuple((mirrored(name), -right, down) for name, right, down in corners)


_LEFT_FOLD = _other_side(_RIGHT_REGIONS["right nasolabial fold"])
_REGION_CORNERS: dict[str, tuple[Corner, ...]] = {
    "forehead": (
        ("left_eyebrow_upper_middle", -0.19, -0.15), ("nose_bridge1", -0.81, -0.88),
        ("nose_bridge1", 0.81, -0.88), ("right_eyebrow_upper_middle", 0.19, -0.15),
    ),
    # The only region whose left polygon starts at another corner than its right one.
    "left nasolabial fold": tuple(_LEFT_FOLD[corner] for corner in (1, 0, 3, 2)),
    "right nasolabial fold": _RIGHT_REGIONS["right nasolabial fold"],
    "right lip crease": _RIGHT_REGIONS["right lip crease"],
    "left lip crease": _other_side(_RIGHT_REGIONS["right lip crease"]),
    "left outer eye": _other_side(_RIGHT_REGIONS["right outer eye"]),
    "right outer eye": _RIGHT_REGIONS["right outer eye"],
    "between eyebrows": (
        ("left_eye_right_corner", 0.05, 0.015), ("right_eye_left_corner", -0.05, 0.015),
        ("right_eyebrow_lower_left_corner", 0.075, -0.07),
        ("left_eyebrow_lower_right_corner", -0.075, -0.07),
    ),
    "right above between eyebrows": (
        ("nose_bridge1", 0.0, -0.5), ("right_eyebrow_upper_left_corner", 0.07, -0.265),
        ("right_eyebrow_lower_left_corner", 0.04, -0.035),
        ("left_eyebrow_lower_right_corner", -0.04, -0.035),
        ("left_eyebrow_upper_right_corner", -0.07, -0.265),
    ),
    "right eye": _RIGHT_REGIONS["right eye"],
    "left eye": _other_side(_RIGHT_REGIONS["right eye"]),
    "mouth": (
        ("mouth_lower_lip_bottom", 0.0, 0.22), ("mouth_right_corner", 0.055, 0.18),
        ("mouth_upper_lip_right_contour2", 0.22, -0.065),
        ("mouth_upper_lip_left_contour2", -0.22, -0.065),
        ("mouth_left_corner", -0.055, 0.18),
    ),
    "right eyebrow": _RIGHT_REGIONS["right eyebrow"],
    "left eyebrow": _other_side(_RIGHT_REGIONS["right eyebrow"]),
}  # fmt: skip

REGIONS = tuple(_REGION_CORNERS)
VERTICES = np.array([len(corners) for corners in _REGION_CORNERS.values()], np.int64)
_CORNERS = [corner for corners in _REGION_CORNERS.values() for corner in corners]
_ANCHORS = np.array([INDEX[name] for name, _, _ in _CORNERS])
_OFFSETS = np.array([(right, down) for _, right, down in _CORNERS])


def place_corners(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place the corners of all regions relative to landmarks.

    Args:
        landmarks: (N, 106, 2) x, y of an upright frontal face with a distance of 1 between the
            eyes, in the order of LANDMARKS.

    Returns:
        (N, 58, 2) corners of all polygons concatenated, in the order of REGIONS and VERTICES.
    """
    corners: NDArray[np.float64] = landmarks[:, _ANCHORS] + _OFFSETS
    return corners
