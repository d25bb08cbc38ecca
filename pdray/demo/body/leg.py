"""Legs of a seated person, seen from the side: toes that tap, a leg that is lifted.

Coordinates: metres, x to where the person faces, y up from the floor.
"""

import numpy as np
from numpy.typing import NDArray

from pdray.demo.body.limb import (
    Appearance,
    Figure,
    Limb,
    Surface,
    View,
    chain,
    floor,
    limb_along,
    still,
)
from pdray.demo.illness.movement import Floats, Movement

FOOT_VIEW = View(middle=(0.06, 0.17), units=0.55, tilt=0.4)
SEAT_VIEW = View(middle=(0.2, 0.5), units=1.15, tilt=0.4)

TOES_DEGREES = 42.0  # of a foot that stands on its heel
THIGH, SHIN = 0.42, 0.4  # from joint to joint [m]
LIFT_DEGREES = 34.0
SEAT = 0.5  # height of the hip


def toes_figure(movement: Movement, appearance: Appearance) -> Figure:
    """Return a foot on its heel, its toes the higher the more the movement is open."""
    num_frames, build = len(movement.opening), appearance.build
    lean = 8.0 * (appearance.curl - 0.5)
    shin = [(-0.012, 0.11), (-0.02 - np.sin(np.deg2rad(lean)) * 0.5, 0.6)]
    behind = [(-0.12, 0.035), (0.0, 0.05), (0.06, 0.03)]
    limbs = (
        floor(num_frames, -2.0),
        limb_along(still(behind, num_frames), (0.03, 0.035, 0.02), 0.7),
        _foot(movement.opening * TOES_DEGREES, np.array([[-0.045, 0.035]]), build, 1.0, "skin"),
        limb_along(still(shin, num_frames), (0.042, 0.062), 1.0, "cloth", build=build),
    )
    return Figure(limbs, movement.tremor * np.float32(0.1), FOOT_VIEW)


def lifted_figure(movement: Movement, appearance: Appearance) -> Figure:
    """Return a seated person whose foot is the higher the more the movement is open."""
    num_frames, build = len(movement.opening), appearance.build
    hang = 8.0 * (appearance.curl - 0.5)
    rest = np.array([90.0, 180.0 + hang])
    raised = np.array([90.0 - LIFT_DEGREES, 178.0 + hang])
    angles = rest + movement.opening[:, None] * (raised - rest)
    leg = chain((0.0, SEAT), angles, (THIGH, SHIN))
    resting = chain((-0.02, SEAT), np.tile(rest, (num_frames, 1)), (THIGH, SHIN))
    limbs = [floor(num_frames, -2.0), *_chair(num_frames)]
    for joints, tone in ((resting, 0.72), (leg, 1.0)):
        ankle = joints[:, 2]
        turn = 12.0 * movement.opening * np.float32(tone == 1.0)
        limbs += [
            _foot(-turn, ankle - [0.03, 0.06], build, 0.5 * tone, "cloth"),
            limb_along(joints, (0.085, 0.062, 0.045), tone, "cloth", build=build),
        ]
    trunk = still([(-0.02, SEAT + 0.05), (-0.05, SEAT + 0.6)], num_frames)
    limbs.append(limb_along(trunk, (0.13, 0.14), 0.85, "cloth", build=build))
    return Figure(tuple(limbs), movement.tremor * np.float32(0.15), SEAT_VIEW)


def _foot(
    turn: Floats, heel: NDArray[np.floating], build: float, tone: float, surface: Surface
) -> Limb:
    """Return a foot turned about its (N, 2) or (1, 2) heel, toes up by ``turn`` [degrees]."""
    outline = np.array([(0.24, -0.008), (0.17, 0.0), (0.04, 0.06), (0.0, 0.0), (0.17, 0.0)])
    radii = (0.015, 0.024, 0.035, 0.032, 0.024)
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    rotation = np.stack([np.stack([cos, sin], axis=1), np.stack([-sin, cos], axis=1)], axis=1)
    joints = heel[:, None] + outline @ rotation
    return limb_along(joints.astype(np.float32), radii, tone, surface, build=build)


def _chair(num_frames: int) -> list[Limb]:
    """Return a seat and one leg of it."""
    seat, leg = [(-0.15, SEAT - 0.11), (0.22, SEAT - 0.11)], [(0.18, SEAT - 0.11), (0.2, 0.0)]
    return [
        limb_along(still(seat, num_frames), (0.03, 0.03), 0.6, "room"),
        limb_along(still(leg, num_frames), (0.018, 0.018), 0.6, "room"),
    ]
