"""Hands: finger tapping, opening and closing, turning.

Hand coordinates: origin at the wrist, y towards the fingers, x towards the thumb, one unit is the
length of the palm. Finger tapping is seen from the thumb's side, hand opening from the palm, the
turning hand from where its palm or its back shows.
"""

import numpy as np
from numpy.typing import ArrayLike

from pdray.demo.body.limb import (
    PALM_UNITS,
    Appearance,
    Figure,
    Limb,
    View,
    chain,
    limb_along,
)
from pdray.demo.illness.movement import Doubles, Floats, Movement

HAND_VIEW = View(middle=(0.3, 0.78), units=PALM_UNITS, tilt=1.0)
INDEX = (0.5, 0.34, 0.26)  # bones of the index finger
FINGERS = (0.86, 1.0, 1.06, 0.98)  # lengths, from the little finger on
ARM_VIEW = View(middle=(0.0, 0.62), units=2.9, tilt=1.0)  # a turning hand needs both sides


def tapping_figure(movement: Movement, appearance: Appearance) -> Figure:
    """Return a hand whose thumb and index finger are as far apart as the movement is open."""
    return Figure(tuple(_tapping(movement.opening, appearance)), movement.tremor, HAND_VIEW)


def opening_figure(movement: Movement, appearance: Appearance) -> Figure:
    """Return a hand as far open as the movement."""
    return Figure(tuple(_opening(movement.opening, appearance)), movement.tremor, HAND_VIEW)


def turning_figure(movement: Movement, appearance: Appearance) -> Figure:
    """Return a hand on its forearm, from the palm (opening 0) through the edge to the back (1)."""
    return Figure(tuple(_turning(movement.opening, appearance)), movement.tremor, ARM_VIEW)


def _tapping(opening: Floats, appearance: Appearance) -> list[Limb]:
    """Thumb and index finger tap in the plane of the picture; the others stand behind."""
    thick, bent = appearance.build, appearance.curl
    limbs = []
    for number, lean in enumerate((-22.0, -12.0, -2.0)):
        angles = np.tile([lean, lean + 35 * bent, lean + 70 * bent], (len(opening), 1))
        lengths = np.array([0.46, 0.3, 0.24]) * (0.92 + 0.08 * number)
        finger = chain((-0.16 + 0.09 * number, 0.98), angles, lengths)
        tone = 0.8 + 0.04 * number
        limbs.append(limb_along(finger, (0.125, 0.115, 0.1, 0.085), tone, build=thick))
    limbs.append(_palm(opening, [(-0.17, 0.9), (-0.02, 0.95), (0.12, 0.95)], thick, 0.2))
    index = _between([58.0, 104.0, 136.0], [2.0, 14.0, 26.0], opening)
    thumb = _between([72.0, 48.0, 30.0], [96.0, 92.0, 84.0], opening)
    tips = chain((0.15, 0.28), thumb, (0.44, 0.38, 0.3)), chain((0.17, 0.98), index, INDEX)
    limbs.append(limb_along(tips[0], (0.19, 0.13, 0.115, 0.095), 0.95, build=thick))
    limbs.append(limb_along(tips[1], (0.135, 0.12, 0.105, 0.085), 1.0, build=thick))
    return limbs


def _opening(opening: Floats, appearance: Appearance) -> list[Limb]:
    """Four fingers and the thumb fold over the palm, projected onto the picture."""
    thick = appearance.build
    flexed = _between(np.deg2rad([78.0, 95.0, 45.0]), np.deg2rad([4.0, 6.0, 4.0]), opening)
    folded = np.cos(np.cumsum(flexed, axis=1))
    knuckles = [(-0.36, 0.9), (-0.13, 0.98), (0.11, 1.0), (0.34, 0.94)]
    limbs = [_palm(opening, knuckles, thick, 0.17)]
    for number, knuckle in enumerate(knuckles):
        spread = (number - 1.6) * (3.0 + 7.0 * opening)
        reach = np.array([0.4, 0.28, 0.2]) * FINGERS[number]
        finger = chain(knuckle, spread[:, None] * np.ones(3), reach * folded)
        tone = (0.9, 0.97, 0.93, 1.0)[number]
        limbs.append(limb_along(finger, (0.12, 0.11, 0.1, 0.085), tone, build=thick))
    angles = _between([35.0, -25.0, -60.0], [62.0, 48.0, 38.0], opening)
    thumb = chain((0.26, 0.25), angles, (0.4, 0.36, 0.26))
    limbs.append(limb_along(thumb, (0.19, 0.13, 0.115, 0.09), 0.96, build=thick))
    return limbs


def _between(closed: ArrayLike, opened: ArrayLike, opening: Floats) -> Doubles:
    """Return (N, S) what is ``closed`` at opening 0 and ``opened`` at 1."""
    o = opening[:, None]
    return np.asarray((1 - o) * np.array(closed) + o * np.array(opened))


def _turning(opening: Floats, appearance: Appearance) -> list[Limb]:
    """A flat hand turns about its forearm: widths shrink with the cosine, the thumb is nearest."""
    thick, bent = appearance.build, appearance.curl
    across = np.cos(np.pi * (0.04 + 0.92 * opening))
    still = np.ones_like(opening)
    ends = np.array([[(0.0, -1.2), (0.0, 0.05)]], np.float32)
    forearm = np.broadcast_to(ends, (len(opening), 1, 2, 2))
    limbs = [Limb(forearm, np.array([(0.3, 0.21)], np.float32) * np.float32(thick), 0.88)]
    # The little finger is the farthest, the thumb the nearest, whichever way the hand turns.
    for number, (x, y) in enumerate([(-0.36, 0.88), (-0.13, 0.96), (0.11, 0.98), (0.34, 0.92)]):
        length = FINGERS[number] * (1 - 0.35 * bent)
        knuckle = np.stack([x * across, y * still], axis=1)
        wrist = np.stack([0.55 * x * across, 0.12 * still], axis=1)
        tip = knuckle + np.stack([1.25 * x * across * 0.4, 0.88 * length * still], axis=1)
        joints = np.stack([wrist, knuckle, tip], axis=1).astype(np.float32)
        limbs.append(limb_along(joints, (0.2, 0.15, 0.09), 0.86 + 0.04 * number, build=thick))
    root = np.stack([0.24 * across, 0.25 * still], axis=1)
    joint = root + np.stack([0.34 * across, 0.3 * still], axis=1)
    tip = joint + np.stack([0.2 * across, 0.34 * still], axis=1)
    thumb = np.stack([root, joint, tip], axis=1).astype(np.float32)
    limbs.append(limb_along(thumb, (0.19, 0.13, 0.095), 1.0, build=thick))
    return limbs


def _palm(
    opening: Floats, knuckles: list[tuple[float, float]], thick: float, radius: float
) -> Limb:
    """Forearm and one capsule from the wrist to each knuckle; it does not move by itself."""
    ends = [((0.0, -1.2), (0.0, 0.1))] + [((0.55 * x, 0.12), (x, y)) for x, y in knuckles]
    joints = np.broadcast_to(np.array(ends, np.float32), (len(opening), len(ends), 2, 2))
    radii = np.array([(0.3, 0.24)] + [(radius * 1.2, radius)] * len(knuckles), np.float32)
    return Limb(joints=joints, radii=radii * np.float32(thick), tone=0.9)
