"""Movement of a limb over time, worse with the grade, in the words of the MDS-UPDRS.

Source: Goetz et al. 2008, items 3.4 to 3.8 (finger tapping, hand movements, pronation, toe tapping,
leg agility), which are worded alike: slowing, amplitude decrement (near the end at grade 1, midway
at 2, from the first tap on at 3), one or two interruptions at 1, three to five at 2, more or a
longer arrest at 3, hardly any movement at 4. An item is a profile of these; items differ in pace.
The numbers are invented; they make synthetic recordings, not a claim about patients.

What the grade decides is mostly *when* a limb moves. *How far* it goes belongs to the person
and to the recording, so that neither one frame nor an unordered set of frames gives it away.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

SEVERITY_NOISE = 0.18  # grades: raters do not agree to the decimal
STEPS_PER_FRAME = 8  # integration of the phase
FRAMES = slice(STEPS_PER_FRAME // 2, None, STEPS_PER_FRAME)  # the steps that are shown

Row = tuple[float, float, float, float, float]  # one number per grade, 0 to 4


@dataclass(frozen=True, slots=True)
class Profile:
    """Effect of the grade on a repeated movement.

    A recording's own severity lies between the grades.

    Attributes:
        frequency_hz: Cycles per second.
        ends_hz: The same at grades -1 and 5, so that grades 0 and 4 are not narrower.
        amplitude: Share of the person's own reach.
        decrement: Share of the amplitude lost by the end.
        decrement_onset: Share of the recording passed when that begins.
        rhythm_jitter: Standard deviation of a cycle's log length.
        num_hesitations: Expected in four seconds.
        arrest_chance: Of one long stop.
        tremor: Of a full opening, 4 to 6 Hz.
    """

    frequency_hz: Row = (2.75, 2.4, 1.5, 1.12, 0.85)
    ends_hz: tuple[float, float] = (2.9, 0.7)
    amplitude: Row = (1.0, 0.99, 0.95, 0.91, 0.85)
    decrement: Row = (0.04, 0.12, 0.26, 0.37, 0.42)
    decrement_onset: Row = (0.8, 0.6, 0.35, 0.1, 0.0)
    rhythm_jitter: Row = (0.04, 0.06, 0.11, 0.15, 0.18)
    num_hesitations: Row = (0.05, 0.4, 1.2, 1.9, 2.0)
    arrest_chance: Row = (0.0, 0.02, 0.15, 0.5, 0.6)
    tremor: Row = (0.0, 0.004, 0.012, 0.022, 0.03)


TAPPING = Profile()  # of fingers and of the whole hand
TURNING = Profile(frequency_hz=(2.2, 1.95, 1.25, 0.95, 0.72), ends_hz=(2.35, 0.6))
TOES = Profile(frequency_hz=(2.5, 2.2, 1.4, 1.05, 0.8), ends_hz=(2.65, 0.65))
LEGS = Profile(frequency_hz=(2.0, 1.75, 1.1, 0.85, 0.65), ends_hz=(2.1, 0.55))


@dataclass(frozen=True, slots=True)
class Reach:
    """Range of a person's movement, whatever the grade.

    Attributes:
        closed: Opening at the closed end, 0 (touching, lowered) to 1 (as far as a limb goes).
        opened: Opening at the open end, above ``closed``.
    """

    closed: float
    opened: float


@dataclass(frozen=True)
class Movement:
    """Movement of a limb, one value per frame.

    Attributes:
        opening: (N,) float32, 0 (closed, lowered, at rest) to 1 (as far as the limb goes).
        tremor: (N, 2) float32, displacement of the limb by trembling [units of the figure].
        cycles: (N,) float64, movements made so far, counted from a random part of the first.
    """

    opening: Floats
    tremor: Floats
    cycles: Doubles


def moments(num_frames: int, fps: int) -> Doubles:
    """Return the times at which a movement is computed, more often than it is shown [s]."""
    return np.asarray(np.arange(num_frames * STEPS_PER_FRAME) / (fps * STEPS_PER_FRAME))


def shown(opening: Doubles, tremor: Doubles, cycles: Doubles) -> Movement:
    """Return what the frames show of values at all :func:`moments`."""
    return Movement(
        opening=opening[FRAMES].clip(0.0, 1.0).astype(np.float32),
        tremor=tremor[FRAMES].astype(np.float32),
        cycles=cycles[FRAMES],
    )


def draw_movement(
    grade: int,
    reach: Reach,
    rng: np.random.Generator,
    *,
    num_frames: int,
    fps: int,
    profile: Profile = TAPPING,
) -> Movement:
    """Draw one recording's movement, to and fro.

    Args:
        grade: 0 (normal) to 4 (severe).
        reach: The open and the closed end of the full movement.
        rng: All randomness comes from here.
        num_frames: Length of the recording, at least 2.
        fps: Frames per second.
        profile: What the grade does.

    Returns:
        The movement, the same for the same ``rng`` state.
    """
    severity = draw_severity(grade, rng)
    seconds = num_frames / fps
    t = moments(num_frames, fps)
    cycles = count_cycles(profile, severity, t, rng)
    wave = 0.5 - 0.5 * np.cos(2 * np.pi * cycles)
    amplitude = shrink(profile, severity, t / seconds, cycles, rng)
    # A shrinking movement stops short of opening, of closing, or of both: not of the grade's doing.
    anchor = rng.uniform(0.0, 1.0)
    position = anchor + amplitude * (wave - anchor)
    size = at_severity(profile.tremor, severity) * rng.lognormal(0.0, 0.4)
    shaking = size * oscillate(rng.uniform(4.0, 6.0), t, rng)
    opening = reach.closed + (reach.opened - reach.closed) * position + shaking
    angle = rng.uniform(0.0, 2 * np.pi)
    direction = np.array([np.cos(angle), np.sin(angle)])
    return shown(opening, 0.4 * shaking[:, None] * direction, cycles)


def draw_severity(grade: int, rng: np.random.Generator) -> float:
    """Return what a recording shows of its grade, -0.3 to 4.3."""
    return float(np.clip(grade + SEVERITY_NOISE * rng.standard_normal(), -0.3, 4.3))


def at_severity(column: tuple[float, ...], severity: float) -> float:
    """Read a per-grade row between its entries, held flat outside them."""
    return float(np.interp(severity, np.arange(len(column)), column))


def count_cycles(
    profile: Profile, severity: float, t: Doubles, rng: np.random.Generator
) -> Doubles:
    """Count cycles up to each moment [s]: jittered rhythm, fatigue, hesitations, arrests."""
    seconds, step = float(t[-1]), float(t[1])
    fastest, slowest = profile.ends_hz
    row = np.log([fastest, *profile.frequency_hz, slowest])
    log_hz = np.interp(severity, np.arange(-1, 6), row)
    frequency_hz = float(np.exp(log_hz + 0.05 * rng.standard_normal()))
    jitter = at_severity(profile.rhythm_jitter, severity)
    per_cycle = np.exp(jitter * rng.standard_normal(64))
    knots = np.arange(64) / frequency_hz
    slowing = 1.0 - 0.5 * at_severity(profile.decrement, severity) * t / seconds
    rate_hz = frequency_hz * np.interp(t, knots, per_cycle) * slowing
    for start, length, depth in _stops(profile, severity, seconds, rng):
        inside = np.clip((t - start) / length, 0.0, 1.0)
        rate_hz *= 1.0 - depth * np.clip(4.0 * np.minimum(inside, 1.0 - inside), 0.0, 1.0)
    return np.asarray(rng.uniform(0.0, 1.0) + np.cumsum(rate_hz) * step)


def _stops(
    profile: Profile, severity: float, seconds: float, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """Draw (start s, length s, depth 0 to 1) of hesitations and perhaps one arrest."""
    stops = []
    expected = at_severity(profile.num_hesitations, severity) * seconds / 4.0
    for _ in range(rng.poisson(expected)):
        stops.append((rng.uniform(0.0, seconds), rng.uniform(0.15, 0.35), rng.uniform(0.6, 1.0)))
    if rng.uniform() < at_severity(profile.arrest_chance, severity):
        stops.append((rng.uniform(0.1, 0.8) * seconds, rng.uniform(0.4, 0.9), 1.0))
    return stops


def shrink(
    profile: Profile, severity: float, passed: Doubles, cycles: Doubles, rng: np.random.Generator
) -> Doubles:
    """Return the share of the reach at each moment: overall, decrement, per cycle.

    ``passed`` is the share of the recording at each moment, ``cycles`` the movements so far.
    """
    onset = at_severity(profile.decrement_onset, severity)
    lost = at_severity(profile.decrement, severity) * rng.lognormal(0.0, 0.3)
    decrement = 1.0 - lost * np.clip((passed - onset) / (1.0 - onset), 0.0, 1.0)
    irregular = 1.0 + 0.05 * rng.standard_normal(64)
    per_cycle = np.interp(cycles, np.arange(64), irregular)
    return np.clip(at_severity(profile.amplitude, severity) * decrement * per_cycle, 0.05, 1.0)


def oscillate(frequency_hz: float, t: Doubles, rng: np.random.Generator) -> Doubles:
    """Return a sine whose frequency wanders a little, between -1 and 1."""
    wander = 1.0 + 0.08 * np.interp(t, np.arange(0, 64, 0.5), rng.standard_normal(128))
    phase = rng.uniform(0.0, 1.0) + np.cumsum(frequency_hz * wander) * t[1]
    return np.asarray(np.sin(2 * np.pi * phase))
