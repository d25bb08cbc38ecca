from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.fid_inception import FidInception, read_fid_inception
from pdray.models.weights.checkpoint import CheckpointError


def filled(network):
    """Return a state by a rule, with variances that keep the numbers in their range."""
    generator = torch.Generator().manual_seed(5)
    state = {}
    for name, one in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        drawn = torch.randn(one.shape, generator=generator)
        if name.endswith("running_var"):
            drawn = 1.0 + 0.2 * drawn.abs()
        elif name.endswith("bn.weight"):
            drawn = 1.0 + 0.1 * drawn
        elif name.endswith(".weight"):
            drawn /= one[0].numel() ** 0.5 / 1.4
        else:
            drawn *= 0.1
        state[name] = drawn
    return state


@pytest.fixture(scope="module")
def state():
    return filled(FidInception())


@pytest.fixture
def file(tmp_path, state):
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    return path


def torchvision_of_2015(monkeypatch, state):
    """Return torchvision's network with the pools of 2015, as a function of pictures in -1..1."""
    module = load_torchvision().models.inception
    network = module.Inception3(
        num_classes=1008, aux_logits=False, transform_input=False, init_weights=False
    )
    network.load_state_dict(state, strict=False)
    network.fc = torch.nn.Identity()

    def average(x, **given):
        return functional.avg_pool2d(x, **given, count_include_pad=False)

    def largest(x, **given):
        return functional.max_pool2d(x, **given)

    pools = {"avg_pool2d": average}
    names = ("relu", "max_pool2d")
    shim = SimpleNamespace(**{name: getattr(functional, name) for name in names}, **pools)
    monkeypatch.setattr(module, "F", shim)
    last = network.Mixed_7c.forward

    def with_largest(x):
        shim.avg_pool2d = largest
        try:
            return last(x)
        finally:
            shim.avg_pool2d = average

    monkeypatch.setattr(network.Mixed_7c, "forward", with_largest)
    return network.eval()


@torch.inference_mode()
def test_features_are_those_of_torchvision_with_the_pools_of_2015(monkeypatch, file, state):
    rival = torchvision_of_2015(monkeypatch, state)
    x = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(1))
    found = read_fid_inception(file)(x)
    resized = functional.interpolate(x, (299, 299), mode="bilinear", align_corners=False)
    expected = rival(2 * resized - 1)
    assert found.shape == (2, 2048)
    assert expected.std() > 0.05
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_other_networks_are_refused(tmp_path, state):
    file = tmp_path / "other.pth"

    def refused(tensors, match):
        torch.save(tensors, file)
        with pytest.raises(CheckpointError, match=match):
            read_fid_inception(file)

    refused({"conv1.weight": torch.ones(3)}, "its first tensors are 'conv1.weight'")
    refused(state | {"fc.weight": torch.ones(1000, 2048)}, "torchvision's InceptionV3")
    lacking = {k: v for k, v in state.items() if k != "Mixed_5b.branch1x1.conv.weight"}
    refused(lacking, "it has no 'Mixed_5b.branch1x1.conv.weight'")
    refused(state | {"Mixed_5b.branch1x1.conv.weight": torch.ones(1)}, r"is \(1,\) in the file")
    refused(state | {"AuxLogits.fc.weight": torch.ones(1)}, "the network has no 'AuxLogits")
