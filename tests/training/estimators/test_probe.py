from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pdray.config import build, merge
from pdray.data.batches.plan import derive_seed
from pdray.errors import DecodeError, DivergedError, FoldsError, PdrayError
from pdray.evaluation.predictions import probabilities
from pdray.losses.hierarchy import hierarchy_loss
from pdray.models.networks.frame_resnet import build_frame_resnet
from pdray.training.estimators.fit import describe, fit_estimator
from pdray.training.estimators.probe import build_probe, describe_probe, frozen_features
from pdray.training.frozen import vectors as module
from pdray.training.frozen.features import extract_features
from pdray.training.frozen.keep import read_items
from pdray.training.loop.worker import fit
from pdray.training.settings import FitConfig
from pdray.training.task import FitTask

SMALL = {"name": "frame_resnet", "depth": 18, "width_factor": 0.0625}
PROBE: Mapping[str, Any] = {
    "model": {"name": "linear_probe", "backbone": SMALL, "num_epochs": 5},
    "snippet": {"num_frames": 4},
    "decode": {"height": 17, "width": 17},
    "optim": {"epochs": 1},
}


@pytest.fixture
def make_probe(make_task: Callable[..., FitTask], tmp_path: Path) -> Callable[..., FitTask]:
    """Return a function that makes a task whose model is a probe, on one store."""
    task = make_task()
    folder = tmp_path / "store" / "ab"
    folder.mkdir(parents=True)
    recordings = tuple(
        replace(one, stored={"rgb": one.stored["rgb"].rename(folder / one.stored["rgb"].name)})
        for one in task.recordings
    )

    def make(settings: Mapping[str, Any] | None = None) -> FitTask:
        config = build(FitConfig, merge(merge({}, PROBE), settings or {}))
        return replace(task, config=config, recordings=recordings, epochs=1)

    return make


def backbone_config(task: FitTask) -> FitConfig:
    """The same view of a network that is trained."""
    tree = {"model": task.config.network.model_dump(), "snippet": {"num_frames": 4},
            "decode": PROBE["decode"], "stream": {"reader": "local"}}  # fmt: skip
    return build(FitConfig, tree)


def test_a_recording_is_described_by_the_frozen_networks_features(make_probe) -> None:
    task = make_probe()
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(0, "frozen"))
        network = build_frame_resnet(task.config.network, 2, 3).eval()
    expected = extract_features(network, task.recordings, backbone_config(task)).vectors
    np.testing.assert_allclose(np.stack(describe(task)), expected, atol=1e-5)


def test_features_are_computed_once_whatever_the_classifier_is_told(
    make_probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_probe()
    first = np.stack(describe(task))

    def refuse(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(module, "entry_vector", refuse)
    read_items.cache_clear()
    other = make_probe({"model": {"learning_rate": 0.1, "kind": "logistic"}})
    np.testing.assert_array_equal(np.stack(describe(other)), first)
    with pytest.raises(AssertionError, match="computed again"):
        describe(make_probe({"snippet": {"num_frames": 5}}))
    with pytest.raises(AssertionError, match="computed again"):
        describe(make_probe({"model": {"backbone": {"layout": "torchvision", "depth": 34}}}))


def test_weights_come_from_the_file_and_another_content_is_another_entry(
    make_probe, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = build_frame_resnet(make_probe().config.network, 4, 3)
        torch.save(network.state_dict(), path)
        task = make_probe({"pretrained": str(path)})
        frozen = frozen_features(task.config)
        state = frozen.network.state_dict()
        assert torch.equal(state["layer4.1.conv2.weight"], network.layer4[1].conv2.weight)
        assert not frozen.network.training
        assert not any(one.requires_grad for one in frozen.network.parameters())
        found.append(describe_probe(task.recordings[0], task.config))
    assert not np.allclose(*found)
    assert not np.allclose(found[0], describe_probe(task.recordings[0], make_probe().config))
    path.unlink()
    with pytest.raises(PdrayError, match=r"model\.pt"):
        describe_probe(task.recordings[0], task.config)


def test_a_fold_is_adam_on_standardised_features_with_the_loss_of_000(make_probe) -> None:
    task = make_probe()
    x, y = np.stack(describe(task)), np.array([one.target for one in task.recordings])
    results = list(fit(task))  # the loop of all fits knows estimators
    assert [(one.fold, one.epoch) for one in results] == [(0, 0), (1, 0)]
    for result, side in zip(results, task.sides, strict=True):
        learnt, held = list(side.training), list(side.evaluation)
        mean, spread = x[learnt].mean(axis=0), x[learnt].std(axis=0)
        spread[spread < 1e-12] = 1
        seen, unseen = ((x[of] - mean) / spread for of in (learnt, held))
        torch.manual_seed(derive_seed(task.origin.seed, "weights"))
        layer = torch.nn.Linear(x.shape[1], 2)
        optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
        inputs, target = torch.tensor(seen, dtype=torch.float32), torch.tensor(y[learnt])
        for _ in range(5):  # six recordings are one batch of 32
            loss = hierarchy_loss(layer(inputs), target, hierarchy_lambda=0.9).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            logits = layer(torch.tensor(unseen, dtype=torch.float32)).double()
        assert result.predictions is not None
        found = probabilities(result.predictions)
        np.testing.assert_allclose(found, logits.softmax(1).numpy(), atol=1e-5)


def clouds(num: int, num_classes: int = 3) -> tuple[list[np.ndarray], np.ndarray]:
    """Points round a corner for each class; the last feature never changes."""
    rng = np.random.default_rng(num)
    y = np.arange(num) % num_classes
    centres = 3 * np.eye(5)[:num_classes]
    x = centres[y] + 0.3 * rng.normal(size=(num, 5))
    x[:, 4] = 7.0
    return list(x), y


@pytest.mark.parametrize("kind", ["adam", "logistic"])
def test_it_learns_what_can_be_told_apart(kind: str) -> None:
    tree = merge(merge({}, PROBE), {"model": {"kind": kind, "num_epochs": 300}})
    config = build(FitConfig, tree)
    x, y = clouds(30)
    unseen, truth = clouds(12)
    probe = build_probe(config, num_classes=3, seed=0).fit(x, y, ["S"] * 30)
    found = probe.predict_proba(unseen)
    assert (found.argmax(axis=1) == truth).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert probe.told == {}


def test_a_class_that_logistic_never_met_has_no_share() -> None:
    config = build(FitConfig, merge(merge({}, PROBE), {"model": {"kind": "logistic"}}))
    x, y = clouds(20, 2)
    probe = build_probe(config, num_classes=4, seed=0).fit(x, 3 * y, ["S"] * 20)
    found = probe.predict_proba(x)
    assert found.shape == (20, 4)
    assert not found[:, 1:3].any()
    with pytest.raises(FoldsError, match=r"all 20 training recordings are of class 0, .*two"):
        build_probe(config, num_classes=4, seed=0).fit(x, 0 * y, ["S"] * 20)


def test_the_held_out_side_decides_nothing(make_probe) -> None:
    task = make_probe()
    first = next(fit_estimator(task))
    held = set(task.sides[0].evaluation)
    other = tuple(
        replace(one, target=1 - one.target) if number in held else one
        for number, one in enumerate(task.recordings)
    )
    again = next(fit_estimator(replace(task, recordings=other)))
    assert first.predictions is not None
    assert again.predictions is not None
    np.testing.assert_array_equal(
        probabilities(first.predictions), probabilities(again.predictions)
    )


def test_a_fault_names_the_recording(make_probe, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_probe()
    bare = replace(task.recordings[0], stored=None)
    with pytest.raises(
        DecodeError, match="recording R0: its rgb is not in the frame store; run jobs"
    ):
        describe(replace(task, recordings=(bare, *task.recordings[1:])))
    monkeypatch.setattr(module, "entry_vector", lambda *_: np.array([np.nan], np.float32))
    with pytest.raises(DivergedError, match="recording R0: a feature of the network is not"):
        describe(task)
    monkeypatch.undo()
    with pytest.raises(PdrayError, match=r"recording R0: .*crop_size"):
        describe(make_probe({"augment": {"crop_size": [20, 20]}}))
