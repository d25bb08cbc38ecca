"""The demo cohort: SYNTHETIC recordings of drawn people, encoded to real H.264/AAC files.

How severe a recording is, is planned in ``severity.py``. The look of the picture belongs to the
subject and the visit and knows nothing of the grade; length and frame rate neither. The same
settings give the same pixels before encoding. With ``static_signs`` the rest of a face follows the
grade, and with ``counterfactual`` healthy faces are drawn again as ill ones. A face interview comes
with its landmarks and regions, known exactly, as tracks, and ill ones with SYNTHETIC marks on
regions (``marks.py``) in a table beside the manifest.
"""

import csv
import io
import json
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pdray.atomic import write_text
from pdray.command import Progress
from pdray.config import build, dump
from pdray.cpus import granted_cpus
from pdray.data.cohort.marks import marks_text
from pdray.data.cohort.rows import CONSENT, CONSENTS
from pdray.data.cohort.settings import SYNTHETIC_SITE
from pdray.data.media.encode import Sound, encode
from pdray.data.media.tracks import Track, write_track
from pdray.demo.body.arm import held_figure, reaching_figure
from pdray.demo.body.gait import draw_walk, walking_figure
from pdray.demo.body.hand import opening_figure, tapping_figure, turning_figure
from pdray.demo.body.leg import lifted_figure, toes_figure
from pdray.demo.body.limb import Appearance, Figure, draw_appearance, draw_frames
from pdray.demo.body.tremor import draw_posture, draw_reaching
from pdray.demo.counterfactual import counterfactual_text, plan_counterfactuals
from pdray.demo.face.interview import Face, Interview, draw_face, draw_interview, draw_points
from pdray.demo.face.static_signs import StaticSigns, draw_static_signs
from pdray.demo.face.voice import SAMPLE_RATE, draw_voice
from pdray.demo.illness.movement import LEGS, TAPPING, TOES, TURNING, Movement, Reach, draw_movement
from pdray.demo.illness.severity import (
    FACES,
    FIRST_ITEMS,
    NUM_RATERS,
    POSED_ITEMS,
    DemoConfig,
    DemoRecording,
    Purpose,
    plan_cohort,
    rate_cohort,
    rater_grades,
    stream,
    visit_scores,
)
from pdray.demo.marks import MARKED_ITEM, draw_marks
from pdray.errors import SettingsError

ROOM = 0.002  # standard deviation of the noise of a silent room
HIGHEST_VOICE = 4  # the voice's scale ends here; interviews are rated up to 5
LATER_SETTINGS = ("healthy", "static_signs", "progression", "counterfactual")  # each off at first
NOBODY = "SYNTHETIC: nobody was filmed"  # version of the consent form
VERSION = 1  # of the drawing; a folder drawn by another version is refused, not mixed
COLUMNS = (
    "recording_id", "subject_id", "visit_id", "item", "side", "grade", "video", "audio",
    "medication_state", "sex", "age", "site", "visit_score", "landmarks", "regions",
    *(f"rater_{number}" for number in range(1, NUM_RATERS + 1)),
)  # fmt: skip
README = """SYNTHETIC DATA - not patients.

Every recording in this folder was drawn and spoken by a program (pdray.demo.cohort).
Nobody was filmed. Grades, ages and medication states are random numbers. Nothing measured
on this folder says anything about Parkinson's disease; it shows that the software works.
"""
COUNTERFACTUAL_README = """
The recordings in counterfactual/ (manifest.counterfactual.csv) are SYNTHETIC and for scoring only:
each is a recording of grade 0, drawn again with all its chance as if it were of a higher grade.
Train nothing on them; they are the same persons.
"""
MARKS_README = """
The marks on regions of faces (manifest.marks.csv) are SYNTHETIC too: no clinician made them.
They were drawn by a program that knows which regions of a drawn face move less at each grade.
"""


@dataclass(frozen=True)
class Motion:
    """Movement and figure of an item.

    Attributes:
        draw: From grade, reach, generator, ``num_frames`` and ``fps``: what a recording does.
        figure: From that and the visit's look: who does it.
    """

    draw: Callable[..., Movement]
    figure: Callable[[Movement, Appearance], Figure]


@dataclass(frozen=True)
class Drawn:
    """A recording before it is encoded.

    Attributes:
        frames: (N, H, W, 3) uint8 RGB.
        voice: (num_samples,) float32 in -1..1 at 16 kHz.
        landmarks: Points of a face; None for limbs.
        regions: Polygons of a face; None for limbs.
    """

    frames: NDArray[np.uint8]
    voice: NDArray[np.float32]
    landmarks: Track | None
    regions: Track | None


MOTIONS = {
    "finger_tapping": Motion(partial(draw_movement, profile=TAPPING), tapping_figure),
    "hand_opening": Motion(partial(draw_movement, profile=TAPPING), opening_figure),
    "pronation": Motion(partial(draw_movement, profile=TURNING), turning_figure),
    "toe_tapping": Motion(partial(draw_movement, profile=TOES), toes_figure),
    "leg_agility": Motion(partial(draw_movement, profile=LEGS), lifted_figure),
    "postural_tremor": Motion(draw_posture, held_figure),
    "kinetic_tremor": Motion(draw_reaching, reaching_figure),
    "gait": Motion(draw_walk, walking_figure),
}


def make_demo(folder: Path | str, settings: Mapping[str, Any] | None = None) -> Path:
    """Draw a SYNTHETIC cohort, or its missing part.

    Args:
        folder: Where it goes; made when missing.
        settings: Keys of ``jobs/make_demo.py`` for the cohort, such as ``num_subjects``, ``items``,
            ``size`` [px] and ``seed``; the same settings draw the same cohort.

    Returns:
        Path of its ``manifest.csv``.

    Raises:
        SettingsError: If a setting is unknown or wrong, or the folder holds something else.

    Example:
        >>> small = {"num_subjects": 1, "num_visits": 1, "size": 32, "max_seconds": 3.6}
        >>> pdray.make_demo("one", small).name
        'manifest.csv'
    """
    # One process: others would start the script that calls this once more.
    return make_cohort(Path(folder), build(DemoConfig, settings or {}), num_processes=1)


def make_cohort(
    folder: Path,
    config: DemoConfig,
    *,
    num_processes: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Draw the cohort, or its missing part.

    Every file appears whole or not at all and the manifest last, so a call that was interrupted
    is finished by the next one. A cohort with face interviews has a table of marks beside its
    manifest; where it was drawn before there were marks it gets them, and is else left alone.
    Counterfactuals have a table of their own there, too.

    Args:
        folder: Where the cohort goes; made when missing.
        config: What to draw.
        num_processes: Processes that draw, at least 1; None is one per CPU it may use.
        progress: Is called after each recording that this call draws.

    Returns:
        Path of ``manifest.csv``; that of the marks is :func:`marks_beside`, that of the
        counterfactuals :func:`counterfactuals_beside`.

    Raises:
        SettingsError: If the folder holds a cohort of other settings, or a foreign table.
    """
    manifest, marker = folder / "manifest.csv", folder / "demo.json"
    marks = marks_beside(manifest) if MARKED_ITEM in config.items else None
    others = counterfactuals_beside(manifest) if config.counterfactual else None
    beside = [table for table in (marks, others) if table]
    _check_folder([manifest, *beside], marker, config)
    plan = [*plan_cohort(config), *plan_counterfactuals(config)]
    missing = [one for one in plan if not (folder / one.video).exists()]
    is_whole = not missing and manifest.exists()
    if is_whole and all(table.exists() for table in beside):
        return manifest
    write_text(folder / "README.txt", _readme_text(config))
    if not is_whole:
        write_text(marker, _marker_text(config))
        _draw_all(folder, config, missing, num_processes or granted_cpus(), progress)
    if marks:
        write_text(marks, _marks_text(config))
    if others:
        write_text(others, counterfactual_text(config))
    if not is_whole:
        write_text(manifest, _manifest_text(config))
    return manifest


def marks_beside(manifest: Path) -> Path:
    """Return where the table of marks of a cohort with face interviews is."""
    return manifest.with_suffix(".marks.csv")


def counterfactuals_beside(manifest: Path) -> Path:
    """Return where the table of counterfactuals is, for scoring only."""
    return manifest.with_suffix(".counterfactual.csv")


def draw_recording(recording: DemoRecording, config: DemoConfig) -> Drawn:
    """Draw one recording before it is encoded.

    Args:
        recording: What to draw.
        config: The cohort's settings.

    Returns:
        Its frames and its voice, and the tracks of a face.
    """
    interview = _draw_face(recording, config) if recording.item in FACES else None
    frames = interview.frames if interview else _draw_motion(recording, config)
    voice = _draw_sound(recording, config, seconds=len(frames) / config.fps)
    landmarks, regions = (interview.landmarks, interview.regions) if interview else (None, None)
    return Drawn(frames, voice, landmarks, regions)


def movement_of(recording: DemoRecording, config: DemoConfig) -> Movement:
    """Draw what the limbs of one recording do, as long as the recording lasts."""
    rng, num_frames = _length(recording, config)
    # How far a limb goes is the person's habit and the recording's chance, not the grade's.
    habit = stream(config, Purpose.HABIT, recording.subject).uniform(0.45, 0.9)
    span = habit * rng.uniform(0.65, 1.1)
    closed = rng.uniform(0.0, 1.0) * (1.0 - span)
    reach = Reach(closed=closed, opened=closed + span)
    return MOTIONS[recording.item].draw(
        recording.grade, reach, rng, num_frames=num_frames, fps=config.fps
    )


def _draw_sound(
    recording: DemoRecording, config: DemoConfig, *, seconds: float
) -> NDArray[np.float32]:
    """Let everybody talk but those who pose, whose room alone is heard."""
    rng = stream(config, Purpose.VOICE, *recording.key)
    if recording.item in POSED_ITEMS:
        return np.asarray(ROOM * rng.standard_normal(round(seconds * SAMPLE_RATE)), np.float32)
    pitch_hz = _pitch_hz(recording.subject, config)
    return draw_voice(min(recording.grade, HIGHEST_VOICE), pitch_hz, rng, seconds=seconds)


def _draw_motion(recording: DemoRecording, config: DemoConfig) -> NDArray[np.uint8]:
    look = draw_appearance(
        stream(config, Purpose.SUBJECT_LOOK, recording.subject),
        stream(config, Purpose.VISIT_LOOK, recording.subject, recording.visit),
        size=config.size,
    )
    figure = MOTIONS[recording.item].figure(movement_of(recording, config), look)
    camera = stream(config, Purpose.CAMERA, *recording.key)
    return draw_frames(figure, recording.side, look, camera)


def points_of(recording: DemoRecording, config: DemoConfig) -> Track:
    """Return the exact landmarks of a face without drawing it."""
    face, film = _film(recording, config)
    return draw_points(recording.grade, face, **film)[0]


def _draw_face(recording: DemoRecording, config: DemoConfig) -> Interview:
    face, film = _film(recording, config)
    return draw_interview(recording.grade, face, **film)


def _film(recording: DemoRecording, config: DemoConfig) -> tuple[Face, dict[str, Any]]:
    """Return who is filmed, and how."""
    rng, num_frames = _length(recording, config)
    face = draw_face(
        stream(config, Purpose.SUBJECT_FACE, recording.subject),
        stream(config, Purpose.VISIT_FACE, recording.subject, recording.visit),
        size=config.size,
    )
    face = replace(face, signs=_signs(recording, config), source_grade=recording.source_grade)
    performed = recording.item.removeprefix("expression_") if recording.item in POSED_ITEMS else ""
    return face, {
        "rng": rng, "num_frames": num_frames, "fps": config.fps, "performed": performed,
    }  # fmt: skip


def _signs(recording: DemoRecording, config: DemoConfig) -> StaticSigns | None:
    if not config.static_signs:
        return None
    subject_rng = stream(config, Purpose.STATIC_SUBJECT, recording.subject)
    recording_rng = stream(config, Purpose.STATIC_RECORDING, *recording.key)
    return draw_static_signs(config.static_signs, subject_rng, recording_rng)


def _length(recording: DemoRecording, config: DemoConfig) -> tuple[np.random.Generator, int]:
    """Return the generator of a recording's movement, and its number of frames drawn from it."""
    rng = stream(config, Purpose.MOVEMENT, *recording.key)
    seconds = rng.uniform(config.min_seconds, config.max_seconds)
    return rng, round(seconds * config.fps)


def _draw_all(
    folder: Path,
    config: DemoConfig,
    recordings: Sequence[DemoRecording],
    num_processes: int,
    progress: Progress | None,
) -> None:
    """Draw and encode files, here or in processes of their own."""
    draw, total = partial(_draw_file, folder, config), len(recordings)
    tell = progress or (lambda done, total: None)
    if num_processes == 1 or total < 2:
        for number, recording in enumerate(recordings, start=1):
            draw(recording)
            tell(number, total)
        return
    # Spawned, not forked: a caller may hold threads (torch, Ray) that do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(num_processes, total), mp_context=context) as pool:
        jobs = [pool.submit(draw, recording) for recording in recordings]
        try:
            for number, job in enumerate(as_completed(jobs), start=1):
                job.result()
                tell(number, total)
        finally:
            pool.shutdown(cancel_futures=True)


def _draw_file(folder: Path, config: DemoConfig, recording: DemoRecording) -> None:
    drawn = draw_recording(recording, config)
    # Before the video: a recording is finished when that is there.
    for kind, track in (("landmarks", drawn.landmarks), ("regions", drawn.regions)):
        if track is not None:
            write_track(folder / recording.track(kind), track)
    video = folder / recording.video
    encode(video, drawn.frames, rate=config.fps, sound=Sound(drawn.voice, SAMPLE_RATE))


def _check_folder(tables: Sequence[Path], marker: Path, config: DemoConfig) -> None:
    if not marker.exists():
        for table in filter(Path.exists, tables):
            raise SettingsError(
                f"{table} exists and was not written by the demo; give another folder"
            )
        return
    found = marker.read_text(encoding="utf-8")
    # Without items: written before there was a choice of them. The files are the same, and the
    # manifest, which has fewer columns, stays as it is.
    earlier = _marker_text(config, without=("items",)) if config.items == FIRST_ITEMS else ""
    if found not in (_marker_text(config), earlier):
        raise SettingsError(
            f"{marker.parent} holds a demo cohort of other settings "
            f"({' '.join(found.split())}); give another folder or remove this one"
        )


def _marker_text(config: DemoConfig, *, without: Sequence[str] = ()) -> str:
    # What is not asked for is not said, as before there was a choice.
    absent = (*without, *(key for key in LATER_SETTINGS if not getattr(config, key)))
    settings = {key: value for key, value in dump(config).items() if key not in absent}
    return json.dumps({"version": VERSION, "synthetic": True, **settings}, indent=1)


def _readme_text(config: DemoConfig) -> str:
    parts = [README]
    if MARKED_ITEM in config.items:
        parts.append(MARKS_README)
    if config.counterfactual:
        parts.append(COUNTERFACTUAL_README)
    return "".join(parts)


def _person(subject: int, config: DemoConfig) -> tuple[str, int]:
    """Return sex and age of a subject."""
    rng = stream(config, Purpose.PERSON, subject)
    return ("female", "male")[rng.integers(2)], int(rng.integers(48, 83))


def _pitch_hz(subject: int, config: DemoConfig) -> float:
    middle = {"female": 200.0, "male": 120.0}[_person(subject, config)[0]]
    spread = stream(config, Purpose.PITCH, subject).standard_normal()
    return float(middle * np.exp(0.1 * spread))


def _manifest_text(config: DemoConfig) -> str:
    rated = rate_cohort(config)
    scores = visit_scores(rated)
    ill = {one.recording.subject for one in rated if one.recording.grade > 0}
    # Cohorts of before there were posed expressions had no diagnosis.
    is_told = config.healthy or any(item in POSED_ITEMS for item in config.items)
    # So had cohorts of before there were these settings no consent.
    may_change = bool(config.static_signs or config.progression or config.counterfactual)
    consent = [" ".join(CONSENTS), NOBODY] * may_change
    has_drug = not (config.healthy or config.progression)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(
        [*COLUMNS, *["diagnosis"] * is_told, *[CONSENT, "consent_version"] * may_change]
    )
    for one in (one.recording for one in rated if one.is_kept):
        sex, age = _person(one.subject, config)
        subject_id, visit_id = one.recording_id.split("_")[:2]
        medication = ("on" if one.is_on else "off") if has_drug else ""
        writer.writerow(
            [one.recording_id, subject_id, visit_id, one.item, one.side, one.grade, one.video,
             one.video, medication, sex, age, SYNTHETIC_SITE,
             scores.get((one.subject, one.visit), ""), one.track("landmarks"),
             one.track("regions"), *rater_grades(one, config),
             *["PD" if one.subject in ill else "healthy"] * is_told, *consent]
        )  # fmt: skip
    return table.getvalue()


def _marks_text(config: DemoConfig) -> str:
    plan = plan_cohort(config)
    drawn = (draw_marks(one, config, num_frames=_length(one, config)[1]) for one in plan)
    return marks_text(list(chain.from_iterable(drawn)), {one.recording_id for one in plan})
