"""Tremor of an arm that is held out, and on the way from the nose to a finger.

Source: Goetz et al. 2008, items 3.15 (postural tremor) and 3.16 (kinetic tremor): the grade is
the tremor's amplitude - under 1 cm at grade 1, 1 to 3 cm at 2, 3 to 10 cm at 3, more at 4. The
numbers below are invented within these; frequency, posture, pace and how far a person reaches are
not the grade's doing.
"""

import numpy as np

from pdray.demo.illness.movement import (
    Doubles,
    Movement,
    Reach,
    draw_severity,
    moments,
    oscillate,
    shown,
)

# One entry per grade; half of what a ruler at the finger tips would show.
AMPLITUDE_METRES = (0.0015, 0.005, 0.013, 0.03, 0.06)
LOWEST_HZ, HIGHEST_HZ = 3.0, 6.0
SPREAD = 0.3  # standard deviation of a recording's log amplitude
DRIFT_HZ = (0.15, 0.7)
REACHES_HZ = (0.35, 0.6)  # from the nose to the finger and back


def draw_posture(
    grade: int, reach: Reach, rng: np.random.Generator, *, num_frames: int, fps: int
) -> Movement:
    """Draw an arm that is held out: it sinks and rises slowly, and trembles.

    Args:
        grade: 0 (none) to 4 (severe).
        reach: Between which heights the arm drifts.
        rng: All randomness comes from here.
        num_frames: Length of the recording, at least 2.
        fps: Frames per second.

    Returns:
        The movement: ``opening`` is the height, ``tremor`` that of the finger tips [m].
    """
    t = moments(num_frames, fps)
    slow, slower = (oscillate(hz, t, rng) for hz in rng.uniform(*DRIFT_HZ, 2))
    drift = 0.6 * slow + 0.4 * slower
    cycles = rng.uniform() + np.zeros_like(t)
    height = reach.closed + (reach.opened - reach.closed) * (0.5 + 0.5 * drift)
    return shown(height, _trembling(grade, t, rng), cycles)


def draw_reaching(
    grade: int, reach: Reach, rng: np.random.Generator, *, num_frames: int, fps: int
) -> Movement:
    """Draw a finger that goes from the nose to the examiner's finger and back, and trembles.

    Args:
        grade: 0 (none) to 4 (severe).
        reach: How near the person comes to the nose and to the finger.
        rng: All randomness comes from here.
        num_frames: Length of the recording, at least 2.
        fps: Frames per second.

    Returns:
        The movement: ``opening`` is the way from the nose, ``tremor`` that of the finger tip [m].
    """
    t = moments(num_frames, fps)
    first, pace_hz = rng.uniform(), rng.uniform(*REACHES_HZ)
    cycles = first + np.cumsum(pace_hz * (1 + 0.15 * oscillate(0.2, t, rng))) * float(t[1])
    # A dwell at either end, as at a target that is touched.
    wave = -np.cos(2 * np.pi * cycles)
    way = 0.5 + 0.5 * np.tanh(1.6 * wave) / np.tanh(1.6)
    near, far = 0.12 * reach.closed, 1 - 0.12 * (1 - reach.opened)
    return shown(near + (far - near) * way, _trembling(grade, t, rng), cycles)


def _trembling(grade: int, t: Doubles, rng: np.random.Generator) -> Doubles:
    """Return (len(t), 2) displacement along and across the arm [m], waxing and waning."""
    severity = draw_severity(grade, rng)
    log_amplitude = np.interp(severity, np.arange(5), np.log(AMPLITUDE_METRES))
    amplitude = np.exp(log_amplitude + SPREAD * rng.standard_normal())
    wave = oscillate(rng.uniform(LOWEST_HZ, HIGHEST_HZ), t, rng)
    waxing = 0.8 + 0.2 * oscillate(rng.uniform(0.3, 0.8), t, rng)
    angle = rng.uniform(-0.5, 0.5)
    direction = np.array([np.sin(angle), np.cos(angle)])
    return np.asarray(amplitude * (wave * waxing)[:, None] * direction)
