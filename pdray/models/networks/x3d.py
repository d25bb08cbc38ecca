"""X3D: a tiny 2D network expanded axis by axis to video, with a severity head.

Source: Feichtenhofer 2020 (arXiv:2004.04730), tables 1 and 3 and section 3.1, and the public
PyTorchVideo model ``x3d_xs``, whose parameter names (blocks.0.conv.conv_t, ...,
blocks.5.proj) are kept so that X3D_XS.pyth loads by name. That checkpoint was trained with
4 frames, 12 apart, of 160 px (tested at 182 px), as RGB in 0..1, minus 0.45, divided by 0.225; S
and M have the same parameters.
Differs from the public model: it returns logits, not the mean of their softmax. The head averages
features first and then applies one linear map, so dropout acts on the mean; without dropout both
are the same. The window of the head slides over larger maps, as there; smaller maps are averaged
whole. Widths and depths are settings.
Letters: B batch, C channel, T time step, H height, W width, D feature, K class.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from pdray.models.layers.flat_conv import FlatConv, in_fast_order
from pdray.models.layers.limits import check_snippets
from pdray.models.networks.c2d import (
    ResBlock,
    Stage,
    Window,
    initialise,
    pool_within,
)
from pdray.models.networks.pytorchvideo_settings import X3DConfig

BASE_WIDTHS = (12, 24, 48, 96)
BASE_BLOCKS = (1, 2, 5, 3)
SQUEEZE_RATIO = 1 / 16
CHANNEL_STEP = 8


@dataclass(frozen=True, slots=True)
class Expansion:
    """Sizes of a network, computed from its settings.

    Attributes:
        stem_width: Channels of the stem.
        widths: Output channels of the four stages.
        inner_widths: Channels of the 3x3x3 convolutions of the four stages.
        num_blocks: Blocks of the four stages.
        num_features: Features before the head.
        window: Sides (T, H, W) of the head's sliding mean.
    """

    stem_width: int
    widths: tuple[int, ...]
    inner_widths: tuple[int, ...]
    num_blocks: tuple[int, ...]
    num_features: int
    window: Window


def round_channels(channels: float) -> int:
    """Return the nearest multiple of 8, at least 8 and at least nine tenths of ``channels``."""
    rounded = max(CHANNEL_STEP, int(channels / CHANNEL_STEP + 0.5) * CHANNEL_STEP)
    return rounded + CHANNEL_STEP if rounded < 0.9 * channels else rounded


def expand(config: X3DConfig) -> Expansion:
    """Compute the sizes of a network from its settings, without making a tensor."""
    widths = tuple(round_channels(width * config.width_factor) for width in BASE_WIDTHS)
    return Expansion(
        stem_width=widths[0],
        widths=widths,
        inner_widths=tuple(int(config.bottleneck_factor * width) for width in widths),
        num_blocks=tuple(math.ceil(config.depth_factor * count) for count in BASE_BLOCKS),
        num_features=config.num_features,
        window=(config.window_frames, config.window_side, config.window_side),
    )


class ChannelwiseConv(nn.Conv3d):
    """Depthwise 3 x 3 x 3 convolution without bias.

    On a CPU it is computed as the sum of three 2D convolutions, shifted in time: up to three times
    as fast as the 3D convolution in bf16, up to twice in float32.
    """

    def __init__(self, channels: int, *, stride: int) -> None:
        super().__init__(
            channels,
            channels,
            3,
            stride=(1, stride, stride),
            padding=1,
            groups=channels,
            bias=False,
        )

    def forward(self, x_BDTHW: Tensor) -> Tensor:
        """Return (B, D, T, H', W')."""
        if not x_BDTHW.is_cpu:
            return super().forward(x_BDTHW)
        before, here, after = (self._convolve_frames(x_BDTHW, w) for w in self.weight.unbind(2))
        here[:, :, 1:] += before[:, :, :-1]
        here[:, :, :-1] += after[:, :, 1:]
        return here

    def _convolve_frames(self, x_BDTHW: Tensor, weight_D1HW: Tensor) -> Tensor:
        """Convolve each frame with one time step of the kernel."""
        y_NDHW = functional.conv2d(
            x_BDTHW.transpose(1, 2).flatten(0, 1),
            weight_D1HW,
            stride=self.stride[1:],
            padding=1,
            groups=self.groups,
        )
        return y_NDHW.view(len(x_BDTHW), -1, *y_NDHW.shape[1:]).transpose(1, 2)


class SeparableConv(nn.Module):
    """Convolution of 3 x 3 in space, then a depthwise one of 5 frames in time.

    The public names are swapped: ``conv_t`` is the one in space, ``conv_xy`` the one in time.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_t = FlatConv(
            in_channels, out_channels, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1), bias=False
        )
        self.conv_xy = FlatConv(
            out_channels,
            out_channels,
            (5, 1, 1),
            padding=(2, 0, 0),
            groups=out_channels,
            bias=False,
        )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, D, T, H / 2, W / 2)."""
        out_BDTHW: Tensor = self.conv_xy(self.conv_t(x_BCTHW))
        return out_BDTHW


class Stem(nn.Module):
    """Separable convolution, normalised and rectified."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = SeparableConv(in_channels, out_channels)
        self.norm = nn.BatchNorm3d(out_channels)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, D, T, H / 2, W / 2)."""
        return functional.relu(self.norm(self.conv(x_BCTHW)), inplace=True)


class SqueezeExcitation(nn.Module):
    """Gate that scales each channel, computed from the means of all (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = round_channels(channels * SQUEEZE_RATIO)
        self.block = nn.Sequential(
            nn.Conv3d(channels, squeezed, 1),
            nn.ReLU(inplace=True),
            nn.Conv3d(squeezed, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x_BDTHW: Tensor) -> Tensor:
        """Return (B, D, T, H, W)."""
        gate_BD111: Tensor = self.block(x_BDTHW.mean(dim=(2, 3, 4), keepdim=True))
        return x_BDTHW * gate_BD111


class Bottleneck(nn.Module):
    """Convolutions 1 x 1 x 1, depthwise 3 x 3 x 3 (swish), and 1 x 1 x 1."""

    def __init__(
        self, in_channels: int, out_channels: int, *, width: int, stride: int, is_gated: bool
    ) -> None:
        super().__init__()
        self.conv_a = FlatConv(in_channels, width, 1, bias=False)
        self.norm_a = nn.BatchNorm3d(width)
        self.conv_b = ChannelwiseConv(width, stride=stride)
        self.norm_b = nn.Sequential(
            nn.BatchNorm3d(width), SqueezeExcitation(width) if is_gated else nn.Identity()
        )
        self.conv_c = FlatConv(width, out_channels, 1, bias=False)
        self.norm_c = nn.BatchNorm3d(out_channels)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, D, T, H', W'), not yet rectified."""
        y_BDTHW = functional.relu(self.norm_a(self.conv_a(x_BCTHW)), inplace=True)
        y_BDTHW = functional.silu(self.norm_b(self.conv_b(y_BDTHW)))
        out_BDTHW: Tensor = self.norm_c(self.conv_c(y_BDTHW))
        return out_BDTHW


def make_stage(num_blocks: int, *, in_channels: int, out_channels: int, width: int) -> Stage:
    """Return blocks; the first one halves space, and the first, third, ... are gated."""
    blocks = []
    for number in range(num_blocks):
        stride, channels = (2, in_channels) if number == 0 else (1, out_channels)
        branch2 = Bottleneck(
            channels, out_channels, width=width, stride=stride, is_gated=number % 2 == 0
        )
        if stride == 1:
            blocks.append(ResBlock(branch2))
            continue
        shortcut = FlatConv(channels, out_channels, 1, stride=(1, stride, stride), bias=False)
        # As in the public model, a shortcut that keeps its channels is not normalised.
        norm = nn.BatchNorm3d(out_channels) if channels != out_channels else None
        blocks.append(ResBlock(branch2, branch1_conv=shortcut, branch1_norm=norm))
    return Stage(blocks)


class ProjectedPool(nn.Module):
    """Pool that widens the map, averages it in a window and projects each mean to features."""

    def __init__(self, channels: int, width: int, num_features: int, *, window: Window) -> None:
        super().__init__()
        self.window = window
        self.pre_conv = FlatConv(channels, width, 1, bias=False)
        self.pre_norm = nn.BatchNorm3d(width)
        self.post_conv = FlatConv(width, num_features, 1, bias=False)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return features (B, D): the mean over the positions of the window."""
        x_BDTHW = functional.relu(self.pre_norm(self.pre_conv(x_BCTHW)), inplace=True)
        y_BDTHW = self.post_conv(pool_within(x_BDTHW, self.window))
        return functional.relu(y_BDTHW, inplace=True).mean(dim=(2, 3, 4))


class ProjectedHead(nn.Module):
    """Head: the pool, which :meth:`X3D.features` calls, then dropout and one linear map."""

    def __init__(self, pool: ProjectedPool, *, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.pool = pool
        self.dropout = nn.Dropout(dropout)
        self.proj = nn.Linear(pool.post_conv.out_channels, num_classes)

    def forward(self, f_BD: Tensor) -> Tensor:
        """Return logits (B, K)."""
        logits_BK: Tensor = self.proj(self.dropout(f_BD))
        return logits_BK


class X3D(nn.Module):
    """X3D: stem, four stages of separable bottlenecks, projected mean, linear head."""

    MAP_LAYERS: ClassVar[tuple[str, ...]] = tuple(f"blocks.{block}" for block in range(5))

    def __init__(
        self, sizes: Expansion, *, num_classes: int, num_channels: int, dropout: float
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = [Stem(num_channels, sizes.stem_width)]
        channels = sizes.stem_width
        for depth, width, inner in zip(
            sizes.num_blocks, sizes.widths, sizes.inner_widths, strict=True
        ):
            blocks.append(make_stage(depth, in_channels=channels, out_channels=width, width=inner))
            channels = width
        pool = ProjectedPool(
            channels, sizes.inner_widths[-1], sizes.num_features, window=sizes.window
        )
        blocks.append(ProjectedHead(pool, num_classes=num_classes, dropout=dropout))
        self.num_channels = num_channels
        self.num_features = sizes.num_features
        self.blocks = nn.ModuleList(blocks)
        initialise(self)

    def features(self, x_BCTHW: Tensor) -> Tensor:
        """Return features (B, D) of normalised snippets (B, C, T, H, W) of any size.

        Raises:
            ValueError: If the axes are not those of snippets.
        """
        check_snippets(x_BCTHW, num_channels=self.num_channels)
        x_BCTHW = in_fast_order(x_BCTHW)
        for block in self.blocks[:-1]:
            x_BCTHW = block(x_BCTHW)
        f_BD: Tensor = self.blocks[-1].get_submodule("pool")(x_BCTHW)
        return f_BD

    def classify(self, f_BD: Tensor) -> Tensor:
        """Return logits (B, K) of features (B, D)."""
        logits_BK: Tensor = self.blocks[-1](f_BD)
        return logits_BK

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return logits (B, K) of normalised snippets; raises as :meth:`features`."""
        return self.classify(self.features(x_BCTHW))


def build_x3d(config: X3DConfig, num_classes: int, num_channels: int = 3) -> X3D:
    """Build the network; its weights are drawn from torch's global generator.

    Args:
        config: Settings for which :func:`x3d_faults` returns nothing.
        num_classes: Classes K, at least 2.
        num_channels: Of a snippet: 3 colours, or 2 components of flow.
    """
    return X3D(
        expand(config), num_classes=num_classes, num_channels=num_channels, dropout=config.dropout
    )
