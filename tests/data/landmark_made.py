"""Faces for the tests of landmarks: SYNTHETIC ones that move as they are told."""

import numpy as np

from pdray.data.face_points import INDEX, LANDMARKS
from pdray.data.face_shape import Placement, draw_shape, place_points
from pdray.data.tracks import Track
from tests.data.test_face_shape import still

SIZE = (400.0, 300.0)
UNIT_PX = 90.0


def face(num_frames: int = 1) -> np.ndarray:
    """Return (N, 106, 2) of one face at rest, with 90 px between the eyes at 200, 120."""
    placement = Placement(UNIT_PX, np.tile([0.0, 0.0], (num_frames, 1)), np.zeros((num_frames, 3)))
    points = place_points(draw_shape(np.random.default_rng(4)), still(num_frames), placement)[0]
    points = points.astype(np.float64)
    eyes = points[:, [INDEX["left_eye_pupil"], INDEX["right_eye_pupil"]]].mean(axis=1)
    return points - eyes[:, None] + (200.0, 120.0)


def track_of(points: np.ndarray, seconds: np.ndarray | None = None, rate: float = 10.0) -> Track:
    """Return a track of landmarks."""
    if seconds is None:
        seconds = np.arange(len(points)) / rate
    return Track(
        points=points.astype(np.float32),
        seconds=np.asarray(seconds, np.float64),
        size=SIZE,
        names=LANDMARKS,
    )


def moved(
    points: np.ndarray, *, turn: np.ndarray, scale: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """Return faces turned [rad] and scaled about the picture's corner, then shifted [px]."""
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    x, y = points[..., 0], points[..., 1]
    turned = np.stack([cos * x - sin * y, sin * x + cos * y], axis=2)
    return turned * scale[:, None, None] + shift[:, None]


def shaken(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return faces under any similarity, another one each frame, eyes never below each other."""
    num = len(points)
    return moved(
        points,
        turn=rng.uniform(-0.4, 0.4, num),
        scale=rng.uniform(0.7, 1.4, num),
        shift=rng.uniform(-40, 40, (num, 2)),
    )
