from pathlib import Path

import numpy as np
import pytest

from pdray.config import build
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rated import RatedRecording
from pdray.data.face.motion import Features, landmark_features
from pdray.data.media.tracks import read_track, write_track
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.training.estimators.landmarks import build_choice, describe_choice, describe_head
from pdray.training.settings import FitConfig
from tests.fixtures.landmark_made import face, track_of

SMALL = {"logistic": [1.0], "svm": [], "vote": False, "num_folds": 2, "num_repeats": 1}


def config_of(**model: object) -> FitConfig:
    tree = {"modality": "landmarks", "model": model, "optim": {"epochs": 1}}
    return build(FitConfig, tree)


@pytest.fixture
def recording(tmp_path: Path) -> RatedRecording:
    path = tmp_path / "r.npz"
    points = face(40) + np.random.default_rng(0).normal(0, 0.05, (40, 106, 2))
    write_track(path, track_of(points))
    row = Recording("r", "S", "face_interview", landmarks=path)
    stored = FrameStore(tmp_path / "store", Recipe()).add(row, ("landmarks",)).paths
    return RatedRecording("r", "S", "face_interview", 0, 0, None, stored=stored)


def test_a_choice_sees_every_feature_and_a_head_its_groups(recording, tmp_path) -> None:
    features = landmark_features(read_track(tmp_path / "r.npz"))
    seen = describe_choice(recording, config_of(name="landmark_choice"))
    assert isinstance(seen, Features)
    assert seen.names == features.names
    np.testing.assert_allclose(seen.values, features.values, rtol=1e-5)
    chosen = [name.startswith(("head.", "eyes.", "brows.")) for name in features.names]
    head = describe_head(recording, config_of(name="landmark_head"))
    np.testing.assert_allclose(head, features.values[chosen], rtol=1e-5)


def test_what_was_chosen_is_told() -> None:
    rng = np.random.default_rng(1)
    y = np.arange(24) % 2
    names = ("head.a", "eyes.a")
    x = [Features(names, np.array([3.0 * k, 0]) + rng.normal(0, 0.5, 2)) for k in y]
    config = config_of(name="landmark_choice", groups=["eyes", "head"], **SMALL)
    estimator = build_choice(config, num_classes=2, seed=0)
    estimator.fit(x, y, [f"S{number}" for number in range(24)])
    assert estimator.told["fit/choice"] == 1
    assert estimator.told["fit/inner_score"] > 0.95
    assert (estimator.predict_proba(x).argmax(1) == y).mean() > 0.95
