"""A fit small enough to run in a second: a narrow network on random frames of 17 px."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pdray.config import build, merge
from pdray.data.plan import FoldSides, RatedRecording
from pdray.evaluation.predictions import Origin
from pdray.training.task import FitConfig, FitTask

SMALL: Mapping[str, Any] = {
    "decode": {"height": 17, "width": 17},
    "snippet": {"num_frames": 6},
    "model": {
        "depth": 10,
        "width_factor": 0.0625,
        "temporal_stride": "111111",
        "stem_time_kernel": 3,
        "num_heads": 2,
        "attention_depth": 1,
    },
    "optim": {"learning_rate": 0.01, "batch_size": 4, "epochs": 2},
    "stream": {"reader": "local"},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in another order are other numbers; one thread has one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make_task(tmp_path: Path, write_entry: Callable[..., Path]) -> Callable[..., FitTask]:
    """Return a function that makes a task of two folds over ten recordings of five subjects."""

    def make(settings: Mapping[str, Any] | None = None, **changes: Any) -> FitTask:
        config = build(FitConfig, merge(merge({}, SMALL), settings or {}))
        size = (config.decode.height, config.decode.width, 3 if config.modality == "rgb" else 2)
        draw = np.random.default_rng(11)
        recordings = []
        for number in range(10):
            path = tmp_path / f"{number}.arrow"
            write_entry(path, draw.integers(0, 256, (9 + number % 3, *size), np.uint8))
            grade = (0, 3, 1, 4, 2)[number % 5]
            recordings.append(
                RatedRecording(
                    recording_id=f"R{number}",
                    subject_id=f"S{number // 2}",
                    item="finger_tapping",
                    grade=grade,
                    target=int(grade >= 2),
                    video=tmp_path / "absent.mp4",
                    stored={config.modality: path},
                )
            )
        sides = (
            FoldSides(training=tuple(range(6)), evaluation=(6, 7, 8, 9)),
            FoldSides(training=tuple(range(4, 10)), evaluation=(0, 1, 2, 3)),
        )
        values: dict[str, Any] = {
            "origin": Origin(study="study", trial=3, fold=0, epoch=0, seed=1),
            "config": config,
            "recordings": tuple(recordings),
            "sides": sides,
            "num_classes": 2,
            "epochs": config.optim.epochs,
        }
        return FitTask(**{**values, **changes})

    return make
