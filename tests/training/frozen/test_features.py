from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pdray.data.batches.normalise import normalise_frames
from pdray.data.batches.snippet import frame_indices
from pdray.data.store.entry import Entry
from pdray.errors import DivergedError, StudyError
from pdray.training.frozen.features import (
    entry_vector,
    extract_features,
    feature_shapes,
    kept_features,
    load_network,
    read_features,
)
from pdray.training.network import build_network

VIEWS = {"snippet": {"views": "dense", "num_views": 3, "view_frames": 6}}


def network_of(task, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_network(task.config, task.num_classes).eval()


def by_hand(task, network, read_entry):
    """Return features of every recording, one at a time, with a hook of our own."""
    vectors, maps = [], []
    for recording in task.recordings:
        frames = read_entry(recording.stored["rgb"])
        indices = frame_indices(
            len(frames), task.config.snippet, None, recording_id=recording.recording_id
        )
        x = normalise_frames(torch.from_numpy(frames[indices]))
        seen = []
        hook = network.get_submodule(network.MAP_LAYERS[-1]).register_forward_hook(
            lambda _module, _inputs, output, seen=seen: seen.append(output)
        )
        with torch.no_grad():
            vectors.append(network.features(x).mean(dim=0).numpy())
        hook.remove()
        maps.append(seen[0].mean(dim=0).numpy())
    return np.stack(vectors), np.stack(maps)


@pytest.mark.parametrize("settings", [{}, VIEWS])
def test_features_are_those_of_the_evaluation_view_of_each_recording(
    make_task, read_entry, settings
):
    task = make_task(settings)
    network = network_of(task)
    found = extract_features(network, task.recordings, task.config)
    vectors, maps = by_hand(task, network, read_entry)
    # Batches of another size sum in another order.
    np.testing.assert_allclose(found.vectors, vectors, atol=1e-5)
    np.testing.assert_allclose(found.maps, maps, atol=1e-5)
    assert found.vectors.dtype == found.maps.dtype == np.float32


@pytest.mark.parametrize("settings", [{}, VIEWS, {"augment": {"crop_size": [17, 11]}}])
def test_the_vector_of_an_entry_is_that_of_its_recording(make_task, settings):
    task = make_task(settings)
    network = network_of(task)
    found = extract_features(network, task.recordings, task.config).vectors
    for recording, expected in zip(task.recordings, found, strict=True):
        vector = entry_vector(network, Entry(recording.stored["rgb"]), task.config)
        np.testing.assert_allclose(vector, expected, atol=1e-5)
        assert vector.dtype == np.float32


def test_the_vector_is_the_mean_of_the_last_map_of_a_residual_network(make_task):
    task = make_task()
    found = extract_features(network_of(task), task.recordings, task.config)
    np.testing.assert_allclose(found.maps.mean(axis=(2, 3, 4)), found.vectors, atol=1e-5)


def test_shapes_are_known_before_anything_is_read(make_task):
    task = make_task()
    found = extract_features(network_of(task), task.recordings, task.config)
    state = torch.get_rng_state()
    size, shape = feature_shapes(task.config, task.num_classes)
    assert (size, shape) == (found.vectors.shape[1], found.maps.shape[1:])
    assert torch.equal(torch.get_rng_state(), state)


def test_a_network_is_loaded_with_its_weights_and_leaves_no_hook(make_task):
    task = make_task()
    trained = network_of(task, seed=5)
    network = load_network(task.config, task.num_classes, trained.state_dict())
    assert not network.training
    first, second = (
        extract_features(one, task.recordings, task.config) for one in (trained, network)
    )
    assert np.array_equal(first.vectors, second.vectors)
    assert not network.get_submodule(network.MAP_LAYERS[-1])._forward_hooks


def test_maps_of_a_network_of_frames_get_their_time_axis_back(make_task):
    class Frames(torch.nn.Module):
        MAP_LAYERS = ("pool",)

        def __init__(self):
            super().__init__()
            self.pool = torch.nn.AdaptiveAvgPool2d(2)

        def features(self, x):
            maps = self.pool(x.transpose(1, 2).flatten(0, 1))
            return maps.mean(dim=(2, 3)).view(len(x), -1, 3).mean(dim=1)

    task = make_task()
    found = extract_features(Frames(), task.recordings, task.config)
    assert found.maps.shape == (10, 3, 6, 2, 2)
    np.testing.assert_allclose(found.maps.mean(axis=(2, 3, 4)), found.vectors, atol=1e-5)


def test_features_are_made_once_for_the_same_weights_recordings_and_view(make_task, tmp_path: Path):
    task = make_task()
    folder = tmp_path / "features"
    path = kept_features(network_of(task), task.recordings, task.config, folder=folder)
    written = path.stat().st_mtime_ns
    again = kept_features(network_of(task), task.recordings, task.config, folder=folder)
    assert (again, again.stat().st_mtime_ns) == (path, written)
    found = extract_features(network_of(task), task.recordings, task.config)
    assert np.array_equal(read_features(path, "vectors"), found.vectors)
    assert np.array_equal(read_features(path, "maps"), found.maps)
    others = [
        (network_of(task, seed=1), task.recordings, task.config),
        (network_of(task), task.recordings[1:], task.config),
        (network_of(task), task.recordings, make_task({"snippet": {"num_frames": 7}}).config),
    ]
    for network, recordings, config in others:
        assert kept_features(network, recordings, config, folder=folder) != path


def test_a_feature_that_is_not_finite_names_its_recording(make_task):
    task = make_task()
    network = network_of(task)
    with torch.no_grad():
        network.fc.weight.zero_()
        network.conv1.weight.fill_(float("nan"))
    with pytest.raises(DivergedError, match="recording R3: a feature of the network"):
        extract_features(network, task.recordings[3:], task.config)


def test_a_damaged_file_is_named(make_task, tmp_path: Path):
    path = tmp_path / "x.npz"
    path.write_bytes(b"PK broken")
    with pytest.raises(StudyError, match=r"features .*x\.npz: the file cannot be read.*delete it"):
        read_features(path, "vectors")
    path.write_bytes(b"")
    with pytest.raises(StudyError, match=r"x\.npz: the file cannot be read"):
        read_features(path, "vectors")
    with pytest.raises(StudyError, match=r"absent\.npz"):
        read_features(tmp_path / "absent.npz", "vectors")


def test_the_pretrained_file_is_not_needed_again(make_task, tmp_path: Path):
    task = make_task()
    gone = task.config.model_copy(update={"pretrained": tmp_path / "gone.pth"})
    moved = replace(task, config=gone)
    network = load_network(moved.config, 2, network_of(task).state_dict())
    assert feature_shapes(gone, 2)[0] == network.fc.in_features
