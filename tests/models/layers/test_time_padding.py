import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pdray.models import NETWORKS
from pdray.models.layers.time_padding import TimePaddedConv3d, guard_time_axis, is_misread


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


CASES = [
    # kernel, stride, time steps
    ((3, 3, 3), (1, 1, 1), 2),
    ((7, 7, 7), (1, 2, 2), 4),
    ((7, 7, 7), (2, 2, 2), 5),
    ((7, 1, 1), (2, 1, 1), 7),
    ((3, 3, 3), (1, 1, 1), 1),
    ((3, 3, 3), (2, 2, 2), 6),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("kernel", "stride", "num_steps"), CASES)
def test_a_guarded_weight_gets_its_gradient(
    kernel: tuple[int, int, int], stride: tuple[int, int, int], num_steps: int, dtype: torch.dtype
) -> None:
    time, high, wide = padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    conv = TimePaddedConv3d(3, 16, kernel, stride=stride, padding=padding, bias=False)
    x = draw(2, 3, num_steps, 7, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        y = conv(x)
    g = draw(*y.shape, seed=2)
    y.float().backward(g)
    assert conv.weight.grad is not None

    # The gradient written out: each output's patch of the input, times what comes back.
    patches = functional.pad(x.double(), (wide, wide, high, high, time, time))
    for axis, (size, step) in enumerate(zip(kernel, stride, strict=True), start=2):
        patches = patches.unfold(axis, size, step)
    expected = torch.einsum("bdthw,bcthwxyz->dcxyz", g.double(), patches)
    error = (conv.weight.grad.double() - expected).norm() / expected.norm()
    # bfloat16 rounds the inputs to 8 bits.
    assert error < (1e-5 if dtype == torch.float32 else 1e-2)


def test_zeros_are_written_out_only_where_a_gradient_is_at_stake() -> None:
    conv = nn.Conv3d(2, 2, 3, padding=1)
    strided = nn.Conv3d(2, 2, 3, padding=1, stride=2)
    two, four = torch.zeros(1, 2, 2, 4, 4), torch.zeros(1, 2, 4, 4, 4)
    assert not is_misread(two, conv)
    assert is_misread(two.bfloat16(), conv)
    assert not is_misread(four.bfloat16(), conv)
    assert not is_misread(two[:, :, :1].bfloat16(), conv)
    assert is_misread(two, strided)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert is_misread(two, conv)
    with torch.no_grad():
        assert not is_misread(two.bfloat16(), conv)
    assert not is_misread(two.to("meta").bfloat16(), conv)
    conv.weight.requires_grad_(False)
    assert not is_misread(two.bfloat16(), conv)


def test_guarding_touches_padded_convolutions_over_time_only() -> None:
    network = nn.Sequential(
        nn.Conv3d(2, 3, 3, padding=1),
        nn.Conv3d(3, 3, (1, 3, 3), padding=(0, 1, 1)),
        nn.Conv3d(3, 3, 3, padding="same"),
        nn.Conv3d(3, 3, 3, padding=1, padding_mode="replicate"),
        nn.Sequential(nn.Conv3d(3, 4, (3, 1, 1), padding=(1, 0, 0), groups=1, bias=False)),
    )
    x = draw(1, 2, 2, 5, 6)
    before, names = network(x), list(network.state_dict())
    guard_time_axis(network)
    guarded = [n for n, module in network.named_modules() if isinstance(module, TimePaddedConv3d)]
    assert guarded == ["0", "4.0"]
    assert list(network.state_dict()) == names
    assert torch.equal(network(x), before)


@pytest.mark.parametrize("key", NETWORKS)
def test_every_model_is_given_out_guarded(key: str) -> None:
    architecture = NETWORKS[key]
    with torch.device("meta"):
        network = architecture.build(architecture.settings(), 2, 3)
    plain = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv3d)
        and type(module).forward is nn.Conv3d.forward
        and (module.padding == "same" or module.padding[0] != 0)
    ]
    assert plain == []
