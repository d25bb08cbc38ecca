"""Plan of the demo cohort: its subjects, and how severe each SYNTHETIC recording is.

Severity belongs to a recording: the subject, the worse side, the medication state and the item
move it, so that the items of one visit agree more or less, as the whole of a visit shows.
The plan of one item does not depend on which other items are drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from pydantic import Field, field_validator, model_validator

from pdray.config import Settings, nearest
from pdray.data.cohort.settings import ITEMS, POSED
from pdray.demo.illness.progression import draw_stages

# Places in this tuple are part of the random streams: new items go to its end.
DEMO_ITEMS = (
    "finger_tapping", "hand_opening", "pronation", "toe_tapping", "leg_agility",
    "postural_tremor", "kinetic_tremor", "gait", "face_interview",
    "expression_neutral", "expression_happiness", "expression_surprise", "expression_anger",
)  # fmt: skip
FIRST_ITEMS = DEMO_ITEMS[:2]  # planned together, before there were others
POSED_ITEMS = tuple(item for item in DEMO_ITEMS if item in POSED)
FACES = ("face_interview", *POSED_ITEMS)
WHOLE_BODY = ("gait", *FACES)  # items of no side
NOT_MOTOR = FACES  # no part of a visit's score: other scales, and one rating for four clips
SIDES = ("left", "right")
COUNTERFACTUAL = "counterfactual"  # folder of counterfactual recordings, and part of their ids
GRADE_SHARES = {
    4: (0.2, 0.26, 0.26, 0.17, 0.11),  # by the highest grade; slight {0, 1} is 46 percent
    5: (0.2, 0.26, 0.2, 0.15, 0.11, 0.08),
}
ITEM_NOISE, RECORDING_NOISE = 0.3, 0.3  # standard deviations of the latent severity
NUM_RATERS = 3
SLIP_CHANCE = 0.15  # of a rater to be one grade above or below


class Purpose(IntEnum):
    """Purpose of a stream of random numbers; the values are part of the cohort, keep them."""

    PLAN = 0
    SUBJECT_LOOK = 1
    VISIT_LOOK = 2
    HABIT = 3
    MOVEMENT = 4
    CAMERA = 5
    VOICE = 6
    PERSON = 7
    PITCH = 8
    PLAN_ITEM = 9
    RATERS = 10
    SUBJECT_FACE = 11
    VISIT_FACE = 12
    MARKS = 13
    STATIC_SUBJECT = 14
    STATIC_RECORDING = 15
    COUNTERFACTUAL = 16


class DemoConfig(Settings):
    """The demo cohort; the same settings give the same cohort."""

    num_subjects: int = Field(40, ge=1, le=999, description="subjects")
    num_visits: int = Field(2, ge=1, le=9, description="visits of each subject, ON and OFF in turn")
    items: tuple[str, ...] = Field(
        FIRST_ITEMS, min_length=1, description=f"items that are drawn, of {', '.join(DEMO_ITEMS)}"
    )
    missing: float = Field(0.25, ge=0, lt=1, description="share of recordings that are absent")
    healthy: bool = Field(
        False, description="every subject is a healthy actor: grade 0, to learn expressions from"
    )
    static_signs: float = Field(
        0, ge=0, le=3, description="strength of signs of the grade in single frames of faces, 1 is "
        "moderate; 0: only movement shows the grade"
    )  # fmt: skip
    progression: bool = Field(
        False, description="visits of each subject rise from grade 0 to a grade of its own"
    )
    counterfactual: bool = Field(
        False, description="also draw each face recording of grade 0 with a grade from 3 on, for "
        "scoring only, in manifest.counterfactual.csv"
    )  # fmt: skip
    size: int = Field(96, ge=32, le=1024, multiple_of=2, description="height and width [px]")
    fps: int = Field(25, ge=5, le=120, description="frames per second [1/s]")
    min_seconds: float = Field(3.6, ge=1, le=60, description="shortest recording [s]")
    max_seconds: float = Field(4.8, ge=1, le=60, description="longest recording [s]")
    seed: int = Field(0, ge=0, description="random seed")

    @field_validator("items")
    @classmethod
    def _items_are_drawn(cls, items: tuple[str, ...]) -> tuple[str, ...]:
        known = ", ".join(DEMO_ITEMS)
        faults = [
            f"item {item!r} is not drawn: {nearest(item, DEMO_ITEMS)}choose from {known}"
            for item in items
            if item not in DEMO_ITEMS
        ]
        twice = [item for item in dict.fromkeys(items) if items.count(item) > 1]
        if faults := faults + [f"item {item!r} is listed twice; list it once" for item in twice]:
            raise ValueError("; ".join(faults))
        return tuple(sorted(items, key=DEMO_ITEMS.index))  # their order says nothing

    @model_validator(mode="after")
    def _check_faces(self) -> "DemoConfig":
        faults = [
            f"{key} needs faces: {', '.join(self.items)} show none; add face_interview to items"
            for key, is_set in (
                ("static_signs", self.static_signs > 0),
                ("counterfactual=true", self.counterfactual),
            )
            if is_set and not set(FACES) & set(self.items)
        ]
        if self.progression and self.healthy:
            faults.append("progression=true and healthy=true exclude each other; set one of them")
        if self.progression and self.num_visits < 2:
            faults.append(f"progression=true needs 2 visits, num_visits is {self.num_visits}")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _check_seconds(self) -> "DemoConfig":
        if self.min_seconds > self.max_seconds:
            raise ValueError(
                f"min_seconds {self.min_seconds} is above max_seconds {self.max_seconds}: "
                "the shortest recording cannot be longer than the longest"
            )
        return self


@dataclass(frozen=True, slots=True)
class DemoRecording:
    """One recording to draw; subject and visit count from 0, the rest is as in the manifest.

    With ``source_grade`` it is the counterfactual of a recording of that grade.
    """

    subject: int
    visit: int
    item: str
    side: str
    is_on: bool
    grade: int = 0
    source_grade: int | None = None

    @property
    def key(self) -> tuple[int, int, int, int]:
        """Return the place in the cohort, for streams of random numbers."""
        side = SIDES.index(self.side) if self.side else 0
        return self.subject, self.visit, DEMO_ITEMS.index(self.item), side

    @property
    def recording_id(self) -> str:
        """Return for instance ``S007_V1_finger_tapping_left``, or ``S007_V1_gait``."""
        side = f"_{self.side}" if self.side else ""
        other = "" if self.source_grade is None else f"_{COUNTERFACTUAL}"
        return f"S{self.subject + 1:03d}_V{self.visit + 1}_{self.item}{side}{other}"

    @property
    def video(self) -> str:
        """Return the file's path inside the cohort's folder."""
        return f"{self._folder}videos/{self.recording_id}.mp4"

    def track(self, kind: str) -> str:
        """Return the path of its ``landmarks`` or ``regions``; empty for an item without."""
        if self.item not in FACES:
            return ""
        return f"{self._folder}tracks/{self.recording_id}_{kind}.npz"

    @property
    def _folder(self) -> str:
        return "" if self.source_grade is None else f"{COUNTERFACTUAL}/"


@dataclass(frozen=True, slots=True)
class Rated:
    """A recording that a visit should have, and whether it is there."""

    recording: DemoRecording
    is_kept: bool


@dataclass(frozen=True, slots=True)
class Course:
    """Causes of the severity of one subject's recordings."""

    own: float
    worse_side: str
    asymmetry: float
    drug_effect: float
    is_on: tuple[bool, ...]  # one per visit

    def latent(self, side: str, visit: int) -> float:
        """Return the severity of a visit's recording before its item and chance move it."""
        share = 0.5 if side == "" else float(side == self.worse_side)
        return self.own + (self.asymmetry * share - self.drug_effect * self.is_on[visit])


def plan_cohort(config: DemoConfig) -> list[DemoRecording]:
    """Decide which recordings there are and what grade each has.

    Args:
        config: The cohort's settings.

    Returns:
        The recordings, ordered by subject, visit, item and side.
    """
    return [rated.recording for rated in rate_cohort(config) if rated.is_kept]


def rate_cohort(config: DemoConfig) -> list[Rated]:
    """Rate every recording that a visit should have, those that are absent too.

    Grades are given by rank of a latent severity among the kept recordings (of an item; the two
    first items share their ranks), so every seed has the same shares.

    Args:
        config: The cohort's settings.

    Returns:
        Recordings of the cohort's items, ordered by subject, visit, item and side.
    """
    courses, rated = _rate_first_items(config)
    for item in DEMO_ITEMS[len(FIRST_ITEMS) :]:
        if item in config.items and item not in POSED_ITEMS:
            rated += _rate_item(item, courses, config)
    if set(POSED_ITEMS) & set(config.items):
        rated += _rate_posed(courses, config)
    asked = [one for one in rated if one.recording.item in config.items]
    if config.healthy:
        asked = [_regraded(one, 0) for one in asked]
    if config.progression:
        stages = draw_stages([one.own for one in courses], config.num_visits, GRADE_SHARES)
        asked = [
            _regraded(one, stages[ITEMS[at.item]][at.subject][at.visit])
            for one in asked
            for at in [one.recording]
        ]
    return sorted(asked, key=lambda one: one.recording.key)


def visit_scores(rated: Sequence[Rated]) -> dict[tuple[int, int], int]:
    """Sum the grades of each visit over the motor items of the cohort and both sides.

    A score is what the rater summed at the visit: recordings that are absent from the cohort were
    rated too, so scores of all visits can be compared. A cohort without a motor item has none.

    Args:
        rated: All of the cohort's recordings, kept or not.

    Returns:
        By subject and visit.
    """
    scores: dict[tuple[int, int], int] = {}
    for one in (one.recording for one in rated if one.recording.item not in NOT_MOTOR):
        place = one.subject, one.visit
        scores[place] = scores.get(place, 0) + one.grade
    return scores


def rater_grades(recording: DemoRecording, config: DemoConfig) -> tuple[int, ...]:
    """Return what three raters say: the grade, or now and then one above or below it.

    Args:
        recording: The one that is rated.
        config: The cohort's settings.

    Returns:
        One grade per rater, inside the item's scale.
    """
    rng = stream(config, Purpose.RATERS, *recording.key)
    slips = (rng.uniform(size=NUM_RATERS) < SLIP_CHANCE) * rng.choice((-1, 1), NUM_RATERS)
    highest = ITEMS[recording.item]
    return tuple(int(grade) for grade in (recording.grade + slips).clip(0, highest))


def stream(config: DemoConfig, purpose: Purpose, *key: int) -> np.random.Generator:
    """Return the generator of one purpose: what one thing draws never moves another."""
    return np.random.default_rng([config.seed, purpose, *key])


def _regraded(one: Rated, grade: int) -> Rated:
    return replace(one, recording=replace(one.recording, grade=grade))


def _rate_first_items(config: DemoConfig) -> tuple[list[Course], list[Rated]]:
    """Draw the courses of all subjects and rate the first two items, from one stream."""
    rng = stream(config, Purpose.PLAN)
    courses: list[Course] = []
    slots: list[tuple[DemoRecording, float]] = []
    for subject in range(config.num_subjects):
        own = 0.5 * rng.standard_normal()
        worse_side, on_first = rng.integers(0, 2, 2)
        asymmetry, drug_effect = rng.uniform(0.6, 1.8), rng.uniform(0.5, 1.4)
        is_on = tuple(bool((visit + on_first) % 2 == 1) for visit in range(config.num_visits))
        courses.append(Course(own, SIDES[worse_side], asymmetry, drug_effect, is_on))
        slots += _draw_slots(subject, courses[-1], FIRST_ITEMS, rng)
    return courses, _rate(slots, rng, config)


def _rate_item(item: str, courses: Sequence[Course], config: DemoConfig) -> list[Rated]:
    """Rate one of the other items, from a stream of its own."""
    rng = stream(config, Purpose.PLAN_ITEM, DEMO_ITEMS.index(item))
    drawn = (_draw_slots(subject, one, (item,), rng) for subject, one in enumerate(courses))
    return _rate([slot for slots in drawn for slot in slots], rng, config)


def _rate_posed(courses: Sequence[Course], config: DemoConfig) -> list[Rated]:
    """Rate the posed expressions: those of a visit are filmed in a row and share a severity."""
    rng = stream(config, Purpose.PLAN_ITEM, DEMO_ITEMS.index(POSED_ITEMS[0]))
    slots = []
    for subject, course in enumerate(courses):
        for visit, is_on in enumerate(course.is_on):
            latent = course.latent("", visit) + RECORDING_NOISE * rng.standard_normal()
            for item in POSED_ITEMS:
                slots.append((DemoRecording(subject, visit, item, "", is_on=is_on), float(latent)))
    return _rate(slots, rng, config)


def _draw_slots(
    subject: int, course: Course, items: Sequence[str], rng: np.random.Generator
) -> list[tuple[DemoRecording, float]]:
    """Return a subject's recordings of some items, not graded yet, each with latent severity."""
    by_item = ITEM_NOISE * rng.standard_normal(len(items))
    sides = ("",) if items[0] in WHOLE_BODY else SIDES
    slots = []
    for visit, item, side in np.ndindex(len(course.is_on), len(items), len(sides)):
        is_on, noise = course.is_on[visit], RECORDING_NOISE * rng.standard_normal()
        slot = DemoRecording(subject, visit, items[item], sides[side], is_on=is_on)
        slots.append((slot, float(course.latent(sides[side], visit) + by_item[item] + noise)))
    return slots


def _rate(
    slots: Sequence[tuple[DemoRecording, float]], rng: np.random.Generator, config: DemoConfig
) -> list[Rated]:
    """Keep a share of the slots, and grade all by their rank among the kept ones."""
    latent = np.array([severity for _, severity in slots])
    num_kept = max(1, round((1 - config.missing) * len(slots)))
    kept = np.zeros(len(slots), bool)
    kept[rng.permutation(len(slots))[:num_kept]] = True
    rank = np.searchsorted(np.sort(latent[kept]), latent)
    position = (rank + 0.5) / num_kept
    shares = GRADE_SHARES[ITEMS[slots[0][0].item]]
    grades = np.searchsorted(np.cumsum(shares)[:-1], position)
    return [
        Rated(replace(slot, grade=int(grade)), bool(is_kept))
        for (slot, _), grade, is_kept in zip(slots, grades, kept, strict=True)
    ]
