from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pdray.models.networks.x3d import X3D, ChannelwiseConv, build_x3d, expand, round_channels
from pdray.models.networks.x3d_settings import X3DConfig, x3d_faults
from tests.models.networks.test_c2d import (
    LAST,
    State,
    check_same_logits,
    draw,
    map_shapes,
    public,
    shapes_digest,
    slow_conv,
    slow_head,
    slow_norm,
    slow_window_means,
    wake,
)


def small(**changes: Any) -> X3DConfig:
    values = {"width_factor": 0.5, "depth_factor": 0.6, "num_features": 16, **changes}
    return X3DConfig(**values)


def seeded(config: X3DConfig, num_classes: int = 3, num_channels: int = 3) -> X3D:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_x3d(config, num_classes, num_channels)


# An independent forward: convolutions are sums over windows, norms and gates are written out.


def slow_gate(x: Tensor, state: State, key: str) -> Tensor:
    mean = x.mean(dim=(2, 3, 4))
    hidden = mean @ state[f"{key}.0.weight"].flatten(1).T + state[f"{key}.0.bias"]
    gate = hidden.clamp(min=0) @ state[f"{key}.2.weight"].flatten(1).T + state[f"{key}.2.bias"]
    return x / (1 + (-gate).exp())[:, :, None, None, None]


def slow_block(x: Tensor, state: State, key: str, stride: int) -> Tensor:
    step = (1, stride, stride)
    y = slow_conv(x, state[f"{key}.branch2.conv_a.weight"])
    y = slow_norm(y, state, f"{key}.branch2.norm_a").clamp(min=0)
    y = slow_conv(y, state[f"{key}.branch2.conv_b.weight"], step, (1, 1, 1), y.shape[1])
    y = slow_norm(y, state, f"{key}.branch2.norm_b.0")
    if f"{key}.branch2.norm_b.1.block.0.weight" in state:
        y = slow_gate(y, state, f"{key}.branch2.norm_b.1.block")
    y = y / (1 + (-y).exp())
    y = slow_conv(y, state[f"{key}.branch2.conv_c.weight"])
    y = slow_norm(y, state, f"{key}.branch2.norm_c")
    if stride > 1:
        x = slow_conv(x, state[f"{key}.branch1_conv.weight"], step)
    if f"{key}.branch1_norm.weight" in state:
        x = slow_norm(x, state, f"{key}.branch1_norm")
    return (x + y).clamp(min=0)


def slow_forward(
    x: Tensor, state: State, window: tuple[int, int, int], num_blocks: tuple[int, ...]
) -> Tensor:
    y = slow_conv(x, state["blocks.0.conv.conv_t.weight"], (1, 2, 2), (0, 1, 1))
    y = slow_conv(y, state["blocks.0.conv.conv_xy.weight"], (1, 1, 1), (2, 0, 0), y.shape[1])
    y = slow_norm(y, state, "blocks.0.norm").clamp(min=0)
    for stage, count in enumerate(num_blocks, start=1):
        for number in range(count):
            key = f"blocks.{stage}.res_blocks.{number}"
            y = slow_block(y, state, key, 2 if number == 0 else 1)
    y = slow_conv(y, state["blocks.5.pool.pre_conv.weight"])
    y = slow_norm(y, state, "blocks.5.pool.pre_norm").clamp(min=0)
    y = slow_conv(slow_window_means(y, window), state["blocks.5.pool.post_conv.weight"])
    return slow_head(y.clamp(min=0).mean(dim=(2, 3, 4)), state, "blocks.5")


# The window of the published XS is 4 x 5 x 5: longer than the first maps, shorter than the last.
@pytest.mark.parametrize("size", [(2, 3, 4, 21, 18), (1, 3, 1, 17, 40), (1, 3, 6, 200, 17)])
def test_forward_is_the_written_out_network(size: tuple[int, ...]) -> None:
    model = wake(seeded(small()).double()).eval()
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    x = draw(*size)
    with torch.no_grad():
        expected = slow_forward(x, state, (4, 5, 5), (1, 2, 3, 2))
        # Float64 throughout: only the order of summation differs.
        torch.testing.assert_close(model(x), expected, rtol=1e-9, atol=1e-9)


def test_names_and_shapes_are_those_of_the_public_checkpoint() -> None:
    # Of pytorchvideo 0.1.5, models.hub.x3d_xs(), which reads X3D_XS.pyth strictly.
    with torch.device("meta"):
        model = build_x3d(X3DConfig(), 400)
    state = model.state_dict()
    assert len(state) == 563
    assert sum(p.numel() for p in model.parameters()) == 3_794_274
    assert state["blocks.0.conv.conv_t.weight"].shape == (24, 3, 1, 3, 3)
    assert state["blocks.0.conv.conv_xy.weight"].shape == (24, 1, 5, 1, 1)
    assert "blocks.1.res_blocks.0.branch1_norm.weight" not in state
    block = "blocks.3.res_blocks.10.branch2"
    assert state[f"{block}.conv_b.weight"].shape == (216, 1, 3, 3, 3)
    assert state[f"{block}.norm_b.1.block.0.weight"].shape == (16, 216, 1, 1, 1)
    assert state["blocks.5.pool.post_conv.weight"].shape == (2048, 432, 1, 1, 1)
    assert state["blocks.5.proj.weight"].shape == (400, 2048)
    assert shapes_digest(model) == "92cf6db9a1a73822"


def test_the_public_model_gives_the_same_logits() -> None:
    # Larger than its training snippets, so that the windows of its head slide.
    other, x = public("x3d_xs", head_activation=None), draw(1, 3, 5, 182, 182, dtype=torch.float32)
    model = build_x3d(X3DConfig(), 400)
    check_same_logits(model, x, other, x)


def test_factors_expand_to_the_published_sizes() -> None:
    # Feichtenhofer 2020, table 3 (X3D-S, whose sizes XS shares but for its 4 frames).
    sizes = expand(X3DConfig())
    assert sizes.widths == (24, 48, 96, 192)
    assert sizes.inner_widths == (54, 108, 216, 432)
    assert sizes.num_blocks == (3, 5, 11, 7)


@pytest.mark.parametrize(
    ("channels", "rounded"),
    [
        (0.1, 8),
        (8, 8),
        (11.9, 16),
        (12, 16),
        (20, 24),
        (26.6, 24),
        (27, 32),
        (432, 432),
    ],
)
def test_channels_come_in_steps_of_eight(channels: float, rounded: int) -> None:
    assert round_channels(channels) == rounded


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("order", [torch.contiguous_format, LAST])
def test_a_channelwise_convolution_is_the_one_in_3d(
    stride: int, order: torch.memory_format
) -> None:
    conv = ChannelwiseConv(4, stride=stride).double()
    for size in ((2, 4, 5, 6, 7), (1, 4, 2, 3, 3), (1, 4, 1, 1, 1)):
        x = draw(*size).contiguous(memory_format=order).requires_grad_()
        y = conv(x)
        expected = nn.functional.conv3d(x, conv.weight, None, (1, stride, stride), 1, 1, 4)
        torch.testing.assert_close(y, expected)
        grad = draw(*y.shape, seed=2)
        found = torch.autograd.grad(y, [x, conv.weight], grad)
        wanted = torch.autograd.grad(expected, [x, conv.weight], grad)
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other)


def test_features_and_head_are_the_forward() -> None:
    model = seeded(small(), num_channels=2)
    x = draw(2, 2, 5, 20, 24, dtype=torch.float32)
    features = model.eval().features(x)
    assert features.shape == (2, model.num_features) == (2, 16)
    assert torch.equal(model.classify(features), model(x))
    with pytest.raises(ValueError, match=r"expected 2, got \(1, 3, 4, 17, 17\)"):
        model(torch.zeros(1, 3, 4, 17, 17))


def test_maps_of_the_named_layers() -> None:
    shapes = map_shapes(seeded(small()), draw(2, 3, 5, 40, 65, dtype=torch.float32))
    assert list(shapes.values()) == [
        (2, 8, 5, 20, 33), (2, 8, 5, 10, 17), (2, 16, 5, 5, 9), (2, 24, 5, 3, 5), (2, 48, 5, 2, 3)
    ]  # fmt: skip


def test_dropout_acts_in_training_only() -> None:
    model, features = seeded(small()), draw(4, 16, dtype=torch.float32)
    with torch.no_grad(), torch.random.fork_rng():
        assert not torch.equal(model.train().classify(features), model.classify(features))
        assert torch.equal(model.eval().classify(features), model.classify(features))


def test_weights_start_as_in_the_public_code() -> None:
    state = seeded(small()).state_dict()
    last = [tensor for name, tensor in state.items() if name.endswith("branch2.norm_c.weight")]
    biases = [tensor for name, tensor in state.items() if ".block." in name and "bias" in name]
    assert (len(last), len(biases)) == (8, 10)
    assert not any(tensor.any() for tensor in last + biases)


@pytest.mark.parametrize("size", [1, 16, 17, 18])
def test_a_side_is_a_fault_when_nothing_is_left_to_halve(size: int) -> None:
    shapes = map_shapes(seeded(small()), torch.ones(1, 3, 1, size, 40))
    faults = x3d_faults(small(), num_frames=1, height=size, width=40)
    assert bool(faults) == (shapes["blocks.3"][3] == 1)
    assert [fault.split(" ")[:2] for fault in faults] == [["height:", str(size)]] * len(faults)


def test_the_narrowest_settings_can_be_built() -> None:
    config = small(width_factor=0.01, depth_factor=0.01, bottleneck_factor=1.0, num_features=1)
    assert x3d_faults(config, num_frames=1, height=17, width=17) == []
    assert seeded(config).eval()(torch.ones(1, 3, 1, 17, 17)).isfinite().all()
