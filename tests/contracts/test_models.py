"""What every model of the registry promises, whatever it computes."""

from copy import deepcopy
from functools import cache
from pkgutil import resolve_name
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from pdray.models import MODELS, NETWORKS, BackboneConfig, ModelConfig
from pdray.training.estimators.fit import Parts

NUM_CLASSES = 3
PUBLISHED_FRAMES = {"two_stream": {"stacked_frames": 32}}  # its first layer is made for them
TIME_BLIND = {"frame_resnet", "c2d"}  # a mean over frames, in any order


class BetweenBoxes(nn.Module):
    """A network on regions as one on snippets: the boxes are the same for each of them."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.num_channels, self.num_features = network.num_channels, network.num_features
        self.MAP_LAYERS = tuple(f"network.{name}" for name in network.MAP_LAYERS)

    def boxes(self, x: Tensor) -> Tensor:
        draw = torch.Generator().manual_seed(3)
        low = 12 * torch.rand(x.shape[2], 14, 2, generator=draw)
        return torch.cat([low, low + 10], dim=-1).to(x.dtype).expand(len(x), -1, -1, -1)

    def features(self, x: Tensor) -> Tensor:
        return self.network.features(x, self.boxes(x))

    def classify(self, f: Tensor) -> Tensor:
        return self.network.classify(f)

    def everything(self, x: Tensor) -> Tensor:
        outputs = self.network(x, self.boxes(x))
        return torch.cat([outputs.video, outputs.regions], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x, self.boxes(x)).video


def make(key: str, channels: int = 3) -> nn.Module:
    """Return a copy of a network that is built once."""
    return deepcopy(BUILT(key, 0, channels))


def fresh(key: str, seed: int, channels: int = 3) -> nn.Module:
    architecture = NETWORKS[key]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = architecture.settings(**architecture.small)
        network = architecture.build(config, NUM_CLASSES, channels)
    return BetweenBoxes(network) if architecture.beside else network


BUILT = cache(fresh)


def snippets(batch: int, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, channels, 16, 24, 32, generator=generator)


def tags(union: Any) -> set[str]:
    return {get_args(member)[1].tag for member in get_args(get_args(union)[0])}


def test_there_are_models_and_every_section_of_one_may_name_them() -> None:
    assert NETWORKS
    assert MODELS.keys() > NETWORKS.keys()
    assert {key: one.name for key, one in MODELS.items()} == {key: key for key in MODELS}
    assert tags(ModelConfig) == MODELS.keys()
    assert tags(BackboneConfig) == NETWORKS.keys() - {"region_attention"}
    assert all(one.description for one in MODELS.values())


def test_networks_have_builders_and_estimators_have_parts() -> None:
    assert all(one.builder for one in NETWORKS.values())
    assert all(one.loop == "once" for name, one in MODELS.items() if name not in NETWORKS)
    for name in MODELS.keys() - NETWORKS.keys():
        assert isinstance(resolve_name(MODELS[name].learner), Parts), name


@pytest.mark.parametrize("key", NETWORKS)
def test_defaults_are_sound_for_the_published_snippet(key: str) -> None:
    architecture = NETWORKS[key]
    config = architecture.settings(**PUBLISHED_FRAMES.get(key, {}))
    assert architecture.faults(config, num_frames=32, height=224, width=224) == []


@pytest.mark.parametrize("key", NETWORKS)
def test_a_batch_gives_finite_logits_features_and_maps_that_shrink(key: str) -> None:
    model: Any = make(key).eval()
    maps: dict[str, Tensor] = {}
    for name in model.MAP_LAYERS:
        layer = model.get_submodule(name)
        layer.register_forward_hook(lambda _, __, out, name=name: maps.setdefault(name, out))
    with torch.no_grad():
        logits, features = model(snippets(2)), model.features(snippets(2))
        torch.testing.assert_close(model.classify(features), logits)
    assert logits.shape == (2, NUM_CLASSES)
    assert features.shape == (2, model.num_features)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert list(maps) == list(model.MAP_LAYERS)
    assert len(maps) >= 2
    places = [one.shape[-2] * one.shape[-1] for one in maps.values()]
    assert places == sorted(places, reverse=True)
    assert all(one.ndim in (4, 5) for one in maps.values())


@pytest.mark.parametrize("key", NETWORKS)
def test_every_parameter_has_a_gradient(key: str) -> None:
    model = make(key).train()
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():  # the last norm of a block may start as zero, and hides it
                parameter.fill_(0.1)
    everything = getattr(model, "everything", model)
    everything(snippets(2)).square().sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("key", NETWORKS)
def test_a_seed_decides_the_weights_and_a_state_goes_out_and_back(key: str) -> None:
    model, again, other = fresh(key, 5), fresh(key, 5), fresh(key, 6)
    first, second, third = (one.state_dict() for one in (model, again, other))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], third[name]) for name in first)
    model.train()(snippets(2))  # moves the running statistics
    missing = other.load_state_dict(model.state_dict(), strict=True)
    assert not missing.missing_keys
    x = snippets(1)
    assert torch.equal(model.eval()(x), other.eval()(x))


@pytest.mark.parametrize("key", NETWORKS)
def test_in_double_two_are_two_alone_and_all_but_frame_models_see_the_order_of_time(
    key: str,
) -> None:
    model = make(key).double().eval()
    x = snippets(2).double()
    with torch.no_grad():
        together, alone = model(x), torch.cat([model(one[None]) for one in x])
        turned = model(x[:1].flip(2))
    assert together.dtype == torch.float64
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-9)
    assert torch.allclose(alone[:1], turned, rtol=1e-6) == (key in TIME_BLIND)


@pytest.mark.parametrize("key", NETWORKS)
def test_swapped_axes_and_bytes_are_refused(key: str) -> None:
    model = make(key)
    with pytest.raises(ValueError, match=r"expected 3, got \(2, 16, 3, 24, 32\)"):
        model(snippets(2).transpose(1, 2))
    with pytest.raises(ValueError, match="uint8"):
        model(torch.zeros(1, 3, 16, 24, 32, dtype=torch.uint8))


@pytest.mark.parametrize("key", NETWORKS)
def test_flow_has_two_channels(key: str) -> None:
    model: Any = make(key, channels=2).eval()
    assert model.num_channels == 2
    with torch.no_grad():
        assert model(snippets(1, channels=2)).shape == (1, NUM_CLASSES)
