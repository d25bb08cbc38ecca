from typing import Any

import pytest
import torch

from pdray.models.networks.pytorchvideo_settings import SlowFastConfig, slowfast_faults
from pdray.models.networks.slowfast import FuseFastToSlow, build_slowfast
from tests.fixtures.networks import (
    draw,
    map_shapes,
    seeded,
    slow_conv,
    slow_head,
    slow_norm,
    slow_window_means,
    state_of,
    wake,
)
from tests.models.networks.test_c2d import slow_stage, slow_stem


def small(**changes: Any) -> SlowFastConfig:
    return SlowFastConfig(**{"depth": 14, "width_factor": 0.125, "width_ratio": 4, **changes})


# The last: maps of 8 x 1 places and more than 8 slow frames, over which the windows slide.
@pytest.mark.parametrize(
    ("alpha", "size"), [(4, (2, 3, 9, 21, 18)), (3, (1, 3, 7, 17, 17)), (2, (1, 3, 20, 230, 17))]
)
def test_forward_is_the_written_out_network(alpha: int, size: tuple[int, ...]) -> None:
    model = wake(seeded(build_slowfast, small(depth=26, alpha=alpha), 3).double()).eval()
    state = state_of(model)
    x = draw(*size)
    with torch.no_grad():
        slow, fast = x[:, :, list(range(0, size[2], alpha))], x
        for number, stride in enumerate((0, 1, 2, 2, 2)):
            keys = [f"blocks.{number}.multipathway_blocks.{path}" for path in (0, 1)]
            if number == 0:
                slow, fast = slow_stem(slow, state, keys[0]), slow_stem(fast, state, keys[1])
            else:
                slow = slow_stage(slow, state, keys[0], stride, 2)
                fast = slow_stage(fast, state, keys[1], stride, 2)
            if number == 4:
                break
            fusion = f"blocks.{number}.multipathway_fusion"
            weight = state[f"{fusion}.conv_fast_to_slow.weight"]
            lateral = slow_conv(fast, weight, (alpha, 1, 1), (3, 0, 0))
            lateral = slow_norm(lateral, state, f"{fusion}.norm").clamp(min=0)
            slow = torch.cat([slow, lateral], dim=1)
        means = [
            slow_window_means(y, (frames, 7, 7)).mean(dim=(2, 3, 4))
            for y, frames in ((slow, 8), (fast, 8 * alpha))
        ]
        expected = slow_head(torch.cat(means, dim=1), state, "blocks.6")
        # Float64 throughout: only the order of summation differs.
        torch.testing.assert_close(model(x), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("alpha", [1, 2, 3, 4, 8, 11])
def test_lateral_convolutions_leave_one_frame_for_each_of_the_slow_path(alpha: int) -> None:
    fusion = FuseFastToSlow(2, alpha=alpha).eval()
    for num_frames in range(1, 25):
        fast = torch.zeros(1, 2, num_frames, 1, 1)
        slow = fast[:, :, ::alpha]
        assert fusion(slow, fast).shape == (1, 6, slow.shape[2], 1, 1)


def test_slow_path_sees_every_alpha_th_frame() -> None:
    model = seeded(build_slowfast, small(alpha=3), 3)
    seen: list[torch.Tensor] = []
    for path in (0, 1):
        stem = model.get_submodule(f"blocks.0.multipathway_blocks.{path}")
        stem.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    x = draw(1, 3, 8, 17, 17, dtype=torch.float32)
    model.eval()(x)
    fast, slow = seen
    assert torch.equal(slow, x[:, :, [0, 3, 6]])
    assert torch.equal(fast, x)


def test_every_branch_starts_as_nothing_and_lateral_connections_do_not() -> None:
    state = seeded(build_slowfast, small(), 3).state_dict()
    last = [tensor for name, tensor in state.items() if name.endswith("branch2.norm_c.weight")]
    assert len(last) == 8
    assert not any(tensor.any() for tensor in last)
    lateral = [tensor for name, tensor in state.items() if name.endswith("fusion.norm.weight")]
    assert len(lateral) == 4
    assert all((tensor == 1).all() for tensor in lateral)


@pytest.mark.parametrize("alpha", [1, 2, 4])
@pytest.mark.parametrize("num_frames", [1, 2, 3, 4, 5, 6])
def test_frames_are_a_fault_when_the_slow_path_has_one(alpha: int, num_frames: int) -> None:
    config = small(alpha=alpha)
    shapes = map_shapes(seeded(build_slowfast, config, 3), torch.ones(1, 3, num_frames, 17, 17))
    faults = slowfast_faults(config, num_frames=num_frames, height=17, width=17)
    assert bool(faults) == (shapes["blocks.4.multipathway_blocks.0"][2] == 1)
    if faults:
        smaller = " or a smaller model.alpha" if num_frames > 1 else ""
        assert faults == [
            f"num_frames: {num_frames} is too few: at model.alpha {alpha} the slow path gets one "
            f"frame and needs two for its convolutions over time; use at least {alpha + 1}{smaller}"
        ]


def test_no_frame_is_a_fault() -> None:
    faults = slowfast_faults(small(alpha=2), num_frames=0, height=17, width=17)
    assert faults == ["num_frames: 0 is too few; use at least 3"]


@pytest.mark.parametrize("factor", [0.124, 0.125])
def test_a_width_is_a_fault_when_the_fast_path_has_no_channel(factor: float) -> None:
    config = small(width_factor=factor, width_ratio=8)
    faults = slowfast_faults(config, num_frames=8, height=32, width=32)
    if factor == 0.125:
        assert faults == []
        assert seeded(build_slowfast, config, 3).num_features == 32 * (8 + 1)
        return
    assert faults == [
        "model.width_factor: 0.124 gives the slow path 7 channels, so model.width_ratio 8 leaves "
        "the fast path none; use a factor of at least 0.125 or a ratio of at most 7"
    ]
