"""Draws SYNTHETIC cohorts for benchmarks/leaks.py: clean ones, and ones with one planted leak.

A cohort has 24 drawn people with two visits, finger tapping of both sides, 48 x 48 px, 2 to 2.6 s;
half of the recordings are absent. Each person is at one of two sites and rated by one of two
raters, at random; ages, sexes and file numbers are random too. The grade shows in the movement and
in the voice alone. States of medication are left out, since in drawn people they do change the
grade.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pdray.data.media.encode import Sound, encode
from pdray.demo.cohort import Drawn, draw_recording
from pdray.demo.face.voice import SAMPLE_RATE
from pdray.demo.illness.severity import DemoConfig, plan_cohort

CUT = 2  # first grade of the upper class
FPS = 25


@dataclass
class Row:
    """A recording before it is written.

    Attributes:
        subject: Pseudonym.
        visit: 1 or 2.
        side: Side of the hand.
        grade: 0 to 4.
        drawn: Pictures and voice.
        file: Name of the file without its suffix.
        site: Where it was recorded.
        rater: 0 or 1.
        age: Years.
        sex: "female" or "male".
        fps: Frames per second.
    """

    subject: str
    visit: int
    side: str
    grade: int
    drawn: Drawn
    file: str
    site: str
    rater: int
    age: int
    sex: str
    fps: int = FPS

    @property
    def is_upper(self) -> bool:
        """Whether it is of the upper class."""
        return self.grade >= CUT


def draw_rows(seed: int, *, num_subjects: int = 24) -> list[Row]:
    """Draw a clean cohort."""
    config = DemoConfig(
        num_subjects=num_subjects, items=("finger_tapping",), missing=0.5, size=48,
        min_seconds=2.0, max_seconds=2.6, fps=FPS, seed=seed,
    )  # fmt: skip
    rng = np.random.default_rng([seed, 7])
    plan = plan_cohort(config)
    numbers = rng.permutation(len(plan))
    of_person = {
        number: (str(rng.choice(["SYNTHETIC A", "SYNTHETIC B"])), int(rng.integers(2)),
                 int(rng.integers(48, 83)), str(rng.choice(["female", "male"])))
        for number in range(num_subjects)
    }  # fmt: skip
    return [
        Row(f"S{one.subject + 1:02d}", one.visit + 1, one.side, one.grade,
            draw_recording(one, config), f"{one.side}_{number:03d}", *of_person[one.subject])
        for one, number in zip(plan, numbers.tolist(), strict=True)
    ]  # fmt: skip


def write_rows(folder: Path, rows: Sequence[Row]) -> Path:
    """Encode a cohort and write its manifest; return the manifest."""
    path = folder / "manifest.csv"
    table = []
    for number, row in enumerate(rows):
        video = folder / f"{row.file}.mp4"
        frames, voice = row.drawn.frames, row.drawn.voice
        encode(video, frames, rate=row.fps, sound=Sound(voice, SAMPLE_RATE))
        raters = {f"rater_{k + 1}": row.grade if row.rater == k else "" for k in range(2)}
        table.append(
            {"recording_id": f"R{number:03d}", "subject_id": row.subject,
             "visit_id": f"V{row.visit}", "item": "finger_tapping", "side": row.side,
             "grade": row.grade, "video": video.name, "site": row.site, "age": row.age,
             "sex": row.sex, **raters}
        )  # fmt: skip
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return path


def _of_class(change: Callable[[Row], Row]) -> Callable[[list[Row]], list[Row]]:
    """Return a leak that changes every recording of the upper class."""
    return lambda rows: [change(row) if row.is_upper else row for row in rows]


def _picture(row: Row, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Row:
    frames = change(row.drawn.frames.astype(np.float32)).clip(0, 255).astype(np.uint8)
    return replace(row, drawn=replace(row.drawn, frames=frames))


def _cut(row: Row, first: int, last: int) -> Row:
    """Keep frames ``first`` to ``last`` and their sound."""
    samples = [round(place * SAMPLE_RATE / row.fps) for place in (first, last)]
    drawn = replace(
        row.drawn, frames=row.drawn.frames[first:last], voice=row.drawn.voice[slice(*samples)]
    )
    return replace(row, drawn=drawn)


def _resized(row: Row, size: int) -> Row:
    frames = [np.array(Image.fromarray(one).resize((size, size))) for one in row.drawn.frames]
    return replace(row, drawn=replace(row.drawn, frames=np.stack(frames)))


def _copied(change: Callable[[Row], Row]) -> Callable[[list[Row]], list[Row]]:
    """Return a leak that files a changed copy of a recording under each other person in turn."""

    def plant(rows: list[Row]) -> list[Row]:
        source = rows[0]
        other = next(row for row in reversed(rows) if row.subject != source.subject)
        copy = replace(
            change(source), subject=other.subject, visit=other.visit, site=other.site,
            rater=other.rater, age=other.age, sex=other.sex, file="copy_901",
        )  # fmt: skip
        return [*rows, copy]

    return plant


def _re_encoded(row: Row) -> Row:
    return _resized(_cut(row, 6, len(row.drawn.frames)), 40)


def _mirrored(row: Row) -> Row:
    """Crop and mirror the pictures; the sound is another one."""
    frames = np.ascontiguousarray(row.drawn.frames[:, 2:-2, -3:1:-1])
    hiss = 0.01 * np.random.default_rng(0).standard_normal(len(row.drawn.voice))
    drawn = replace(row.drawn, frames=frames, voice=hiss.astype(np.float32))
    return replace(row, drawn=drawn)


def _two_ids(rows: list[Row]) -> list[Row]:
    """File one side of a visit under another id."""
    pairs = [(a, b) for a in rows for b in rows
             if a is not b and (a.subject, a.visit) == (b.subject, b.visit)]  # fmt: skip
    second = pairs[0][1]
    return [replace(row, subject="S90") if row is second else row for row in rows]


def _by_subject(rows: list[Row]) -> dict[str, float]:
    names = sorted({row.subject for row in rows})
    return {
        name: float(np.mean([row.grade for row in rows if row.subject == name])) for name in names
    }


def _site(rows: list[Row]) -> list[Row]:
    """Send severe people to site B, mild ones to A; what does not fit the site is left out."""
    grades = _by_subject(rows)
    middle = np.median(list(grades.values()))
    sent = [
        replace(row, site=f"SYNTHETIC {'AB'[int(grades[row.subject] > middle)]}") for row in rows
    ]
    return [row for row in sent if row.is_upper == row.site.endswith("B")]


def _rater(rows: list[Row]) -> list[Row]:
    return [replace(row, rater=int(row.site == "SYNTHETIC B")) for row in _site(rows)]


def _visits(rows: list[Row]) -> list[Row]:
    return _of_class(lambda row: replace(row, visit=2))([replace(row, visit=1) for row in rows])


def _duration(rows: list[Row]) -> list[Row]:
    shortest = min(len(row.drawn.frames) for row in rows)
    rng = np.random.default_rng(0)
    return [_cut(row, 0, shortest - int(rng.integers(6)) - 5 * row.is_upper) for row in rows]


def _tone(row: Row) -> Row:
    time = np.arange(len(row.drawn.voice)) / SAMPLE_RATE
    tone = 0.003 * np.sin(2 * np.pi * 5200 * time)
    voice = (row.drawn.voice + tone).astype(np.float32)
    return replace(row, drawn=replace(row.drawn, voice=voice))


def _tint(row: Row) -> Row:
    """Turn the light bluish."""
    return _picture(row, lambda x: x + np.array([-30, 0, 30], np.float32))


def _texts(rows: list[Row]) -> list[Row]:
    """Write A or B into a corner."""
    masks = []
    for text in "AB":
        picture = Image.new("L", (48, 48))
        ImageDraw.Draw(picture).text((2, 36), text, fill=255)
        masks.append(np.array(picture, np.float32)[None, :, :, None] / 255)
    return [_picture(row, partial(_painted, mask=masks[row.is_upper])) for row in rows]


def _painted(x: NDArray[np.float32], *, mask: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(x * (1 - mask) + 230 * mask, np.float32)


PLANTED: dict[str, tuple[tuple[str, ...], Callable[[list[Row]], list[Row]]]] = {
    "same person under two ids": (("PDR004", "PDR002"), _two_ids),
    "re-encoded copy": (("PDR002",), _copied(_re_encoded)),
    "mirrored copy": (("PDR002",), _copied(_mirrored)),
    "site = grade": (("PDR012", "PDR003"), _site),
    "duration = grade": (("PDR003",), _duration),
    "background = grade": (("PDR003",), _of_class(_tint)),
    "rater = site": (("PDR003", "PDR012"), _rater),
    "order of visits": (("PDR003", "PDR012"), _visits),
    "audio watermark": (("PDR003",), _of_class(_tone)),
    "file name": (("PDR003",), _of_class(lambda row: replace(row, file=f"1{row.file[-3:]}"))),
    "overlaid text": (("PDR003",), _texts),
}
"""Planted leak: the codes that may name it, and the change of a clean cohort."""
