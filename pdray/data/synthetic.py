"""The demo cohort: SYNTHETIC recordings of drawn hands, encoded to real H.264/AAC files.

Severity belongs to a recording: the worse side, the medication state and the item move it within
a subject. The look of the picture belongs to the subject and the visit and knows nothing of the
grade; length and frame rate neither. The same settings give the same pixels before encoding.
"""

import csv
import io
import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pdray.atomic import write_text
from pdray.config import Settings, dump
from pdray.data.encode import encode
from pdray.data.hand import draw_appearance, draw_frames
from pdray.data.movement import Movement, Reach, draw_movement
from pdray.data.voice import SAMPLE_RATE, draw_voice
from pdray.errors import SettingsError

VERSION = 1  # of the drawing; a folder drawn by another version is refused, not mixed
DEMO_ITEMS = ("finger_tapping", "hand_opening")
SIDES = ("left", "right")
GRADE_SHARES = (0.2, 0.26, 0.26, 0.17, 0.11)  # slight {0, 1} is 46 percent
COLUMNS = (
    "recording_id", "subject_id", "visit_id", "item", "side", "grade", "video", "audio",
    "medication_state", "sex", "age", "site",
)  # fmt: skip
README = """SYNTHETIC DATA - not patients.

Every recording in this folder was drawn and spoken by a program (pdray.data.synthetic).
Nobody was filmed. Grades, ages and medication states are random numbers. Nothing measured
on this folder says anything about Parkinson's disease; it shows that the software works.
"""


class Purpose(IntEnum):
    """What a stream of random numbers is for; the values are part of the cohort, keep them."""

    PLAN = 0
    SUBJECT_LOOK = 1
    VISIT_LOOK = 2
    HABIT = 3
    MOVEMENT = 4
    CAMERA = 5
    VOICE = 6
    PERSON = 7
    PITCH = 8


class DemoConfig(Settings):
    """The demo cohort; the same settings give the same cohort."""

    num_subjects: int = Field(40, ge=1, le=999, description="subjects")
    num_visits: int = Field(2, ge=1, le=9, description="visits of a subject, ON and OFF in turn")
    missing: float = Field(0.25, ge=0, lt=1, description="share of recordings that are absent")
    size: int = Field(96, ge=32, le=1024, multiple_of=2, description="height and width [px]")
    fps: int = Field(25, ge=5, le=120, description="frames a second [1/s]")
    min_seconds: float = Field(3.6, ge=1, le=60, description="shortest recording [s]")
    max_seconds: float = Field(4.8, ge=1, le=60, description="longest recording [s]")
    seed: int = Field(0, ge=0, description="of everything random")

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
    """One recording to draw; subject and visit count from 0, the rest is as in the manifest."""

    subject: int
    visit: int
    item: str
    side: str
    is_on: bool
    grade: int = 0

    @property
    def key(self) -> tuple[int, int, int, int]:
        """Return the place in the cohort, for streams of random numbers."""
        return self.subject, self.visit, DEMO_ITEMS.index(self.item), SIDES.index(self.side)

    @property
    def recording_id(self) -> str:
        """Return for instance ``S007_V1_finger_tapping_left``."""
        return f"S{self.subject + 1:03d}_V{self.visit + 1}_{self.item}_{self.side}"

    @property
    def video(self) -> str:
        """Return the file's path inside the cohort's folder."""
        return f"videos/{self.recording_id}.mp4"


def make_cohort(folder: Path, config: DemoConfig, *, num_processes: int | None = None) -> Path:
    """Draw the cohort, or the part of it that is not there yet.

    Every file appears whole or not at all and the manifest last, so a call that was interrupted
    is finished by the next one.

    Args:
        folder: Where the cohort goes; made when missing.
        config: What to draw.
        num_processes: Processes that draw, at least 1; None is one a CPU.

    Returns:
        Path of ``manifest.csv``.

    Raises:
        SettingsError: If the folder holds a cohort of other settings, or a foreign manifest.
    """
    manifest, marker = folder / "manifest.csv", folder / "demo.json"
    wanted = json.dumps({"version": VERSION, "synthetic": True, **dump(config)}, indent=1)
    _check_folder(manifest, marker, wanted)
    recordings = plan_cohort(config)
    missing = [one for one in recordings if not (folder / one.video).exists()]
    if not missing and manifest.exists():
        return manifest
    write_text(marker, wanted)
    write_text(folder / "README.txt", README)
    _draw_all(folder, config, missing, num_processes or os.cpu_count() or 1)
    write_text(manifest, _manifest_text(recordings, config))
    return manifest


def plan_cohort(config: DemoConfig) -> list[DemoRecording]:
    """Decide which recordings there are and what grade each has.

    Grades are given by rank of a latent severity, so every seed has the same shares.

    Args:
        config: The cohort's settings.

    Returns:
        The recordings, ordered by subject, visit, item and side.
    """
    rng = _stream(config, Purpose.PLAN)
    slots: list[DemoRecording] = []
    latent: list[float] = []
    for subject in range(config.num_subjects):
        own = 0.5 * rng.standard_normal()
        worse_side, on_first = rng.integers(0, 2, 2)
        asymmetry, drug_effect = rng.uniform(0.6, 1.8), rng.uniform(0.5, 1.4)
        by_item = 0.3 * rng.standard_normal(len(DEMO_ITEMS))
        for visit in range(config.num_visits):
            is_on = (visit + on_first) % 2 == 1
            for item, side in np.ndindex(len(DEMO_ITEMS), len(SIDES)):
                slots.append(
                    DemoRecording(subject, visit, DEMO_ITEMS[item], SIDES[side], is_on=bool(is_on))
                )
                state = (asymmetry if side == worse_side else 0.0) - drug_effect * is_on
                latent.append(own + state + by_item[item] + 0.3 * rng.standard_normal())
    num_kept = max(1, round((1 - config.missing) * len(slots)))
    kept = np.sort(rng.permutation(len(slots))[:num_kept])
    grades = _grades_by_rank(np.array(latent)[kept])
    return [replace(slots[slot], grade=grade) for slot, grade in zip(kept, grades, strict=True)]


def draw_recording(
    recording: DemoRecording, config: DemoConfig
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draw one recording before it is encoded.

    Args:
        recording: What to draw.
        config: The cohort's settings.

    Returns:
        (N, H, W, 3) uint8 RGB frames and the (num_samples,) float32 voice at 16 kHz.
    """
    look = draw_appearance(
        _stream(config, Purpose.SUBJECT_LOOK, recording.subject),
        _stream(config, Purpose.VISIT_LOOK, recording.subject, recording.visit),
        size=config.size,
    )
    movement = movement_of(recording, config)
    camera = _stream(config, Purpose.CAMERA, *recording.key)
    frames = draw_frames(recording.item, recording.side, movement, look, camera)
    voice = draw_voice(
        recording.grade,
        _pitch_hz(recording.subject, config),
        _stream(config, Purpose.VOICE, *recording.key),
        seconds=len(frames) / config.fps,
    )
    return frames, voice


def movement_of(recording: DemoRecording, config: DemoConfig) -> Movement:
    """Draw what the hand of one recording does, as long as the recording lasts."""
    rng = _stream(config, Purpose.MOVEMENT, *recording.key)
    seconds = rng.uniform(config.min_seconds, config.max_seconds)
    # How far a hand goes is the person's habit and the recording's chance, not the grade's.
    habit = _stream(config, Purpose.HABIT, recording.subject).uniform(0.45, 0.9)
    span = habit * rng.uniform(0.65, 1.1)
    closed = rng.uniform(0.0, 1.0) * (1.0 - span)
    return draw_movement(
        recording.grade,
        Reach(closed=closed, opened=closed + span),
        rng,
        num_frames=round(seconds * config.fps),
        fps=config.fps,
    )


def _draw_all(
    folder: Path, config: DemoConfig, recordings: Sequence[DemoRecording], num_processes: int
) -> None:
    """Draw and encode files, here or in processes of their own."""
    if num_processes == 1 or len(recordings) < 2:
        for recording in recordings:
            _draw_file(folder, config, recording)
        return
    # Spawned, not forked: a caller may hold threads (torch, Ray) that do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(num_processes, len(recordings)), mp_context=context) as pool:
        jobs = [pool.submit(_draw_file, folder, config, recording) for recording in recordings]
        try:
            for job in jobs:
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _draw_file(folder: Path, config: DemoConfig, recording: DemoRecording) -> None:
    frames, voice = draw_recording(recording, config)
    encode(folder / recording.video, frames, voice, fps=config.fps, sample_rate=SAMPLE_RATE)


def _check_folder(manifest: Path, marker: Path, wanted: str) -> None:
    if marker.exists():
        found = marker.read_text(encoding="utf-8")
        if found != wanted:
            raise SettingsError(
                f"{manifest.parent} holds a demo cohort of other settings "
                f"({' '.join(found.split())}); give another folder or remove this one"
            )
    elif manifest.exists():
        raise SettingsError(
            f"{manifest} exists and was not written by the demo; give another folder"
        )


def _grades_by_rank(latent: NDArray[np.float64]) -> list[int]:
    """Give the mildest share grade 0, the next grade 1, and so on."""
    rank = np.argsort(np.argsort(latent, kind="stable"), kind="stable")
    position = (rank + 0.5) / len(latent)
    return [int(grade) for grade in np.searchsorted(np.cumsum(GRADE_SHARES)[:-1], position)]


def _stream(config: DemoConfig, purpose: Purpose, *key: int) -> np.random.Generator:
    """Return the generator of one purpose: what one thing draws never moves another."""
    return np.random.default_rng([config.seed, purpose, *key])


def _person(subject: int, config: DemoConfig) -> tuple[str, int]:
    """Return sex and age of a subject."""
    rng = _stream(config, Purpose.PERSON, subject)
    return ("female", "male")[rng.integers(2)], int(rng.integers(48, 83))


def _pitch_hz(subject: int, config: DemoConfig) -> float:
    middle = {"female": 200.0, "male": 120.0}[_person(subject, config)[0]]
    spread = _stream(config, Purpose.PITCH, subject).standard_normal()
    return float(middle * np.exp(0.1 * spread))


def _manifest_text(recordings: Sequence[DemoRecording], config: DemoConfig) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in recordings:
        sex, age = _person(one.subject, config)
        subject_id, visit_id = one.recording_id.split("_")[:2]
        state = "on" if one.is_on else "off"
        writer.writerow(
            [one.recording_id, subject_id, visit_id, one.item, one.side, one.grade, one.video,
             one.video, state, sex, age, "synthetic"]
        )  # fmt: skip
    return table.getvalue()
