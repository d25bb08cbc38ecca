"""A person who walks, seen from the side by a camera that goes along.

Source: Goetz et al. 2008, items 3.10 (gait: stride amplitude and speed, arm swing) and 3.11
(freezing of gait: halts, trembling on the spot). The numbers are invented; how long a person's
steps are is mostly the person's habit, so that one frame does not give the grade away.

Coordinates: metres, x to where the person faces, y up from the floor.
"""

import numpy as np

from pdray.demo.body.limb import (
    Appearance,
    Figure,
    Limb,
    View,
    chain,
    floor,
    limb_along,
    still,
)
from pdray.demo.illness.movement import (
    Floats,
    Movement,
    Profile,
    Reach,
    at_severity,
    count_cycles,
    draw_severity,
    moments,
    oscillate,
    shown,
    shrink,
)

WALK_VIEW = View(middle=(0.0, 0.86), units=2.05, tilt=0.25)

# Cycles are strides, two steps each; the amplitude is that of the steps.
WALKING = Profile(
    frequency_hz=(1.02, 0.94, 0.7, 0.58, 0.48),
    ends_hz=(1.06, 0.42),
    amplitude=(1.0, 0.99, 0.95, 0.9, 0.84),
    decrement=(0.01, 0.02, 0.05, 0.07, 0.09),
    num_hesitations=(0.0, 0.05, 0.5, 1.2, 1.6),
    arrest_chance=(0.0, 0.02, 0.12, 0.45, 0.6),
    tremor=(0.0, 0.0, 0.006, 0.012, 0.016),
)
HALTED = 0.35  # of the usual pace: below it a person stands and may tremble

THIGH, SHIN = 0.43, 0.41  # from joint to joint [m]
UPPER, FORE = 0.29, 0.32  # hand included
MARKS_METRES = 0.9  # between two marks on the wall
NUM_MARKS = 4  # enough to reach past both edges of the picture


def draw_walk(
    grade: int, reach: Reach, rng: np.random.Generator, *, num_frames: int, fps: int
) -> Movement:
    """Draw one recording's walk.

    Args:
        grade: 0 (normal) to 4 (severe).
        reach: Its width is the person's length of a step, whatever the grade.
        rng: All randomness comes from here.
        num_frames: Length of the recording, at least 2.
        fps: Frames per second.

    Returns:
        The movement: ``opening`` is the length of a step, ``cycles`` counts strides, ``tremor``
        displaces the knees while the walk halts [m].
    """
    severity = draw_severity(grade, rng)
    t = moments(num_frames, fps)
    cycles = count_cycles(WALKING, severity, t, rng)
    length = shrink(WALKING, severity, t * fps / num_frames, cycles, rng)
    pace = np.gradient(cycles, t)
    halted = (1 - pace / (HALTED * np.median(pace))).clip(0, 1)
    size = at_severity(WALKING.tremor, severity) * rng.lognormal(0.0, 0.4)
    trembling = size * halted * oscillate(rng.uniform(4.0, 7.0), t, rng)
    steps = (0.25 + 0.75 * (reach.opened - reach.closed)) * length
    return shown(steps, trembling[:, None] * np.array([1.0, 0.2]), cycles)


def walking_figure(movement: Movement, appearance: Appearance) -> Figure:
    """Return a walker whose steps are as long as the movement is open."""
    num_frames, build = len(movement.opening), appearance.build
    legs = [_leg(movement, phase) for phase in (0.5, 0.0)]
    # The lower foot stands on the floor, and the body over it.
    ground = np.min([leg[..., 1].min(axis=1) for leg in legs], axis=0) - 0.045
    bob = np.stack([np.zeros(num_frames), -ground], axis=1).astype(np.float32)
    hip = bob[:, None]
    far_leg, near_leg = (leg + hip for leg in legs)
    trunk, neck, head = (
        hip + still(points, num_frames)
        for points in ([(0.0, 0.04), (0.02, 0.42)], [(0.02, 0.5), (0.05, 0.66)],
                       [(0.05, 0.72), (0.07, 0.76)])
    )  # fmt: skip
    shoulder = hip + still([(0.02, 0.5)], num_frames)
    limbs = [
        *_marks(movement, num_frames),
        *_dressed_arm(_arm(movement, 0.0) + shoulder, build, 0.75),
        *_dressed_leg(far_leg, build, 0.72),
        limb_along(neck, (0.05, 0.05), 0.9, build=build),
        limb_along(head, (0.095, 0.1), 1.0, build=build),
        *_dressed_leg(near_leg, build, 0.95),
        limb_along(trunk, (0.13, 0.145), 1.08, "cloth", build=build),
        *_dressed_arm(_arm(movement, 0.5) + shoulder, build, 0.95),
    ]
    return Figure(tuple(limbs), np.zeros((num_frames, 2), np.float32), WALK_VIEW)


def _leg(movement: Movement, phase: float) -> Floats:
    """Return (N, 4, 2) hip, knee, ankle and toes from the hip; the knee bends on the way ahead."""
    turn = 2 * np.pi * (movement.cycles + phase)
    swing = 27.0 * movement.opening * np.sin(turn)
    ahead = np.cos(turn - 0.35).clip(0, 1) ** 1.5
    bent = 4.0 + (12.0 + 46.0 * movement.opening) * ahead
    thigh = 180.0 - swing - 0.25 * bent
    shin = thigh + bent
    foot = shin - 82.0 - 12.0 * ahead
    joints = chain((0.0, 0.0), np.stack([thigh, shin, foot], axis=1), (THIGH, SHIN, 0.17))
    joints[:, 1] += movement.tremor
    return joints


def _arm(movement: Movement, phase: float) -> Floats:
    """Return (N, 3, 2) shoulder, elbow and finger tips from the shoulder."""
    swing = 30.0 * movement.opening * np.sin(2 * np.pi * (movement.cycles + phase))
    upper = 180.0 - swing
    fore = upper - 14.0 - 0.3 * np.abs(swing)
    return chain((0.0, 0.0), np.stack([upper, fore], axis=1), (UPPER, FORE))


def _dressed_leg(joints: Floats, build: float, tone: float) -> list[Limb]:
    return [
        limb_along(joints[:, 2:], (0.045, 0.03), 0.5 * tone, "cloth", build=build),
        limb_along(joints[:, :3], (0.09, 0.065, 0.045), 0.85 * tone, "cloth", build=build),
    ]


def _dressed_arm(joints: Floats, build: float, tone: float) -> list[Limb]:
    return [
        limb_along(joints[:, 1:], (0.04, 0.032), tone, build=build),
        limb_along(joints[:, :2], (0.058, 0.048), tone, "cloth", build=build),
    ]


def _marks(movement: Movement, num_frames: int) -> list[Limb]:
    """Return a floor, and posts on the wall that pass by as fast as the person walks."""
    step = 2 * (THIGH + SHIN) * np.sin(np.deg2rad(27.0) * movement.opening)
    walked = np.cumsum(2 * step * np.diff(movement.cycles, prepend=movement.cycles[0]))
    places = MARKS_METRES * np.arange(NUM_MARKS) - (walked[:, None] + movement.cycles[0])
    width = MARKS_METRES * NUM_MARKS
    x = places % width - width / 2
    ends = [np.stack([x, np.full_like(x, y)], axis=-1) for y in (0.1, 1.0)]
    radii = np.full((NUM_MARKS, 2), 0.02, np.float32)
    posts = Limb(np.stack(ends, axis=2).astype(np.float32), radii, 0.8, "room")
    return [floor(num_frames, -2.5), posts]
