"""Residual blocks of the 3D residual network: convolutions, norms and shortcuts.

Source: Hara et al. 2018 (arXiv:1711.09577), figure 1 and section 3.2, after He et al. 2016; the
names of the parameters are those of their public code.
Letters: B batch, C channel in, D channel out, T time step, H height, W width.
"""

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from pdray.models.layers.settings import Norm, Shortcut, Stride

Mixer = Callable[[int, int, Stride], nn.Module]
"""Makes a 3x3x3 convolution, or its replacement, from (channels in, channels out, stride)."""

GROUP_CHANNELS = 16


def conv3x3x3(in_channels: int, out_channels: int, stride: Stride) -> nn.Module:
    """Return the convolution of the published network: kernel 3, padding 1, no bias."""
    return nn.Conv3d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)


def make_norm(kind: Norm, channels: int) -> nn.Module:
    """Return the normalisation of a layer.

    Group norm takes groups of at least 16 channels (Wu and He 2018, arXiv:1803.08494, table 3), or
    a single group if there are fewer. With one channel per group, the mean over space and time,
    which the head reads, would be the same for every snippet.
    """
    if kind == "batch":
        return nn.BatchNorm3d(channels)
    most = max(1, channels // GROUP_CHANNELS)
    num_groups = max(count for count in range(1, most + 1) if channels % count == 0)
    return nn.GroupNorm(num_groups, channels)


class SubsampleAndPad(nn.Module):
    """Shortcut A: every n-th position (average pooling with kernel 1) and zero channels."""

    def __init__(self, *, in_channels: int, out_channels: int, stride: Stride) -> None:
        super().__init__()
        self.num_zeros = out_channels - in_channels
        self.stride = stride

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, C + zero channels, T', H', W')."""
        time, high, wide = self.stride
        return functional.pad(
            x_BCTHW[:, :, ::time, ::high, ::wide], (0, 0, 0, 0, 0, 0, 0, self.num_zeros)
        )


def make_shortcut(
    kind: Shortcut, *, in_channels: int, out_channels: int, stride: Stride, norm: Norm
) -> nn.Module | None:
    """Return the shortcut of a block; None if it is the input itself."""
    if in_channels == out_channels and stride == (1, 1, 1):
        return None
    if kind == "A":
        return SubsampleAndPad(in_channels=in_channels, out_channels=out_channels, stride=stride)
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, 1, stride=stride, bias=False),
        make_norm(norm, out_channels),
    )


class BasicBlock(nn.Module):
    """Two 3x3x3 convolutions, or the mixer's replacements, plus a shortcut."""

    expansion: ClassVar[int] = 1

    def __init__(
        self,
        in_channels: int,
        width: int,
        *,
        stride: Stride,
        mixer: Mixer,
        norm: Norm,
        shortcut: Shortcut,
    ) -> None:
        super().__init__()
        self.conv1 = mixer(in_channels, width, stride)
        self.bn1 = make_norm(norm, width)
        self.conv2 = mixer(width, width, (1, 1, 1))
        self.bn2 = make_norm(norm, width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = make_shortcut(
            shortcut, in_channels=in_channels, out_channels=width, stride=stride, norm=norm
        )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, width, T', H', W')."""
        y_BDTHW = self.relu(self.bn1(self.conv1(x_BCTHW)))
        y_BDTHW = self.bn2(self.conv2(y_BDTHW))
        y_BDTHW += x_BCTHW if self.downsample is None else self.downsample(x_BCTHW)
        out_BDTHW: Tensor = self.relu(y_BDTHW)
        return out_BDTHW


class Bottleneck(nn.Module):
    """Convolutions 1x1x1, 3x3x3 (or the mixer's replacement) and 1x1x1, plus a shortcut."""

    expansion: ClassVar[int] = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        *,
        stride: Stride,
        mixer: Mixer,
        norm: Norm,
        shortcut: Shortcut,
    ) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv3d(in_channels, width, 1, bias=False)
        self.bn1 = make_norm(norm, width)
        self.conv2 = mixer(width, width, stride)
        self.bn2 = make_norm(norm, width)
        self.conv3 = nn.Conv3d(width, out_channels, 1, bias=False)
        self.bn3 = make_norm(norm, out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = make_shortcut(
            shortcut, in_channels=in_channels, out_channels=out_channels, stride=stride, norm=norm
        )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, 4 width, T', H', W')."""
        y_BDTHW = self.relu(self.bn1(self.conv1(x_BCTHW)))
        y_BDTHW = self.relu(self.bn2(self.conv2(y_BDTHW)))
        y_BDTHW = self.bn3(self.conv3(y_BDTHW))
        y_BDTHW += x_BCTHW if self.downsample is None else self.downsample(x_BCTHW)
        out_BDTHW: Tensor = self.relu(y_BDTHW)
        return out_BDTHW
