"""Legs of a seated person, seen from the side: toes that tap, a leg that is lifted.

Coordinates: metres, x to where the person faces, y up from the floor.
"""

import numpy as np
from numpy.typing import NDArray

from pdray.demo.body.limb import (
    Appearance,
    Figure,
    Floats,
    Limb,
    Surface,
    View,
    chain,
    limb_along,
    still_limb,
)
from pdray.demo.illness.movement import Movement

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
    shin_top = (-0.02 - np.sin(np.deg2rad(lean)) * 0.5, 0.6)
    behind = [(-0.12, 0.035), (0.0, 0.05), (0.06, 0.03)]
    limbs = [
        _floor(num_frames),
        still_limb(behind, (0.03, 0.035, 0.02), 0.7, "skin", num_frames=num_frames),
        _foot(movement.opening * TOES_DEGREES, np.array([[-0.045, 0.035]]), build, 1.0, "skin"),
        still_limb(
            [(-0.012, 0.11), shin_top],
            (0.042 * build, 0.062 * build),
            1.0,
            "cloth",
            num_frames=num_frames,
        ),
    ]
    return Figure(tuple(limbs), movement.tremor * np.float32(0.1), FOOT_VIEW)


def lifted_figure(movement: Movement, appearance: Appearance) -> Figure:
    """Return a seated person whose foot is the higher the more the movement is open."""
    num_frames, build = len(movement.opening), appearance.build
    still = np.zeros(num_frames, np.float32)
    hang = 8.0 * (appearance.curl - 0.5)
    rest = np.array([90.0, 180.0 + hang])
    raised = np.array([90.0 - LIFT_DEGREES, 178.0 + hang])
    angles = rest + movement.opening[:, None] * (raised - rest)
    lengths = np.array([THIGH, SHIN])
    leg = chain(still, still + SEAT, angles, lengths)
    resting = chain(still - 0.02, still + SEAT, rest + still[:, None], lengths)
    limbs = [_floor(num_frames), *_chair(num_frames)]
    for joints, tone in ((resting, 0.72), (leg, 1.0)):
        ankle = joints[:, 2]
        turn = 12.0 * movement.opening if tone == 1.0 else still
        limbs += [
            _foot(-turn, ankle - [0.03, 0.06], build, 0.5 * tone, "cloth"),
            limb_along(joints, build * np.array([0.085, 0.062, 0.045]), tone, "cloth"),
        ]
    trunk = [(-0.02, SEAT + 0.05), (-0.05, SEAT + 0.6)]
    limbs.append(
        still_limb(trunk, (0.13 * build, 0.14 * build), 0.85, "cloth", num_frames=num_frames)
    )
    return Figure(tuple(limbs), movement.tremor * np.float32(0.15), SEAT_VIEW)


def _foot(
    turn: Floats,
    heel: NDArray[np.floating],
    build: float,
    tone: float,
    surface: Surface,
) -> Limb:
    """Return a foot turned about its (N, 2) or (1, 2) heel, toes up by ``turn`` [degrees]."""
    outline = np.array([(0.24, -0.008), (0.17, 0.0), (0.04, 0.06), (0.0, 0.0), (0.17, 0.0)])
    radii = np.array([0.015, 0.024, 0.035, 0.032, 0.024])
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    rotation = np.stack([np.stack([cos, sin], axis=1), np.stack([-sin, cos], axis=1)], axis=1)
    joints = heel[:, None] + outline @ rotation
    return limb_along(joints.astype(np.float32), build * radii, tone, surface)


def _floor(num_frames: int) -> Limb:
    """Return a floor that reaches out of the picture."""
    return still_limb([(-2.0, -0.5), (2.5, -0.5)], (0.5, 0.5), 0.8, "room", num_frames=num_frames)


def _chair(num_frames: int) -> list[Limb]:
    """Return a seat and one leg of it."""
    seat, leg = [(-0.15, SEAT - 0.11), (0.22, SEAT - 0.11)], [(0.18, SEAT - 0.11), (0.2, 0.0)]
    return [
        still_limb(seat, (0.03, 0.03), 0.6, "room", num_frames=num_frames),
        still_limb(leg, (0.018, 0.018), 0.6, "room", num_frames=num_frames),
    ]
