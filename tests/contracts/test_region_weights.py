"""VGGFace2's file, of blue, green, red in 0..255, under the network on regions."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from pdray.config import build
from pdray.data.batches.normalise import normalise_frames
from pdray.training.network import build_network, describe_start
from pdray.training.region_network import RegionNetwork
from pdray.training.settings import FitConfig
from tests.fixtures.published_layouts import normed, vggface2, write

MODEL = {"name": "region_attention", "token_dim": 12, "roi_size": 1}
MEAN_BGR = (91.4953, 103.8827, 131.0912)


def test_its_first_layer_sees_of_our_pixels_what_it_saw_of_its_own(tmp_path: Path) -> None:
    file = vggface2()
    path = write(tmp_path, file)
    config = build(FitConfig, {"model": MODEL, "pretrained": str(path)})
    network = build_network(config, 2).eval()
    assert isinstance(network, RegionNetwork)
    backbone = network.network.backbone
    generator = torch.Generator().manual_seed(3)
    frames = torch.randint(0, 256, (1, 2, 41, 37, 3), dtype=torch.uint8, generator=generator)

    seen = normalise_frames(frames).transpose(1, 2).flatten(0, 1)
    with torch.no_grad():
        found = backbone.bn1(backbone.conv1(seen))
    theirs = frames[0].double().flip(-1) - torch.tensor(MEAN_BGR, dtype=torch.float64)
    weight = file["conv1.weight"].double()
    looked = functional.conv2d(theirs.permute(0, 3, 1, 2), weight, None, 2, 3)
    expected = normed(looked, file, "bn1")
    inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))  # round it lie zeros
    torch.testing.assert_close(found[inside].double(), expected[inside], rtol=1e-4, atol=1e-4)

    for name in ("layer1.0.conv1.weight", "layer3.5.bn2.running_var", "layer4.2.conv3.weight"):
        assert torch.equal(backbone.state_dict()[name], file[name])
    told = describe_start(config, 2)
    assert any("from " in line and "blue first" in line for line in told)
    assert any(line.startswith("start from random values: network.classifier.") for line in told)


def test_the_strides_of_torchvision_are_refused_for_it(tmp_path: Path) -> None:
    path = write(tmp_path, vggface2())
    tree = {"model": {**MODEL, "layout": "torchvision"}, "pretrained": str(path)}
    with pytest.raises(Exception, match=r"set model\.layout=vggface2"):
        build_network(build(FitConfig, tree), 2)


def test_without_a_file_it_says_that_nothing_was_learnt() -> None:
    tree = {"model": {**MODEL, "depth": 50, "width_factor": 0.125}}
    assert "keeps its random initialisation" in describe_start(build(FitConfig, tree), 2)[0]
    tree["model"]["frozen_stages"] = 0
    assert describe_start(build(FitConfig, tree), 2) == []


def test_a_study_s_own_weights_come_back_whole(tmp_path: Path) -> None:
    tree = {"model": {**MODEL, "depth": 50, "width_factor": 0.125}}
    torch.manual_seed(4)
    source = build_network(build(FitConfig, tree), 2)
    path = tmp_path / "model.pt"
    torch.save(source.state_dict(), path)
    torch.manual_seed(5)
    network = build_network(build(FitConfig, {**tree, "pretrained": str(path)}), 2)
    for name, tensor in source.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name
