"""Draw a hand that opens and closes: capsules by signed distance, anti-aliased, float32.

Hand coordinates: origin at the wrist, y towards the fingers, x towards the thumb, one unit is the
length of the palm. Finger tapping is seen from the thumb's side, hand opening from the palm.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdray.data.movement import Movement

Floats = NDArray[np.float32]

CHUNK = 16  # frames drawn together: their working set stays in a core's cache
PICTURE_UNITS = 2.45  # palm lengths across the picture at scale 1


@dataclass(frozen=True)
class Appearance:
    """How a visit looks; nothing in it knows the grade.

    Attributes:
        skin: (3,) RGB, 0 to 1.
        background: (H, W, 3) float32 RGB, 0 to 1, smooth.
        light: (H, W) float32, factor around 1.
        scale: Size of the hand in the picture, around 1.
        rotation: Turn of the hand [rad].
        centre: (2,) displacement of the hand [palm lengths].
        build: Thickness of the fingers, around 1.
        curl: Pose of the fingers that do not tap, 0 straight to 1 bent.
        noise: Standard deviation of the sensor [grey levels of 255].
        sway_px: Size of the camera's slow sway [px].
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


@dataclass(frozen=True)
class Limb:
    """Tapered capsules painted as one surface.

    Attributes:
        joints: (N, S, 2, 2) the two ends of each of S capsules in each frame [palm lengths].
        radii: (S, 2) at the two ends [palm lengths].
        tone: Brightness against the skin, around 1.
    """

    joints: Floats
    radii: Floats
    tone: float


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
    # Dark skin before a light wall or the reverse: the hand must stand out in every recording.
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
    )


def draw_frames(
    item: str,
    side: str,
    movement: Movement,
    appearance: Appearance,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Draw a recording.

    Args:
        item: ``finger_tapping`` or ``hand_opening``.
        side: ``left`` or ``right``; a left hand is the mirror image of a right one.
        movement: What the hand does.
        appearance: The look of the visit.
        rng: Sway of the camera and noise of the sensor.

    Returns:
        (N, H, W, 3) uint8 RGB.
    """
    opening, tremor = movement.opening, movement.tremor
    size = len(appearance.light)
    limbs = POSES[item](opening, appearance)
    sway = appearance.sway_px * _smooth_walk(len(opening), rng)
    grain = rng.standard_normal((9, size, size), dtype=np.float32) * appearance.noise
    frames = np.empty((len(opening), size, size, 3), np.uint8)
    gradient_y, gradient_x = np.gradient(appearance.background, axis=(0, 1))
    for start in range(0, len(opening), CHUNK):
        part = slice(start, start + CHUNK)
        dx, dy = (sway[part, axis, None, None, None] for axis in (0, 1))
        # A smooth background moved by less than a pixel or two: first order is exact enough.
        picture = appearance.background - dx * gradient_x - dy * gradient_y
        for limb in limbs:
            joints = _to_pixels(limb.joints[part], tremor[part], sway[part], appearance, side)
            radii = limb.radii * appearance.scale * size / PICTURE_UNITS
            _paint(picture, joints, radii, appearance.skin * limb.tone)
        picture *= 255.0 * appearance.light[..., None]
        for offset, frame in enumerate(picture):
            shift = tuple(rng.integers(0, size, 2))
            frame += np.roll(grain[rng.integers(9)], shift, axis=(0, 1))[..., None]
            frames[start + offset] = frame.clip(0, 255)
    return frames


def _tapping_pose(opening: Floats, appearance: Appearance) -> list[Limb]:
    """Thumb and index finger tap in the plane of the picture; the others stand behind."""
    thick, bent = appearance.build, appearance.curl
    still = np.ones_like(opening)
    limbs = []
    for number, lean in enumerate((-22.0, -12.0, -2.0)):
        angles = np.array([lean, lean + 35 * bent, lean + 70 * bent])
        length = 0.92 + 0.08 * number
        finger = _chain(
            still * (-0.16 + 0.09 * number),
            still * 0.98,
            angles * still[:, None],
            np.array([0.46, 0.3, 0.24]) * length,
        )
        limbs.append(
            _limb(finger, thick * np.array([0.125, 0.115, 0.1, 0.085]), 0.8 + 0.04 * number)
        )
    limbs.append(_palm(opening, [(-0.17, 0.9), (-0.02, 0.95), (0.12, 0.95)], thick, 0.2))
    o = opening[:, None]
    index = (1 - o) * np.array([58.0, 104.0, 136.0]) + o * np.array([2.0, 14.0, 26.0])
    thumb = (1 - o) * np.array([72.0, 48.0, 30.0]) + o * np.array([96.0, 92.0, 84.0])
    limbs.append(
        _limb(
            _chain(still * 0.15, still * 0.28, thumb, np.array([0.44, 0.38, 0.3])),
            thick * np.array([0.19, 0.13, 0.115, 0.095]),
            0.95,
        )
    )
    limbs.append(
        _limb(
            _chain(still * 0.17, still * 0.98, index, np.array([0.5, 0.34, 0.26])),
            thick * np.array([0.135, 0.12, 0.105, 0.085]),
            1.0,
        )
    )
    return limbs


def _opening_pose(opening: Floats, appearance: Appearance) -> list[Limb]:
    """Four fingers and the thumb fold over the palm, projected onto the picture."""
    thick = appearance.build
    still = np.ones_like(opening)
    o = opening[:, None]
    flexed = (1 - o) * np.deg2rad([78.0, 95.0, 45.0]) + o * np.deg2rad([4.0, 6.0, 4.0])
    shown = np.cos(np.cumsum(flexed, axis=1))
    knuckles = [(-0.36, 0.9), (-0.13, 0.98), (0.11, 1.0), (0.34, 0.94)]
    limbs = [_palm(opening, knuckles, thick, 0.17)]
    for number, (x, y) in enumerate(knuckles):
        spread = (number - 1.6) * (3.0 + 7.0 * opening)
        reach = np.array([0.4, 0.28, 0.2]) * (0.86, 1.0, 1.06, 0.98)[number]
        finger = _chain(still * x, still * y, spread[:, None] * np.ones(3), reach * shown)
        limbs.append(
            _limb(
                finger, thick * np.array([0.12, 0.11, 0.1, 0.085]), (0.9, 0.97, 0.93, 1.0)[number]
            )
        )
    thumb = (1 - o) * np.array([35.0, -25.0, -60.0]) + o * np.array([62.0, 48.0, 38.0])
    limbs.append(
        _limb(
            _chain(still * 0.26, still * 0.25, thumb, np.array([0.4, 0.36, 0.26])),
            thick * np.array([0.19, 0.13, 0.115, 0.09]),
            0.96,
        )
    )
    return limbs


POSES = {"finger_tapping": _tapping_pose, "hand_opening": _opening_pose}


def _chain(
    x: Floats, y: Floats, angles: NDArray[np.floating], lengths: NDArray[np.floating]
) -> Floats:
    """Follow a finger from its root: (N, 4, 2) joints for (N, 3) angles from y to x [degrees]."""
    angles = np.deg2rad(angles)
    steps = np.stack([np.sin(angles), np.cos(angles)], axis=-1) * lengths[..., None]
    root = np.stack([x, y], axis=-1)[:, None]
    return np.concatenate([root, root + np.cumsum(steps, axis=1)], axis=1).astype(np.float32)


def _limb(joints: Floats, radii: NDArray[np.floating], tone: float) -> Limb:
    return Limb(
        joints=np.stack([joints[:, :-1], joints[:, 1:]], axis=2),
        radii=np.stack([radii[:-1], radii[1:]], axis=1).astype(np.float32),
        tone=tone,
    )


def _palm(
    opening: Floats, knuckles: list[tuple[float, float]], thick: float, radius: float
) -> Limb:
    """Forearm and one capsule from the wrist to each knuckle; it does not move by itself."""
    ends = [((0.0, -1.2), (0.0, 0.1))] + [((0.55 * x, 0.12), (x, y)) for x, y in knuckles]
    joints = np.broadcast_to(np.array(ends, np.float32), (len(opening), len(ends), 2, 2))
    radii = np.array([(0.3, 0.24)] + [(radius * 1.2, radius)] * len(knuckles), np.float32)
    return Limb(joints=joints, radii=radii * np.float32(thick), tone=0.9)


def _to_pixels(
    joints: Floats, tremor: Floats, sway: Floats, appearance: Appearance, side: str
) -> Floats:
    """Turn, mirror, scale and place joints in the picture; y points down there."""
    size = len(appearance.light)
    middle = np.array([0.3, 0.78], np.float32)
    local = joints - middle + (tremor + appearance.centre)[:, None, None]
    cos, sin = np.cos(appearance.rotation), np.sin(appearance.rotation)
    x = cos * local[..., 0] - sin * local[..., 1]
    y = sin * local[..., 0] + cos * local[..., 1]
    x = x if side == "right" else -x
    placed = np.stack([x, -y], axis=-1) * (appearance.scale * size / PICTURE_UNITS) + (size - 1) / 2
    pixels: Floats = (placed + sway[:, None, None]).astype(np.float32)
    return pixels


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
