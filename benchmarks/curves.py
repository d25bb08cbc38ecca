"""Records learning curves of random settings, for the replays of ``benchmarks/search.py``.

    python -m benchmarks.curves folder=/data/curves youtubepd=/data/youtubepd  # 30 CPU minutes

Each of 64 settings of a model (the default and 63 drawn from its search space) is trained on each
of five folds and scored on the fold that was left out, at equal parts of its training (*epochs*).
Nothing is pruned. Four sets of curves are recorded:

- ``landmarks``: ``landmark_mlp`` on the real landmarks of YouTubePD, ill or not, only with the 72
  clips of its training split. They have no subjects, so folds are of clips;
- ``sound``: ``audio_mlp`` on MFCC of interviews of a SYNTHETIC cohort of 60 subjects, severe or
  not;
- ``near``: the same sound network with settings that differ by little;
- ``tsa``: a small temporal self-attention network on the optical flow of finger tapping, 32 x 32
  px, of the SYNTHETIC demo cohort, severe or not.

A run that was interrupted continues. At the end ``benchmarks/data/curves.json.xz`` is written: MCC
by set, setting, fold and epoch, and the settings.
"""

import json
import lzma
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from pydantic import Field

from pdray.config import Settings, build, load, merge
from pdray.data.cohort.folds import make_held_out_folds
from pdray.data.cohort.manifest import grade_class, load_manifest, select
from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.data.cohort.settings import FoldsConfig, Subjects
from pdray.data.media.settings import FlowConfig
from pdray.data.modalities import needed_fields
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from pdray.evaluation.metrics import score
from pdray.evaluation.predictions import Origin
from pdray.search.space import Choices, Range, Space, Value, read_space, trial_config
from pdray.training.estimators.fit import describe, find_parts
from pdray.training.estimators.network_in_memory import NetworkLearner
from pdray.training.loop.worker import fit
from pdray.training.settings import FitConfig
from pdray.training.task import FitTask

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "benchmarks" / "data" / "curves.json.xz"
NUM_FOLDS = 5
RATES = {"low": 1.0e-5, "high": 3.0e-3, "log": True}  # of search_spaces/audio.yaml
DROPOUT = {"choices": [0.0, 0.5]}

INTERVIEWS = DemoConfig(num_subjects=60, items=("face_interview",), missing=0.0, size=64)
TAPPING = DemoConfig(items=("finger_tapping",))


@dataclass(frozen=True)
class Recorded:
    """One set of curves.

    Attributes:
        cohort: A SYNTHETIC cohort; None: YouTubePD.
        settings: Settings of the fit.
        space: Entries of the search space.
        every: Epochs or steps of a network in memory between two scores.
        cut: Lowest grade of the upper class.
    """

    cohort: DemoConfig | None
    settings: Mapping[str, Any]
    space: Mapping[str, Any]
    every: int = 1
    cut: int = 2


_LANDMARKS = {
    "modality": "landmarks",
    "model": {"name": "landmark_mlp", "num_steps": 200},
    "optim": {"epochs": 1},
}
_OF_LANDMARKS = {
    "model.learning_rate": RATES,
    "model.dropout": DROPOUT,
    "model.num_hidden": {"choices": [64, 256]},
    "model.unit": {"choices": ["pixels", "eyes"]},
    "model.frames": {"choices": ["fc", "fv"]},
    "model.hierarchy_lambda": {"low": 0.0, "high": 1.0},
}
_SOUND = {
    "modality": "mfcc",
    "model": {"name": "audio_mlp", "num_epochs": 40},
    "optim": {"epochs": 1},
}


@cache
def sets() -> dict[str, Recorded]:
    """Return the sets of curves by name."""
    demo = yaml.safe_load((ROOT / "search_spaces" / "demo.yaml").read_text(encoding="utf-8"))
    small = {
        "decode": {"height": 32, "width": 32},
        "snippet": {"num_frames": 16},
        "modality": "flow",
        "model": {"width_factor": 0.125, "temporal_stride": "221111"},
        "optim": {"epochs": 8, "batch_size": 8},
    }
    tsa = merge({key: demo[key] for key in FitConfig.model_fields if key in demo}, small)
    return {
        "landmarks": Recorded(None, _LANDMARKS, _OF_LANDMARKS, 10, 1),
        "sound": Recorded(
            INTERVIEWS,
            _SOUND,
            {
                "model.learning_rate": RATES,
                "model.dropout": DROPOUT,
                "model.num_hidden": {"choices": [64, 256]},
                "model.hierarchy_lambda": {"low": 0.0, "high": 1.0},
            },
            2,
        ),
        "near": Recorded(
            INTERVIEWS,
            _SOUND,
            {
                "model.learning_rate": {"low": 2.0e-4, "high": 4.5e-4},
                "model.dropout": {"low": 0.0, "high": 0.1},
            },
            2,
        ),
        "tsa": Recorded(
            TAPPING, tsa, {**demo["space"], "snippet.num_frames": {"choices": [8, 16]}}
        ),
    }


class RecordingConfig(Settings):
    """Settings of the recorder."""

    folder: Path = Field(description="cohorts, frames and the curves recorded so far")
    youtubepd: Path = Field(description="folder with the manifest of jobs/import_youtubepd.py")
    only: tuple[str, ...] = Field((), description="sets to record; empty: all")
    num_settings: int = Field(64, ge=2, description="settings per set [count]")


def draw(space: Space, generator: np.random.Generator) -> dict[str, Value]:
    """Draw one setting from a space."""
    return {key: _value(entry, generator) for key, entry in space.items()}


def _value(entry: Choices | Range, generator: np.random.Generator) -> Value:
    if isinstance(entry, Choices):
        return entry.values[generator.integers(len(entry.values))]
    if entry.step:
        steps = round((entry.high - entry.low) / entry.step)
        return float(entry.low + entry.step * generator.integers(steps + 1))
    if entry.log:
        return float(np.exp(generator.uniform(np.log(entry.low), np.log(entry.high))))
    return float(generator.uniform(entry.low, entry.high))


def prepare(one: Recorded, config: RecordingConfig) -> tuple[RatedRecording, ...]:
    """Draw and decode the recordings of a set, unless that is done already."""
    fitted = build(FitConfig, one.settings)
    if one.cohort is None:
        path = config.youtubepd / "manifest.csv"
    else:
        folder = config.folder / one.cohort.items[0]
        path = make_cohort(folder, one.cohort, num_processes=1)
    (modality,) = fitted.sees
    subjects: Subjects = "none" if one.cohort is None else "required"
    needs = (*needed_fields([modality]), "grade")
    chosen, _ = select(load_manifest(path, subjects=subjects), items=None, needs=needs)
    store = FrameStore(
        config.folder / "frames", Recipe(decode=fitted.decode, flow=FlowConfig(method="dis"))
    )
    return tuple(
        RatedRecording(
            recording_id=recording.recording_id,
            subject_id=recording.subject_id,
            item=recording.item,
            grade=recording.grade,
            target=grade_class(recording.grade, (one.cut,)),
            video=recording.video,
            stored=store.add(recording, (modality,)).paths,
        )
        for recording in chosen
        if recording.grade is not None and recording.split != "test"
    )


def task_of(one: Recorded, recordings: Sequence[RatedRecording]) -> FitTask:
    """Return the task of the default settings: five folds, stratified by subject."""
    config = build(FitConfig, one.settings)
    subjects = [recording.subject_id for recording in recordings]
    folds = make_held_out_folds(
        subjects,
        [recording.target for recording in recordings],
        FoldsConfig(num_outer=NUM_FOLDS),
        num_classes=2,
    )
    sides = tuple(
        FoldSides(
            training=tuple(i for i, subject in enumerate(subjects) if subject not in held),
            evaluation=tuple(i for i, subject in enumerate(subjects) if subject in held),
        )
        for held in folds.folds
    )
    origin = Origin(study="curves", trial=0, fold=0, epoch=0, split="val")
    return FitTask(origin, config, tuple(recordings), sides, 2, config.optim.epochs)


def curves(task: FitTask, every: int) -> tuple[list[list[float]], list[list[float]]]:
    """Train every fold; return the MCC and the CPU seconds by fold and epoch."""
    scores: list[list[float]] = [[] for _ in task.sides]
    seconds: list[list[float]] = [[] for _ in task.sides]
    before = time.process_time()
    for fold, value in _scored(task, every):
        now = time.process_time()
        scores[fold].append(value)
        seconds[fold].append(now - before)
        before = now
    return scores, seconds


def _scored(task: FitTask, every: int) -> Iterator[tuple[int, float]]:
    """Train every fold; yield the fold and the MCC of each epoch."""
    if task.config.entry.network is not None:
        for result in fit(task):
            yield result.fold, result.metrics["val/mcc"]
        return
    x, y = describe(task), np.array([one.target for one in task.recordings], np.int64)
    for fold, side in enumerate(task.sides):
        yield from ((fold, value) for value in _curve(task, side, (x, y), every))


def _curve(task: FitTask, side: FoldSides, data: tuple[Any, Any], every: int) -> Iterator[float]:
    (x, y), held = data, list(side.evaluation)
    learner = find_parts(task.config).build(task.config, num_classes=2, seed=task.origin.seed)
    assert isinstance(learner, NetworkLearner)
    learnt = [x[i] for i in side.training]
    for number, _ in enumerate(learner.epochs(learnt, y[list(side.training)]), 1):
        if number % every == 0:
            yield score("mcc", y[held], learner.predict_proba([x[i] for i in held]))


def record(name: str, config: RecordingConfig) -> list[dict[str, Any]]:
    """Record what is missing of one set; return its settings and scores."""
    one = sets()[name]
    path = config.folder / f"{name}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines]
    if len(found) >= config.num_settings:
        return found
    space, wrong = read_space(one.space)
    assert not wrong, wrong
    generator = np.random.default_rng(0)
    settings = [{}, *(draw(space, generator) for _ in range(config.num_settings - 1))]
    task = task_of(one, prepare(one, config))
    with path.open("a", encoding="utf-8") as file:
        for number, params in enumerate(settings[len(found) :], len(found)):
            trial = replace(task, config=trial_config(task.config, params))
            scores, seconds = curves(trial, one.every)
            found.append({"settings": params, "mcc": _rounded(scores)})
            found[-1]["seconds"] = _rounded(seconds)
            file.write(json.dumps(found[-1]) + "\n")
            file.flush()
            print(f"{name} {number}: {np.mean(scores, axis=0).max():.3f}", flush=True)
    return found


def _rounded(rows: list[list[float]]) -> list[list[float]]:
    return [[round(value, 4) for value in row] for row in rows]


def main(argv: list[str]) -> int:
    """Record all sets and keep them in the repository."""
    config = load(RecordingConfig, argv)
    torch.set_num_threads(1)
    config.folder.mkdir(parents=True, exist_ok=True)
    kept = {name: record(name, config) for name in config.only or sets()}
    if not config.only:
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_bytes(lzma.compress(json.dumps(kept).encode(), preset=9))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
