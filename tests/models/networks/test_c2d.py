from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from pdray.config import build
from pdray.errors import SettingsError
from pdray.models.networks.c2d import Window, build_c2d, pool_within, sliding_mean
from pdray.models.networks.pytorchvideo_settings import C2DConfig, c2d_faults
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

ONE, NONE = (1, 1, 1), (0, 0, 0)
LAST = torch.channels_last_3d


def small(**changes: Any) -> C2DConfig:
    return C2DConfig(**{"depth": 14, "width_factor": 0.125, **changes})


def slow_stem(x: Tensor, state: State, key: str) -> Tensor:
    weight = state[f"{key}.conv.weight"]
    x = slow_conv(x, weight, (1, 2, 2), (weight.shape[2] // 2, 3, 3))
    x = slow_norm(x, state, f"{key}.norm").clamp(min=0)
    x = nn.functional.pad(x, (1, 1, 1, 1), value=-torch.inf)
    return x.unfold(3, 3, 2).unfold(4, 3, 2).amax(dim=(5, 6))


def slow_stage(x: Tensor, state: State, key: str, stride: int, num_blocks: int) -> Tensor:
    for number in range(num_blocks):
        block, step = f"{key}.res_blocks.{number}", (1, stride, stride) if number == 0 else ONE
        weights = [state[f"{block}.branch2.conv_{letter}.weight"] for letter in "abc"]
        y = slow_conv(x, weights[0], ONE, (weights[0].shape[2] // 2, 0, 0))
        y = slow_norm(y, state, f"{block}.branch2.norm_a").clamp(min=0)
        y = slow_conv(y, weights[1], step, (0, 1, 1))
        y = slow_norm(y, state, f"{block}.branch2.norm_b").clamp(min=0)
        y = slow_norm(slow_conv(y, weights[2], ONE, NONE), state, f"{block}.branch2.norm_c")
        if number == 0:
            x = slow_conv(x, state[f"{block}.branch1_conv.weight"], step, NONE)
            x = slow_norm(x, state, f"{block}.branch1_norm")
        x = (x + y).clamp(min=0)
    return x


@pytest.mark.parametrize("size", [(2, 3, 5, 21, 18), (1, 3, 10, 33, 230)])
def test_forward_is_the_written_out_network(size: tuple[int, ...]) -> None:
    model = wake(seeded(build_c2d, small(depth=26), 3).double()).eval()
    state = state_of(model)
    x = draw(*size)
    with torch.no_grad():
        y = slow_stage(slow_stem(x, state, "blocks.0"), state, "blocks.1", 1, 2)
        y = y.unfold(2, 2, 2).amax(dim=5)
        for number in (3, 4, 5):
            y = slow_stage(y, state, f"blocks.{number}", 2, 2)
        f = slow_window_means(y, (4, 7, 7)).mean(dim=(2, 3, 4))
        # Float64 throughout: only the order of summation differs.
        torch.testing.assert_close(model(x), slow_head(f, state, "blocks.6"), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("window", [(1, 1, 1), (2, 3, 2), (9, 2, 9), (9, 9, 9), (4, 5, 6)])
def test_a_window_slides_and_is_cut_to_the_map(window: Window) -> None:
    x = draw(2, 3, 4, 5, 6)
    means = slow_window_means(x, window)
    torch.testing.assert_close(pool_within(x, window), means)
    torch.testing.assert_close(sliding_mean(x, window), means.mean(dim=(2, 3, 4)))


def test_a_network_in_half_precision_gives_about_the_same() -> None:
    model = wake(seeded(build_c2d, small(), 3)).eval()
    x = draw(2, 3, 12, 40, 40, dtype=torch.float32)
    with torch.no_grad():
        expected = model(x)
        found = model.bfloat16()(x.bfloat16())
    assert found.dtype == torch.bfloat16
    # Eight bits of mantissa: a relative step of 2^-8, over some fifteen layers.
    tolerance = 0.05 * expected.abs().max().item()
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=tolerance)


def test_frames_of_a_pair_may_change_places_and_an_odd_last_one_is_not_seen() -> None:
    model = wake(seeded(build_c2d, small(), 3)).double().eval()
    x = draw(1, 3, 5, 20, 20)
    swapped = x[:, :, [1, 0, 3, 2, 4]]
    swapped[:, :, 4] = 7.0
    with torch.no_grad():
        torch.testing.assert_close(model(x), model(swapped))
        assert not torch.allclose(model(x), model(x[:, :, [0, 2, 1, 3, 4]]))


def test_weights_start_as_in_the_public_code() -> None:
    model = seeded(build_c2d, C2DConfig(), 400)
    block = model.get_submodule("blocks.4.res_blocks.2.branch2")
    assert not cast(Tensor, block.get_parameter("norm_c.weight")).any()
    assert (block.get_parameter("norm_b.weight") == 1).all()
    # 590 thousand draws: the standard error of a standard deviation is 0.1%.
    deviation = block.get_parameter("conv_b.weight").std().item()
    assert deviation == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.005)
    assert model.get_parameter("blocks.6.proj.weight").std().item() == pytest.approx(0.01, rel=0.01)
    assert not model.get_parameter("blocks.6.proj.bias").any()


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_frames_are_a_fault_when_the_pool_refuses_them(num_frames: int) -> None:
    model, x = seeded(build_c2d, small(), 3), torch.zeros(1, 3, num_frames, 17, 17)
    faults = c2d_faults(small(), num_frames=num_frames, height=17, width=17)
    if num_frames > 1:
        assert faults == []
        assert model.eval()(x).isfinite().all()
        return
    assert faults == ["num_frames: 1 is too few, since pairs of frames are pooled; use at least 2"]
    with pytest.raises(RuntimeError, match="output size"):
        model.blocks[2](x)
    with pytest.raises(
        ValueError, match=r"at least 2 frames, since pairs are pooled, got \(1, 3, 1, 17, 17\)"
    ):
        model(x)


@pytest.mark.parametrize("factor", [0.0156, 0.015625])
def test_a_width_is_a_fault_when_no_channel_is_left(factor: float) -> None:
    faults = c2d_faults(small(width_factor=factor), num_frames=4, height=32, width=32)
    if factor == 0.015625:
        assert faults == []
        assert seeded(build_c2d, small(width_factor=factor), 3).num_features == 32
        return
    assert faults == [
        "model.width_factor: 0.0156 leaves the first stage without channels; use at least 0.015625"
    ]


def test_an_unknown_depth_is_named() -> None:
    with pytest.raises(SettingsError, match="depth: got 34; input should be 14, 26 or 50"):
        build(C2DConfig, {"depth": 34})


@pytest.mark.parametrize("kind", ["c2d", "slow", "i3d"])
def test_siblings_see_neighbouring_frames(kind: Any) -> None:
    config = small(depth=26, time_kernels=kind)
    model = wake(seeded(build_c2d, config, 3).double()).eval()
    x = draw(1, 3, 24, 33, 33)
    changed = x.clone()
    changed[:, :, 12] += 1
    maps = []
    model.blocks[5].register_forward_hook(lambda module, inputs, output: maps.append(output))
    with torch.no_grad():
        model(x)
        model(changed)
    steps = (maps[0] - maps[1]).abs().amax(dim=(0, 1, 3, 4)).nonzero().flatten().tolist()
    first = 12 if kind == "slow" else 6  # others pool pairs of frames
    assert min(steps) <= first <= max(steps)
    assert (max(steps) - min(steps) > 0) == (kind != "c2d")
    faults = c2d_faults(config, num_frames=1, height=32, width=32)
    assert (faults == []) == (kind == "slow")
    if kind == "slow":
        assert model(x[:, :, :1]).isfinite().all()
