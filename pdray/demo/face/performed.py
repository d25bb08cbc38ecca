"""Posed expressions of a SYNTHETIC face over time: the worse the grade, the smaller and slower.

A person is filmed while performing one expression when asked: from rest to the expression, a hold,
and back. Targets follow the action units of Ekman and Friesen (1978): happiness AU 6 and 12
(cheeks and corners of the mouth up), surprise AU 1, 2, 5 and 26 (brows and upper lids up, jaw
down), anger AU 4, 7, 15 and 24 (brows down and together, lids tight, corners of the mouth down,
lips pressed). Source of the signs: MDS-UPDRS item 3.2 (Goetz et al. 2008). The numbers are
invented; they make synthetic recordings, not a claim about patients.

The grade decides how *much* of the expression comes and how *fast*. Where the face rests, blinks,
gaze, pose and length are chance and know no grade, so that a neutral recording does not tell it.
"""

from dataclasses import dataclass

import numpy as np

from pdray.demo.face.movement import (
    BROW,
    SEVERITY_NOISE,
    SMILE,
    TURN_RAD,
    Expression,
    blinks,
    look_about,
    wander,
)
from pdray.demo.illness.movement import Doubles, at_severity

# One column per grade, 0 to 4; a recording's own severity lies between the columns.
# Frozen at a ceiling of AUROC 0.90 to 0.95 for grades from 2 on against 0, by exact landmarks
# (python -m benchmarks.expression_ceiling).
AMPLITUDE = (1.0, 0.86, 0.66, 0.48, 0.34)  # share of the person's own expression
ONSET_SECONDS = (0.35, 0.45, 0.6, 0.8, 1.0)

CLIP_SPREAD = 0.12  # standard deviation of the log of how much a recording shows at any grade
CHANNEL_SPREAD = 0.2  # and of how much each part of the face does
STILLNESS = 0.25  # share of the movement of a talking face that is left in a posed one
BLINK_SEVERITY = 2.0  # of everybody: who poses blinks less than who talks


@dataclass(frozen=True)
class Target:
    """What a full expression adds to the face at rest, in the units of :class:`Expression`."""

    eye: float = 0.0
    brow: float = 0.0
    mouth: float = 0.0
    spread: float = 0.0
    smile: float = 0.0
    frown: float = 0.0
    cheek: float = 0.0

    def parts(self) -> Doubles:
        """Return the seven numbers in their order."""
        return np.array([self.eye, self.brow, self.mouth, self.spread, self.smile, self.frown,
                         self.cheek])  # fmt: skip


TARGETS = {
    "neutral": Target(),
    "happiness": Target(eye=-0.15, mouth=0.07, spread=0.05, smile=1.5, cheek=1.0),
    "surprise": Target(eye=0.35, brow=0.13, mouth=0.32, spread=-0.05),
    "anger": Target(eye=-0.2, brow=-0.05, mouth=-0.06, spread=-0.03, smile=-0.7, frown=1.0),
}


def draw_performed(
    name: str, grade: int, liveliness: float, rng: np.random.Generator, *, num_frames: int, fps: int
) -> Expression:
    """Draw what a face does while it performs one expression.

    Args:
        name: Expression that was asked for, of :data:`TARGETS`.
        grade: 0 (normal) to 4 (severe).
        liveliness: How much the person moves the face at any grade, around 1.
        rng: All randomness comes from here.
        num_frames: Length of the recording, at least 2.
        fps: Frames per second.

    Returns:
        The expression, the same for the same ``rng`` state.
    """
    severity = float(np.clip(grade + SEVERITY_NOISE * rng.standard_normal(), 0.0, 4.0))
    t = np.arange(num_frames) / fps
    rest = np.array([rng.uniform(0.88, 1.12), rng.uniform(-0.07, 0.08), rng.uniform(0.0, 0.16),
                     0.0, rng.uniform(-0.6, 0.6), 0.0, 0.0])  # fmt: skip
    amplitude = liveliness * at_severity(AMPLITUDE, severity)
    amplitude *= np.exp(CLIP_SPREAD * rng.standard_normal())
    parts = TARGETS[name].parts() * np.exp(CHANNEL_SPREAD * rng.standard_normal(len(rest)))
    envelope = _envelope(t, at_severity(ONSET_SECONDS, severity), rng)
    face = rest + amplitude * envelope[:, None] * parts
    brow = face[:, 1] + STILLNESS * BROW * wander(t, rng, 1)[:, 0]
    smile = face[:, 4] + STILLNESS * SMILE * wander(t, rng, 1)[:, 0]
    eye = face[:, 0] * (1.0 - blinks(t, BLINK_SEVERITY, rng))
    return Expression(
        eye=eye.clip(0.0, 1.6).astype(np.float32),
        gaze=(0.5 * look_about(t, rng)).astype(np.float32),
        brow=brow.astype(np.float32),
        mouth=face[:, 2].clip(0).astype(np.float32),
        spread=face[:, 3].astype(np.float32),
        smile=smile.clip(-1.6, 2.4).astype(np.float32),
        turn=(STILLNESS * np.array(TURN_RAD) * wander(t, rng, 3)).astype(np.float32),
        frown=face[:, 5].clip(0, 1.5).astype(np.float32),
        cheek=face[:, 6].clip(0, 1.5).astype(np.float32),
    )


def _envelope(t: Doubles, onset_seconds: float, rng: np.random.Generator) -> Doubles:
    """Return (N,) the share of the expression, 0 to 1: rest, onset, hold, offset."""
    length = float(t[-1])
    start = length * rng.uniform(0.05, 0.18)
    onset = min(onset_seconds * rng.lognormal(0.0, 0.2), 0.5 * length)
    end, offset = length * rng.uniform(0.8, 0.95), 0.25 * length
    level = np.minimum((t - start) / onset, (end + 0.5 * offset - t) / offset).clip(0.0, 1.0)
    return np.asarray(level * level * (3 - 2 * level))
