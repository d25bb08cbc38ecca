import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.frame_resnet import FrameResNet, build_frame_resnet
from pdray.models.networks.frame_resnet_settings import (
    FrameResNetConfig,
    frame_resnet_faults,
    sizes_before_last,
)
from tests.fixtures.networks import draw, seeded, slow_conv, slow_norm, state_of, wake


def made(num_classes: int = 2, num_channels: int = 3, **changes: Any) -> FrameResNet:
    config = FrameResNetConfig(**{"depth": 18, "width_factor": 0.125, **changes})
    model = seeded(build_frame_resnet, config, num_classes, num_channels)
    assert isinstance(model, FrameResNet)
    return model


# An independent forward: convolutions are sums over windows, norms are written out.


def same_conv(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    return slow_conv(x, weight, (stride, stride), (weight.shape[2] // 2,) * 2)


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
            same_conv(y, state[f"{key}.conv{number}.weight"], stride), state, f"{key}.bn{number}"
        )
        y = y.clamp(min=0) if number < len(strides) else y
    if f"{key}.downsample.0.weight" in state:
        x = slow_conv(x, state[f"{key}.downsample.0.weight"], [max(strides)] * 2, (0, 0))
        x = slow_norm(x, state, f"{key}.downsample.1")
    return (x + y).clamp(min=0)


def slow_forward(model: FrameResNet, x: Tensor, layout: str) -> Tensor:
    state = state_of(model)
    y = torch.cat([snippet.transpose(0, 1) for snippet in x])
    y = slow_norm(same_conv(y, state["conv1.weight"], 2), state, "bn1").clamp(min=0)
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
    model = wake(made(num_classes=3, depth=depth, layout=layout)).double().eval()
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
    ours = made(num_classes=1000, depth=18, width_factor=1.0).eval()
    ours.load_state_dict(theirs.state_dict())
    x = draw(1, 3, 1, 33, 40, dtype=torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x[:, :, 0]))


def test_the_two_layouts_share_their_weights_but_not_their_output() -> None:
    first = made(depth=50)
    other = made(depth=50, layout="vggface2")
    other.load_state_dict(first.state_dict())
    x = draw(1, 3, 2, 48, 48, dtype=torch.float32)
    with torch.no_grad():
        assert not torch.allclose(first.eval()(x), other.eval()(x), rtol=0.01)
    block: Any = other.layer2[0]
    assert (block.conv1.stride, block.conv2.stride) == ((2, 2), (1, 1))


def test_frames_are_averaged_in_any_order() -> None:
    model = made().double().eval()
    x = draw(2, 3, 4, 32, 32)
    with torch.no_grad():
        alone = torch.stack([model.features(x[:, :, [t]]) for t in range(4)]).mean(dim=0)
        torch.testing.assert_close(model.features(x), alone)
        torch.testing.assert_close(model(x), model(x.flip(2)))


@pytest.mark.parametrize("layout", ["torchvision", "vggface2"])
def test_sizes_are_those_of_a_forward(layout: Any) -> None:
    model = made(depth=50, layout=layout, width_factor=0.02).eval()
    seen: list[tuple[int, ...]] = []
    model.layer3.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape[2:])))
    for size in (5, 16, 17, 18, 33, 35, 63):
        model(torch.zeros(1, 3, 1, size, 40))
        assert seen[-1] == (sizes_before_last(size, layout), sizes_before_last(40, layout))


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
    assert "model.depth 34 does not have; set model.depth to 50 or 101" in faults[3]
