import pytest
import torch
from torch import Tensor, nn

from pdray.models import NETWORKS
from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.s3d import S3D
from pdray.models.networks.s3d_settings import S3DConfig, s3d_faults


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def seeded(num_channels: int = 3, dropout: float = 0.0) -> S3D:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        # Guarded, as the package gives it out: its gradients are looked at.
        model = NETWORKS["s3d"].build(S3DConfig(dropout=dropout), 5, num_channels)
    assert isinstance(model, S3D)
    return model


@pytest.fixture(scope="module")
def published() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        other: nn.Module = load_torchvision().models.video.s3d(num_classes=5)
    for name, tensor in other.state_dict().items():
        if tensor.is_floating_point() and tensor.ndim == 1:
            tensor.add_(draw(*tensor.shape, seed=len(name)).abs() * 0.3)
    return other.eval()


def loaded(published: nn.Module) -> S3D:
    model = seeded().eval()
    model.load_state_dict({f"net.{name}": t for name, t in published.state_dict().items()})
    return model


def test_a_state_of_torchvision_gives_its_logits(published: nn.Module) -> None:
    # The least length and height that torchvision takes, and two windows of the head in width.
    x = draw(1, 3, 13, 209, 241)
    with torch.no_grad():
        expected = published(x)
        assert expected.std() > 1e-3
        assert (loaded(published)(x) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_smaller_map_is_averaged_whole(published: nn.Module) -> None:
    x = draw(1, 3, 6, 40, 30)
    with torch.no_grad():
        f = published.get_submodule("features")(x).mean(dim=(2, 3, 4))
        torch.testing.assert_close(loaded(published).features(x), f)
        with pytest.raises(RuntimeError, match="smaller than"):
            published(x)


def test_the_initial_weights_are_torchvisions() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        other: nn.Module = load_torchvision().models.video.s3d(num_classes=5)
    mine = seeded().state_dict()
    assert list(mine) == [f"net.{name}" for name in other.state_dict()]
    assert all(torch.equal(mine[f"net.{name}"], t) for name, t in other.state_dict().items())


@pytest.mark.parametrize("num_channels", [2, 3])
def test_every_parameter_has_a_gradient(num_channels: int) -> None:
    model = seeded(num_channels)
    # Of 5 frames, the first temporal kernel of 7 reaches over both ends.
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
    x = draw(1, 3, 16, 64, 40)
    with torch.no_grad():
        f = model.features(x)
        assert f.shape == (1, model.num_features) == (1, 1024)
        assert torch.equal(model.classify(f), model(x))
    steps = [(8, 32, 20), (8, 16, 10), (8, 8, 5), (4, 4, 3), (2, 2, 1)]
    assert [shape[2:] for shape in seen[: len(steps)]] == steps


def test_dropout_acts_in_training_only() -> None:
    model = seeded(dropout=0.5)
    f = torch.ones(1, model.num_features)
    with torch.no_grad(), torch.random.fork_rng():
        assert not torch.equal(model.train().classify(f), model.classify(f))
        assert torch.equal(model.eval().classify(f), model.classify(f))


def test_the_least_size_is_computed() -> None:
    assert s3d_faults(S3DConfig(), num_frames=5, height=17, width=17) == []
    with torch.no_grad():
        assert seeded().eval()(draw(1, 3, 5, 17, 17)).shape == (1, 5)


@pytest.mark.parametrize("size", [(4, 17, 17), (5, 16, 17), (5, 17, 16)])
def test_what_the_last_pool_cannot_take_is_refused(size: tuple[int, int, int]) -> None:
    got = ", ".join(str(number) for number in (1, 3, *size))
    with pytest.raises(ValueError, match=rf"at least 5 frames of 17 x 17 px, got \({got}\)"):
        seeded()(torch.zeros(1, 3, *size))


def test_faults_are_reported_together() -> None:
    faults = s3d_faults(S3DConfig(), num_frames=4, height=16, width=9)
    assert [fault.split(" are ")[0] for fault in faults] == [
        "num_frames: 4",
        "height: 16 px",
        "width: 9 px",
    ]
    assert faults[0].endswith("use at least 5")
    assert faults[1].endswith("use at least 17 px")
