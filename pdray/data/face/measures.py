"""Measures of a face in each frame: pose of the head, opening of eyes and mouth.

The unit of length is the distance between the eyes on the recording's mean face
(:mod:`pdray.data.face.shape`). So a face that moves, rolls or comes nearer keeps its lengths.
Turning to the side (yaw) and nodding (pitch) are measured by shifts of the nose against the contour
of the face; angles would need its depth. A measure is NaN in a frame that lacks one of its points.

The openness of an eye is its aspect ratio (Soukupova and Cech 2016, "Real-time eye blink detection
using facial landmarks", eq. 1), here from three pairs of lid points instead of two.
"""

import numpy as np

from pdray.data.face.shape import GROUPS, Floats, Shapes, numbers_of

SIDES = ("left", "right")
_MEANS_OF_SIDES = ("eye_openness", "gaze_x", "gaze_y", "brow_height", "corner_height")
MEASURES = (
    "roll", "yaw", "pitch", "eye_openness", "gaze_x", "gaze_y", "brow_height", "brow_distance",
    "mouth_opening", "mouth_width", "mouth_height", "corner_height", "jaw_drop",
    *(f"{side}_{name}" for side in SIDES for name in _MEANS_OF_SIDES),
)  # fmt: skip


def face_measures(shapes: Shapes) -> dict[str, Floats]:
    """Measure every frame.

    Args:
        shapes: Frames of a recording.

    Returns:
        (N,) for each of MEASURES, in this order. ``roll`` is in radians, ``eye_openness`` a ratio.
        Heights point upwards: ``brow_height`` from the eye, ``corner_height`` from the middle
        between the lips. ``brow_distance`` is between the inner ends, ``jaw_drop`` from the nose to
        the chin, ``gaze`` from the middle of the eye's corners to the pupil. A name without a side
        is the mean of both sides.
    """
    measures = {"roll": shapes.roll, **_head(shapes.points), **_mouth(shapes.points)}
    for side in SIDES:
        measures |= _one_side(shapes.points, side)
    for name in _MEANS_OF_SIDES:
        measures[name] = (measures[f"left_{name}"] + measures[f"right_{name}"]) / 2
    return {name: measures[name] for name in MEASURES}


def _distance(points: Floats, first: str, second: str) -> Floats:
    one, other = numbers_of(first, second)
    distance: Floats = np.linalg.norm(points[:, one] - points[:, other], axis=1)
    return distance


def _head(points: Floats) -> dict[str, Floats]:
    nose, chin, left, right = numbers_of(
        "nose_tip", "contour_chin", "contour_left2", "contour_right2"
    )
    # The origin is between the eyes: as the head is lowered, the nose comes closer to the chin.
    drop = points[:, chin, 1]
    return {
        "yaw": points[:, nose, 0] - (points[:, left, 0] + points[:, right, 0]) / 2,
        "pitch": points[:, nose, 1] / np.where(drop > 0, drop, np.nan),
        "brow_distance": _distance(
            points, "left_eyebrow_lower_right_corner", "right_eyebrow_lower_left_corner"
        ),
    }


def _mouth(points: Floats) -> dict[str, Floats]:
    return {
        "mouth_opening": _distance(points, "mouth_upper_lip_bottom", "mouth_lower_lip_top"),
        "mouth_width": _distance(points, "mouth_left_corner", "mouth_right_corner"),
        "mouth_height": _distance(points, "mouth_upper_lip_top", "mouth_lower_lip_bottom"),
        "jaw_drop": _distance(points, "contour_chin", "nose_middle_contour"),
    }


def _one_side(points: Floats, side: str) -> dict[str, Floats]:
    eye = f"{side}_eye"
    lids = sum(
        _distance(points, f"{eye}_{upper}", f"{eye}_{lower}")
        for upper, lower in (
            ("top", "bottom"),
            ("upper_left_quarter", "lower_left_quarter"),
            ("upper_right_quarter", "lower_right_quarter"),
        )
    )
    width = _distance(points, f"{eye}_left_corner", f"{eye}_right_corner")
    corners = points[:, numbers_of(f"{eye}_left_corner", f"{eye}_right_corner")].mean(axis=1)
    pupil, corner, upper, lower = numbers_of(
        f"{eye}_pupil", f"mouth_{side}_corner", "mouth_upper_lip_bottom", "mouth_lower_lip_top"
    )
    between_lips = (points[:, upper, 1] + points[:, lower, 1]) / 2
    return {
        f"{side}_eye_openness": lids / 3 / np.where(width > 0, width, np.nan),
        f"{side}_gaze_x": points[:, pupil, 0] - corners[:, 0],
        f"{side}_gaze_y": points[:, pupil, 1] - corners[:, 1],
        f"{side}_brow_height": corners[:, 1] - points[:, GROUPS[f"{side}_eyebrow"], 1].mean(axis=1),
        f"{side}_corner_height": between_lips - points[:, corner, 1],
    }
