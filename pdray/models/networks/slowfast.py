"""SlowFast: a slow path on few frames and a thin fast path on all, with a severity head.

Source: Feichtenhofer et al. 2019 (arXiv:1812.03982), table 1 and section 3.3, with time-strided
lateral convolutions, and the public PyTorchVideo model ``slowfast_r50``, whose parameter
names (blocks.0.multipathway_blocks.0.conv, ..., blocks.6.proj) are kept so that
SLOWFAST_8x8_R50.pyth loads by name. That checkpoint expects 32 frames, 2 apart, as RGB in 0..1,
minus 0.45, divided by 0.225.
Differs from the paper as the public model does: lateral kernels are 7 frames long, not 5, and are
normalised and rectified.
Differs from the public model: the slow path takes every alpha-th frame, from the first one (there
the caller selects T / alpha frames spread from the first to the last, which are slightly others).
The head averages features first and then applies one linear map, so dropout acts on the mean;
without dropout both are the same. The windows of the head slide over larger maps, as there;
smaller maps are averaged whole, so any T is accepted. Alpha, the ratio of widths, widths and depths
are settings.
Letters: B batch, C channel, T time step of the fast path, S of the slow path, H height, W width,
D feature, E feature of the fast path, K class.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdray.models.layers.flat_conv import FlatConv, in_fast_order
from pdray.models.layers.limits import check_snippets
from pdray.models.networks.c2d import (
    EXPANSION,
    NUM_BLOCKS,
    SPACE_STRIDES,
    Head,
    Stem,
    initialise,
    make_stage,
    sliding_mean,
)
from pdray.models.networks.pytorchvideo_settings import STEM_WIDTH, SlowFastConfig

LATERAL_KERNEL = 7
LATERAL_GROWTH = 2
SLOW_STEM_KERNEL, FAST_STEM_KERNEL = 1, 5
SLOW_TIME_KERNELS, FAST_TIME_KERNELS = (1, 1, 3, 3), (3, 3, 3, 3)
HEAD_FRAMES, HEAD_SIDE = 8, 7


@dataclass(frozen=True, slots=True)
class Paths:
    """Sizes of the two paths.

    Attributes:
        num_blocks: Blocks of the four stages, the same in both.
        slow_width: Channels of the slow stem and of the first stage's 1x3x3 convolutions.
        fast_width: The same for the fast path.
        alpha: Frames of the fast path per frame of the slow path.
        num_channels: Of a snippet: 3 colours, or 2 components of flow.
    """

    num_blocks: tuple[int, ...]
    slow_width: int
    fast_width: int
    alpha: int
    num_channels: int


class FuseFastToSlow(nn.Module):
    """Lateral connection: a convolution over time, strided to the slow path's frames."""

    def __init__(self, channels: int, *, alpha: int) -> None:
        super().__init__()
        out_channels = channels * LATERAL_GROWTH
        self.conv_fast_to_slow = FlatConv(
            channels,
            out_channels,
            (LATERAL_KERNEL, 1, 1),
            stride=(alpha, 1, 1),
            padding=(LATERAL_KERNEL // 2, 0, 0),
            bias=False,
        )
        self.norm = nn.BatchNorm3d(out_channels)

    def forward(self, slow_BDSHW: Tensor, fast_BETHW: Tensor) -> Tensor:
        """Return (B, D + 2 E, S, H, W): the slow path's map with the fast path's added to it."""
        y_BESHW = self.norm(self.conv_fast_to_slow(fast_BETHW))
        return torch.cat([slow_BDSHW, functional.relu(y_BESHW, inplace=True)], dim=1)


class TwoPaths(nn.Module):
    """A stem or a stage of each path, and the lateral connection after it."""

    def __init__(self, slow: nn.Module, fast: nn.Module, fusion: nn.Module | None) -> None:
        super().__init__()
        self.multipathway_blocks = nn.ModuleList([slow, fast])
        self.multipathway_fusion = fusion

    def forward(self, slow_BDSHW: Tensor, fast_BETHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps of both paths."""
        fast_BETHW = self.multipathway_blocks[1](fast_BETHW)
        slow_BDSHW = self.multipathway_blocks[0](slow_BDSHW)
        if self.multipathway_fusion is not None:
            slow_BDSHW = self.multipathway_fusion(slow_BDSHW, fast_BETHW)
        return slow_BDSHW, fast_BETHW


class PoolPaths(nn.Module):
    """Means of both paths, concatenated."""

    def __init__(self, alpha: int) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, slow_BDSHW: Tensor, fast_BETHW: Tensor) -> Tensor:
        """Return (B, D + E)."""
        slow_BD = sliding_mean(slow_BDSHW, (HEAD_FRAMES, HEAD_SIDE, HEAD_SIDE))
        fast_BE = sliding_mean(fast_BETHW, (HEAD_FRAMES * self.alpha, HEAD_SIDE, HEAD_SIDE))
        return torch.cat([slow_BD, fast_BE], dim=1)


def make_two_paths(paths: Paths) -> list[TwoPaths]:
    """Return the stems and the four stages; the last has no lateral connection."""
    alpha, channels = paths.alpha, paths.num_channels
    slow, fast = paths.slow_width, paths.fast_width
    stems = (
        Stem(channels, slow, time_kernel=SLOW_STEM_KERNEL),
        Stem(channels, fast, time_kernel=FAST_STEM_KERNEL),
    )
    blocks = [TwoPaths(*stems, FuseFastToSlow(fast, alpha=alpha))]
    slow_channels, fast_channels = slow, fast
    plan = zip(paths.num_blocks, SPACE_STRIDES, SLOW_TIME_KERNELS, FAST_TIME_KERNELS, strict=True)
    for number, (depth, stride, slow_kernel, fast_kernel) in enumerate(plan, start=1):
        stages = (
            make_stage(
                depth,
                in_channels=slow_channels + LATERAL_GROWTH * fast_channels,
                width=slow,
                time_kernels=(slow_kernel,),
                stride=stride,
            ),
            make_stage(
                depth,
                in_channels=fast_channels,
                width=fast,
                time_kernels=(fast_kernel,),
                stride=stride,
            ),
        )
        slow_channels, fast_channels = slow * EXPANSION, fast * EXPANSION
        is_last = number == len(paths.num_blocks)
        blocks.append(
            TwoPaths(*stages, None if is_last else FuseFastToSlow(fast_channels, alpha=alpha))
        )
        slow, fast = slow * 2, fast * 2
    return blocks


class SlowFast(nn.Module):
    """SlowFast: two stems, four stages of two paths, their means concatenated, linear head."""

    MAP_LAYERS: ClassVar[tuple[str, ...]] = tuple(
        f"blocks.{block}.multipathway_blocks.{path}" for block in range(5) for path in (1, 0)
    )

    def __init__(self, paths: Paths, *, num_classes: int, dropout: float) -> None:
        super().__init__()
        widest = EXPANSION * 2 ** (len(paths.num_blocks) - 1)
        self.alpha = paths.alpha
        self.num_channels = paths.num_channels
        self.num_features = widest * (paths.slow_width + paths.fast_width)
        self.blocks = nn.ModuleList(
            [
                *make_two_paths(paths),
                PoolPaths(paths.alpha),
                Head(self.num_features, num_classes, dropout=dropout),
            ]
        )
        initialise(self)

    def features(self, x_BCTHW: Tensor) -> Tensor:
        """Return features (B, D) of normalised snippets (B, C, T, H, W) of any size.

        Raises:
            ValueError: If the axes are not those of snippets.
        """
        check_snippets(x_BCTHW, num_channels=self.num_channels)
        x_BCTHW = in_fast_order(x_BCTHW)
        paths = (x_BCTHW[:, :, :: self.alpha], x_BCTHW)
        for block in self.blocks[:-2]:
            paths = block(*paths)
        f_BD: Tensor = self.blocks[-2](*paths)
        return f_BD

    def classify(self, f_BD: Tensor) -> Tensor:
        """Return logits (B, K) of features (B, D)."""
        logits_BK: Tensor = self.blocks[-1](f_BD)
        return logits_BK

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return logits (B, K) of normalised snippets; raises as :meth:`features`."""
        return self.classify(self.features(x_BCTHW))


def build_slowfast(config: SlowFastConfig, num_classes: int, num_channels: int = 3) -> SlowFast:
    """Build the network; its weights are drawn from torch's global generator.

    Args:
        config: Settings for which :func:`slowfast_faults` returns nothing.
        num_classes: Classes K, at least 2.
        num_channels: Of a snippet: 3 colours, or 2 components of flow.
    """
    slow_width = int(STEM_WIDTH * config.width_factor)
    paths = Paths(
        num_blocks=NUM_BLOCKS[config.depth],
        slow_width=slow_width,
        fast_width=slow_width // config.width_ratio,
        alpha=config.alpha,
        num_channels=num_channels,
    )
    return SlowFast(paths, num_classes=num_classes, dropout=config.dropout)
