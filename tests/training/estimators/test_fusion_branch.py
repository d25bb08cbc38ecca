from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pdray.config import build
from pdray.data.cohort.rated import RatedRecording
from pdray.errors import DecodeError, DivergedError, FoldsError
from pdray.models.estimators.fusion_settings import FusionConfig
from pdray.training.estimators.fusion_branch import BranchNetwork, describe_fusion
from pdray.training.estimators.landmarks import centred_frames
from pdray.training.estimators.sound import sound_vector
from pdray.training.frozen.frame_features import FrameFeatures, frame_vectors
from pdray.training.settings import FitConfig
from tests.fixtures.sound_made import stored_recordings

BACKBONE = {"name": "frame_resnet", "depth": 18, "width_factor": 0.125, "layout": "torchvision"}
SMALL = {
    "name": "fusion",
    "num_frames": 3,
    "backbone": BACKBONE,
    "num_hidden": 8,
    "num_hidden_sound": 8,
    "num_epochs": 15,
}


def config_of(**model: object) -> FitConfig:
    tree = {
        "modality": "several",
        "decode": {"height": 32, "width": 32},
        "model": {**SMALL, **model},
        "optim": {"epochs": 1},
    }
    return build(FitConfig, tree)


@pytest.fixture
def recordings(tmp_path: Path, write_entry) -> tuple[RatedRecording, ...]:
    lacks = {0: ("mfcc",), 1: ("rgb", "landmarks")}
    return stored_recordings(tmp_path, write_entry, lacks=lacks)


def test_each_branch_sees_what_its_modality_alone_would(recordings) -> None:
    config = config_of(unit="eyes")
    model = config.model
    assert isinstance(model, FusionConfig)
    seen = describe_fusion(recordings[2], config)
    assert list(seen) == ["rgb", "landmarks", "mfcc"]
    frozen = FrameFeatures(model.backbone, num_frames=3, weights=None)
    np.testing.assert_array_equal(seen["rgb"], frame_vectors(recordings[2], frozen))
    path = recordings[2].stored["landmarks"]
    np.testing.assert_array_equal(seen["landmarks"], centred_frames(path, 3, "eyes"))
    np.testing.assert_array_equal(seen["mfcc"], sound_vector(recordings[2], "mfcc", config))


def test_what_a_recording_lacks_is_not_there_and_nothing_at_all_is_refused(recordings) -> None:
    config = config_of()
    assert list(describe_fusion(recordings[0], config)) == ["rgb", "landmarks"]
    assert list(describe_fusion(recordings[1], config)) == ["mfcc"]
    with pytest.raises(DecodeError, match="has none of rgb, landmarks; remove it"):
        describe_fusion(recordings[1], config_of(branches="landmarks+rgb"))
    with pytest.raises(DecodeError, match="has none of mfcc"):
        describe_fusion(replace(recordings[1], stored=None), config_of(branches="mfcc"))


@pytest.mark.parametrize("name", ["rgb", "landmarks", "mfcc"])
@pytest.mark.parametrize("frames", ["fv", "fc"])
def test_a_branch_learns_from_those_that_have_it(recordings, name: str, frames: str) -> None:
    config = config_of(frames=frames)
    x = [describe_fusion(one, config) for one in recordings]
    y = np.array([one.target for one in recordings])
    branch = BranchNetwork(name, config.model, num_classes=3, seed=1)  # type: ignore[arg-type]
    logits = branch.fit(x, y).logits(x)
    has = np.array([name in one for one in x])
    assert np.isnan(logits[~has]).all()
    assert (logits[has].argmax(axis=1) == y[has]).mean() > 0.9
    # Whose modality is lacking teaches nothing.
    alone = BranchNetwork(name, config.model, num_classes=3, seed=1)  # type: ignore[arg-type]
    kept = [one for one in x if name in one]
    np.testing.assert_array_equal(alone.fit(kept, y[has]).logits(kept), logits[has])
    assert np.isnan(alone.logits([{}])).all()


def test_a_modality_that_nobody_has_is_refused(recordings) -> None:
    config = config_of()
    x = [describe_fusion(recordings[0], config)]
    with pytest.raises(
        FoldsError, match=r"none of the 1 training recordings has mfcc; remove it from"
    ):
        BranchNetwork("mfcc", config.model, num_classes=2, seed=0).fit(x, np.array([0]))


def test_a_loss_that_is_not_finite_names_the_branch() -> None:
    x = [{"mfcc": np.array([1.0, 3.0])}, {"mfcc": np.array([1.0, 2.0])}]
    model = config_of(learning_rate=1e30).model
    branch = BranchNetwork("mfcc", model, num_classes=2, seed=0)
    with pytest.raises(DivergedError, match=r"branch mfcc, epoch 1: the training loss became"):
        branch.fit(x, np.array([0, 1]))


def test_logits_that_are_not_finite_are_no_absent_modality() -> None:
    # The last step of the training is the one that no loss was computed after.
    x = [{"mfcc": np.array([1.0, 3.0])}, {"mfcc": np.array([1.0, 2.0])}]
    model = config_of(learning_rate=1e30, num_epochs=1).model
    branch = BranchNetwork("mfcc", model, num_classes=2, seed=0).fit(x, np.array([0, 1]))
    with pytest.raises(DivergedError, match="branch mfcc: a logit is not finite"):
        branch.logits(x)
