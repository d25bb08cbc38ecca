"""How far a hand is open over time, worse with the grade, in the words of the MDS-UPDRS.

Source: Goetz et al. 2008, items 3.4 (finger tapping) and 3.5 (hand movements): slowing, amplitude
decrement (near the end at grade 1, midway at 2, from the first tap on at 3), one or two
interruptions at 1, three to five at 2, more or a longer arrest at 3, hardly any movement at 4.
The numbers are invented; they make synthetic recordings, not a claim about patients.

What the grade decides is mostly *when* the hand moves. *How far* it opens belongs to the person
and to the recording, so that neither one frame nor an unordered set of frames gives it away.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# One column a grade, 0 to 4; a recording's own severity lies between the columns.
FREQUENCY_HZ = (2.75, 2.4, 1.5, 1.12, 0.85)
AMPLITUDE = (1.0, 0.99, 0.95, 0.91, 0.85)
DECREMENT = (0.04, 0.12, 0.26, 0.37, 0.42)  # share of the amplitude lost by the end
DECREMENT_ONSET = (0.8, 0.6, 0.35, 0.1, 0.0)  # share of the recording passed when it begins
RHYTHM_JITTER = (0.04, 0.06, 0.11, 0.15, 0.18)  # standard deviation of a cycle's log length
NUM_HESITATIONS = (0.05, 0.4, 1.2, 1.9, 2.0)  # expected, in a recording
ARREST_CHANCE = (0.0, 0.02, 0.15, 0.5, 0.6)
TREMOR = (0.0, 0.004, 0.012, 0.022, 0.03)  # of a full opening, 4 to 6 Hz

SEVERITY_NOISE = 0.18  # grades: raters do not agree to the decimal
STEPS_PER_FRAME = 8  # integration of the phase


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a person opens the hand, whatever the grade.

    Attributes:
        closed: Opening at the closed end, 0 (touching) to 1 (as far as a hand opens).
        opened: Opening at the open end, above ``closed``.
    """

    closed: float
    opened: float


@dataclass(frozen=True)
class Movement:
    """What the hand does, one value a frame.

    Attributes:
        opening: (N,) float32, 0 touching to 1 wide open.
        tremor: (N, 2) float32, displacement of the whole hand [palm lengths].
    """

    opening: NDArray[np.float32]
    tremor: NDArray[np.float32]


def draw_movement(
    grade: int, reach: Reach, rng: np.random.Generator, *, num_frames: int, fps: int
) -> Movement:
    """Draw one recording's movement.

    Args:
        grade: 0 (normal) to 4 (severe).
        reach: The open and the closed end of the full movement.
        rng: All randomness comes from here.
        num_frames: Length of the recording, at least 2.
        fps: Frames a second.

    Returns:
        The movement, the same for the same ``rng`` state.
    """
    severity = float(np.clip(grade + SEVERITY_NOISE * rng.standard_normal(), -0.3, 4.3))
    seconds = num_frames / fps
    t = np.arange(num_frames * STEPS_PER_FRAME) / (fps * STEPS_PER_FRAME)
    cycles = _cycles(severity, t, rng)
    wave = 0.5 - 0.5 * np.cos(2 * np.pi * cycles)
    amplitude = _amplitude(severity, t / seconds, cycles, rng)
    # A shrinking movement stops short of opening, of closing, or of both: not of the grade's doing.
    anchor = rng.uniform(0.0, 1.0)
    position = anchor + amplitude * (wave - anchor)
    size = at_severity(TREMOR, severity) * rng.lognormal(0.0, 0.4)
    shaking = size * _oscillation(rng.uniform(4.0, 6.0), t, rng)
    opening = reach.closed + (reach.opened - reach.closed) * position + shaking
    angle = rng.uniform(0.0, 2 * np.pi)
    direction = np.array([np.cos(angle), np.sin(angle)])
    tremor = 0.4 * shaking[:, None] * direction
    frames = slice(STEPS_PER_FRAME // 2, None, STEPS_PER_FRAME)
    return Movement(
        opening=np.clip(opening[frames], 0.0, 1.0).astype(np.float32),
        tremor=tremor[frames].astype(np.float32),
    )


def at_severity(column: tuple[float, ...], severity: float) -> float:
    """Read a per-grade row between its entries, held flat outside them."""
    return float(np.interp(severity, np.arange(len(column)), column))


def _cycles(
    severity: float, t: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Count cycles up to each moment: jittered rhythm, fatigue, hesitations, arrests."""
    seconds, step = float(t[-1]), float(t[1])
    # Outside grades 0 to 4 the frequency goes on, so that grade 0 and 4 are not narrower.
    log_hz = np.interp(severity, np.arange(-1, 6), np.log([2.9, *FREQUENCY_HZ, 0.7]))
    frequency_hz = float(np.exp(log_hz + 0.05 * rng.standard_normal()))
    jitter = at_severity(RHYTHM_JITTER, severity)
    per_cycle = np.exp(jitter * rng.standard_normal(64))
    knots = np.arange(64) / frequency_hz
    slowing = 1.0 - 0.5 * at_severity(DECREMENT, severity) * t / seconds
    rate_hz = frequency_hz * np.interp(t, knots, per_cycle) * slowing
    for start, length, depth in _stops(severity, seconds, rng):
        inside = np.clip((t - start) / length, 0.0, 1.0)
        rate_hz *= 1.0 - depth * np.clip(4.0 * np.minimum(inside, 1.0 - inside), 0.0, 1.0)
    phase: NDArray[np.float64] = rng.uniform(0.0, 1.0) + np.cumsum(rate_hz) * step
    return phase


def _stops(
    severity: float, seconds: float, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """Draw (start s, length s, depth 0 to 1) of hesitations and perhaps one arrest."""
    stops = []
    for _ in range(rng.poisson(at_severity(NUM_HESITATIONS, severity) * seconds / 4.0)):
        stops.append((rng.uniform(0.0, seconds), rng.uniform(0.15, 0.35), rng.uniform(0.6, 1.0)))
    if rng.uniform() < at_severity(ARREST_CHANCE, severity):
        stops.append((rng.uniform(0.1, 0.8) * seconds, rng.uniform(0.4, 0.9), 1.0))
    return stops


def _amplitude(
    severity: float,
    passed: NDArray[np.float64],
    cycles: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return the share of the full movement at each moment: overall, decrement, per cycle."""
    onset = at_severity(DECREMENT_ONSET, severity)
    lost = at_severity(DECREMENT, severity) * rng.lognormal(0.0, 0.3)
    decrement = 1.0 - lost * np.clip((passed - onset) / (1.0 - onset), 0.0, 1.0)
    irregular = 1.0 + 0.05 * rng.standard_normal(64)
    per_cycle = np.interp(cycles, np.arange(64), irregular)
    amplitude: NDArray[np.float64] = at_severity(AMPLITUDE, severity) * decrement * per_cycle
    return np.clip(amplitude, 0.05, 1.0)


def _oscillation(
    frequency_hz: float, t: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return a sine whose frequency wanders a little, between -1 and 1."""
    wander = 1.0 + 0.08 * np.interp(t, np.arange(0, 64, 0.5), rng.standard_normal(128))
    phase = rng.uniform(0.0, 1.0) + np.cumsum(frequency_hz * wander) * t[1]
    wave: NDArray[np.float64] = np.sin(2 * np.pi * phase)
    return wave
