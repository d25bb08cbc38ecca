"""A person whose arm is seen from the side: held out, or between the nose and a finger.

Coordinates: metres from the shoulder, x to where the person faces, y up. The tremor of a movement
is that of the finger tips; the joints share it.
"""

import numpy as np
from numpy.typing import NDArray

from pdray.demo.body.limb import (
    Appearance,
    Figure,
    Limb,
    View,
    chain,
    limb_along,
    still,
)
from pdray.demo.illness.movement import Floats, Movement

HELD_VIEW = View(middle=(0.3, -0.02), units=1.0, tilt=0.5)
REACHING_VIEW = View(middle=(0.24, 0.06), units=1.06, tilt=0.5)

UPPER, FORE, HAND = 0.27, 0.25, 0.17  # from joint to joint [m]
LOW_DEGREES, HIGH_DEGREES = 103.0, 80.0  # of the held arm, from straight up
TREMOR_SHARES = (0.2, 0.3, 0.5)  # of the tips' displacement, by shoulder, elbow and wrist
NOSE = (0.15, 0.22)
TARGET = (0.56, 0.14)


def held_figure(movement: Movement, appearance: Appearance) -> Figure:
    """Return an arm held out, higher the more the movement is open."""
    opening = movement.opening[:, None]
    bend = 14.0 * (appearance.curl - 0.5)
    levels = np.array([[bend, 0.0, -bend]])
    angles = LOW_DEGREES + (HIGH_DEGREES - LOW_DEGREES) * opening + levels
    lever = np.array([UPPER + FORE + HAND, FORE + HAND, HAND])
    shake = movement.tremor[:, 1:] * np.array(TREMOR_SHARES) / lever
    angles = angles - np.rad2deg(np.cumsum(shake, axis=1))
    joints = chain(movement.tremor * (1.0, 0.0), angles, (UPPER, FORE, 0.09))
    limbs = [*_trunk(appearance, len(opening)), *_arm(joints, appearance)]
    for number, spread in enumerate((-9.0, -3.0, 3.0, 9.0)):
        finger = chain(joints[:, 3], angles[:, 2:] + spread, (HAND - 0.09,))
        tone = (0.85, 0.9, 0.95, 1.0)[number]
        limbs.append(limb_along(finger, (0.02, 0.013), tone, build=appearance.build))
    return Figure(tuple(limbs), np.zeros((len(opening), 2), np.float32), HELD_VIEW)


def reaching_figure(movement: Movement, appearance: Appearance) -> Figure:
    """Return a finger on its way from the nose (opening 0) to the examiner's finger (1)."""
    num_frames = len(movement.opening)
    way = movement.opening[:, None]
    straight = np.array(NOSE) + way * (np.array(TARGET) - NOSE)
    # The finger swings under the straight line, as the elbow lets it.
    below = 0.07 * (0.5 + appearance.curl) * np.sin(np.pi * way)
    tip = straight - below * np.array([0.0, 1.0]) + movement.tremor
    pointing = np.deg2rad(20.0 + 65.0 * way[:, 0])  # from up to ahead
    ahead = np.stack([np.sin(pointing), np.cos(pointing)], axis=1)
    wrist = tip - HAND * ahead
    elbow, wrist = _bend(wrist)
    knuckle = wrist + 0.09 * ahead
    joints = np.stack([np.zeros_like(wrist), elbow, wrist, knuckle], axis=1).astype(np.float32)
    finger = np.stack([knuckle, knuckle + (HAND - 0.09) * ahead], axis=1).astype(np.float32)
    target = [(0.95, TARGET[1] - 0.04), (TARGET[0] + 0.1, TARGET[1]), (TARGET[0] + 0.02, TARGET[1])]
    limbs = [
        *_trunk(appearance, num_frames),
        limb_along(still(target, num_frames), (0.06, 0.03, 0.014), 0.8),
        *_arm(joints, appearance),
        limb_along(finger, (0.018, 0.012), 1.0, build=appearance.build),
    ]
    return Figure(tuple(limbs), np.zeros((num_frames, 2), np.float32), REACHING_VIEW)


def _bend(wrist: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return (N, 2) elbows below the line to the wrists, and the wrists that the arm reaches."""
    away = np.linalg.norm(wrist, axis=1, keepdims=True)
    least, most = abs(UPPER - FORE) + 0.02, UPPER + FORE - 0.005
    length = away.clip(least, most)
    along = wrist / away
    reached = along * length
    foot = (length**2 + UPPER**2 - FORE**2) / (2 * length)
    height = np.sqrt((UPPER**2 - foot**2).clip(0))
    below = np.stack([along[:, 1], -along[:, 0]], axis=1)
    return along * foot + below * height, reached


def _trunk(appearance: Appearance, num_frames: int) -> list[Limb]:
    """Return trunk, neck and a head with a nose; they keep still."""
    parts = [
        ([(-0.02, -0.1), (-0.05, -0.75)], (0.13, 0.14), 0.85),
        ([(0.0, 0.0), (0.02, 0.16)], (0.06, 0.055), 0.85),
        ([(0.01, 0.24), (0.03, 0.28)], (0.105, 0.11), 0.95),
        ([(0.1, 0.25), (0.142, 0.235)], (0.024, 0.014), 1.0),
    ]
    return [
        limb_along(
            still(points, num_frames), radii, tone, "skin" if part else "cloth",
            build=appearance.build,
        )
        for part, (points, radii, tone) in enumerate(parts)
    ]  # fmt: skip


def _arm(joints: Floats, appearance: Appearance) -> list[Limb]:
    """Return sleeve, forearm and palm along (N, 4, 2) shoulder, elbow, wrist, knuckles."""
    build = appearance.build
    return [
        limb_along(joints[:, :2], (0.065, 0.05), 1.0, "cloth", build=build),
        limb_along(joints[:, 1:3], (0.045, 0.032), 0.95, build=build),
        limb_along(joints[:, 2:], (0.034, 0.036), 1.0, build=build),
    ]
