from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pdray.data.modalities import KINETICS_MEAN, KINETICS_STD
from pdray.data.store.entry import Entry
from pdray.errors import DecodeError, DivergedError
from pdray.models.networks.frame_resnet import build_frame_resnet
from pdray.models.networks.frame_resnet_settings import FrameResNetConfig
from pdray.models.weights.checkpoint import CheckpointError
from pdray.training.frozen.frame_features import (
    FrameFeatures,
    describe_frames,
    frame_vectors,
    open_features,
)
from tests.fixtures.sound_made import stored_recordings

SHAPE = FrameResNetConfig(depth=18, width_factor=0.125)


@pytest.fixture
def recording(tmp_path: Path, write_entry):
    return stored_recordings(tmp_path, write_entry)[1]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(5)
    path = tmp_path / "model.pt"
    torch.save(build_frame_resnet(SHAPE, 2).state_dict(), path)
    return path


def test_features_are_those_of_the_frames_in_the_middle_of_equal_parts(recording, weights) -> None:
    frozen = FrameFeatures(SHAPE, num_frames=3, weights=weights)
    found = frame_vectors(recording, frozen)
    assert found.shape == (3, 64)
    entry = Entry(recording.stored["rgb"])
    network = build_frame_resnet(SHAPE, 2)
    network.load_state_dict(torch.load(weights, weights_only=True))
    network = network.double().eval()
    pixels = entry.read(np.array([1, 3, 5])) / 255  # of six frames
    x = (pixels - np.array(KINETICS_MEAN)) / np.array(KINETICS_STD)
    with torch.no_grad():
        expected = network.look(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_they_are_computed_once(recording, weights, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = FrameFeatures(SHAPE, num_frames=8, weights=weights)
    first = frame_vectors(recording, frozen)
    assert first.shape == (8, 64)  # of six frames two are taken again
    monkeypatch.setattr(FrameFeatures, "look", None)
    again = FrameFeatures(SHAPE, num_frames=8, weights=weights)
    np.testing.assert_array_equal(frame_vectors(recording, again), first)


def test_what_decides_is_shape_frames_and_the_content_of_the_weights(weights) -> None:
    base = FrameFeatures(SHAPE, num_frames=3, weights=weights).decides
    wider = SHAPE.model_copy(update={"width_factor": 0.25})
    assert FrameFeatures(wider, num_frames=3, weights=weights).decides != base
    assert FrameFeatures(SHAPE, num_frames=4, weights=weights).decides != base
    assert FrameFeatures(SHAPE, num_frames=3, weights=None).decides != base
    torch.manual_seed(6)
    torch.save(build_frame_resnet(SHAPE, 2).state_dict(), weights)
    assert FrameFeatures(SHAPE, num_frames=3, weights=weights).decides != base
    # A published file means other features on other pixels; one of a study is as it is.
    own = FrameFeatures(SHAPE, num_frames=3, weights=weights, pixels="earlier").decides
    assert FrameFeatures(SHAPE, num_frames=3, weights=weights).decides == own
    published = weights.rename(weights.with_name("published.pth"))
    keys = [
        FrameFeatures(SHAPE, num_frames=3, weights=published, pixels=pixels).decides["weights"]
        for pixels in ("earlier", "auto", "imagenet")
    ]
    assert [key[1:] for key in keys] == [[False], [False, "auto"], [False, "imagenet"]]
    weights = published.rename(weights)
    one = open_features(SHAPE, num_frames=3, weights=weights)
    assert open_features(SHAPE, num_frames=3, weights=weights) is one


def test_weights_that_no_file_gives_are_the_same_everywhere() -> None:
    frames = np.full((1, 32, 32, 3), 90, np.uint8)
    first = FrameFeatures(SHAPE, num_frames=1, weights=None).look(frames)
    torch.manual_seed(9)
    second = FrameFeatures(SHAPE, num_frames=1, weights=None).look(frames)
    np.testing.assert_array_equal(first, second)


def test_what_the_network_starts_from_is_told(weights, tmp_path: Path) -> None:
    assert "its features are untrained" in describe_frames(SHAPE, None)[0]
    assert any("loaded unchanged" in line for line in describe_frames(SHAPE, weights))
    path = tmp_path / "notes.pt"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match=r"notes\.pt"):
        describe_frames(SHAPE, path)


def test_a_recording_without_pictures_is_named(recording, weights) -> None:
    bare = replace(recording, stored={})
    with pytest.raises(
        DecodeError, match="recording r1: its rgb is not in the frame store; run jobs"
    ):
        frame_vectors(bare, FrameFeatures(SHAPE, num_frames=3, weights=weights))


def test_a_feature_that_is_not_finite_names_the_recording(
    recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = np.full((3, 64), np.nan, np.float32)
    monkeypatch.setattr(FrameFeatures, "look", lambda self, frames: broken)
    with pytest.raises(DivergedError, match="recording r1: a feature of the frozen network is not"):
        frame_vectors(recording, FrameFeatures(SHAPE, num_frames=3, weights=None))
