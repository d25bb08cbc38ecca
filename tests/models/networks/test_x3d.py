from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pdray.models.networks.pytorchvideo_settings import X3DConfig, x3d_faults
from pdray.models.networks.x3d import ChannelwiseConv, build_x3d, expand, round_channels
from tests.fixtures.networks import (
    State,
    draw,
    seeded,
    slow_conv,
    slow_head,
    slow_norm,
    slow_window_means,
    state_of,
    wake,
)

LAST, ONE, NONE = torch.channels_last_3d, (1, 1, 1), (0, 0, 0)


def small(**changes: Any) -> X3DConfig:
    values = {"width_factor": 0.5, "depth_factor": 0.6, "num_features": 16, **changes}
    return X3DConfig(**values)


# An independent forward: convolutions are sums over windows, norms and gates are written out.


def slow_gate(x: Tensor, state: State, key: str) -> Tensor:
    mean = x.mean(dim=(2, 3, 4))
    hidden = mean @ state[f"{key}.0.weight"].flatten(1).T + state[f"{key}.0.bias"]
    gate = hidden.clamp(min=0) @ state[f"{key}.2.weight"].flatten(1).T + state[f"{key}.2.bias"]
    return x / (1 + (-gate).exp())[:, :, None, None, None]


def slow_block(x: Tensor, state: State, key: str, stride: int) -> Tensor:
    step = (1, stride, stride)
    y = slow_conv(x, state[f"{key}.branch2.conv_a.weight"], ONE, NONE)
    y = slow_norm(y, state, f"{key}.branch2.norm_a").clamp(min=0)
    y = slow_conv(y, state[f"{key}.branch2.conv_b.weight"], step, (1, 1, 1), y.shape[1])
    y = slow_norm(y, state, f"{key}.branch2.norm_b.0")
    if f"{key}.branch2.norm_b.1.block.0.weight" in state:
        y = slow_gate(y, state, f"{key}.branch2.norm_b.1.block")
    y = y / (1 + (-y).exp())
    y = slow_conv(y, state[f"{key}.branch2.conv_c.weight"], ONE, NONE)
    y = slow_norm(y, state, f"{key}.branch2.norm_c")
    if stride > 1:
        x = slow_conv(x, state[f"{key}.branch1_conv.weight"], step, NONE)
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
    y = slow_conv(y, state["blocks.5.pool.pre_conv.weight"], ONE, NONE)
    y = slow_norm(y, state, "blocks.5.pool.pre_norm").clamp(min=0)
    y = slow_conv(slow_window_means(y, window), state["blocks.5.pool.post_conv.weight"], ONE, NONE)
    return slow_head(y.clamp(min=0).mean(dim=(2, 3, 4)), state, "blocks.5")


# The window of the published XS is 4 x 5 x 5: longer than the first maps, shorter than the last.
@pytest.mark.parametrize("size", [(2, 3, 4, 21, 18), (1, 3, 1, 17, 40), (1, 3, 6, 200, 17)])
def test_forward_is_the_written_out_network(size: tuple[int, ...]) -> None:
    model = wake(seeded(build_x3d, small(), 3).double()).eval()
    state = state_of(model)
    x = draw(*size)
    with torch.no_grad():
        expected = slow_forward(x, state, (4, 5, 5), (1, 2, 3, 2))
        # Float64 throughout: only the order of summation differs.
        torch.testing.assert_close(model(x), expected, rtol=1e-9, atol=1e-9)


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


def test_weights_start_as_in_the_public_code() -> None:
    state = seeded(build_x3d, small(), 3).state_dict()
    last = [tensor for name, tensor in state.items() if name.endswith("branch2.norm_c.weight")]
    biases = [tensor for name, tensor in state.items() if ".block." in name and "bias" in name]
    assert (len(last), len(biases)) == (8, 10)
    assert not any(tensor.any() for tensor in last + biases)


def test_the_narrowest_settings_can_be_built() -> None:
    config = small(width_factor=0.01, depth_factor=0.01, bottleneck_factor=1.0, num_features=1)
    assert x3d_faults(config, num_frames=1, height=17, width=17) == []
    assert seeded(build_x3d, config, 3).eval()(torch.ones(1, 3, 1, 17, 17)).isfinite().all()
