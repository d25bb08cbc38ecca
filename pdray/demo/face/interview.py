"""A SYNTHETIC film of a face that talks or performs, whose every landmark and region is known.

The worse the grade, the less the face moves: blinks, brows, lips, smile and the head itself. With
static signs its rest follows the grade, too. Who it is and how it is lit and held belong to the
subject and the visit and do not know the grade.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pdray.data.cohort.settings import ITEMS
from pdray.data.face.points import LANDMARKS, REGIONS, VERTICES
from pdray.data.media.tracks import Track
from pdray.demo.face.drawing import paint_face
from pdray.demo.face.head import Creases, Scene
from pdray.demo.face.look import Look, draw_look
from pdray.demo.face.movement import Expression, draw_expression
from pdray.demo.face.performed import draw_performed
from pdray.demo.face.shape import Placement, Shape, chin_of, draw_shape, place_points
from pdray.demo.face.static_signs import StaticSigns
from pdray.demo.illness.movement import Doubles, Floats

CHUNK = 16  # frames drawn together: their working set stays in a core's cache
PICTURE_UNITS = 4.0  # distances between the eyes across the picture at scale 1


@dataclass(frozen=True)
class Face:
    """A person at a visit; independent of the grade.

    Attributes:
        shape: Form of the face; the subject's.
        look: Colours, hair, light and background.
        liveliness: How much the person moves the face at any grade, around 1.
        pose: (3,) yaw, pitch and roll of the head [rad].
        scale: Size in the picture, around 1.
        centre: (2,) displacement to the right and down [distances between the eyes].
        sway_px: Size of the camera's slow sway [px].
        signs: Chance of what the rest of the face shows of the grade; None: it shows nothing.
        source_grade: Of the source of a counterfactual: gaze and head move as at that grade, so
            that frames can be compared. None: all moves as at the recording's grade.
    """

    shape: Shape
    look: Look
    liveliness: float
    pose: tuple[float, float, float]
    scale: float
    centre: tuple[float, float]
    sway_px: float
    signs: StaticSigns | None = None
    source_grade: int | None = None

    @property
    def size(self) -> int:
        """Return height and width of the picture [px]."""
        return int(self.look.background.shape[-1])


@dataclass(frozen=True)
class Interview:
    """One recording.

    Attributes:
        frames: (N, H, W, 3) uint8 RGB.
        landmarks: Of 106 points, in every frame.
        regions: Of 14 polygons, in every frame.
    """

    frames: NDArray[np.uint8]
    landmarks: Track
    regions: Track


def draw_face(
    subject_rng: np.random.Generator, visit_rng: np.random.Generator, *, size: int
) -> Face:
    """Draw a person at a visit.

    Args:
        subject_rng: The same state for every visit of a subject.
        visit_rng: The visit's own.
        size: Height and width of the picture [px].

    Returns:
        The face: form, colours, hair, glasses and liveliness are the subject's, the rest the
        visit's.
    """
    yaw, pitch, roll = visit_rng.uniform((-0.26, -0.1, -0.09), (0.26, 0.1, 0.09))
    right, down = visit_rng.uniform((-0.12, -0.02), (0.12, 0.16))
    return Face(
        shape=draw_shape(subject_rng),
        liveliness=float(np.exp(0.15 * subject_rng.standard_normal())),
        look=draw_look(subject_rng, visit_rng, size=size),
        pose=(float(yaw), float(pitch), float(roll)),
        scale=float(visit_rng.uniform(0.92, 1.06)),
        centre=(float(right), float(down)),
        sway_px=float(visit_rng.uniform(0.2, 0.8) * size / 96),
    )


def draw_interview(
    grade: int,
    face: Face,
    rng: np.random.Generator,
    *,
    num_frames: int,
    fps: int,
    performed: str = "",
) -> Interview:
    """Draw a recording.

    Args:
        grade: 0 (normal) to 5 (severe); to 4 of a posed expression.
        face: Who is seen, and how.
        rng: Movement, sway of the camera and noise of the sensor.
        num_frames: Length, at least 2.
        fps: Frames per second.
        performed: Posed expression, such as "anger"; empty is an interview, with talk.

    Returns:
        Frames and tracks, the same for the same state of ``rng``.

    Raises:
        ValueError: As :func:`draw_points`.
    """
    action = _draw_action(grade, face, rng, num_frames=num_frames, fps=fps, performed=performed)
    landmarks, regions = _tracks(action, face, fps)
    return Interview(_draw_frames(action, face, landmarks.points), landmarks, regions)


def draw_points(
    grade: int,
    face: Face,
    rng: np.random.Generator,
    *,
    num_frames: int,
    fps: int,
    performed: str = "",
) -> tuple[Track, Track]:
    """Follow the points of a recording without drawing it.

    Args:
        grade: As for :func:`draw_interview`, and so is the rest.
        face: Who is seen, and how.
        rng: In the same state it gives the same points.
        num_frames: Length, at least 2.
        fps: Frames per second.
        performed: As for :func:`draw_interview`.

    Returns:
        The landmarks and the regions of the recording.

    Raises:
        ValueError: If the grade is outside its scale, or there are fewer than 2 frames.
    """
    action = _draw_action(grade, face, rng, num_frames=num_frames, fps=fps, performed=performed)
    return _tracks(action, face, fps)


@dataclass(frozen=True)
class _Action:
    """Movement before the camera, and the randomness of its sensor."""

    expression: Expression
    placement: Placement
    sway: Doubles
    sensor: np.random.Generator
    fold: float


def _draw_action(
    grade: int,
    face: Face,
    rng: np.random.Generator,
    *,
    num_frames: int,
    fps: int,
    performed: str,
) -> _Action:
    item = f"expression_{performed}" if performed else "face_interview"
    if not 0 <= grade <= ITEMS[item]:
        raise ValueError(f"grade {grade} is outside 0..{ITEMS[item]} for item {item}")
    if num_frames < 2:
        raise ValueError(f"num_frames {num_frames} is below 2: nothing moves in it")
    # Streams of their own: what the grade makes the face draw moves neither camera nor noise.
    seeds = [rng.integers(0, 2**63, 4) for _ in range(3)]
    camera, motion, sensor = map(np.random.default_rng, seeds)
    sway = face.sway_px * _sway(num_frames, fps, camera)
    draw = partial(draw_performed, performed) if performed else draw_expression
    length = {"num_frames": num_frames, "fps": fps}
    expression = draw(grade, face.liveliness, motion, **length)
    if face.source_grade is not None:
        again = np.random.default_rng(seeds[1])
        source = draw(face.source_grade, face.liveliness, again, **length)
        expression = replace(expression, gaze=source.gaze, turn=source.turn)
    if face.signs:
        expression = face.signs.droop(expression, grade)
    unit_px = face.scale * face.size / PICTURE_UNITS
    moved = expression.turn.astype(np.float64)
    # A head turns on its neck, so that its middle moves as well.
    lean = np.stack([0.6 * moved[:, 0] + 1.2 * moved[:, 2], 0.5 * moved[:, 1]], axis=1)
    pivot = face.size / 2 + (np.array(face.centre) + lean) * unit_px + sway
    placement = Placement(unit_px, pivot, np.array(face.pose) + moved)
    fold = face.signs.fold(grade) if face.signs else 1.0
    return _Action(expression, placement, sway, sensor, fold)


def _sway(num_frames: int, fps: int, rng: np.random.Generator) -> Doubles:
    """Return (N, 2) slow displacement of about unit size, the same at every grade."""
    t = np.arange(num_frames)[:, None] / fps
    walk = np.zeros((num_frames, 2))
    for hertz in (0.12, 0.3, 0.7):
        walk += np.sin(2 * np.pi * (hertz * t + rng.uniform(0, 1, 2))) / (1 + 3 * hertz)
    return walk


def _tracks(action: _Action, face: Face, fps: int) -> tuple[Track, Track]:
    landmarks, corners = place_points(face.shape, action.expression, action.placement)
    seconds = np.arange(len(landmarks)) / fps
    size = (float(face.size), float(face.size))
    return (
        Track(landmarks, seconds, size, names=LANDMARKS),
        Track(corners, seconds, size, vertices=VERTICES, names=REGIONS),
    )


def _draw_frames(action: _Action, face: Face, points: Floats) -> NDArray[np.uint8]:
    """Return (N, H, W, 3) uint8 RGB of a face whose landmarks are (N, 106, 2) px."""
    look, size, rng = face.look, face.size, action.sensor
    frames = np.empty((len(points), size, size, 3), np.uint8)
    grain = rng.standard_normal((9, size, size), dtype=np.float32) * np.float32(look.noise)
    places = rng.integers(0, (9, size, size), (len(points), 3))
    slope_y, slope_x = (np.gradient(look.background, axis=axis)[:, None] for axis in (1, 2))
    chin = chin_of(face.shape, action.expression)
    creases = _creases(action.expression)
    placement, gain = action.placement, 255 * look.light[:, None]
    sway = action.sway.T.astype(np.float32)[:, :, None, None]
    for start in range(0, len(points), CHUNK):
        part = slice(start, start + CHUNK)
        dx, dy = sway[0, part], sway[1, part]
        # A smooth wall moved by less than a pixel or two: first order is exact enough.
        picture = look.background[:, None] - dx * slope_x - dy * slope_y
        here = Placement(placement.unit_px, placement.pivot[part], placement.turn[part])
        seen = creases and Creases(creases.frown[part], creases.cheek[part])
        who = face.shape, look, here, chin[part], points[part]
        paint_face(Scene(*who, picture, seen, action.fold))
        picture *= gain
        for offset, (number, down, right) in enumerate(places[part]):
            picture[:, offset] += np.roll(grain[number], (down, right), axis=(0, 1))
        frames[part] = picture.clip(0, 255).transpose(1, 2, 3, 0)
    return frames


def _creases(expression: Expression) -> Creases | None:
    """Return the folds of the skin; None of a face that never has any."""
    frown, cheek = (one[:, None, None] for one in (expression.frown, expression.cheek))
    return Creases(frown, cheek) if frown.any() or cheek.any() else None
