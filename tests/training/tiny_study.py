"""A finished study of five minutes' work in a second: a rendered cohort, an untrained winner."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pdray.config import build, dump, merge
from pdray.data.folds import Folds, folds_to_json
from pdray.data.manifest import load_manifest
from pdray.data.synthetic import DemoConfig, make_cohort
from pdray.tracking.run_log import StudyLog
from pdray.training.network import build_network
from pdray.training.task import FitConfig

FACES = {
    "num_subjects": 6,
    "num_visits": 1,
    "items": ["face_interview"],
    "missing": 0.0,
    "size": 32,
    "min_seconds": 1.0,
    "max_seconds": 1.2,
    "seed": 4,
}
SMALL: Mapping[str, Any] = {
    "decode": {"height": 32, "width": 32},
    "snippet": {"num_frames": 6},
    "model": {
        "depth": 10,
        "width_factor": 0.0625,
        "temporal_stride": "111111",
        "stem_time_kernel": 3,
        "num_heads": 2,
    },
    "loss": {"kind": "cross_entropy"},
    "optim": {"batch_size": 2},
}
# Of a linear probe; such a study leaves no model.pt.
PROBE: Mapping[str, Any] = {
    "decode": {"height": 32, "width": 32},
    "snippet": {"num_frames": 4},
    "model": {
        "name": "linear_probe",
        "backbone": {"name": "frame_resnet", "depth": 18, "width_factor": 0.0625},
    },
    "optim": {"epochs": 1},
}
TEST = ("S001", "S002", "S003")


def render_faces(folder: Path) -> Path:
    """Render six SYNTHETIC interviews; return their manifest."""
    return make_cohort(folder, build(DemoConfig, FACES), num_processes=1)


def make_study(
    output: Path,
    manifest: Path,
    settings: Mapping[str, Any] | None = None,
    *,
    tags: Mapping[str, str] | None = None,
) -> StudyLog:
    """Leave what a study leaves that tested the first three subjects; its winner is untrained.

    Settings that name their model stand alone, others over SMALL.
    """
    first = {} if "name" in (settings or {}).get("model", {}) else SMALL
    fit = build(FitConfig, merge(merge({}, first), settings or {}))
    study = StudyLog(output / "studies" / "faces")
    data = {"manifest": str(manifest), "items": ["face_interview"], "grade_cuts": [2]}
    found = load_manifest(manifest, check_files=False)
    study.start(
        name="faces",
        settings={**dump(fit), "data": data},
        tags=tags or {"manifest_digest": found.digest, "synthetic": "true"},
    )
    others = sorted({one.subject_id for one in found.recordings} - set(TEST))
    folds = Folds(frozenset(TEST), (frozenset(others[:1]), frozenset(others[1:])))
    study.folds_path.write_text(folds_to_json(folds), encoding="utf-8")
    study.winner.start(number=0, num_epochs=1, params={}, settings=dump(fit), role="winner")
    if not fit.is_estimator:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = build_network(fit, 2)
        torch.save(network.state_dict(), study.winner.model_path)
    study.winner.finish(state="complete")
    study.finish(state="complete", best=0)
    return study
