from pathlib import Path
from typing import Any

import pytest
import torch

from pdray.config import build, merge
from pdray.errors import SettingsError
from pdray.models.layers.ordered import OrderedHead
from pdray.models.layers.segment_attention import SegmentNetwork
from pdray.training.network import build_network, describe_start, joins_segments, make_network
from pdray.training.settings import FitConfig

SMALL: dict[str, Any] = {
    "model": {"depth": 10, "width_factor": 0.125, "temporal_stride": "221111", "num_heads": 2}
}
SEGMENTS = {"snippet": {"mode": "segments"}, "segments": {"consensus": "attention"}}


def config_of(*trees: dict[str, Any]) -> FitConfig:
    tree: dict[str, Any] = merge({}, SMALL)
    for more in trees:
        merge(tree, more)
    return build(FitConfig, tree)


def test_a_plain_network_has_an_output_a_class() -> None:
    network = build_network(config_of(), 3).eval()
    assert network(torch.zeros(2, 3, 16, 24, 24)).shape == (2, 3)
    assert not joins_segments(config_of())


def test_flow_has_two_channels() -> None:
    network = build_network(config_of({"modality": "flow"}), 2).eval()
    assert network(torch.zeros(1, 2, 16, 24, 24)).shape == (1, 2)


def test_segments_and_ordered_grades_go_around_the_backbone() -> None:
    network = build_network(config_of(SEGMENTS, {"loss": {"kind": "coral"}}), 4)
    assert isinstance(network, OrderedHead)
    assert isinstance(network.scorer, SegmentNetwork)
    outputs = network(torch.randn(6, 3, 16, 24, 24), num_segments=3)
    assert outputs.shape == (2, 3)


def test_published_weights_reach_the_backbone_inside(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = build_network(config_of(), 2)
    path = tmp_path / "model.pt"
    torch.save(source.state_dict(), path)
    config = config_of(SEGMENTS, {"pretrained": str(path)})
    network = build_network(config, 2)
    assert isinstance(network, SegmentNetwork)
    for name, tensor in source.state_dict().items():
        assert torch.equal(network.backbone.state_dict()[name], tensor), name
    assert any("loaded" in line for line in describe_start(config, 2))
    assert describe_start(config_of(), 2) == []


def test_published_weights_are_adapted_to_portraits_as_to_frames(tmp_path: Path) -> None:
    model = {"name": "frame_resnet", "depth": 18, "width_factor": 0.125}
    path = tmp_path / "published.pt"
    source = build_network(build(FitConfig, {"model": model}), 2).state_dict()
    torch.save(source, path)
    tree = {"model": model, "pretrained": str(path), "pretrained_pixels": "imagenet"}
    frames, portraits = (
        build_network(build(FitConfig, {**tree, "modality": one}), 2).state_dict()
        for one in ("rgb", "portraits")
    )
    first = "conv1.weight"
    assert torch.equal(frames[first], portraits[first])
    assert not torch.equal(frames[first], source[first])


def test_looking_at_the_start_draws_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(build_network(config_of(), 2).state_dict(), path)
    before = torch.get_rng_state()
    describe_start(config_of({"pretrained": str(path)}), 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_attention_of_one_snippet_is_refused() -> None:
    with pytest.raises(
        Exception, match=r"segments.consensus: got 'mean', .* set snippet.mode=segments"
    ):
        config_of({"segments": {"consensus": "mean"}})


def test_a_probe_says_what_its_frozen_network_starts_from(tmp_path: Path) -> None:
    backbone = {"name": "frame_resnet", "depth": 18, "width_factor": 0.125}
    tree = {"model": {"name": "linear_probe", "backbone": backbone}, "optim": {"epochs": 1}}
    config = build(FitConfig, tree)
    (note,) = describe_start(config, 2)
    assert "the frozen network keeps its random initialisation" in note
    assert build_network(config, 2)(torch.zeros(1, 3, 2, 24, 24)).shape == (1, 2)
    path = tmp_path / "model.pt"
    torch.save(build_network(config, 2).state_dict(), path)
    told = describe_start(build(FitConfig, {**tree, "pretrained": str(path)}), 2)
    assert any("loaded unchanged" in line for line in told)


def test_a_network_by_name_is_that_of_a_study() -> None:
    seen = {"snippet.num_frames": 16, "decode": {"height": 24, "width": 24}}
    torch.manual_seed(0)
    made = make_network("tsa", {**SMALL, **seen, "loss.kind": "coral"}, num_classes=3)
    torch.manual_seed(0)
    built = build_network(config_of({"loss": {"kind": "coral"}}), 3)
    assert all(map(torch.equal, made.state_dict().values(), built.state_dict().values()))
    assert SMALL["model"].keys() == {"depth", "width_factor", "temporal_stride", "num_heads"}


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("tsaa", {}, "model.name: got 'tsaa'; expected one of tsa, resnet3d"),
        ("linear_probe", {"optim.epochs": 1}, "linear_probe is no network; networks are tsa"),
        ("audio_mlp", {"modality": "mfcc"}, "audio_mlp"),
        ("tsa", {"snippet.num_frames": 8}, "'121222' shrinks 8 frames to 1 time step"),
        ("tsa", {"model.num_headz": 2}, "unknown key 'model.num_headz': did you mean"),
    ],
)
def test_what_cannot_be_built_by_name_is_refused(
    name: str, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        make_network(name, settings)
    assert said in str(refused.value)
