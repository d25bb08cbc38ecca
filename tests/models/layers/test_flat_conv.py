import pytest
import torch
from torch import Tensor, nn

from pdray.models.layers.flat_conv import FlatConv, in_fast_order

LAST = torch.channels_last_3d
ONE, NONE = (1, 1, 1), (0, 0, 0)
Triple = tuple[int, int, int]


def draw(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("order", [torch.contiguous_format, LAST])
@pytest.mark.parametrize(
    ("kernel", "stride", "groups"),
    [
        ((1, 1, 1), (1, 1, 1), 1),
        ((1, 1, 1), (1, 2, 2), 1),
        ((3, 1, 1), (1, 1, 1), 1),
        ((7, 1, 1), (4, 1, 1), 1),
        ((5, 1, 1), (1, 1, 1), 4),
        ((1, 3, 3), (1, 2, 2), 1),
        ((1, 7, 7), (1, 2, 2), 1),
        ((5, 7, 7), (1, 2, 2), 1),
    ],
)
def test_a_flat_convolution_is_the_one_in_3d(
    kernel: Triple, stride: Triple, groups: int, order: torch.memory_format
) -> None:
    padding = tuple(side // 2 for side in kernel)
    conv = FlatConv(4, 8, kernel, stride=stride, padding=padding, groups=groups, bias=False)
    conv.double()
    for size in ((2, 4, 5, 6, 7), (1, 4, 1, 1, 1)):
        x = draw(*size).contiguous(memory_format=order).requires_grad_()
        y = conv(x)
        grad = draw(*y.shape, seed=2)
        found = torch.autograd.grad(y, [x, conv.weight], grad)
        expected = nn.functional.conv3d(x, conv.weight, None, stride, padding, 1, groups)
        torch.testing.assert_close(y, expected)
        for one, other in zip(
            found, torch.autograd.grad(expected, [x, conv.weight], grad), strict=True
        ):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kernel", [(1, 1, 1), (1, 3, 3), (3, 1, 1)])
def test_a_flat_convolution_keeps_channels_last(kernel: Triple) -> None:
    padding = tuple(side // 2 for side in kernel)
    conv = FlatConv(16, 24, kernel, padding=padding, bias=False)
    x = draw(2, 16, 8, 14, 14, dtype=torch.float32).contiguous(memory_format=LAST)
    assert conv(x).is_contiguous(memory_format=LAST)


def test_half_precision_takes_the_convolution_in_3d() -> None:
    conv = FlatConv(4, 8, (1, 3, 3), padding=(0, 1, 1), bias=False)
    x = draw(1, 4, 3, 6, 6, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        expected = nn.functional.conv3d(x, conv.weight, padding=(0, 1, 1))
        assert conv(x).dtype == torch.bfloat16
        assert torch.equal(conv(x), expected)
    assert conv.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


def test_snippets_in_the_fast_order_are_not_copied() -> None:
    x = draw(2, 3, 4, 6, 6)
    assert in_fast_order(x).is_contiguous(memory_format=LAST)
    x = x.contiguous(memory_format=LAST)
    assert in_fast_order(x).data_ptr() == x.data_ptr()


@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_a_short_time_axis_in_half_precision_gets_its_gradient(num_steps: int) -> None:
    conv = FlatConv(8, 16, (3, 1, 1), padding=(1, 0, 0), bias=False)
    x = draw(2, 8, num_steps, 6, 6, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x)
    g = draw(*y.shape, seed=2, dtype=torch.float32)
    y.float().backward(g)
    padded = nn.functional.pad(x.double(), (0, 0, 0, 0, 1, 1)).unfold(2, 3, 1)
    expected = torch.einsum("bdthw,bcthwx->dcx", g.double(), padded)
    assert conv.weight.grad is not None
    error = (conv.weight.grad.double()[..., 0, 0] - expected).norm() / expected.norm()
    assert error < 1e-2  # bfloat16 rounds the inputs to 8 bits
