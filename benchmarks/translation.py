"""Tests whether the measures of changed faces mean what they should, on SYNTHETIC faces.

    python -m benchmarks.translation             # about four minutes of one core
    python -m benchmarks.translation quick=true  # only a test run; ignore its numbers
    python -m benchmarks.translation signs=1     # weaker signs of the grade in single pictures

No method changes a face here. The rows of ``youtubepd.table4`` without a method are scored, and
what they must show is checked: a copy of the source is not ill and has no direction, another
healthy picture has a direction by chance and no excess, the true ill picture has an excess and is
called ill, and somebody else is not the right person.

200 people: 60 are scored, in 3 visits when healthy and 3 when ill; of 60 others, whom a generator
would learn from, there is an ill visit each; the judge learns from 80 others. 150 further people
teach a network to tell people apart, ten visits each, in which a person has always the same grade,
so that how ill a face looks is part of who it is. With healthy people alone that network did not
see the illness: the true picture had an excess of 0.08 in place of 0.46 (seed 400, not scored
here, with an earlier cut of portraits).

No reported score was used for a choice: settings were chosen on cohorts of seeds below 600.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pdray.atomic import replacing
from pdray.config import build
from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.data.face.face_area import face_area
from pdray.data.face.portraits import align_portraits, take_portrait
from pdray.data.store.entry import EntryWriter
from pdray.data.store.settings import StoreConfig
from pdray.demo.cohort import draw_recording
from pdray.demo.illness.severity import GRADE_SHARES, DemoConfig, DemoRecording
from pdray.evaluation.predictions import Origin
from pdray.evaluation.translation_rows import HEALTHY, OTHERS, SOURCE, TRUE
from pdray.evaluation.translation_scores import RowScores
from pdray.papers.translation_table import Printed, translation_text
from pdray.predict.picture_networks import PictureNetwork, picture_network
from pdray.predict.translation_scoring import CohortPictures, Judges, TranslationScoring
from pdray.training.frozen.features import load_network
from pdray.training.loop.worker import fit
from pdray.training.settings import FitConfig
from pdray.training.task import FitTask

ITEM, FRAME, PORTRAIT, FPS = "face_interview", 96, 64, 5
ILL_FROM, HIGHEST = 3, 5  # grades of the ill
PER_VISIT = 4  # portraits of the people who are scored
SEEDS, QUICK_SEEDS = (640, 650), (400,)  # those of choices were below 600
SIGNS = 2.0  # with 1 the limits hold on some seeds and are missed by a little on others
SETTINGS: Mapping[str, Any] = {
    "modality": "portraits",
    "portraits": {"size": PORTRAIT},
    "snippet": {"mode": "segments", "num_frames": 1},
    "model": {"name": "frame_resnet", "depth": 18, "width_factor": 0.25, "dropout": 0.2},
    "loss": {"kind": "cross_entropy"},
    "optim": {"optimizer": "adamw", "learning_rate": 2e-3, "weight_decay": 0.05, "batch_size": 32,
              "schedule": "cosine", "warmup_epochs": 1.0, "gradient_clip": 1.0},
}  # fmt: skip


@dataclass(frozen=True)
class Size:
    """Numbers of people and of their visits, and epochs of both networks."""

    scored: int = 60
    learnt: int = 60
    judged: int = 80
    known: int = 150
    visits: int = 3
    known_visits: int = 10
    judge_epochs: int = 40
    known_epochs: int = 30


QUICK = Size(6, 3, 8, 8, 2, 2, 1, 1)


@dataclass(frozen=True)
class Limit:
    """What a row must show."""

    told: str
    value: str
    holds: bool


def demo(seed: int, signs: float) -> DemoConfig:
    """Return the settings of a cohort's drawing."""
    return build(DemoConfig, {
        "items": [ITEM], "size": FRAME, "fps": FPS, "min_seconds": 1.2, "max_seconds": 1.2,
        "static_signs": signs, "seed": seed,
    })  # fmt: skip


def portraits(
    recording: DemoRecording, config: DemoConfig, points: NDArray[np.floating] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.floating]]:
    """Draw a recording; return its portraits, and the landmarks by which they were cut.

    Args:
        recording: What to draw.
        config: Of its cohort.
        points: Landmarks of another recording of the same moments; None: its own.
    """
    drawn = draw_recording(recording, config)
    assert drawn.landmarks is not None, "a face has landmarks"
    used = drawn.landmarks.points if points is None else points
    places = align_portraits(used, picture=(FRAME, FRAME), size=PORTRAIT)
    there = np.flatnonzero(places.lack == 0)
    cut = [take_portrait(drawn.frames[k], places.matrix[k], PORTRAIT) for k in there]
    return np.stack(cut), used[there]


def visit(subject: int, number: int, grade: int, source: int | None = None) -> DemoRecording:
    """Return the recording of a visit; with ``source`` the true picture of one of that grade."""
    return DemoRecording(subject, number, ITEM, "", is_on=False, grade=grade, source_grade=source)


def ill_grade(seed: int, *key: int) -> int:
    """Draw the grade of an ill visit by the shares of the demo."""
    shares = np.array(GRADE_SHARES[HIGHEST][ILL_FROM:])
    draws = np.random.default_rng([seed, *key])
    return ILL_FROM + int(draws.choice(len(shares), p=shares / shares.sum()))


def cohort(seed: int, signs: float, size: Size) -> CohortPictures:
    """Draw the people who are scored, and those whom a generator would learn from."""
    columns = list(zip(*_visits(seed, demo(seed, signs), size), strict=True))
    pictures, inside, true = map(np.concatenate, columns[:3])
    counts = [len(one) for one in columns[0]]
    subjects, recordings, is_ill, held_in, has_true = (
        [value for value, count in zip(column, counts, strict=True) for _ in range(count)]
        for column in columns[3:]
    )
    return CohortPictures(
        pictures, tuple(subjects), tuple(recordings), np.array(is_ill), np.array(held_in),
        inside, true, np.array(has_true),
    )  # fmt: skip


def _visits(seed: int, config: DemoConfig, size: Size) -> Iterator[tuple[Any, ...]]:
    """Yield the pictures and the facts of each visit."""
    for subject in range(size.scored + size.learnt):
        is_scored = subject < size.scored
        healthy = size.visits if is_scored else 0
        for number in range(healthy + (size.visits if is_scored else 1)):
            is_ill = number >= healthy
            grade = ill_grade(seed, subject, number) if is_ill else 0
            pictures, points = portraits(visit(subject, number, grade), config)
            pictures = pictures[:PER_VISIT]
            true = np.zeros_like(pictures)
            if not is_ill:
                other = visit(subject, number, ill_grade(seed, subject, 100), 0)
                true = portraits(other, config, points)[0][:PER_VISIT]
            yield (
                pictures, face_area(points[:PER_VISIT], PORTRAIT), true, f"S{subject:03d}",
                f"S{subject:03d}_{number}", is_ill, 0 if is_scored else -1, not is_ill,
            )  # fmt: skip


def stored(one: DemoRecording, config: DemoConfig, target: int, folder: Path) -> RatedRecording:
    """Draw a recording into an entry, unless it is there; return it with its class."""
    name = f"{one.recording_id}_{one.grade}"
    path = folder / f"{config.seed}_{name}.arrow"
    if not path.exists():
        with replacing(path) as whole, EntryWriter(whole, StoreConfig(codec="raw")) as entry:
            for number, picture in enumerate(portraits(one, config)[0]):
                entry.append(number / FPS, picture)
    return RatedRecording(
        recording_id=name, subject_id=f"S{one.subject:03d}", item=one.item, grade=one.grade,
        target=target, video=None, stored={"portraits": path},
    )  # fmt: skip


def judged(seed: int, signs: float, size: Size, folder: Path) -> list[RatedRecording]:
    """Draw what the judge learns from: healthy and ill visits of other people."""
    config = demo(seed, signs)
    return [
        stored(visit(subject, number, grade), config, int(grade > 0), folder)
        for subject in range(size.judged)
        for number in range(2 * size.visits)
        for grade in [0 if number < size.visits else ill_grade(seed, subject, number)]
    ]


def known(seed: int, signs: float, size: Size, folder: Path) -> list[RatedRecording]:
    """Draw people to tell apart; the class is the person, whose grade is always the same."""
    config = demo(seed, signs)
    grades = np.random.default_rng(seed).choice(
        HIGHEST + 1, size=size.known, p=GRADE_SHARES[HIGHEST]
    )
    return [
        stored(visit(subject, number, int(grades[subject])), config, subject, folder)
        for subject in range(size.known)
        for number in range(size.known_visits)
    ]


def learn(
    config: FitConfig, recordings: Sequence[RatedRecording], num_classes: int, *, seed: int = 0
) -> Mapping[str, Tensor]:
    """Return weights after all epochs on all recordings; nothing is evaluated."""
    task = FitTask(
        origin=Origin(study="translation", trial=0, fold=0, epoch=0, seed=seed), config=config,
        recordings=tuple(recordings), sides=(FoldSides(tuple(range(len(recordings))), ()),),
        num_classes=num_classes, epochs=config.optim.epochs, evaluate="never",
    )  # fmt: skip
    *_, last = fit(task)
    weights: Mapping[str, Tensor] = last.state["model"]
    return weights


def settings_of(epochs: int) -> FitConfig:
    """Return the settings of a network that looks at pictures."""
    return build(FitConfig, {**SETTINGS, "optim": {**SETTINGS["optim"], "epochs": epochs}})


def train(
    name: str, recordings: list[RatedRecording], num_classes: int, epochs: int
) -> PictureNetwork:
    """Return a network after all epochs; nothing is evaluated."""
    config = settings_of(epochs)
    weights = learn(config, recordings, num_classes)
    network = load_network(config, num_classes, weights)
    return picture_network(name, network, config, size=PORTRAIT)


def measure(seed: int, signs: float, size: Size, folder: Path) -> dict[str, RowScores]:
    """Return the rows of a cohort, scored by networks that know nobody in it."""
    judge = train("judge", judged(seed + 1, signs, size, folder), 2, size.judge_epochs)
    identity = train(
        "identity", known(seed + 2, signs, size, folder), size.known, size.known_epochs
    )
    people = cohort(seed, signs, size)
    judges = Judges(judge, identity, identity, folder / "seen")
    return TranslationScoring(people, judges).controls()


def limits(rows: Mapping[str, RowScores]) -> list[Limit]:
    """Return what the rows must show, and whether they do."""
    source, healthy, true, others = (rows[name] for name in (SOURCE, HEALTHY, TRUE, OTHERS))
    absent = source.direction
    return [
        _below(f"{SOURCE}: CLS at most 0.1", source.called_ill.value, 0.1),
        _below(f"{SOURCE}: distance from the source 0", source.frechet_source.value, 0.0),
        Limit(
            f"{SOURCE}: no direction, counted", f"{absent.count} of {source.pictures}",
            absent.value is None and absent.absent == source.pictures > 0,
        ),
        _above(f"{HEALTHY}: direction at least 0.25", healthy.direction.value, 0.25),
        _below(f"{HEALTHY}: excess at most 0", healthy.excess.value, 0.0),
        _above(f"{TRUE}: CLS at least 0.7", true.called_ill.value, 0.7),
        _above(f"{TRUE}: excess at least 0.4", true.excess.value, 0.4),
        _below(f"{OTHERS}: right person at most 0.1", others.right_person.value, 0.1),
    ]  # fmt: skip


def _below(told: str, value: float | None, most: float) -> Limit:
    return Limit(told, _shown(value), value is not None and value <= most)


def _above(told: str, value: float | None, least: float) -> Limit:
    return Limit(told, _shown(value), value is not None and value >= least)


def _shown(value: float | None) -> str:
    return "absent" if value is None else f"{value:.3f}"


def main(words: list[str]) -> int:
    """Print the rows of each cohort and whether each limit holds; return 1 if one is missed."""
    given = dict(word.partition("=")[::2] for word in words)
    if unknown := sorted(given.keys() - {"quick", "signs", "seeds"}):
        print(f"error: unknown {', '.join(unknown)}; use quick=true, signs=1, seeds=400,410")
        return 2
    size = QUICK if given.get("quick") == "true" else Size()
    signs = float(given.get("signs", SIGNS))
    usual = QUICK_SEEDS if size is QUICK else SEEDS
    seeds = [int(seed) for seed in given["seeds"].split(",")] if "seeds" in given else usual
    torch.set_num_threads(1)
    missed = 0
    for seed in seeds:
        started = time.process_time()
        with TemporaryDirectory() as folder:
            rows = measure(seed, signs, size, Path(folder))
        told = partial(Printed, paper={}, not_built=(), network="identity", synthetic=True)
        title = f"Faces without a method, seed {seed}, static_signs={signs:g}"
        print(translation_text(told(title=title, extent=[]), rows), "\n")
        for one in limits(rows):
            print(f"{'holds ' if one.holds else 'MISSED'}  {one.told}: {one.value}")
            missed += not one.holds
        print(f"{time.process_time() - started:.0f} CPU seconds\n", flush=True)
    return int(missed > 0 and size is not QUICK)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
