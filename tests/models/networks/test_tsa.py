import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pdray.models.layers.time_attention import AttendsOverTime
from pdray.models.networks.resnet3d import ResNet3D, build_resnet3d
from pdray.models.networks.resnet3d_settings import ResNet3DConfig, time_steps
from pdray.models.networks.tsa import TemporalSelfAttention, build_tsa
from pdray.models.networks.tsa_settings import TsaConfig, tsa_faults

Array = np.ndarray[Any, np.dtype[np.float64]]


def seeded(make: Callable[[], nn.Module]) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


def attention(
    in_channels: int, out_channels: int, stride: tuple[int, int, int] = (1, 1, 1), **changes: Any
) -> TemporalSelfAttention:
    settings = {"num_heads": 2, "key_dim": None, "max_time_steps": 6, **changes}
    block = seeded(lambda: TemporalSelfAttention(in_channels, out_channels, stride, **settings))
    assert isinstance(block, TemporalSelfAttention)
    return block.double()


def draw(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# The reference: Eq. 3 to 6 as loops over places, heads and pairs of time steps.


def slow_pool(x: Array, stride: tuple[int, int, int]) -> Array:
    """Mean of the values present within one step of every n-th, along each strided axis."""
    for axis, step in enumerate(stride, start=2):
        if step == 1:
            continue
        size = x.shape[axis]
        means = [
            x.take(range(max(at - 1, 0), min(at + 2, size)), axis=axis).mean(axis=axis)
            for at in range(0, size, step)
        ]
        x = np.stack(means, axis=axis)
    return x


def slow_attention(block: TemporalSelfAttention, x_BCTHW: Tensor) -> Array:
    weights = {name: p.detach().numpy() for name, p in block.named_parameters()}
    x = slow_pool(x_BCTHW.detach().numpy(), block.stride)
    num_heads, table = block.num_heads, weights["relative_RE"]
    key_dim = table.shape[1]
    value_dim = weights["value.weight"].shape[0] // num_heads
    batch, _, steps, high, wide = x.shape
    y = np.zeros((batch, num_heads * value_dim, steps, high, wide))
    for b, row, column in itertools.product(range(batch), range(high), range(wide)):
        sequence = x[b, :, :, row, column].T
        q, k, v = (sequence @ weights[f"{name}.weight"].T for name in ("query", "key", "value"))
        heads = np.zeros((steps, num_heads * value_dim))
        for head in range(num_heads):
            keys = slice(head * key_dim, (head + 1) * key_dim)
            values = slice(head * value_dim, (head + 1) * value_dim)
            for i in range(steps):
                logits = [
                    (
                        float(q[i, keys] @ k[j, keys])
                        + float(q[i, keys] @ table[j - i + len(table) // 2])
                    )
                    / math.sqrt(key_dim)
                    for j in range(steps)
                ]
                powers = [math.exp(logit - max(logits)) for logit in logits]
                for j in range(steps):
                    heads[i, values] += powers[j] / sum(powers) * v[j, values]
        y[b, :, :, row, column] = (heads @ weights["out.weight"].T).T
    return y


@pytest.mark.parametrize("stride", [(1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 1, 1)])
@pytest.mark.parametrize(
    ("in_channels", "out_channels", "num_heads", "key_dim"),
    [(4, 4, 2, None), (4, 8, 4, None), (6, 4, 1, None), (5, 6, 3, 4)],
)
@pytest.mark.parametrize("steps", [1, 2, 5, 6])
def test_forward_is_the_loop_over_heads_and_pairs(
    stride: tuple[int, int, int],
    in_channels: int,
    out_channels: int,
    num_heads: int,
    key_dim: int | None,
    steps: int,
) -> None:
    block = attention(in_channels, out_channels, stride, num_heads=num_heads, key_dim=key_dim)
    x = 2 * draw(2, in_channels, steps, 3, 4)
    expected = torch.from_numpy(slow_attention(block, x))
    torch.testing.assert_close(block(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("stride", [(1, 1, 1), (2, 2, 2)])
@pytest.mark.parametrize("steps", [1, 4, 8])
def test_gradients_are_those_of_finite_differences(
    stride: tuple[int, int, int], steps: int
) -> None:
    block = attention(4, 4, stride)
    names = [name for name, _ in block.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in block.parameters()]
    x = draw(1, 4, steps, 2, 1).requires_grad_()

    def forward(x: Tensor, *values: Tensor) -> Tensor:
        named = dict(zip(names, values, strict=True))
        result = torch.func.functional_call(block, named, (x,))
        assert isinstance(result, Tensor)
        return result

    assert torch.autograd.gradcheck(forward, (x, *values))


def test_linear_maps_have_no_bias_and_the_output_map_is_square() -> None:
    shapes = {name: tuple(p.shape) for name, p in attention(4, 8).named_parameters()}
    assert shapes == {
        "query.weight": (4, 4),
        "key.weight": (4, 4),
        "value.weight": (8, 4),
        "out.weight": (8, 8),
        "relative_RE": (11, 2),
    }


def test_a_place_attends_to_itself_only() -> None:
    block = attention(4, 4)
    x = draw(1, 4, 5, 3, 3)
    changed = x.clone()
    changed[:, :, 2, 1, 2] += 1
    moved = (block(x) - block(changed)).abs().amax(dim=(0, 1))
    assert (moved[:, 1, 2] > 1e-6).all()
    moved[:, 1, 2] = 0
    assert (moved == 0).all()


def test_order_of_time_matters_through_the_relative_embeddings_only() -> None:
    block = attention(4, 4)
    x = draw(1, 4, 6, 1, 1)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    assert not torch.allclose(block(x)[:, :, order], block(x[:, :, order]), atol=1e-3)
    with torch.no_grad():
        block.relative_RE.zero_()
    torch.testing.assert_close(block(x)[:, :, order], block(x[:, :, order]))


def test_fewer_steps_read_the_offsets_that_they_have() -> None:
    block = attention(4, 4, max_time_steps=5)
    offsets = block.offsets(3)
    for i, j in itertools.product(range(3), repeat=2):
        assert torch.equal(offsets[i, j], block.relative_RE[4 + j - i])


def test_more_steps_than_the_table_stretch_it() -> None:
    block = attention(4, 4, max_time_steps=3)
    with torch.no_grad():
        block.relative_RE.copy_(torch.tensor([[-2.0, 4], [-1, 1], [0, 0], [1, 1], [2, 4]]))
    offsets = block.offsets(5)
    # Offset o of a five-step snippet reads position o * 2 / 4 of the table, linearly.
    for i, j in itertools.product(range(5), repeat=2):
        offset = (j - i) / 2
        low = math.floor(offset)
        squares = low**2 + (offset - low) * ((low + 1) ** 2 - low**2)
        torch.testing.assert_close(
            offsets[i, j], torch.tensor([offset, squares], dtype=torch.float64)
        )
    assert block(draw(1, 4, 5, 1, 1)).shape == (1, 4, 5, 1, 1)


def test_heads_that_do_not_divide_the_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="num_heads 3 must divide the channels: 4 in, 6 out"):
        attention(4, 6, num_heads=3)


def test_channels_last_gives_the_same_numbers_in_its_own_order() -> None:
    block = attention(4, 8, (1, 2, 2))
    x = draw(2, 4, 5, 4, 4)
    y = block(x.contiguous(memory_format=torch.channels_last_3d))
    assert y.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(y, block(x))
    assert block(x).is_contiguous()


def test_bfloat16_autocast_is_close_to_float32() -> None:
    block = attention(16, 16).float()
    x = draw(2, 16, 6, 3, 3, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        low = block(x)
    low.float().sum().backward()
    assert low.dtype == torch.bfloat16
    assert all(p.grad is not None and p.grad.isfinite().all() for p in block.parameters())
    # Eight bits of mantissa through four maps of 16 terms.
    torch.testing.assert_close(low.float(), block(x), rtol=0.05, atol=0.05)


# The network


def small(**changes: Any) -> TsaConfig:
    return TsaConfig(**{"depth": 10, "width_factor": 0.125, "num_heads": 4, **changes})


def attending(model: ResNet3D) -> list[str]:
    return [
        name for name, module in model.named_modules() if isinstance(module, TemporalSelfAttention)
    ]


@pytest.mark.parametrize("attention_depth", range(5))
def test_attention_stands_in_the_last_stages_for_every_convolution(attention_depth: int) -> None:
    model = build_tsa(small(depth=18, attention_depth=attention_depth), 2)
    expected = [
        f"layer{stage}.{block}.conv{number}"
        for stage in range(5 - attention_depth, 5)
        for block in (0, 1)
        for number in (1, 2)
    ]
    assert attending(model) == expected
    kernels = {m.kernel_size for m in model.layer4.modules() if isinstance(m, nn.Conv3d)}
    assert ((3, 3, 3) in kernels) == (attention_depth == 0)


def test_a_bottleneck_keeps_its_two_small_convolutions() -> None:
    model = build_tsa(small(depth=50, attention_depth=1), 2)
    assert attending(model) == [f"layer4.{block}.conv2" for block in range(3)]


def test_without_attention_it_is_the_residual_network_bit_for_bit() -> None:
    plain = seeded(lambda: build_resnet3d(ResNet3DConfig(depth=10, width_factor=0.125), 2))
    tsa = seeded(lambda: build_tsa(small(attention_depth=0), 2))
    x = draw(1, 3, 8, 20, 20, dtype=torch.float32)
    assert plain.state_dict().keys() == tsa.state_dict().keys()
    assert torch.equal(plain.eval()(x), tsa.eval()(x))


def test_sizes_are_those_of_the_residual_network() -> None:
    shapes: dict[int, list[tuple[int, ...]]] = {0: [], 4: []}
    for attention_depth, seen in shapes.items():
        model = build_tsa(small(attention_depth=attention_depth, num_heads=2), 2)
        for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
            stage.register_forward_hook(lambda _m, _i, out, s=seen: s.append(tuple(out.shape)))
        for frames, high, wide in ((9, 33, 21), (16, 17, 48)):
            model.eval()(torch.zeros(1, 3, frames, high, wide))
    assert shapes[4] == shapes[0]
    assert len(shapes[0]) == 8


def test_a_network_takes_longer_snippets_than_its_tables() -> None:
    model = build_tsa(small(max_frames=16, temporal_stride="121122"), 2).eval()
    assert model(torch.zeros(1, 3, 40, 20, 20)).shape == (1, 2)


def test_weights_over_time_are_those_that_the_output_was_made_with() -> None:
    model = seeded(lambda: build_tsa(small(temporal_stride="121111"), 2)).double().eval()
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    for name in attending(model):
        model.get_submodule(name).register_forward_hook(
            lambda _m, inputs, out, name=name: seen.update({name: (inputs[0], out)})
        )
    model(draw(2, 3, 8, 20, 36))
    assert attending(model) == list(seen)
    for name, (x, out) in seen.items():
        block = model.get_submodule(name)
        assert isinstance(block, TemporalSelfAttention)
        assert isinstance(block, AttendsOverTime)
        weights = block.attention_over_time(x)
        x = torch.from_numpy(slow_pool(x.detach().numpy(), block.stride))
        v = torch.einsum("fc,bcthw->bfthw", block.value.weight, x)
        v = v.unflatten(1, (block.num_heads, -1))
        steps, high, wide = x.shape[2:]
        assert weights.shape == (2, 4, steps, steps, high, wide)
        heads = torch.einsum("baijhw,bavjhw->bavihw", weights, v).flatten(1, 2)
        expected = torch.einsum("df,bfthw->bdthw", block.out.weight, heads)
        torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(weights.sum(dim=3), torch.ones_like(weights[:, :, :, 0]))


def test_published_settings_are_sound() -> None:
    assert tsa_faults(TsaConfig(), num_frames=32, height=224, width=224) == []


def test_a_single_time_step_under_attention_is_refused() -> None:
    config = TsaConfig(attention_depth=1)
    (fault,) = tsa_faults(config, num_frames=16, height=112, width=112)
    assert fault == (
        "model.temporal_stride: '121222' shrinks 16 frames to 1 time step in layer4, but "
        "attention (model.attention_depth 1) needs 2; use at least 17 frames or a stride "
        "with fewer 2s"
    )


def test_time_under_attention_is_followed_for_every_setting() -> None:
    strides = ("".join(digits) for digits in itertools.product("12", repeat=6))
    for stride, frames, depth in itertools.product(strides, (1, 4, 16, 17, 32), range(5)):
        config = TsaConfig(temporal_stride=stride, attention_depth=depth)
        attended = time_steps(frames, config)[6 - depth :]
        faults = tsa_faults(config, num_frames=frames, height=112, width=112)
        assert bool(faults) == any(steps < 2 for steps in attended), (stride, frames, depth)


def test_all_faults_are_reported_together() -> None:
    config = TsaConfig(num_heads=7, max_frames=8, width_factor=0.5)
    faults = tsa_faults(config, num_frames=16, height=16, width=112)
    assert [fault.split(":")[0] for fault in faults] == [
        "height",
        "model.num_heads",
        "model.temporal_stride",
        "model.max_frames",
    ]
    assert "7 does not divide the 64, 128, 256 channels" in faults[1]
    assert "use one of 1, 2, 4, 8, 16, 32, 64" in faults[1]
    assert "8 is shorter than a snippet of 16 frames; use at least 16" in faults[3]


@pytest.mark.parametrize("depth", [10, 50])
@pytest.mark.parametrize("key_dim", [None, 3])
def test_heads_are_refused_exactly_when_the_network_cannot_be_built(
    depth: int, key_dim: int | None
) -> None:
    refused = 0
    for width_factor, num_heads, attention_depth in itertools.product(
        (0.05, 0.125, 0.3), (1, 4, 19), (0, 2, 4)
    ):
        config = small(
            depth=depth,
            key_dim=key_dim,
            width_factor=width_factor,
            num_heads=num_heads,
            attention_depth=attention_depth,
        )
        faults = tsa_faults(config, num_frames=64, height=112, width=112)
        refused += bool(faults)
        with torch.device("meta"):
            if faults:
                with pytest.raises(ValueError, match="must divide the channels"):
                    build_tsa(config, 2)
            else:
                build_tsa(config, 2)
    assert 0 < refused < 27
