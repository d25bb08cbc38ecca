"""The form of a SYNTHETIC face, and where its landmarks and regions lie: known exactly.

Face coordinates: the origin is midway between the eyes, x towards the picture's right, y down, and
one unit is the distance between the eyes. The proportions lie round rounded medians of the
YouTubePD benchmark's landmarks (Zhou et al. 2023; CC0), so that a model reads both alike. One
difference: there ``*_eye_pupil`` repeats ``*_eye_center``; here it is the middle of the iris.
"""

from dataclasses import dataclass

import numpy as np

from pdray.data.face.points import CONTOUR, LANDMARKS, mirrored, place_corners
from pdray.demo.face.movement import Expression
from pdray.demo.illness.movement import Doubles, Floats

Points = dict[str, Doubles]  # name of a landmark -> (N, 2)

MIDDLE_Y = 0.35  # of the head, about which it turns
IRIS = 0.105  # radius
CHIN_DROP = 0.8  # of the gap between the lips
LID_LIFT = 0.45  # share of the lower lid's half that a full lift of the cheeks covers
FROWN_IN, FROWN_DOWN = 0.075, 0.09  # way of a brow's inner end in a full frown
LIP_PRESS = 0.4  # share of the lips' thickness that a full frown takes
# How much nearer to the camera than the head's own curve.
_RELIEF = {"nose_bridge1": 0.06, "nose_bridge2": 0.13, "nose_bridge3": 0.22, "nose_tip": 0.3,
           "nose_middle_contour": 0.16, "nose_right_contour2": 0.1, "nose_right_contour3": 0.1,
           "nose_right_contour4": 0.12, "nose_right_contour5": 0.14}  # fmt: skip
_DEPTH = np.array([_RELIEF.get(name, _RELIEF.get(mirrored(name), 0.0)) for name in LANDMARKS])
# About even steps along an ellipse as long and as wide as a face, from the temple to the chin.
_ALL_ANGLES = np.linspace(-0.27, np.pi / 2, 1000)
_PASSED = np.cumsum(np.hypot(1.17 * np.sin(_ALL_ANGLES), 1.62 * np.cos(_ALL_ANGLES)))
_ANGLES = np.interp(np.linspace(_PASSED[0], _PASSED[-1], CONTOUR + 1), _PASSED, _ALL_ANGLES)
# Least and most of what differs between people, in the order in which it is drawn.
_ENDS = {
    "width": (1.08, 1.26), "top": (1.62, 1.85), "below_mouth": (0.66, 0.84), "jaw": (-0.15, 0.35),
    "eye_width": (0.19, 0.225), "eye_height": (0.135, 0.19), "eye_tilt": (-0.035, 0.03),
    "brow_height": (0.21, 0.29), "brow_thick": (0.08, 0.15), "brow_arch": (0.02, 0.08),
    "nose_width": (0.27, 0.37), "mouth_width": (0.36, 0.46), "upper_lip": (0.07, 0.12),
    "lower_lip": (0.12, 0.18),
}  # fmt: skip
_IS_CONTOUR = np.array([name.startswith("contour") for name in LANDMARKS])


@dataclass(frozen=True)
class Shape:
    """The form of a person's face [distances between the eyes]; independent of the grade.

    Attributes:
        width: Half the width of the head.
        top: From the middle of the head to the top of the skull.
        chin: From the eyes to the chin, mouth closed.
        jaw: Squareness of the jaw, around 0.1.
        eye_width: Half the width of an eye.
        eye_height: Usual opening of an eye.
        eye_tilt: How much lower the outer corner lies than the inner.
        brow_height: From the eye's middle to the brow's lower edge.
        brow_thick: In its middle.
        brow_arch: How much the brow's ends hang.
        nose_length: From the eyes to the nose's lower end.
        nose_width: Half of it.
        mouth_y: From the eyes to the closed lips.
        mouth_width: Half of it.
        upper_lip: Thickness.
        lower_lip: Thickness.
    """

    width: float
    top: float
    chin: float
    jaw: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    brow_height: float
    brow_thick: float
    brow_arch: float
    nose_length: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    upper_lip: float
    lower_lip: float


@dataclass(frozen=True)
class Placement:
    """Where the head is in each frame.

    Attributes:
        unit_px: Length of one unit [px].
        pivot: (N, 2) where the middle of the head lies, from the picture's corner [px].
        turn: (N, 3) yaw, pitch and roll [rad].
    """

    unit_px: float
    pivot: Doubles
    turn: Doubles

    def on_plane(self, points: Doubles) -> Floats:
        """Place (N, P, 2) points of the head's outline: (N, P, 2) float32 [px]."""
        x, y = points[..., 0], points[..., 1] - MIDDLE_Y
        cos, sin = np.cos(self.turn[:, 2, None]), np.sin(self.turn[:, 2, None])
        turned = np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
        return np.asarray(turned * self.unit_px + self.pivot[:, None], np.float32)

    def on_surface(self, points: Doubles, relief: Doubles | float = 0.0) -> Floats:
        """Place (N, P, 2) points of the face, which turn with it: (N, P, 2) float32 [px].

        Args:
            points: In face coordinates, seen from the front.
            relief: (P,) nearer to the camera than the head's own curve [units].
        """
        x, y = points[..., 0], points[..., 1] - MIDDLE_Y
        inside = (1 - (x / 1.3) ** 2 - (y / 2.1) ** 2).clip(0.02)
        depth = 0.85 * np.sqrt(inside) + relief
        yaw, pitch = self.turn[:, 0, None], self.turn[:, 1, None]
        seen_x = x * np.cos(yaw) + depth * np.sin(yaw)
        seen_y = y * np.cos(pitch) + depth * np.sin(pitch) + MIDDLE_Y
        return self.on_plane(np.stack([seen_x, seen_y], axis=-1))


def draw_shape(rng: np.random.Generator) -> Shape:
    """Draw the form of a person's face."""
    nose_length = rng.uniform(0.68, 0.84)
    mouth_y = nose_length + rng.uniform(0.31, 0.42)
    drawn = {name: rng.uniform(*ends) for name, ends in _ENDS.items()}
    return Shape(
        chin=mouth_y + drawn.pop("below_mouth"),
        nose_length=nose_length,
        mouth_y=mouth_y,
        **drawn,
    )


def place_points(
    shape: Shape, expression: Expression, placement: Placement
) -> tuple[Floats, Floats]:
    """Place every point of a recording.

    Args:
        shape: The person's.
        expression: Of N frames.
        placement: Of the same frames.

    Returns:
        Landmarks (N, 106, 2) and corners of the regions (N, 58, 2): float32 x, y from the
        picture's corner [px], in the orders of ``face_points``.
    """
    half = {
        **_contour(shape, chin_of(shape, expression)),
        **_eye(shape, expression),
        **_brow(shape, expression),
        **_nose(shape, len(expression.eye)),
        **_mouth(shape, expression),
    }
    both = {mirrored(name): point * (-1.0, 1.0) for name, point in half.items()} | half
    # A mirror image would squint: both irises go to the same side.
    both["left_eye_pupil"][:, 0] += 2 * _iris_way(shape, expression)[:, 0]
    face = np.stack([both[name] for name in LANDMARKS], axis=1)
    landmarks = placement.on_surface(face, _DEPTH)
    # The outline of a head that turns stays where it is: other parts of the head make it.
    landmarks[:, _IS_CONTOUR] = placement.on_plane(face[:, _IS_CONTOUR])
    return landmarks, placement.on_surface(place_corners(face))


def chin_of(shape: Shape, expression: Expression) -> Doubles:
    """Return (N,) how far below the eyes the chin is: it goes down when the mouth opens."""
    return shape.chin + CHIN_DROP * expression.mouth.astype(np.float64)


def _contour(shape: Shape, chin: Doubles) -> Points:
    """Walk from the temple to the chin; the same ellipse as the painted head."""
    sine = np.sin(_ANGLES)
    square = 1 - shape.jaw * sine**2 * (1 - sine**2) * (sine > 0)
    x = shape.width * np.cos(_ANGLES) / square
    down = np.where(sine > 0, chin[:, None] - MIDDLE_Y, shape.top) * sine + MIDDLE_Y
    names = [f"contour_right{number}" for number in range(1, CONTOUR + 1)] + ["contour_chin"]
    return {name: _point(x[k], down[:, k]) for k, name in enumerate(names)}


def _iris_way(shape: Shape, expression: Expression) -> Doubles:
    return np.asarray(expression.gaze * (0.35 * shape.eye_width, 0.2 * shape.eye_height))


def _eye(shape: Shape, expression: Expression) -> Points:
    """Two arcs over the line between the corners; the upper one comes down to the lower.

    A cheek that is lifted takes the lower one with it.
    """
    over, under = 0.63 * shape.eye_height, 0.37 * shape.eye_height
    opened = expression.eye.astype(np.float64)
    upper = (over + under) * opened - under
    lower = under * (LID_LIFT * expression.cheek.astype(np.float64) - 1)
    corner_y = 0.5 * (over - under)

    def lid(across: float, height: Doubles | float) -> Doubles:
        line = corner_y + 0.5 * shape.eye_tilt * across
        return _point(0.5 + across * shape.eye_width, line - height * (1 - across**2), opened)

    points = {"left_corner": lid(-1.0, 0.0), "right_corner": lid(1.0, 0.0)}
    for edge, middle, height in (("upper", "top", upper), ("lower", "bottom", lower)):
        points[f"{edge}_left_quarter"] = lid(-0.54, height)
        points[f"{edge}_right_quarter"] = lid(0.54, height)
        points[middle] = lid(0.0, height)
    points["center"] = 0.5 * (points["top"] + points["bottom"])
    points["pupil"] = np.array([0.5, 0.0]) + _iris_way(shape, expression)
    return {f"right_eye_{part}": point for part, point in points.items()}


def _brow(shape: Shape, expression: Expression) -> Points:
    """Return the brow from its inner end outwards; raising moves the inner half more.

    A frown draws the inner ends together and down.
    """
    raised, frown = expression.brow.astype(np.float64), expression.frown.astype(np.float64)
    spots = {"left_corner": 0.0, "left_quarter": 0.26, "middle": 0.52, "right_quarter": 0.77}
    points = {}
    for part, along in spots.items():
        drawn = frown * (1 - along) ** 2
        x = 0.2 + 0.68 * along - FROWN_IN * drawn
        hanging = shape.brow_arch * (2 * along - 1) ** 2 + FROWN_DOWN * drawn
        lower = hanging - shape.brow_height - raised * (1.15 - 0.4 * along)
        thick = shape.brow_thick * (1.0 - 1.2 * (along - 0.52) ** 2)
        points[f"lower_{part}"] = _point(x, lower)
        points[f"upper_{part}"] = _point(x - 0.015, lower - thick)
    end = shape.brow_arch - shape.brow_height + 0.02 - 0.75 * raised
    points["right_corner"] = _point(0.88, end)
    return {f"right_eyebrow_{part}": point for part, point in points.items()}


def _nose(shape: Shape, num_frames: int) -> Points:
    long, wide = shape.nose_length, shape.nose_width
    spots = {
        "nose_bridge1": (0.0, -0.065), "nose_bridge2": (0.0, 0.2), "nose_bridge3": (0.0, 0.47),
        "nose_tip": (0.0, 0.74), "nose_middle_contour": (0.0, 1.0),
        "nose_right_contour1": (0.52, 0.04), "nose_right_contour2": (0.75, 0.575),
        "nose_right_contour3": (1.0, 0.82), "nose_right_contour4": (0.71, 0.92),
        "nose_right_contour5": (0.38, 0.955),
    }  # fmt: skip
    still = np.zeros(num_frames)
    return {name: _point(wide * x, long * y, still) for name, (x, y) in spots.items()}


def _mouth(shape: Shape, expression: Expression) -> Points:
    """Return two lips that part, the lower with the jaw; the corners go where smile and vowel say.

    The inner edges are parabolas from the middle to the corner, the outer ones stand off them.
    """
    gap, smile = expression.mouth.astype(np.float64), expression.smile.astype(np.float64)
    corner_x = shape.mouth_width + expression.spread + 0.06 * smile - 0.08 * gap
    corner_y = shape.mouth_y + 0.3 * gap - 0.07 * smile
    upper, lower = shape.mouth_y - 0.12 * gap, shape.mouth_y + 0.88 * gap

    def lip(along: float, middle: Doubles, thick: Doubles | float) -> Doubles:
        return _point(along * corner_x, middle + (corner_y - middle) * along**2 + thick)

    pressed = 1 - LIP_PRESS * expression.frown.astype(np.float64)
    over, under = -shape.upper_lip * pressed, shape.lower_lip * pressed
    return {
        "mouth_right_corner": _point(corner_x, corner_y),
        "mouth_upper_lip_top": lip(0.0, upper, over),
        "mouth_upper_lip_right_contour1": lip(0.24, upper, 1.2 * over),
        "mouth_upper_lip_right_contour2": lip(0.66, upper, 0.75 * over),
        "mouth_upper_lip_right_contour3": _point(corner_x - 0.06, corner_y + 0.0 * gap),
        "mouth_upper_lip_right_contour4": lip(0.5, upper, 0.0),
        "mouth_upper_lip_bottom": lip(0.0, upper, 0.0),
        "mouth_lower_lip_top": lip(0.0, lower, 0.0),
        "mouth_lower_lip_right_contour1": lip(0.5, lower, 0.0),
        "mouth_lower_lip_right_contour2": lip(0.75, lower, 0.55 * under),
        "mouth_lower_lip_right_contour3": lip(0.43, lower, 0.9 * under),
        "mouth_lower_lip_bottom": lip(0.0, lower, under),
    }


def _point(x: Doubles | float, y: Doubles | float, like: Doubles | float = 0.0) -> Doubles:
    """Stack two coordinates, of which one may be the same in every frame, to (N, 2)."""
    return np.stack(np.broadcast_arrays(x, y, like)[:2], axis=-1).astype(np.float64)
