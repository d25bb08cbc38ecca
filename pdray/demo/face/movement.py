"""Movement of a SYNTHETIC talking face over time: the worse the grade, the less it moves.

Source of the signs: MDS-UPDRS item 3.2 (Goetz et al. 2008: less blinking, masked face, lips parted
at rest) read on the six grades of YouTubePD (0 to 5). The numbers are invented; they make synthetic
recordings, not a claim about patients.

The grade decides how *much* a face moves. Where it rests - how far the eyes and the lips stand
open, how high the brows are, how it smiles - is the recording's chance: each movement is taken
about its own mean, so that the mean face of a recording does not tell the grade.
"""

from dataclasses import dataclass

import numpy as np

from pdray.demo.face.voice import PAUSE_SHARE, SYLLABLE_SECONDS
from pdray.demo.illness.movement import Doubles, Floats, at_severity

# One column per grade, 0 to 5; a recording's own severity lies between the columns.
BLINKS_PER_SECOND = (0.7, 0.56, 0.38, 0.25, 0.14, 0.06)
BLINK_DEPTH = (1.0, 0.99, 0.95, 0.88, 0.8, 0.7)  # share of the opening that a blink closes
LIVELINESS = (1.0, 0.84, 0.6, 0.42, 0.29, 0.19)  # share of all other movement that is left

# Movement of a lively face, in distances between the eyes; of smile and gaze in their own units.
MOUTH_GAP = 0.26  # of the loudest syllable
MOUTH_SPREAD = 0.03  # standard deviation between rounded and wide vowels
SMILE = 0.28  # standard deviation
BROW = 0.032  # standard deviation
TURN_RAD = (0.045, 0.028, 0.02)  # standard deviation of yaw, pitch and roll

SEVERITY_NOISE = 0.18  # grades: raters do not agree to the decimal
CHANNEL_NOISE = 0.28  # of the log of each movement's size
BLINK_SECONDS = (0.08, 0.16)  # closing, opening
WANDER_HZ = (0.18, 0.9)  # slow movements of head, brows and smile


@dataclass(frozen=True)
class Expression:
    """Movement of the face, one row per frame; lengths in distances between the eyes.

    Attributes:
        eye: (N,) float32 opening of both eyes, 0 closed, 1 the person's usual.
        gaze: (N, 2) float32 the irises' place, right and down, -1 to 1 of their way.
        brow: (N,) float32 how far the brows are raised, below 0 lowered.
        mouth: (N,) float32 gap between the lips, at least 0.
        spread: (N,) float32 how much farther out the corners of the mouth are; below 0 rounded.
        smile: (N,) float32 -1 (corners down) to 1 (up) of a talking face; a posed one and one with
            static signs go beyond.
        turn: (N, 3) float32 yaw, pitch and roll of the head about the visit's pose [rad].
        frown: (N,) float32 how much the brows are drawn together and down, the lips pressed: 0 of
            a talking face, about 1 of an angry one.
        cheek: (N,) float32 how much the cheeks and with them the lower lids are lifted: 0 of a
            talking face, about 1 of a happy one.
    """

    eye: Floats
    gaze: Floats
    brow: Floats
    mouth: Floats
    spread: Floats
    smile: Floats
    turn: Floats
    frown: Floats
    cheek: Floats


def draw_expression(
    grade: int, liveliness: float, rng: np.random.Generator, *, num_frames: int, fps: int
) -> Expression:
    """Draw what a face does in one recording.

    Args:
        grade: 0 (normal) to 5 (severe).
        liveliness: How much the person moves the face at any grade, around 1.
        rng: All randomness comes from here.
        num_frames: Length of the recording, at least 2.
        fps: Frames per second.

    Returns:
        The expression, the same for the same ``rng`` state.
    """
    severity = float(np.clip(grade + SEVERITY_NOISE * rng.standard_normal(), 0.0, 5.0))
    t = np.arange(num_frames) / fps
    # Where the face rests, first: whatever the grade asks for later does not move it.
    rest_eye, rest_mouth = rng.uniform(0.88, 1.12), rng.uniform(0.08, 0.3)
    rest_brow, rest_smile = rng.uniform(-0.07, 0.08), rng.uniform(-0.6, 0.6)
    sizes = np.exp(CHANNEL_NOISE * rng.standard_normal(5))
    sizes *= liveliness * at_severity(LIVELINESS, severity)
    gap, spread = _talk(t, severity, rng)
    brow = sizes[2] * BROW * (wander(t, rng, 1)[:, 0] + 0.6 * _stress(t, rng))
    smile = rest_smile + sizes[3] * SMILE * wander(t, rng, 1)[:, 0]
    turn = sizes[4] * np.array(TURN_RAD) * wander(t, rng, 3)
    eye = (rest_eye + 1.2 * (brow - brow.mean())) * (1.0 - blinks(t, severity, rng))
    return Expression(
        eye=eye.clip(0.0, 1.4).astype(np.float32),
        gaze=look_about(t, rng).astype(np.float32),
        brow=(rest_brow + brow - brow.mean()).astype(np.float32),
        mouth=(rest_mouth + sizes[0] * MOUTH_GAP * (gap - gap.mean())).clip(0).astype(np.float32),
        spread=(sizes[1] * MOUTH_SPREAD * (spread - spread.mean())).astype(np.float32),
        smile=smile.clip(-1.0, 1.0).astype(np.float32),
        turn=turn.astype(np.float32),
        frown=np.zeros(num_frames, np.float32),
        cheek=np.zeros(num_frames, np.float32),
    )


def _talk(t: Doubles, severity: float, rng: np.random.Generator) -> tuple[Doubles, Doubles]:
    """Open the mouth once per syllable, and let vowels be wide or round; pauses keep it shut.

    Returns:
        (N,) opening, 0 to 1, and (N,) width of about unit size.
    """
    knots = np.arange(0, t[-1] + 3 * SYLLABLE_SECONDS, SYLLABLE_SECONDS)
    loud = rng.uniform(0.35, 1.0, len(knots))
    vowel = rng.standard_normal(len(knots))
    order = rng.permutation(len(knots))
    loud[order[: round(at_severity(PAUSE_SHARE, severity) * len(knots))]] = 0.0
    # The film starts anywhere in a syllable: its first frame is like any other.
    t = t + rng.uniform(0.0, SYLLABLE_SECONDS)
    pulse = 0.5 + 0.5 * np.cos(2 * np.pi * t / SYLLABLE_SECONDS)
    opening = np.interp(t, knots, loud) * (0.25 + 0.75 * pulse)
    return opening, np.interp(t, knots, vowel * (loud > 0))


def blinks(t: Doubles, severity: float, rng: np.random.Generator) -> Doubles:
    """Return (N,) the closed share of the eyes, 0 to 1: rarer and less complete with severity."""
    rate_hz = at_severity(BLINKS_PER_SECOND, severity)
    depth = at_severity(BLINK_DEPTH, severity)
    closing, opening = BLINK_SECONDS
    shut = np.zeros(len(t))
    # Blinks come at least a third of a second apart; the first may have begun before the start.
    moment = rng.exponential(1 / rate_hz) - closing
    while moment < t[-1] + closing:
        whole = min(1.0, depth * rng.uniform(0.92, 1.08))
        away = np.where(t < moment, (moment - t) / closing, (t - moment) / opening)
        shut = np.maximum(shut, whole * (1.15 - away).clip(0.0, 1.0))
        moment += 0.33 + rng.exponential(max(1 / rate_hz - 0.33, 0.1))
    return shut


def _stress(t: Doubles, rng: np.random.Generator) -> Doubles:
    """Raise the brows for about a third of a second at stressed words; unit size."""
    pulses = np.zeros(len(t))
    moment = rng.exponential(1.2)
    while moment < t[-1]:
        pulses += rng.uniform(1.0, 2.5) * np.exp(-0.5 * ((t - moment) / 0.13) ** 2)
        moment += 0.3 + rng.exponential(1.2)
    return pulses


def look_about(t: Doubles, rng: np.random.Generator) -> Doubles:
    """Look at the interviewer and now and then elsewhere; the same at every grade."""
    gaze = np.empty((len(t), 2))
    gaze[:] = rng.uniform(-0.4, 0.4, 2)
    moment = rng.exponential(1.5)
    while moment < t[-1]:
        gaze[t >= moment] = rng.uniform((-0.7, -0.35), (0.7, 0.35))
        moment += 0.4 + rng.exponential(1.0)
    return gaze


def wander(t: Doubles, rng: np.random.Generator, num_axes: int) -> Doubles:
    """Return (N, num_axes) slow movement of mean 0 and standard deviation 1."""
    hertz = rng.uniform(*WANDER_HZ, (4, num_axes))
    phase = rng.uniform(0.0, 1.0, (4, num_axes))
    waves = np.sin(2 * np.pi * (hertz * t[:, None, None] + phase)).sum(axis=1)
    return np.asarray((waves - waves.mean(axis=0)) / (waves.std(axis=0) + 1e-9))
