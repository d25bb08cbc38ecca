"""The signs of the illness in what is drawn, and what must say nothing of the grade."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Any

import librosa
import numpy as np
import pytest

from pdray.data.face.points import INDEX
from pdray.demo.body.tremor import AMPLITUDE_METRES
from pdray.demo.cohort import MOTIONS
from pdray.demo.face.interview import draw_face, draw_points
from pdray.demo.face.movement import Expression, draw_expression
from pdray.demo.face.voice import SAMPLE_RATE, SYLLABLE_SECONDS, draw_voice
from pdray.demo.illness.movement import (
    LEGS,
    TAPPING,
    TOES,
    TURNING,
    Movement,
    Reach,
)

FPS, NUM_FRAMES = 25, 110
TREMORS = ("postural_tremor", "kinetic_tremor")


@cache
def limb(item: str, grade: int, seed: int, width: float = 0.6) -> Movement:
    rng = np.random.default_rng([seed, grade])
    reach = Reach(0.2, 0.2 + width)
    return MOTIONS[item].draw(grade, reach, rng, num_frames=NUM_FRAMES, fps=FPS)


@cache
def expression(grade: int, seed: int, num_frames: int = 150) -> Expression:
    rng = np.random.default_rng([seed, grade])
    return draw_expression(grade, 1.0, rng, num_frames=num_frames, fps=FPS)


@cache
def landmarks(grade: int, seed: int) -> np.ndarray:
    """Landmarks of another person in each recording of five seconds."""
    person, visit = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    face, rng = draw_face(person, visit, size=16), np.random.default_rng([seed, 9])
    return draw_points(grade, face, rng, num_frames=125, fps=FPS)[0].points


@cache
def voice(grade: int, seed: int, pitch_hz: float = 150.0) -> np.ndarray:
    return draw_voice(grade, pitch_hz, np.random.default_rng([seed, grade]), seconds=4.5)


def distance(ends: tuple[str, str], grade: int, seed: int) -> np.ndarray:
    """Return a distance on the face in each frame, in widths over both eyes."""

    def gap(one: str, other: str) -> np.ndarray:
        points = landmarks(grade, seed)
        return np.linalg.norm(points[:, INDEX[one]] - points[:, INDEX[other]], axis=-1)

    return gap(*ends) / gap("left_eye_left_corner", "right_eye_right_corner")


def cycles(item: str, grade: int, seed: int) -> float:
    return float(np.ptp(limb(item, grade, seed).cycles))


def halts(grade: int, seed: int) -> float:
    """Whether six frames (0.24 s) stay below a third of the speed of a slow tap."""
    slow = np.abs(np.diff(limb("finger_tapping", grade, seed).opening)) < 0.025
    return float(np.convolve(slow, np.ones(6), "valid").max() == 6)


def stands(grade: int, seed: int) -> float:
    pace = np.diff(limb("gait", grade, seed).cycles)
    return float((pace < 0.2 * np.median(pace)).sum() >= 5)


def kept(grade: int, seed: int) -> float:
    opening = limb("finger_tapping", grade, seed).opening
    return float(np.ptp(opening[-37:]) / np.ptp(opening[:37]))


def tremor(item: str, grade: int, seed: int) -> float:
    return float(np.linalg.norm(limb(item, grade, seed).tremor, axis=1).max())


def moved(part: str, grade: int, seed: int) -> float:
    return float(getattr(expression(grade, seed), part).std(axis=0).mean())


def blinks(grade: int, seed: int) -> float:
    """Count in a minute how often the eye goes below two thirds of its usual opening."""
    eye = expression(grade, seed, 1500).eye
    return float((np.diff((eye < 0.67 * np.median(eye)).astype(int), prepend=0) == 1).sum())


def deepest_blink(grade: int, seed: int) -> float:
    eye = expression(grade, seed, 1500).eye
    return float(eye.min() / np.median(eye))


def head_speed(grade: int, seed: int) -> float:
    steps = np.diff(landmarks(grade, seed)[:, INDEX["nose_tip"]], axis=0)
    return float(np.linalg.norm(steps, axis=1).mean())


def pitch_semitones(sound: np.ndarray) -> np.ndarray:
    """Pitch of the frames that are loud enough to be voiced, in semitones above 1 Hz."""
    frames = {"frame_length": 1024, "hop_length": 512}
    f0 = librosa.yin(sound, fmin=70, fmax=400, sr=SAMPLE_RATE, **frames)
    loudness = librosa.feature.rms(y=sound, **frames)[0]
    return 12 * np.log2(f0[loudness > 0.3 * loudness.max()])


def pitch_range(grade: int, seed: int) -> float:
    return float(np.ptp(np.percentile(pitch_semitones(voice(grade, seed)), [5, 95])))


def pauses(grade: int, seed: int) -> float:
    loudness = librosa.feature.rms(y=voice(grade, seed))[0]
    return float((loudness < 0.1 * loudness.max()).mean())


@dataclass(frozen=True)
class Sign:
    """A number of one recording whose mean over recordings follows the grade.

    Attributes:
        measure: The number, of a grade and a seed.
        grades: At which the means are compared.
        ratio: Of the last mean to the first: at least this above 1, at most this below 1.
        recordings: Drawn at each grade.
    """

    measure: Callable[[int, int], float]
    grades: tuple[int, ...]
    ratio: float
    recordings: int = 40


LIMB, FACE = (0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5)
SIGNS = {
    **{
        f"cycles of {item}": Sign(partial(cycles, item), LIMB, 0.5)
        for item in MOTIONS
        if item not in TREMORS
    },
    "amplitude kept to the end": Sign(kept, (0, 3), 0.85, 60),
    "halts": Sign(halts, (0, 3), 4.0, 60),
    "stops while walking": Sign(stands, (0, 4), 8.0, 60),
    "steps": Sign(lambda g, s: float(limb("gait", g, s).opening.mean()), LIMB, 0.95, 60),
    "tremor of a tapping hand": Sign(partial(tremor, "finger_tapping"), (0, 2, 4), 5.0),
    "tremor of a walk that halts": Sign(partial(tremor, "gait"), (0, 4), 5.0, 10),
    **{item: Sign(partial(tremor, item), LIMB, 20.0, 60) for item in TREMORS},
    **{
        f"face: {part}": Sign(partial(moved, part), FACE, 0.33)
        for part in ("mouth", "brow", "smile", "spread", "turn")
    },
    "blinks": Sign(blinks, FACE, 0.25, 10),
    "deepest blink": Sign(deepest_blink, (0, 5), 3.0, 10),
    "head speed": Sign(head_speed, (0, 2, 5), 0.5, 20),
    "pitch range": Sign(pitch_range, LIMB, 0.33, 8),
    "pauses": Sign(pauses, (0, 2, 4), 1.2, 8),
}


@pytest.mark.parametrize("name", SIGNS)
def test_a_sign_follows_the_grade(name: str) -> None:
    sign = SIGNS[name]
    means = [
        float(np.mean([sign.measure(grade, seed) for seed in range(sign.recordings)]))
        for grade in sign.grades
    ]
    direction = 1 if sign.ratio > 1 else -1
    assert all(direction * (worse - milder) > 0 for milder, worse in pairwise(means)), means
    assert direction * (means[-1] - sign.ratio * means[0]) >= 0, means


@pytest.mark.parametrize("item", MOTIONS)
def test_a_movement_has_one_value_per_frame_within_its_range(item: str) -> None:
    for grade in LIMB:
        movement = limb(item, grade, 3)
        assert movement.opening.shape == movement.cycles.shape == (NUM_FRAMES,)
        assert movement.tremor.shape == (NUM_FRAMES, 2)
        assert movement.opening.dtype == movement.tremor.dtype == np.float32
        assert 0 <= movement.opening.min() < movement.opening.max() <= 1
        assert np.abs(movement.tremor).max() < 0.2
        assert (np.diff(movement.cycles) >= 0).all()


def test_an_expression_is_finite_and_within_its_ranges() -> None:
    ranges = {"eye": (0, 1.4), "gaze": (-1, 1), "brow": (-0.4, 0.4), "mouth": (0, 0.8),
              "spread": (-1, 1), "smile": (-1, 1), "turn": (-0.4, 0.4), "frown": (0, 0),
              "cheek": (0, 0)}  # fmt: skip
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(ranges, ())
    shapes |= {"gaze": (2,), "turn": (3,)}
    for one in (*(expression(grade, 3) for grade in FACE), expression(0, 1, 2)):
        for name, value in vars(one).items():
            assert value.dtype == np.float32
            assert value.shape == (len(one.eye), *shapes[name])
            assert ranges[name][0] <= value.min() <= value.max() <= ranges[name][1]


@pytest.mark.parametrize(
    ("item", "hertz"),
    [("finger_tapping", TAPPING), ("pronation", TURNING), ("toe_tapping", TOES),
     ("leg_agility", LEGS)],
)  # fmt: skip
def test_a_normal_movement_has_the_frequency_of_its_profile(item: str, hertz: Any) -> None:
    # Nearly without halts: 110 frames last 4.4 s.
    mean = np.mean([cycles(item, 0, seed) for seed in range(40)])
    assert mean / 4.4 == pytest.approx(hertz.frequency_hz[0], rel=0.08)


@pytest.mark.parametrize("item", TREMORS)
def test_tremors_are_as_large_and_as_fast_as_the_scale_says(item: str) -> None:
    sizes = [np.median([tremor(item, grade, seed) for seed in range(60)]) for grade in LIMB]
    assert sizes == pytest.approx(list(AMPLITUDE_METRES), rel=0.25)
    peaks = np.empty((5, 40))
    for grade, seed in np.ndindex(peaks.shape):
        wave = limb(item, grade, seed).tremor[:, 1]
        power = np.abs(np.fft.rfft(wave * np.hanning(NUM_FRAMES), 512))
        peaks[grade, seed] = np.fft.rfftfreq(512, 1 / FPS)[power.argmax()]
    assert 2.6 < peaks.min() < peaks.max() < 6.6
    assert np.ptp(peaks.mean(axis=1)) < 0.8


def test_the_mouth_moves_once_per_syllable() -> None:
    strongest = []
    for seed in range(10):
        mouth = expression(0, seed, 500).mouth
        power = np.abs(np.fft.rfft(mouth - mouth.mean())) ** 2
        hertz = np.fft.rfftfreq(len(mouth), 1 / FPS)
        fast = hertz > 2.5
        strongest.append(hertz[fast][np.argmax(power[fast])])
    assert np.median(strongest) == pytest.approx(1 / SYLLABLE_SECONDS, abs=0.15)


def test_a_healthy_blink_closes_the_eyes_within_a_quarter_second() -> None:
    eye = np.concatenate([expression(0, seed, 1500).eye for seed in range(10)])
    shut = eye < 0.05
    runs = np.diff(np.flatnonzero(np.diff(np.r_[0, shut.astype(int), 0])))[::2]
    assert shut.any()
    assert runs.max() <= 6
    assert 20 < np.mean([blinks(0, seed) for seed in range(10)]) < 50


@pytest.mark.parametrize("pitch_hz", [110.0, 210.0])
def test_the_speaker_keeps_the_pitch_asked_for(pitch_hz: float) -> None:
    sound = voice(4, 0, pitch_hz)
    assert abs(np.median(pitch_semitones(sound)) - 12 * np.log2(pitch_hz)) < 1.5
    assert sound.shape == (round(4.5 * SAMPLE_RATE),)
    assert 0.3 < np.abs(sound).max() <= 1


def area_under_curve(higher: list[float], lower: list[float]) -> float:
    return float((np.array(higher)[:, None] > np.array(lower)).mean())


FACE_DISTANCES = {
    "eye": ("left_eye_top", "left_eye_bottom"),
    "mouth": ("mouth_upper_lip_bottom", "mouth_lower_lip_top"),
    "brow": ("right_eyebrow_upper_middle", "nose_bridge1"),
    "smile": ("mouth_left_corner", "mouth_right_corner"),
}


@pytest.mark.parametrize("part", FACE_DISTANCES)
def test_landmarks_tell_the_grade_by_their_movement_and_not_in_one_frame(part: str) -> None:
    ends = FACE_DISTANCES[part]
    mild, severe = (
        [distance(ends, grade, seed) for grade in grades for seed in range(20)]
        for grades in ((0, 1), (3, 4, 5))
    )
    assert area_under_curve([one.std() for one in mild], [one.std() for one in severe]) >= 0.85
    assert 0.3 < area_under_curve([one[0] for one in mild], [one[0] for one in severe]) < 0.7


@pytest.mark.parametrize("part", ["mouth", "brow", "smile", "spread", "gaze"])
def test_where_the_face_rests_does_not_tell_the_grade(part: str) -> None:
    milder, worse = (
        [getattr(expression(grade, seed), part).mean() for seed in range(120)] for grade in (0, 5)
    )
    assert 0.37 < area_under_curve(worse, milder) < 0.63


@pytest.mark.parametrize("item", TREMORS)
def test_what_a_trembling_arm_does_besides_knows_nothing_of_the_grade(item: str) -> None:
    first, *others = (
        MOTIONS[item]
        .draw(grade, Reach(0.2, 0.8), np.random.default_rng(3), num_frames=NUM_FRAMES, fps=FPS)
        .opening
        for grade in LIMB
    )
    assert all(np.array_equal(first, other) for other in others)


def test_what_belongs_to_the_person() -> None:
    wide, narrow = (limb("gait", 1, 3, width).opening.mean() for width in (0.8, 0.4))
    assert wide > 1.3 * narrow
    calm, lively = (
        draw_expression(2, liveliness, np.random.default_rng(8), num_frames=150, fps=FPS)
        for liveliness in (0.7, 1.4)
    )
    np.testing.assert_allclose(2 * calm.turn, lively.turn, rtol=1e-4)
    assert lively.mouth.std() > 1.5 * calm.mouth.std()
    np.testing.assert_array_equal(calm.gaze, lively.gaze)
