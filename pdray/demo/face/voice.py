"""A synthetic voice: the worse the grade, the flatter its pitch and the longer its pauses.

Harmonics of a wandering pitch are weighted by the formants of changing vowels and switched by
syllables and pauses. The numbers are invented; see ``movement.py``.
"""

import numpy as np

from pdray.demo.illness.movement import Doubles, Floats, at_severity

SAMPLE_RATE = 16_000
PITCH_RANGE_SEMITONES = (9.0, 7.0, 4.8, 3.0, 1.6)  # one entry per grade: lowest to highest
PAUSE_SHARE = (0.08, 0.12, 0.2, 0.3, 0.4)
VOWELS_HZ = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480))
SYLLABLE_SECONDS = 0.22
NUM_HARMONICS = 24


def draw_voice(grade: int, pitch_hz: float, rng: np.random.Generator, *, seconds: float) -> Floats:
    """Draw a voice track.

    Args:
        grade: 0 (normal) to 4 (severe).
        pitch_hz: The speaker's middle pitch.
        rng: All randomness comes from here.
        seconds: Length of the track.

    Returns:
        (num_samples,) float32 in -1..1 at 16 kHz.
    """
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    severity = float(np.clip(grade + 0.2 * rng.standard_normal(), 0, 4))
    knots = np.arange(0, seconds + 2 * SYLLABLE_SECONDS, SYLLABLE_SECONDS)
    semitones = at_severity(PITCH_RANGE_SEMITONES, severity) * _contour(len(knots), rng)
    pitch = pitch_hz * 2 ** (np.interp(t, knots, semitones) / 12)
    # Whole cycles are dropped in float64, so that float32 is exact enough for every harmonic.
    phase = (2 * np.pi * (np.cumsum(pitch) / SAMPLE_RATE % 1.0)).astype(np.float32)
    f0 = pitch.astype(np.float32)
    vowels = np.array(VOWELS_HZ, float)[rng.integers(0, len(VOWELS_HZ), len(knots))]
    formants = np.stack([np.interp(t, knots, vowels[:, k]) for k in range(3)]).astype(np.float32)
    width = 80 + 0.06 * formants
    sound = np.zeros_like(f0)
    for harmonic in range(1, NUM_HARMONICS + 1):
        distance = (harmonic * f0 - formants) / width
        gain = (1 / (1 + distance**2)).sum(axis=0) + 0.02
        sound += gain / harmonic**0.5 * np.sin(harmonic * phase) * (harmonic * f0 < 7000)
    sound *= _loudness(t, knots, at_severity(PAUSE_SHARE, severity), rng)
    sound = 0.5 * sound / np.abs(sound).max() + 0.002 * rng.standard_normal(len(t))
    return np.asarray(sound.clip(-1, 1), np.float32)


def _contour(num_knots: int, rng: np.random.Generator) -> Doubles:
    """Return an intonation that reaches from -0.5 to 0.5 over the track."""
    walk = np.cumsum(rng.standard_normal(num_knots))
    walk = walk - np.linspace(walk[0], walk[-1], num_knots) + 0.3 * rng.standard_normal(num_knots)
    return np.asarray((walk - walk.min()) / (np.ptp(walk) + 1e-9) - 0.5)


def _loudness(t: Doubles, knots: Doubles, pause_share: float, rng: np.random.Generator) -> Doubles:
    """Return an envelope of syllables with about ``pause_share`` of them silent."""
    spoken = np.ones(len(knots))
    num_silent = round(pause_share * len(knots))
    while (spoken == 0).sum() < num_silent:
        start = rng.integers(1, len(knots))
        spoken[start : start + rng.integers(1, 3)] = 0
    level = np.interp(t, knots, spoken * rng.uniform(0.7, 1.0, len(knots)))
    syllables = 0.75 + 0.25 * np.cos(2 * np.pi * t / SYLLABLE_SECONDS)
    return np.asarray(np.clip(level * 2 - 1 + (level > 0.95), 0, 1) * syllables)
