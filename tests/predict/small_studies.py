"""Settings of a small study of every model, and a manifest of the faces with all their files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pdray.config import merge
from pdray.data.cohort.csv_table import table_text
from pdray.data.face.intensities import write_intensities
from pdray.models import MODELS
from tests.fixtures.intensities_made import made_intensities
from tests.fixtures.tiny_study import PROBE, SMALL

NETWORK: Mapping[str, Any] = merge(merge({}, SMALL), {"optim": {"epochs": 2}, "augment": {}})
PICTURES: Mapping[str, Any] = {
    "decode": {"height": 64, "width": 64},
    "snippet": {"num_frames": 16},
    "loss": {"kind": "cross_entropy"},
    "optim": {"batch_size": 4, "epochs": 1},
}
ONCE: Mapping[str, Any] = {"decode": {"height": 32, "width": 32}, "optim": {"epochs": 1}}
LANDMARKS = {**ONCE, "modality": "landmarks"}
QUICK: Mapping[str, Mapping[str, Any]] = {
    "tsa": merge(merge({}, NETWORK), {"snippet": {"short": "refuse"}, "optim": {"epochs": 1}}),
    "linear_probe": PROBE,
    "region_attention": {
        **PICTURES,
        "snippet": {"num_frames": 4},
        "model": {"depth": 18, "layout": "torchvision", "width_factor": 0.0625, "token_dim": 12,
                  "roi_size": 2, "frozen_stages": 4},
        "loss": {"kind": "hierarchy"},
    },
    "landmark_head": LANDMARKS,
    "landmark_choice": {
        **LANDMARKS,
        "model": {"groups": ["head"], "logistic": [1.0], "svm": [3.0], "vote": False,
                  "num_folds": 2, "num_repeats": 1},
    },
    "landmark_mlp": {**LANDMARKS, "model": {"num_steps": 3, "num_hidden": 4, "num_frames": 2}},
    "audio_mlp": {**ONCE, "modality": "mfcc", "model": {"num_epochs": 2, "num_hidden": 4}},
    "fusion": {
        **ONCE,
        "modality": "several",
        "model": {"num_epochs": 2, "num_frames": 2, "num_hidden": 4, "num_hidden_sound": 4,
                  "backbone": {"depth": 18, "width_factor": 0.0625, "layout": "torchvision"}},
    },
    "motion_linear": ONCE,
    "intensity_head": {**ONCE, "modality": "intensities", "model": {"num_epochs": 2}},
}  # fmt: skip
FILES = ("video", "audio", "landmarks", "regions")


def settings_of(name: str) -> dict[str, Any]:
    """Return the settings of a study of a model; those of QUICK take a second."""
    settings = dict(QUICK.get(name, PICTURES))
    model = settings.get("model") or MODELS[name].small
    return settings | {"model": {**model, "name": name}}


def whole_rows(manifest: Path, folder: Path, **changes: Any) -> Path:
    """Write all rows as another manifest, with all their files and with other cells."""
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    for name in FILES:
        table[name] = [str(manifest.parent / file) if file else "" for file in table[name]]
    table = table.assign(**changes)
    rng = np.random.default_rng(0)
    for number in range(len(table)):
        cosines = rng.uniform(-1, 1, (4, 4))
        write_intensities(folder / f"{number}.npz", made_intensities(cosines=cosines))
    table["intensities"] = [f"{number}.npz" for number in range(len(table))]
    path = folder / "rows.csv"
    path.write_text(table_text(table.columns, table.to_dict("records")), encoding="utf-8")
    return path
