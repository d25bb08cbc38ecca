"""Names, shapes and forward passes of published files, written down from their public sources.

Nothing here is pdray's: the lists and the float64 passes say what a file holds and what its own
network would return. Weights are random; the sources are listed in pdray/models/published.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

State = dict[str, Tensor]

HARA_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
INCEPTION = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


class Drawing:
    """A state that grows layer by layer."""

    def __init__(self, *, has_counters: bool) -> None:
        self.state: State = {}
        self.has_counters = has_counters
        self.generator = torch.Generator().manual_seed(5)

    def conv(self, name: str, *shape: int) -> None:
        fan_in = torch.Size(shape[1:]).numel()
        weight = torch.empty(shape).normal_(std=(2 / fan_in) ** 0.5, generator=self.generator)
        self.state[f"{name}.weight"] = weight

    def norm(self, name: str, channels: int) -> None:
        for leaf, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -0.2, 0.2),
            ("running_mean", -0.2, 0.2),
            ("running_var", 0.5, 1.5),
        ):
            values = torch.empty(channels).uniform_(low, high, generator=self.generator)
            self.state[f"{name}.{leaf}"] = values
        if self.has_counters:
            self.state[f"{name}.num_batches_tracked"] = torch.tensor(1000)

    def head(self, name: str, *shape: int) -> None:
        self.conv(name, *shape)
        self.state[f"{name}.bias"] = torch.empty(shape[0]).normal_(generator=self.generator)


def residual_state(
    depth: int, *, shortcut: str, num_classes: int, kernel: tuple[int, ...], has_counters: bool
) -> State:
    """Return a residual network's tensors; ``kernel`` is the stem's, (7, 7, 7) or (7, 7)."""
    drawing = Drawing(has_counters=has_counters)
    three, one = (3,) * len(kernel), (1,) * len(kernel)
    drawing.conv("conv1", 64, 3, *kernel)
    drawing.norm("bn1", 64)
    channels = 64
    for stage, (count, width) in enumerate(
        zip(HARA_BLOCKS[depth], (64, 128, 256, 512), strict=True), start=1
    ):
        for block in range(count):
            name, out = f"layer{stage}.{block}", width * (4 if depth >= 50 else 1)
            if depth >= 50:
                plan = [(channels, width, one), (width, width, three), (width, out, one)]
            else:
                plan = [(channels, width, three), (width, width, three)]
            for number, (before, after, size) in enumerate(plan, start=1):
                drawing.conv(f"{name}.conv{number}", after, before, *size)
                drawing.norm(f"{name}.bn{number}", after)
            if shortcut == "B" and block == 0 and (stage > 1 or channels != out):
                drawing.conv(f"{name}.downsample.0", out, channels, *one)
                drawing.norm(f"{name}.downsample.1", out)
            channels = out
    drawing.head("fc", num_classes, channels)
    return drawing.state


def hara_2018(depth: int = 18) -> dict[str, object]:
    """Return the content of resnet-18-kinetics.pth or resnet-34-kinetics.pth."""
    state = residual_state(
        depth, shortcut="A", num_classes=400, kernel=(7, 7, 7), has_counters=False
    )
    named = {f"module.{name}": value for name, value in state.items()}
    return {"epoch": 101, "arch": f"resnet-{depth}", "state_dict": named, "optimizer": {}}


def hara_2020(depth: int = 18) -> dict[str, object]:
    """Return the content of r3d18_K_200ep.pth and of its deeper siblings."""
    state = residual_state(
        depth, shortcut="B", num_classes=700, kernel=(7, 7, 7), has_counters=True
    )
    return {"epoch": 200, "arch": f"resnet-{depth}", "state_dict": state}


def vggface2() -> State:
    """Return the content of resnet50_ft_weight.pkl, as tensors."""
    return residual_state(50, shortcut="B", num_classes=8631, kernel=(7, 7), has_counters=False)


def piergiaj(num_channels: int) -> State:
    """Return the content of rgb_imagenet.pt (3 channels) or flow_imagenet.pt (2)."""
    drawing = Drawing(has_counters=False)

    def unit(name: str, out: int, before: int, side: int) -> None:
        drawing.conv(f"{name}.conv3d", out, before, side, side, side)
        drawing.norm(f"{name}.bn", out)

    unit("Conv3d_1a_7x7", 64, num_channels, 7)
    unit("Conv3d_2b_1x1", 64, 64, 1)
    unit("Conv3d_2c_3x3", 192, 64, 3)
    channels = 192
    for name, (b0, b1a, b1b, b2a, b2b, b3b) in INCEPTION.items():
        unit(f"{name}.b0", b0, channels, 1)
        unit(f"{name}.b1a", b1a, channels, 1)
        unit(f"{name}.b1b", b1b, b1a, 3)
        unit(f"{name}.b2a", b2a, channels, 1)
        unit(f"{name}.b2b", b2b, b2a, 3)
        unit(f"{name}.b3b", b3b, channels, 1)
        channels = b0 + b1b + b2b + b3b
    drawing.head("logits.conv3d", 400, channels, 1, 1, 1)
    return drawing.state


# Networks whose numbers are known to come from a file, and what is compared.


def blank(make: Callable[..., nn.Module], *args: Any) -> nn.Module:
    """Build a network of which every number that a file does not fill stays NaN."""
    with torch.device("meta"):
        network = make(*args)
    network.to_empty(device="cpu")
    for value in network.state_dict().values():
        value.fill_(torch.nan if value.is_floating_point() else 0)
    return network


def drawn(make: Callable[..., nn.Module], *args: Any) -> Any:
    """Build a network whose weights and statistics are all drawn, none 0 or 1."""
    network = blank(make, *args)
    generator = torch.Generator().manual_seed(3)
    for name, value in network.state_dict().items():
        if value.ndim > 1:
            bound = (6 / value[0].numel()) ** 0.5
            value.uniform_(-bound, bound, generator=generator)
        elif name.endswith(("running_var", "weight")):
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.is_floating_point():
            value.uniform_(-0.2, 0.2, generator=generator)
    return network


def write(folder: Path, content: object, name: str = "weights.pth") -> Path:
    torch.save(content, folder / name)
    return folder / name


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def agree(outputs: Tensor, originals: Tensor) -> None:
    """Outputs are those of the original within a thousandth of their spread."""
    assert originals.std() > 0
    assert (outputs - originals).abs().max() < 1e-3 * originals.std()


def run(network: nn.Module, x: Any) -> Tensor:
    with torch.no_grad():
        y: Tensor = network.eval()(x)
    return y


# What the files' own networks return, in float64.


def normed(x: Tensor, state: State, name: str, eps: float = 1e-5) -> Tensor:
    shape = (1, -1, *[1] * (x.ndim - 2))
    mean, var, weight, bias = (
        state[f"{name}.{leaf}"].double().view(shape)
        for leaf in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + eps).sqrt() * weight + bias


def hara_forward(content: dict[str, object], x: Tensor) -> Tensor:
    """Run a 3D residual network of basic blocks on (B, 3, T, H, W)."""
    named = content["state_dict"]
    assert isinstance(named, dict)
    state = {name.removeprefix("module."): value for name, value in named.items()}

    def conv(x: Tensor, name: str, stride: int | tuple[int, ...], padding: int) -> Tensor:
        return functional.conv3d(x, state[f"{name}.weight"].double(), None, stride, padding)

    x = normed(conv(x, "conv1", (1, 2, 2), 3), state, "bn1").relu()
    x = functional.max_pool3d(x, 3, 2, 1)
    for stage in range(1, 5):
        block = 0
        while f"layer{stage}.{block}.conv1.weight" in state:
            name, stride = f"layer{stage}.{block}", 2 if block == 0 and stage > 1 else 1
            y = normed(conv(x, f"{name}.conv1", stride, 1), state, f"{name}.bn1").relu()
            y = normed(conv(y, f"{name}.conv2", 1, 1), state, f"{name}.bn2")
            if f"{name}.downsample.0.weight" in state:
                x = normed(
                    conv(x, f"{name}.downsample.0", stride, 0), state, f"{name}.downsample.1"
                )
            elif stride == 2:
                small = functional.avg_pool3d(x, 1, stride)
                zeros = small.new_zeros(len(x), y.shape[1] - x.shape[1], *small.shape[2:])
                x = torch.cat([small, zeros], dim=1)
            x, block = (x + y).relu(), block + 1
    f = x.mean(dim=(2, 3, 4))
    return f @ state["fc.weight"].double().T + state["fc.bias"].double()


def vggface2_forward(state: State, x: Tensor) -> Tensor:
    """Run the Caffe-style ResNet-50 on pictures (N, 3, H, W): stride at the first 1x1."""

    def conv(x: Tensor, name: str, stride: int, padding: int) -> Tensor:
        return functional.conv2d(x, state[f"{name}.weight"].double(), None, stride, padding)

    x = normed(conv(x, "conv1", 2, 3), state, "bn1").relu()
    x = functional.max_pool2d(x, 3, 2, 0, ceil_mode=True)
    for stage, count in enumerate(HARA_BLOCKS[50], start=1):
        for block in range(count):
            name, stride = f"layer{stage}.{block}", 2 if block == 0 and stage > 1 else 1
            y = normed(conv(x, f"{name}.conv1", stride, 0), state, f"{name}.bn1").relu()
            y = normed(conv(y, f"{name}.conv2", 1, 1), state, f"{name}.bn2").relu()
            y = normed(conv(y, f"{name}.conv3", 1, 0), state, f"{name}.bn3")
            if block == 0:
                x = normed(
                    conv(x, f"{name}.downsample.0", stride, 0), state, f"{name}.downsample.1"
                )
            x = (x + y).relu()
    f = x.mean(dim=(2, 3))
    return f @ state["fc.weight"].double().T + state["fc.bias"].double()


def same(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Pad with zeros as compute_pad of pytorch_i3d.py says, the odd one behind."""
    padding: list[int] = []
    for axis in (2, 1, 0):
        rest = x.shape[axis + 2] % stride[axis]
        total = max(kernel[axis] - (rest or stride[axis]), 0)
        padding += [total // 2, total - total // 2]
    return functional.pad(x, padding)


def piergiaj_forward(state: State, x: Tensor) -> Tensor:
    """Run Inception I3D on (B, C, T, H, W); its last map must fit into the head's window."""

    def unit(x: Tensor, name: str, step: int = 1) -> Tensor:
        weight = state[f"{name}.conv3d.weight"].double()
        stride = (step,) * 3
        y = functional.conv3d(same(x, tuple(weight.shape[2:]), stride), weight, None, stride)
        return normed(y, state, f"{name}.bn", eps=1e-3).relu()

    def pool(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        return functional.max_pool3d(same(x, kernel, stride), kernel, stride)

    x = pool(unit(x, "Conv3d_1a_7x7", 2), (1, 3, 3), (1, 2, 2))
    x = pool(unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3"), (1, 3, 3), (1, 2, 2))
    for name in INCEPTION:
        if name == "Mixed_4b":
            x = pool(x, (3, 3, 3), (2, 2, 2))
        if name == "Mixed_5b":
            x = pool(x, (2, 2, 2), (2, 2, 2))
        branches = [
            unit(x, f"{name}.b0"),
            unit(unit(x, f"{name}.b1a"), f"{name}.b1b"),
            unit(unit(x, f"{name}.b2a"), f"{name}.b2b"),
            unit(pool(x, (3, 3, 3), (1, 1, 1)), f"{name}.b3b"),
        ]
        x = torch.cat(branches, dim=1)
    weight, bias = (state[f"logits.conv3d.{leaf}"].double() for leaf in ("weight", "bias"))
    return functional.conv3d(x, weight, bias).mean(dim=(2, 3, 4))
