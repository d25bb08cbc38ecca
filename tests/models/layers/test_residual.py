import pytest
import torch
from torch import Tensor, nn

from pdray.models.layers.residual import (
    BasicBlock,
    Bottleneck,
    SubsampleAndPad,
    conv3x3x3,
    make_norm,
    make_shortcut,
)


def draw(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_gradient_flows_through_shortcut_a() -> None:
    shortcut = SubsampleAndPad(in_channels=2, out_channels=5, stride=(2, 2, 2))
    x = draw(1, 2, 4, 4, 4).requires_grad_()
    y = shortcut(x)
    assert y.shape == (1, 5, 2, 2, 2)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.sum() == 2 * 8
    assert (x.grad[:, :, ::2, ::2, ::2] == 1).all()


@pytest.mark.parametrize(
    ("channels", "num_groups"), [(1, 1), (8, 1), (13, 1), (24, 1), (48, 3), (64, 4), (512, 32)]
)
def test_groups_have_at_least_sixteen_channels(channels: int, num_groups: int) -> None:
    norm = make_norm("group", channels)
    assert isinstance(norm, nn.GroupNorm)
    assert norm.num_groups == num_groups


@pytest.mark.parametrize("kind", ["A", "B"])
def test_what_keeps_its_shape_needs_no_shortcut(kind: str) -> None:
    shape = {"in_channels": 4, "out_channels": 4, "norm": "batch"}
    assert make_shortcut(kind, stride=(1, 1, 1), **shape) is None  # type: ignore[arg-type]
    assert make_shortcut(kind, stride=(2, 1, 1), **shape) is not None  # type: ignore[arg-type]


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
@pytest.mark.parametrize("kind", ["A", "B"])
def test_a_block_whose_last_norm_is_zero_is_its_shortcut(
    block: type[BasicBlock] | type[Bottleneck], kind: str
) -> None:
    settings = {"stride": (1, 2, 2), "mixer": conv3x3x3, "norm": "batch", "shortcut": kind}
    module: nn.Module = block(3, 4, **settings).double().eval()  # type: ignore[arg-type]
    last = module.bn3 if block is Bottleneck else module.bn2
    nn.init.zeros_(last.weight)  # type: ignore[arg-type]
    x = draw(2, 3, 4, 5, 6)
    assert torch.equal(module(x), module.downsample(x).clamp(min=0))  # type: ignore[operator]
    assert module(x).shape == (2, 4 * block.expansion, 4, 3, 3)
