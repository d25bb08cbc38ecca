"""Draw figures made of limbs: capsules by signed distance, anti-aliased, float32.

One renderer draws every item of the demo cohort. A figure comes in units of its own - palm lengths
for a hand, metres for the rest -, x towards where the person faces and y up; its view says what of
it the picture shows. The look of the picture is the visit's and knows nothing of the grade.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pdray.demo.illness.movement import Doubles, Floats

Surface = Literal["skin", "cloth", "room"]

CHUNK = 16  # frames drawn together: their working set stays in a core's cache
PALM_UNITS = 2.45  # palm lengths across the picture of a hand at scale 1


@dataclass(frozen=True)
class Appearance:
    """Look of a visit; it does not depend on the grade.

    Attributes:
        skin: (3,) RGB, 0 to 1.
        background: (H, W, 3) float32 RGB, 0 to 1, smooth.
        light: (H, W) float32, factor around 1.
        scale: Size of the hand in the picture, around 1.
        rotation: Turn of the figure [rad].
        centre: (2,) displacement of the figure [palm lengths].
        build: Thickness of the fingers, around 1.
        curl: Pose of the fingers that do not tap, 0 straight to 1 bent.
        noise: Standard deviation of the sensor [grey levels of 255].
        sway_px: Size of the camera's slow sway [px].
        cloth: (3,) RGB of the clothes, 0 to 1.
        faces_left: Whether a person of no side, who walks, faces left.
    """

    skin: Floats
    background: Floats
    light: Floats
    scale: float
    rotation: float
    centre: Floats
    build: float
    curl: float
    noise: float
    sway_px: float
    cloth: Floats
    faces_left: bool


@dataclass(frozen=True)
class Limb:
    """Tapered capsules painted as one surface.

    Attributes:
        joints: (N, S, 2, 2) the two ends of each of S capsules in each frame [units].
        radii: (S, 2) at the two ends [units].
        tone: Brightness against its surface, around 1.
        surface: What it is made of: the person's skin or clothes, or the room.
    """

    joints: Floats
    radii: Floats
    tone: float
    surface: Surface = "skin"


@dataclass(frozen=True)
class View:
    """Part of a figure that the picture shows.

    Attributes:
        middle: x and y of the picture's middle [units].
        units: Units across the picture at scale 1.
        tilt: Share of the visit's rotation, 0 to 1: who films a whole room holds it straighter.
    """

    middle: tuple[float, float]
    units: float
    tilt: float


@dataclass(frozen=True)
class Figure:
    """Figure of one recording: its limbs and its view.

    Attributes:
        limbs: From the farthest to the nearest.
        shift: (N, 2) displacement of everything in each frame [units].
        view: What the picture shows of it.
    """

    limbs: tuple[Limb, ...]
    shift: Floats
    view: View


def draw_appearance(
    subject_rng: np.random.Generator, visit_rng: np.random.Generator, *, size: int
) -> Appearance:
    """Draw the look of one visit: the skin and the build are the subject's, the rest the visit's.

    Args:
        subject_rng: The same state for every visit of a subject.
        visit_rng: The visit's own.
        size: Height and width of the picture [px].

    Returns:
        The appearance.
    """
    tan = subject_rng.uniform(0.0, 1.0)
    skin = (1 - tan) * np.array([0.93, 0.76, 0.66]) + tan * np.array([0.52, 0.35, 0.26])
    build = subject_rng.uniform(0.88, 1.15)
    y, x = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size), indexing="ij")
    # Dark skin before a light wall or the reverse: the person must stand out in every recording.
    wall = visit_rng.uniform(0.12, 0.3) if tan < 0.5 else visit_rng.uniform(0.6, 0.85)
    background = np.full((size, size, 3), wall) + visit_rng.uniform(-0.05, 0.05, 3)
    for _ in range(6):
        centre = visit_rng.uniform(-1, 1, 2)
        width = visit_rng.uniform(0.2, 0.6, 2)
        reach = ((x - centre[0]) / width[0]) ** 2 + ((y - centre[1]) / width[1]) ** 2
        blob = 1.0 / (1.0 + np.exp(4.0 * (reach - 1.0).clip(-10, 10)))
        background += blob[..., None] * (
            visit_rng.uniform(-0.09, 0.09) + visit_rng.uniform(-0.04, 0.04, 3)
        )
    slope = visit_rng.uniform(-0.15, 0.15, 2)
    light = visit_rng.uniform(0.85, 1.1) * (1 + slope[0] * x + slope[1] * y)
    # Arguments are drawn in this order: new ones go to the end, or every recording changes.
    return Appearance(
        skin=skin.astype(np.float32),
        background=background.clip(0.02, 0.98).astype(np.float32),
        light=light.astype(np.float32),
        scale=visit_rng.uniform(0.88, 1.08),
        rotation=visit_rng.uniform(-0.3, 0.3),
        centre=visit_rng.uniform(-0.12, 0.12, 2).astype(np.float32),
        build=build,
        curl=visit_rng.uniform(0.1, 0.9),
        noise=visit_rng.uniform(1.0, 3.0),
        sway_px=visit_rng.uniform(0.2, 0.8) * size / 96,
        cloth=_draw_cloth(visit_rng, is_light=wall < 0.5),
        faces_left=bool(visit_rng.integers(2)),
    )


def draw_frames(
    figure: Figure, side: str, appearance: Appearance, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw a recording.

    Args:
        figure: Who moves, and how.
        side: ``left``, ``right`` or empty; a left one is the mirror image of a right one.
        appearance: The look of the visit.
        rng: Sway of the camera and noise of the sensor.

    Returns:
        (N, H, W, 3) uint8 RGB.
    """
    num_frames, size, view = len(figure.shift), len(appearance.light), figure.view
    is_mirrored = side == "left" or (side == "" and appearance.faces_left)
    sway = appearance.sway_px * _smooth_walk(num_frames, rng)
    grain = rng.standard_normal((9, size, size), dtype=np.float32) * appearance.noise
    frames = np.empty((num_frames, size, size, 3), np.uint8)
    gradient_y, gradient_x = np.gradient(appearance.background, axis=(0, 1))
    for start in range(0, num_frames, CHUNK):
        part = slice(start, start + CHUNK)
        dx, dy = (sway[part, axis, None, None, None] for axis in (0, 1))
        # A smooth background moved by less than a pixel or two: first order is exact enough.
        picture = appearance.background - dx * gradient_x - dy * gradient_y
        for limb in figure.limbs:
            placed = _to_pixels(
                limb.joints[part], figure.shift[part], view, appearance, is_mirrored=is_mirrored
            )
            joints = (placed + sway[part, None, None]).astype(np.float32)
            radii = limb.radii * appearance.scale * size / view.units
            _paint(picture, joints, radii, _colour(limb, appearance))
        picture *= 255.0 * appearance.light[..., None]
        for offset, frame in enumerate(picture):
            shift = tuple(rng.integers(0, size, 2))
            frame += np.roll(grain[rng.integers(9)], shift, axis=(0, 1))[..., None]
            frames[start + offset] = frame.clip(0, 255)
    return frames


def chain(
    root: ArrayLike, angles: NDArray[np.floating], lengths: Sequence[float] | Doubles
) -> Floats:
    """Follow a limb from its root.

    Args:
        root: (2,) or (N, 2) x and y [units].
        angles: (N, S) of the S bones in the picture, from up (y) to ahead (x) [degrees].
        lengths: (S,) or (N, S) [units].

    Returns:
        (N, S + 1, 2) float32 joints [units].
    """
    angles = np.deg2rad(angles)
    steps = np.stack([np.sin(angles), np.cos(angles)], axis=-1) * np.array(lengths)[..., None]
    start = np.broadcast_to(np.asarray(root, np.float32), (len(angles), 2))[:, None]
    return np.concatenate([start, start + np.cumsum(steps, axis=1)], axis=1).astype(np.float32)


def limb_along(
    joints: NDArray[np.floating],
    radii: Sequence[float],
    tone: float,
    surface: Surface = "skin",
    *,
    build: float = 1.0,
) -> Limb:
    """Return the limb through (N, J, 2) joints with a radius at each, as thick as the build."""
    ends = build * np.array(radii)
    return Limb(
        joints=np.stack([joints[:, :-1], joints[:, 1:]], axis=2).astype(np.float32, copy=False),
        radii=np.stack([ends[:-1], ends[1:]], axis=1).astype(np.float32),
        tone=tone,
        surface=surface,
    )


def still(points: Sequence[tuple[float, float]], num_frames: int) -> Floats:
    """Return (N, J, 2) float32 joints that stay where they are [units]."""
    return np.broadcast_to(np.array(points, np.float32), (num_frames, len(points), 2))


def floor(num_frames: int, left: float) -> Limb:
    """Return a floor that reaches out of the picture."""
    return limb_along(still([(left, -0.5), (2.5, -0.5)], num_frames), (0.5, 0.5), 0.8, "room")


def _draw_cloth(rng: np.random.Generator, *, is_light: bool) -> Floats:
    """Draw a dull colour that stands out from the wall, as the skin does."""
    grey = rng.uniform(0.45, 0.7) if is_light else rng.uniform(0.15, 0.35)
    return np.asarray(grey + rng.uniform(-0.1, 0.1, 3), np.float32)


def _colour(limb: Limb, appearance: Appearance) -> Floats:
    """Return (3,) RGB of a limb, 0 to 1; the room is as bright as its wall."""
    surfaces = {"skin": appearance.skin, "cloth": appearance.cloth}
    surface = surfaces.get(limb.surface, appearance.background.mean(axis=(0, 1)))
    return np.asarray(surface * np.float32(limb.tone))


def _to_pixels(
    joints: Floats, shift: Floats, view: View, appearance: Appearance, *, is_mirrored: bool
) -> NDArray[np.floating]:
    """Turn, mirror, scale and place joints in the picture; y points down there."""
    size = len(appearance.light)
    centre = appearance.centre * np.float32(view.units / PALM_UNITS)
    local = joints - np.array(view.middle, np.float32) + (shift + centre)[:, None, None]
    angle = view.tilt * appearance.rotation
    cos, sin = np.cos(angle), np.sin(angle)
    x = cos * local[..., 0] - sin * local[..., 1]
    y = sin * local[..., 0] + cos * local[..., 1]
    x = -x if is_mirrored else x
    pixels = np.stack([x, -y], axis=-1) * (appearance.scale * size / view.units) + (size - 1) / 2
    return np.asarray(pixels)


def _paint(picture: Floats, joints: Floats, radii: Floats, colour: Floats) -> None:
    """Paint the union of capsules onto (N, H, W, 3) in place; edges blend over one pixel."""
    size = picture.shape[1]
    margin = radii.max() + 1
    low = np.clip(joints.min(axis=(0, 1, 2)) - margin, 0, size).astype(int)
    high = np.clip(joints.max(axis=(0, 1, 2)) + margin + 1, 0, size).astype(int)
    if (high <= low).any():
        return
    x = np.arange(low[0], high[0], dtype=np.float32)[None, None, :]
    y = np.arange(low[1], high[1], dtype=np.float32)[None, :, None]
    distance: Floats | None = None
    for number, (start_radius, end_radius) in enumerate(radii):
        (ax, ay), (bx, by) = (joints[:, number, end].T[:, :, None, None] for end in (0, 1))
        ux, uy = bx - ax, by - ay
        px, py = x - ax, y - ay
        along = ((px * ux + py * uy) / (ux * ux + uy * uy + 1e-6)).clip(0, 1)
        gap = np.hypot(px - along * ux, py - along * uy)
        gap -= start_radius + along * (end_radius - start_radius)
        distance = gap if distance is None else np.minimum(distance, gap)
    assert distance is not None
    cover = (0.5 - distance).clip(0, 1)
    rim = (1 + distance / (0.6 * radii.min())).clip(0, 1)
    shade = 1 - 0.4 * rim * rim
    box = picture[:, low[1] : high[1], low[0] : high[0]]
    for channel in range(3):
        box[..., channel] += cover * (shade * colour[channel] - box[..., channel])


def _smooth_walk(num_frames: int, rng: np.random.Generator) -> Floats:
    """Return (N, 2) slow random displacement of about unit size."""
    t = np.linspace(0, 1, num_frames)[:, None]
    walk = np.zeros((num_frames, 2))
    for cycles in (0.5, 1.3, 3.1):
        walk += np.sin(2 * np.pi * (cycles * t + rng.uniform(0, 1, 2))) / (1 + cycles)
    return walk.astype(np.float32)
