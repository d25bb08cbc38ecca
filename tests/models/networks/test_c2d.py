import hashlib
import itertools
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from pdray.config import build
from pdray.errors import SettingsError
from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.c2d import C2D, Window, build_c2d, pool_within, sliding_mean
from pdray.models.networks.c2d_settings import C2DConfig, c2d_faults

State = dict[str, Tensor]
Triple = tuple[int, int, int]
ONE, NONE = (1, 1, 1), (0, 0, 0)
LAST = torch.channels_last_3d


def small(**changes: Any) -> C2DConfig:
    return C2DConfig(**{"depth": 14, "width_factor": 0.125, **changes})


def seeded(config: C2DConfig, num_classes: int = 3, num_channels: int = 3) -> C2D:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_c2d(config, num_classes, num_channels)


def draw(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def wake(model: nn.Module) -> nn.Module:
    """Move the norms away from the identity, and the last ones of the branches from zero."""
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm3d):
            for number, tensor in enumerate(module.state_dict().values()):
                if tensor.is_floating_point():
                    tensor.copy_(0.5 + draw(*tensor.shape, seed=len(name) + number).abs() * 0.3)
    return model


def shapes_digest(model: nn.Module) -> str:
    """Return the first digits of the hash of "name shape" of every tensor, sorted."""
    lines = sorted(f"{name} {tuple(t.shape)}" for name, t in model.state_dict().items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def map_shapes(model: Any, x: Tensor) -> dict[str, tuple[int, ...]]:
    seen: dict[str, tuple[int, ...]] = {}
    hooks = [
        model.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: seen.update({name: tuple(out.shape)})
        )
        for name in model.MAP_LAYERS
    ]
    with torch.no_grad():
        model.eval()(x)
    for hook in hooks:
        hook.remove()
    assert list(seen) == list(model.MAP_LAYERS)
    return seen


# An independent forward: convolutions are sums over windows, norms are written out.


def slow_conv(
    x: Tensor, weight: Tensor, stride: Triple = ONE, padding: Triple = NONE, groups: int = 1
) -> Tensor:
    time, high, wide = padding
    x = nn.functional.pad(x, (wide, wide, high, high, time, time))
    for axis, (size, step) in enumerate(zip(weight.shape[2:], stride, strict=True)):
        x = x.unfold(axis + 2, size, step)
    x, weight = x.unflatten(1, (groups, -1)), weight.unflatten(0, (groups, -1))
    return torch.einsum("bgcthwxyz,gdcxyz->bgdthw", x, weight).flatten(1, 2)


def slow_norm(x: Tensor, state: State, key: str) -> Tensor:
    mean, var, weight, bias = (
        state[f"{key}.{name}"].view(1, -1, 1, 1, 1)
        for name in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


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
        y = slow_conv(x, weights[0], padding=(weights[0].shape[2] // 2, 0, 0))
        y = slow_norm(y, state, f"{block}.branch2.norm_a").clamp(min=0)
        y = slow_conv(y, weights[1], step, (0, 1, 1))
        y = slow_norm(y, state, f"{block}.branch2.norm_b").clamp(min=0)
        y = slow_norm(slow_conv(y, weights[2]), state, f"{block}.branch2.norm_c")
        if number == 0:
            x = slow_conv(x, state[f"{block}.branch1_conv.weight"], step)
            x = slow_norm(x, state, f"{block}.branch1_norm")
        x = (x + y).clamp(min=0)
    return x


def slow_head(f: Tensor, state: State, key: str) -> Tensor:
    return f @ state[f"{key}.proj.weight"].T + state[f"{key}.proj.bias"]


def slow_window_means(x: Tensor, window: Window) -> Tensor:
    """Return (B, D, T', H', W'), one slice at a time."""
    sides = [min(side, size) for side, size in zip(window, x.shape[2:], strict=True)]
    counts = [size - side + 1 for side, size in zip(sides, x.shape[2:], strict=True)]
    means = x.new_empty(*x.shape[:2], *counts)
    for t, h, w in itertools.product(*map(range, counts)):
        place = x[:, :, t : t + sides[0], h : h + sides[1], w : w + sides[2]]
        means[:, :, t, h, w] = place.mean(dim=(2, 3, 4))
    return means


@pytest.mark.parametrize("size", [(2, 3, 5, 21, 18), (1, 3, 10, 33, 230)])
def test_forward_is_the_written_out_network(size: tuple[int, ...]) -> None:
    model = wake(seeded(small(depth=26)).double()).eval()
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    x = draw(*size)
    with torch.no_grad():
        y = slow_stage(slow_stem(x, state, "blocks.0"), state, "blocks.1", 1, 2)
        y = y.unfold(2, 2, 2).amax(dim=5)
        for number in (3, 4, 5):
            y = slow_stage(y, state, f"blocks.{number}", 2, 2)
        f = slow_window_means(y, (4, 7, 7)).mean(dim=(2, 3, 4))
        # Float64 throughout: only the order of summation differs.
        torch.testing.assert_close(model(x), slow_head(f, state, "blocks.6"), rtol=1e-9, atol=1e-9)


def test_names_and_shapes_are_those_of_the_public_checkpoint() -> None:
    # Of pytorchvideo 0.1.5, models.hub.c2d_r50(), which reads C2D_8x8_R50.pyth strictly.
    with torch.device("meta"):
        model = build_c2d(C2DConfig(), 400)
    state = model.state_dict()
    assert len(state) == 320
    assert sum(p.numel() for p in model.parameters()) == 24_327_632
    assert state["blocks.0.conv.weight"].shape == (64, 3, 1, 7, 7)
    assert state["blocks.1.res_blocks.0.branch1_conv.weight"].shape == (256, 64, 1, 1, 1)
    assert state["blocks.4.res_blocks.5.branch2.conv_b.weight"].shape == (256, 256, 1, 3, 3)
    assert state["blocks.6.proj.weight"].shape == (400, 2048)
    assert shapes_digest(model) == "7b67fbaf620347b7"


def public(name: str, **changes: Any) -> nn.Module:
    """Return a model of PyTorchVideo, awake; skips where that is not installed."""
    load_torchvision()  # the package imports it, and it may need help
    hub = pytest.importorskip("pytorchvideo.models.hub")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return wake(cast(nn.Module, getattr(hub, name)(**changes))).eval()


def check_same_logits(model: nn.Module, x: Tensor, other: nn.Module, given: object) -> None:
    """Give a model the state of another, and compare x in one with what is given to the other."""
    model.load_state_dict(other.state_dict())
    with torch.no_grad():
        expected = other(given)
        # Float32 on both sides: the sums are taken in another order.
        tolerance = 1e-5 * expected.abs().max().item()
        torch.testing.assert_close(model.eval()(x), expected, rtol=0, atol=tolerance)


def test_the_public_model_gives_the_same_logits() -> None:
    # Larger than its training snippets, so that the windows of its head slide.
    other, x = public("c2d_r50", stem_dim_out=8), draw(1, 3, 11, 224, 256, dtype=torch.float32)
    model = build_c2d(C2DConfig(width_factor=0.125), 400)
    check_same_logits(model, x, other, x)


@pytest.mark.parametrize("window", [(1, 1, 1), (2, 3, 2), (9, 2, 9), (9, 9, 9), (4, 5, 6)])
def test_a_window_slides_and_is_cut_to_the_map(window: Window) -> None:
    x = draw(2, 3, 4, 5, 6)
    means = slow_window_means(x, window)
    torch.testing.assert_close(pool_within(x, window), means)
    torch.testing.assert_close(sliding_mean(x, window), means.mean(dim=(2, 3, 4)))


def test_a_network_in_half_precision_gives_about_the_same() -> None:
    model = wake(seeded(small())).eval()
    x = draw(2, 3, 12, 40, 40, dtype=torch.float32)
    with torch.no_grad():
        expected = model(x)
        found = model.bfloat16()(x.bfloat16())
    assert found.dtype == torch.bfloat16
    # Eight bits of mantissa: a relative step of 2^-8, over some fifteen layers.
    tolerance = 0.05 * expected.abs().max().item()
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=tolerance)


def test_features_and_head_are_the_forward() -> None:
    model = seeded(small(dropout=0.0))
    x = draw(2, 3, 4, 20, 24, dtype=torch.float32)
    features = model.eval().features(x)
    assert features.shape == (2, model.num_features) == (2, 256)
    assert torch.equal(model.classify(features), model(x))


def test_maps_of_the_named_layers() -> None:
    shapes = map_shapes(seeded(small()), draw(2, 3, 6, 40, 65, dtype=torch.float32))
    assert list(shapes.values()) == [
        (2, 8, 6, 10, 17), (2, 32, 6, 10, 17),
        (2, 64, 3, 5, 9), (2, 128, 3, 3, 5), (2, 256, 3, 2, 3),
    ]  # fmt: skip


def test_frames_of_a_pair_may_change_places_and_an_odd_last_one_is_not_seen() -> None:
    model = wake(seeded(small())).double().eval()
    x = draw(1, 3, 5, 20, 20)
    swapped = x[:, :, [1, 0, 3, 2, 4]]
    swapped[:, :, 4] = 7.0
    with torch.no_grad():
        torch.testing.assert_close(model(x), model(swapped))
        assert not torch.allclose(model(x), model(x[:, :, [0, 2, 1, 3, 4]]))


def test_weights_start_as_in_the_public_code() -> None:
    model = seeded(C2DConfig(), num_classes=400)
    block = model.get_submodule("blocks.4.res_blocks.2.branch2")
    assert not cast(Tensor, block.get_parameter("norm_c.weight")).any()
    assert (block.get_parameter("norm_b.weight") == 1).all()
    # 590 thousand draws: the standard error of a standard deviation is 0.1%.
    deviation = block.get_parameter("conv_b.weight").std().item()
    assert deviation == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.005)
    assert model.get_parameter("blocks.6.proj.weight").std().item() == pytest.approx(0.01, rel=0.01)
    assert not model.get_parameter("blocks.6.proj.bias").any()


def test_dropout_acts_in_training_only_and_flow_has_two_channels() -> None:
    model = seeded(small(), num_channels=2)
    features = draw(4, 256, dtype=torch.float32)
    with torch.no_grad(), torch.random.fork_rng():
        assert not torch.equal(model.train().classify(features), model.classify(features))
        assert torch.equal(model.eval().classify(features), model.classify(features))
    assert model(draw(1, 2, 2, 17, 17, dtype=torch.float32)).shape == (1, 3)
    with pytest.raises(ValueError, match=r"expected 2, got \(1, 3, 2, 17, 17\)"):
        model(torch.zeros(1, 3, 2, 17, 17))


@pytest.mark.parametrize("size", [1, 15, 16, 17, 18, 33])
def test_a_side_is_a_fault_when_nothing_is_left_to_halve(size: int) -> None:
    shapes = map_shapes(seeded(small()), draw(1, 3, 2, size, 40, dtype=torch.float32))
    faults = c2d_faults(small(), num_frames=2, height=size, width=40)
    assert bool(faults) == (shapes["blocks.4"][3] == 1)
    assert [fault.split(" ")[:2] for fault in faults] == [["height:", str(size)]] * len(faults)


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_frames_are_a_fault_when_the_pool_refuses_them(num_frames: int) -> None:
    model, x = seeded(small()), torch.zeros(1, 3, num_frames, 17, 17)
    faults = c2d_faults(small(), num_frames=num_frames, height=17, width=17)
    if num_frames > 1:
        assert faults == []
        assert model.eval()(x).isfinite().all()
        return
    assert faults == [
        "num_frames: 1 leaves nothing where pairs of frames are pooled; use at least 2"
    ]
    with pytest.raises(RuntimeError, match="output size"):
        model.blocks[2](x)
    with pytest.raises(ValueError, match=r"at least 2 frames, got \(1, 3, 1, 17, 17\)"):
        model(x)


@pytest.mark.parametrize("factor", [0.0156, 0.015625])
def test_a_width_is_a_fault_when_no_channel_is_left(factor: float) -> None:
    faults = c2d_faults(small(width_factor=factor), num_frames=4, height=32, width=32)
    if factor == 0.015625:
        assert faults == []
        assert seeded(small(width_factor=factor)).num_features == 32
        return
    assert faults == [
        "model.width_factor: 0.0156 leaves the first stage without a channel; use at least 0.015625"
    ]


def test_an_unknown_depth_is_named() -> None:
    with pytest.raises(SettingsError, match="depth: got 34; input should be 14, 26 or 50"):
        build(C2DConfig, {"depth": 34})
