"""A fit on regions small enough to run in a second: random frames of 64 px, moving polygons."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pdray.config import build, merge
from pdray.data.codec import StoreConfig
from pdray.data.entry import EntryWriter
from pdray.data.face_points import REGIONS, VERTICES
from pdray.data.plan import FoldSides, RatedRecording
from pdray.evaluation.predictions import Origin
from pdray.training.task import FitConfig, FitTask

SIDE = 64
ABSENT = 3  # region that no frame of any recording shows
REGION_SETTINGS: Mapping[str, Any] = {
    "decode": {"height": SIDE, "width": SIDE},
    "snippet": {"num_frames": 4},
    "model": {
        "name": "region_attention",
        "depth": 18,
        "layout": "torchvision",
        "width_factor": 0.0625,
        "token_dim": 12,
        "roi_size": 2,
        "frozen_stages": 4,
    },
    "loss": {"kind": "hierarchy"},
    "optim": {
        "optimizer": "adam",
        "learning_rate": 0.01,
        "weight_decay": 0.0,
        "batch_size": 4,
        "epochs": 2,
    },
    "stream": {"reader": "local"},
}
# Everything that changes pictures and can be undone by no view.
UNCACHED: Mapping[str, Any] = {"features": {"cache": "off"}}
PLAIN: Mapping[str, Any] = {
    "augment": {"flip": 0.0, "brightness": 0.0, "contrast": 0.0, "max_shift": 0.0}
}


def polygons(draw: np.random.Generator, num_frames: int) -> np.ndarray:
    """Return (N, 58, 2) vertices of boxes about a third of the picture; one region is absent."""
    middle = np.repeat(draw.uniform(20, SIDE - 20, (num_frames, len(REGIONS), 2)), VERTICES, axis=1)
    points = (middle + draw.uniform(-10, 10, middle.shape)).astype(np.float32)
    first = int(VERTICES[:ABSENT].sum())
    points[:, first : first + VERTICES[ABSENT]] = np.nan
    return points


def make_region_task(
    folder: Path, write_entry: Callable[..., Path], settings: Mapping[str, Any] | None = None
) -> FitTask:
    """Return a task of two folds over eight recordings of four subjects, half of them ill."""
    config = build(FitConfig, merge(merge({}, REGION_SETTINGS), settings or {}))
    draw = np.random.default_rng(5)
    recordings = []
    for number in range(8):
        num_frames = 6 + number % 3
        frames, regions = (folder / "store" / f"{k}{number}" / f"{k}{number}.arrow" for k in "fr")
        for path in (frames, regions):
            path.parent.mkdir(parents=True, exist_ok=True)
        if not frames.exists():
            write_entry(frames, draw.integers(0, 256, (num_frames, SIDE, SIDE, 3), np.uint8))
            with EntryWriter(regions, StoreConfig(codec="raw")) as out:
                for step, points in enumerate(polygons(draw, num_frames)):
                    out.append(step / 25, points)
        grade = (0, 3, 2, 0)[number // 2]
        recordings.append(
            RatedRecording(
                recording_id=f"R{number}",
                subject_id=f"S{number // 2}",
                item="face_interview",
                grade=grade,
                target=int(grade >= 2),
                video=folder / "absent.mp4",
                stored={"rgb": frames, "regions": regions},
                marks=(None, 4, *(None,) * 12) if number == 2 else None,
            )
        )
    sides = (
        FoldSides(training=(0, 1, 2, 3), evaluation=(4, 5, 6, 7)),
        FoldSides(training=(4, 5, 6, 7), evaluation=(0, 1, 2, 3)),
    )
    return FitTask(
        origin=Origin(study="study", trial=3, fold=0, epoch=0, seed=1),
        config=config,
        recordings=tuple(recordings),
        sides=sides,
        num_classes=2,
        epochs=config.optim.epochs,
    )
