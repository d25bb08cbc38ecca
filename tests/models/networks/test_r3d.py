import pytest
import torch
from torch import Tensor, nn

from pdray.models import NETWORKS
from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.r3d import R3D
from pdray.models.networks.r3d_settings import R3DConfig


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def seeded(num_channels: int = 3, dropout: float = 0.0) -> R3D:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        # Guarded, as the package gives it out: its gradients are looked at.
        model = NETWORKS["r3d"].build(R3DConfig(dropout=dropout), 5, num_channels)
    assert isinstance(model, R3D)
    return model


def published() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        other: nn.Module = load_torchvision().models.video.r3d_18(num_classes=5)
    for name, tensor in other.state_dict().items():
        if tensor.is_floating_point() and tensor.ndim == 1:
            tensor.add_(draw(*tensor.shape, seed=len(name)).abs() * 0.3)
    return other.eval()


@pytest.mark.parametrize("size", [(8, 48, 40), (5, 33, 28), (1, 9, 17)])
def test_a_state_of_torchvision_gives_its_logits(size: tuple[int, int, int]) -> None:
    other, model = published(), seeded().eval()
    model.load_state_dict(other.state_dict())
    x = draw(2, 3, *size)
    with torch.no_grad():
        expected = other(x)
        assert expected.std() > 1e-3
        assert (model(x) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_the_initial_weights_are_torchvisions() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        other: nn.Module = load_torchvision().models.video.r3d_18(num_classes=5)
    mine = seeded().state_dict()
    assert list(mine) == list(other.state_dict())
    assert all(torch.equal(mine[name], tensor) for name, tensor in other.state_dict().items())


@pytest.mark.parametrize("num_channels", [2, 3])
def test_every_parameter_has_a_gradient(num_channels: int) -> None:
    model = seeded(num_channels)
    assert model.stem[0].weight.shape == (64, num_channels, 3, 7, 7)
    model(draw(2, num_channels, 5, 17, 19)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_forward_classifies_the_features_and_map_layers_are_maps() -> None:
    model = seeded().eval()
    seen: list[tuple[int, ...]] = []
    for name in model.MAP_LAYERS:
        model.get_submodule(name).register_forward_hook(
            lambda _m, _i, out: seen.append(tuple(out.shape))
        )
    x = draw(1, 3, 8, 32, 20)
    with torch.no_grad():
        f = model.features(x)
        assert f.shape == (1, model.num_features)
        assert torch.equal(model.classify(f), model(x))
    steps = [(8, 16, 10), (8, 16, 10), (4, 8, 5), (2, 4, 3), (1, 2, 2)]
    assert [shape[2:] for shape in seen[: len(steps)]] == steps


def test_dropout_acts_in_training_only() -> None:
    model = seeded(dropout=0.5)
    f = torch.ones(1, model.num_features)
    with torch.no_grad(), torch.random.fork_rng():
        assert not torch.equal(model.train().classify(f), model.classify(f))
        assert torch.equal(model.eval().classify(f), model.classify(f))


def test_wrong_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected 3, got \(1, 2, 5, 17, 17\)"):
        seeded()(torch.zeros(1, 2, 5, 17, 17))
