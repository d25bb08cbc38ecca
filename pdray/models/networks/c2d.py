"""C2D, I3D-R50 and Slow-R50: residual networks on frames, and a severity head.

Source: the C2D baseline of Wang et al. 2018 (arXiv:1711.07971), table 1, with the sizes of the
public PyTorchVideo model ``c2d_r50``, whose parameter names (blocks.0.conv, ...,
blocks.6.proj) are kept so that C2D_8x8_R50.pyth loads by name. That checkpoint expects 8 frames,
8 apart, as RGB in 0..1, minus 0.45, divided by 0.225. Convolutions are 1 x k x k. Neighbouring
frames are joined only by a maximum over pairs after the first stage; an odd last frame is ignored.
Two siblings of the same names convolve time as well: ``i3d_r50`` (Wang et al. 2018, table 1,
inflated 3 x 1 x 1) and ``slow_r50`` (the slow path of Feichtenhofer et al. 2019, arXiv:1812.03982,
table 1), which pools no pairs. Its blocks have the numbers of C2D's here.
Differs from the paper as the public model does: stride 1 in time everywhere else, no second pool in
time, and the stride of a stage is at its 3 x 3 convolution.
Differs from the public model: the head averages features first and then applies one linear map, so
dropout acts on the mean; without dropout both are the same. The window of the head slides over
larger maps, as there; smaller maps are averaged whole. Widths and depths are settings.
Letters: B batch, C channel, T time step, H height, W width, D feature, K class,
N frame of a batch (B T), P place (H W).
"""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from pdray.models.layers.flat_conv import FlatConv, in_fast_order
from pdray.models.layers.limits import check_snippets
from pdray.models.networks.pytorchvideo_settings import (
    STEM_WIDTH,
    C2DConfig,
    Depth,
    TimeKernels,
)

Window = tuple[int, int, int]

NUM_BLOCKS: dict[Depth, tuple[int, ...]] = {
    14: (1, 1, 1, 1),
    26: (2, 2, 2, 2),
    50: (3, 4, 6, 3),
}
SPACE_STRIDES = (1, 2, 2, 2)
EXPANSION = 4
# Of the stem, and of the first and the second, ... block of each stage, again and again.
TIME_KERNELS: dict[TimeKernels, tuple[int, tuple[tuple[int, ...], ...]]] = {
    "c2d": (1, ((1,), (1,), (1,), (1,))),
    "slow": (1, ((1,), (1,), (3,), (3,))),
    "i3d": (5, ((3,), (3, 1), (3, 1), (1, 3))),
}
HEAD_SIDE = 7
HEAD_FRAMES: dict[TimeKernels, int] = {"c2d": 4, "slow": 8, "i3d": 4}


def sliding_mean(x_BDTHW: Tensor, window: Window) -> Tensor:
    """Average a map within a window at each position, then over the positions.

    The head of a public model averages within a window of the size of its training snippets. On
    larger maps the window slides, so that places near an edge weigh less.

    Args:
        x_BDTHW: (B, D, T, H, W) map.
        window: Sides of the window (T, H, W); a side longer than the map is cut to it.

    Returns:
        (B, D) means.
    """
    return pool_within(x_BDTHW, window).mean(dim=(2, 3, 4))


def pool_within(x_BDTHW: Tensor, window: Window) -> Tensor:
    """Return the means (B, D, T', H', W') within a window, cut to the map, at each position."""
    # torch's average pool in 3D does not support bfloat16 on CPUs.
    for axis, side in enumerate(window, start=2):
        if x_BDTHW.shape[axis] <= side:
            x_BDTHW = x_BDTHW.mean(axis, keepdim=True)
        else:
            x_BDTHW = x_BDTHW.unfold(axis, side, 1).mean(-1)
    return x_BDTHW


class Stem(nn.Module):
    """Convolution of 7 x 7 with stride 2 and max pool of 3 x 3 with stride 2, both in space."""

    def __init__(self, in_channels: int, out_channels: int, *, time_kernel: int) -> None:
        super().__init__()
        self.conv = FlatConv(
            in_channels,
            out_channels,
            (time_kernel, 7, 7),
            stride=(1, 2, 2),
            padding=(time_kernel // 2, 3, 3),
            bias=False,
        )
        self.norm = nn.BatchNorm3d(out_channels)
        self.pool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, D, T, H / 4, W / 4)."""
        x_BDTHW = functional.relu(self.norm(self.conv(x_BCTHW)), inplace=True)
        out_BDTHW: Tensor = self.pool(x_BDTHW)
        return out_BDTHW


class Bottleneck(nn.Module):
    """Convolutions k x 1 x 1, 1 x 3 x 3 and 1 x 1 x 1, each normalised."""

    def __init__(self, in_channels: int, width: int, *, time_kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_a = FlatConv(
            in_channels, width, (time_kernel, 1, 1), padding=(time_kernel // 2, 0, 0), bias=False
        )
        self.norm_a = nn.BatchNorm3d(width)
        self.conv_b = FlatConv(
            width, width, (1, 3, 3), stride=(1, stride, stride), padding=(0, 1, 1), bias=False
        )
        self.norm_b = nn.BatchNorm3d(width)
        self.conv_c = FlatConv(width, width * EXPANSION, 1, bias=False)
        self.norm_c = nn.BatchNorm3d(width * EXPANSION)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, 4 width, T, H', W'), not yet rectified."""
        y_BDTHW = functional.relu(self.norm_a(self.conv_a(x_BCTHW)), inplace=True)
        y_BDTHW = functional.relu(self.norm_b(self.conv_b(y_BDTHW)), inplace=True)
        out_BDTHW: Tensor = self.norm_c(self.conv_c(y_BDTHW))
        return out_BDTHW


class ResBlock(nn.Module):
    """Branch plus shortcut: the input, or its strided 1 x 1 x 1 convolution, normalised."""

    def __init__(
        self,
        branch2: nn.Module,
        *,
        branch1_conv: nn.Module | None = None,
        branch1_norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.branch1_conv = branch1_conv
        self.branch1_norm = branch1_norm
        self.branch2 = branch2

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return the rectified sum of branch and shortcut."""
        y_BDTHW: Tensor = self.branch2(x_BCTHW)
        if self.branch1_conv is not None:
            x_BCTHW = self.branch1_conv(x_BCTHW)
        if self.branch1_norm is not None:
            x_BCTHW = self.branch1_norm(x_BCTHW)
        y_BDTHW += x_BCTHW
        return functional.relu(y_BDTHW, inplace=True)


class Stage(nn.Module):
    """Residual blocks one after another."""

    def __init__(self, res_blocks: list[ResBlock]) -> None:
        super().__init__()
        self.res_blocks = nn.ModuleList(res_blocks)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, D, T', H', W')."""
        for block in self.res_blocks:
            x_BCTHW = block(x_BCTHW)
        return x_BCTHW


class Head(nn.Module):
    """Dropout and one linear map."""

    def __init__(self, num_features: int, num_classes: int, *, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.proj = nn.Linear(num_features, num_classes)

    def forward(self, f_BD: Tensor) -> Tensor:
        """Return logits (B, K)."""
        logits_BK: Tensor = self.proj(self.dropout(f_BD))
        return logits_BK


def make_stage(
    num_blocks: int, *, in_channels: int, width: int, time_kernels: tuple[int, ...], stride: int
) -> Stage:
    """Return bottleneck blocks; the first one strides and widens to ``4 width`` channels.

    The blocks take ``time_kernels`` in turn.
    """
    out_channels = width * EXPANSION
    blocks = []
    for number in range(num_blocks):
        step, channels = (stride, in_channels) if number == 0 else (1, out_channels)
        time_kernel = time_kernels[number % len(time_kernels)]
        branch2 = Bottleneck(channels, width, time_kernel=time_kernel, stride=step)
        if channels == out_channels and step == 1:
            blocks.append(ResBlock(branch2))
            continue
        strides = (1, step, step)
        blocks.append(
            ResBlock(
                branch2,
                branch1_conv=FlatConv(channels, out_channels, 1, stride=strides, bias=False),
                branch1_norm=nn.BatchNorm3d(out_channels),
            )
        )
    return Stage(blocks)


def initialise(network: nn.Module) -> None:
    """Draw the weights as PyTorchVideo does, from torch's global generator.

    Convolutions are normal with fan out (He et al. 2015), the linear map is normal with standard
    deviation 0.01, biases are zero. The last norm of a branch starts at zero (Goyal et al. 2017,
    arXiv:1706.02677, section 5.1), so that each block starts as its shortcut.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
        if isinstance(module, nn.Conv3d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    for name, module in network.named_modules():
        if name.endswith("branch2.norm_c") and isinstance(module, nn.BatchNorm3d):
            nn.init.zeros_(module.weight)


class C2D(nn.Module):
    """C2D: stem, four stages of bottlenecks, one pool in time or none, mean, linear head."""

    MAP_LAYERS: ClassVar[tuple[str, ...]] = (
        "blocks.0",
        "blocks.1",
        "blocks.3",
        "blocks.4",
        "blocks.5",
    )

    def __init__(
        self,
        num_blocks: tuple[int, ...],
        *,
        stem_width: int,
        num_classes: int,
        num_channels: int,
        dropout: float,
        time_kernels: TimeKernels,
    ) -> None:
        super().__init__()
        stem_kernel, stage_kernels = TIME_KERNELS[time_kernels]
        blocks: list[nn.Module] = [Stem(num_channels, stem_width, time_kernel=stem_kernel)]
        channels, width = stem_width, stem_width
        for depth, stride, kernels in zip(num_blocks, SPACE_STRIDES, stage_kernels, strict=True):
            blocks.append(
                make_stage(
                    depth, in_channels=channels, width=width, time_kernels=kernels, stride=stride
                )
            )
            channels, width = width * EXPANSION, width * 2
        self.pools_pairs = time_kernels != "slow"
        blocks.insert(2, nn.MaxPool3d((2, 1, 1)) if self.pools_pairs else nn.Identity())
        self.head_window: Window = (HEAD_FRAMES[time_kernels], HEAD_SIDE, HEAD_SIDE)
        self.num_channels = num_channels
        self.num_features = channels
        self.blocks = nn.ModuleList([*blocks, Head(channels, num_classes, dropout=dropout)])
        initialise(self)

    def features(self, x_BCTHW: Tensor) -> Tensor:
        """Return features (B, D) of normalised snippets (B, C, T, H, W), T at least 2 for pairs.

        Raises:
            ValueError: If the axes are not those of snippets, or pairs are pooled of one frame.
        """
        check_snippets(x_BCTHW, num_channels=self.num_channels)
        if self.pools_pairs and x_BCTHW.shape[2] < 2:
            raise ValueError(
                "snippets (B, C, T, H, W) need at least 2 frames, since pairs are pooled, got "
                f"{tuple(x_BCTHW.shape)}"
            )
        x_BCTHW = in_fast_order(x_BCTHW)
        for block in self.blocks[:-1]:
            x_BCTHW = block(x_BCTHW)
        return sliding_mean(x_BCTHW, self.head_window)

    def classify(self, f_BD: Tensor) -> Tensor:
        """Return logits (B, K) of features (B, D)."""
        logits_BK: Tensor = self.blocks[-1](f_BD)
        return logits_BK

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return logits (B, K) of normalised snippets; raises as :meth:`features`."""
        return self.classify(self.features(x_BCTHW))


def build_c2d(config: C2DConfig, num_classes: int, num_channels: int = 3) -> C2D:
    """Build the network; its weights are drawn from torch's global generator.

    Args:
        config: Settings for which :func:`c2d_faults` returns nothing.
        num_classes: Classes K, at least 2.
        num_channels: Of a snippet: 3 colours, or 2 components of flow.
    """
    return C2D(
        NUM_BLOCKS[config.depth],
        stem_width=int(STEM_WIDTH * config.width_factor),
        num_classes=num_classes,
        num_channels=num_channels,
        dropout=config.dropout,
        time_kernels=config.time_kernels,
    )
