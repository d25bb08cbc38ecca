import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.frame_resnet import FrameResNet, build_frame_resnet
from pdray.models.networks.frame_resnet_settings import (
    FrameResNetConfig,
    frame_resnet_faults,
    sizes_before_last,
)


def seeded(num_classes: int = 2, num_channels: int = 3, **changes: Any) -> FrameResNet:
    config = FrameResNetConfig(**{"depth": 18, "width_factor": 0.125, **changes})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_frame_resnet(config, num_classes, num_channels)


def draw(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def moved(model: FrameResNet) -> FrameResNet:
    """Make the norms anything but the identity that they start as."""
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and tensor.ndim == 1 and not name.startswith("fc"):
                tensor.add_(draw(*tensor.shape, seed=len(name)).abs() * 0.3)
    return model.double().eval()


# An independent forward: convolutions are sums over windows, norms are written out.


def slow_conv(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    size = weight.shape[2]
    x = nn.functional.pad(x, (size // 2,) * 4)
    windows = x.unfold(2, size, stride).unfold(3, size, stride)
    return torch.einsum("nchwxy,dcxy->ndhw", windows, weight)


def slow_norm(x: Tensor, state: dict[str, Tensor], key: str) -> Tensor:
    mean, var, weight, bias = (
        state[f"{key}.{name}"].view(1, -1, 1, 1)
        for name in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def slow_pool(x: Tensor, layout: str) -> Tensor:
    """3x3 maxima of every second place: around it, or from it on as far as there are pixels."""
    first = -1 if layout == "torchvision" else 0
    starts = [range(first, size - 1, 2) for size in x.shape[2:]]
    rows = [
        torch.stack(
            [x[:, :, max(r, 0) : r + 3, max(c, 0) : c + 3].amax((2, 3)) for c in starts[1]], dim=2
        )
        for r in starts[0]
    ]
    return torch.stack(rows, dim=2)


def slow_block(x: Tensor, state: dict[str, Tensor], key: str, strides: tuple[int, ...]) -> Tensor:
    y = x
    for number, stride in enumerate(strides, start=1):
        y = slow_norm(
            slow_conv(y, state[f"{key}.conv{number}.weight"], stride), state, f"{key}.bn{number}"
        )
        y = y.clamp(min=0) if number < len(strides) else y
    if f"{key}.downsample.0.weight" in state:
        x = slow_conv(x, state[f"{key}.downsample.0.weight"], max(strides))
        x = slow_norm(x, state, f"{key}.downsample.1")
    return (x + y).clamp(min=0)


def slow_forward(model: FrameResNet, x: Tensor, layout: str) -> Tensor:
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    y = torch.cat([snippet.transpose(0, 1) for snippet in x])
    y = slow_norm(slow_conv(y, state["conv1.weight"], 2), state, "bn1").clamp(min=0)
    y = slow_pool(y, layout)
    for stage, number in itertools.product(range(1, 5), range(30)):
        key = f"layer{stage}.{number}"
        if f"{key}.conv1.weight" not in state:
            continue
        stride = 2 if stage > 1 and number == 0 else 1
        strides = (stride, 1)
        if f"{key}.conv3.weight" in state:
            strides = (1, stride, 1) if layout == "torchvision" else (stride, 1, 1)
        y = slow_block(y, state, key, strides)
    f = torch.stack([part.mean(dim=(0, 2, 3)) for part in y.split(x.shape[2])])
    logits: Tensor = f @ state["fc.weight"].T + state["fc.bias"]
    return logits


@pytest.mark.parametrize(
    ("depth", "layout"), [(18, "torchvision"), (50, "torchvision"), (50, "vggface2")]
)
@pytest.mark.parametrize("size", [(21, 34), (32, 39)])
def test_forward_is_the_written_out_network(depth: int, layout: str, size: tuple[int, int]) -> None:
    model = moved(seeded(num_classes=3, depth=depth, layout=layout))
    x = draw(2, 3, 3, *size)
    with torch.no_grad():
        # Float64 throughout: only the order of summation differs.
        torch.testing.assert_close(model(x), slow_forward(model, x, layout), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_names_and_shapes_are_torchvisions(depth: int) -> None:
    with torch.device("meta"):
        ours = build_frame_resnet(FrameResNetConfig(depth=depth), 1000)  # type: ignore[arg-type]
        theirs = getattr(load_torchvision().models, f"resnet{depth}")()
    assert [(name, part.shape) for name, part in ours.state_dict().items()] == [
        (name, part.shape) for name, part in theirs.state_dict().items()
    ]


def test_a_frame_gives_what_torchvision_gives() -> None:
    theirs = load_torchvision().models.resnet18().eval()
    ours = seeded(num_classes=1000, depth=18, width_factor=1.0).eval()
    ours.load_state_dict(theirs.state_dict())
    x = draw(1, 3, 1, 33, 40, dtype=torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x[:, :, 0]))


def test_the_two_layouts_share_their_weights_but_not_their_output() -> None:
    first = seeded(depth=50)
    other = seeded(depth=50, layout="vggface2")
    other.load_state_dict(first.state_dict())
    x = draw(1, 3, 2, 48, 48, dtype=torch.float32)
    with torch.no_grad():
        assert not torch.allclose(first.eval()(x), other.eval()(x), rtol=0.01)
    block: Any = other.layer2[0]
    assert (block.conv1.stride, block.conv2.stride) == ((2, 2), (1, 1))


def test_frames_are_averaged_in_any_order() -> None:
    model = seeded().double().eval()
    x = draw(2, 3, 4, 32, 32)
    with torch.no_grad():
        alone = torch.stack([model.features(x[:, :, [t]]) for t in range(4)]).mean(dim=0)
        torch.testing.assert_close(model.features(x), alone)
        torch.testing.assert_close(model(x), model(x.flip(2)))


def test_features_are_what_the_head_reads_and_maps_are_of_frames() -> None:
    model = seeded(depth=50, dropout=0.5, num_channels=2).eval()
    shapes: list[tuple[int, ...]] = []
    for name in model.MAP_LAYERS:
        model.get_submodule(name).register_forward_hook(
            lambda _m, _i, out: shapes.append(tuple(out.shape))
        )
    x = draw(2, 2, 3, 64, 32, dtype=torch.float32)
    with torch.no_grad():
        f = model.features(x)
    assert f.shape == (2, model.num_features) == (2, 256)
    assert shapes == [(6, 32, 16, 8), (6, 64, 8, 4), (6, 128, 4, 2), (6, 256, 2, 1)]
    assert torch.equal(model(x), model.fc(f))


@pytest.mark.parametrize("layout", ["torchvision", "vggface2"])
def test_sizes_are_those_of_a_forward(layout: Any) -> None:
    model = seeded(depth=50, layout=layout, width_factor=0.02).eval()
    seen: list[tuple[int, ...]] = []
    model.layer3.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape[2:])))
    for size in (5, 16, 17, 18, 33, 35, 63):
        model(torch.zeros(1, 3, 1, size, 40))
        assert seen[-1] == (sizes_before_last(size, layout), sizes_before_last(40, layout))


def test_channels_that_the_network_was_not_built_for_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected 2, got \(1, 3, 4, 20, 20\)"):
        seeded(num_channels=2)(torch.zeros(1, 3, 4, 20, 20))


def test_sound_settings_have_no_fault() -> None:
    assert frame_resnet_faults(FrameResNetConfig(), num_frames=1, height=17, width=17) == []
    faces = FrameResNetConfig(layout="vggface2")
    assert frame_resnet_faults(faces, num_frames=8, height=19, width=224) == []


def test_faults_are_reported_together() -> None:
    config = FrameResNetConfig(depth=34, layout="vggface2", width_factor=0.01)
    faults = frame_resnet_faults(config, num_frames=0, height=18, width=9)
    assert [fault.split(" ")[:2] for fault in faults] == [
        ["model.width_factor:", "0.01"],
        ["height:", "18"],
        ["width:", "9"],
        ["model.layout:", "vggface2"],
        ["num_frames:", "0"],
    ]
    assert "use at least 19 px" in faults[1]
    assert "model.depth 34 has none; use 50 or 101" in faults[3]
