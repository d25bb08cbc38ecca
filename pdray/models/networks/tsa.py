"""TSA: 3D residual network with temporal self-attention instead of convolutions in its last stages.

Source: section III-B of Yin et al., "Assessment of Parkinson's disease severity from videos using
deep architectures"; relative embeddings as in Bello et al. 2019 (arXiv:1904.09925). Choices where
the paper is silent: eight attention heads; key size C / heads; a stride is an average pooling
before the attention (kernel 3, as in Bello) in space and in time; one table of relative embeddings
per block, shared by its heads.
Letters: B batch, C channel in, D channel out, T time step, H height, W width, N place (B H W),
A head, S sequence of a snippet (H W A), E key feature of a head, V value feature of a head, F
feature of all heads, R relative offset (2 T - 1).
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdray.models.layers.residual import Mixer, conv3x3x3
from pdray.models.layers.settings import Stride
from pdray.models.layers.time_attention import (
    Maps,
    attend_over_time,
    order_of,
    read,
    time_weights,
)
from pdray.models.networks.resnet3d import ResNet3D
from pdray.models.networks.resnet3d_settings import (
    make_layout,
    time_steps,
)
from pdray.models.networks.tsa_settings import TsaConfig


def pool(x_BCTHW: Tensor, stride: Stride) -> Tensor:
    """Average pool with kernel 3 along each strided axis.

    Positions and sizes are those of a 3x3x3 convolution with padding 1.
    """
    if stride == (1, 1, 1):
        return x_BCTHW
    # torch refuses a kernel longer than the axis; the mean of one or two is then the whole axis.
    sizes = x_BCTHW.shape[2:]
    kernel = [min(3, size) if step > 1 else 1 for size, step in zip(sizes, stride, strict=True)]
    padding = [1 if length == 3 else 0 for length in kernel]
    return functional.avg_pool3d(x_BCTHW, kernel, stride, padding, count_include_pad=False)


class TemporalSelfAttention(nn.Module):
    """Multi-head attention over time at each place, in place of a 3x3x3 convolution.

    Eq. 6: ``softmax((Q K^T + S_rel) / sqrt(d_k)) V`` for each head, then ``W^O``. The relative
    logit ``S_rel[i, j]`` is ``q_i . r_{j-i}``; the embeddings r are learned, shared by the heads.
    No linear map has a bias. A snippet with fewer time steps than the table uses the inner offsets.
    For one with more, the table is interpolated linearly to its length.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: Stride,
        *,
        num_heads: int,
        key_dim: int | None,
        max_time_steps: int,
    ) -> None:
        super().__init__()
        if out_channels % num_heads or (key_dim is None and in_channels % num_heads):
            raise ValueError(
                f"num_heads {num_heads} must divide the channels: {in_channels} in, "
                f"{out_channels} out"
            )
        key_dim = in_channels // num_heads if key_dim is None else key_dim
        self.stride = stride
        self.num_heads = num_heads
        self.query = nn.Linear(in_channels, num_heads * key_dim, bias=False)
        self.key = nn.Linear(in_channels, num_heads * key_dim, bias=False)
        self.value = nn.Linear(in_channels, out_channels, bias=False)
        self.out = nn.Linear(out_channels, out_channels, bias=False)
        self.relative_RE = nn.Parameter(torch.empty(2 * max_time_steps - 1, key_dim))
        self.initialise()

    def initialise(self) -> None:
        """Draw the linear maps as Glorot and Bengio 2010, the table as the appendix of Bello."""
        for module in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(module.weight)
        nn.init.normal_(self.relative_RE, std=self.relative_RE.shape[1] ** -0.5)

    def offsets(self, num_steps: int) -> Tensor:
        """Return (T, T, E): the embedding of offset j - i at [i, j]."""
        table_RE: Tensor = self.relative_RE
        longest = table_RE.shape[0] // 2
        if num_steps - 1 > longest:
            stretched = functional.interpolate(
                table_RE.T[None], size=2 * num_steps - 1, mode="linear", align_corners=True
            )
            table_RE, longest = stretched[0].T, num_steps - 1
        step_T = torch.arange(num_steps, device=table_RE.device)
        return table_RE[step_T[None, :] - step_T[:, None] + longest]

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, D, T', H', W') of features (B, C, T, H, W)."""
        # Taken before the pooling, which may change it; mixed orders would need copies.
        order = order_of(x_BCTHW)
        x_BCTHW = pool(x_BCTHW, self.stride)
        maps = self.maps(x_BCTHW.shape[2])
        device = x_BCTHW.device.type
        if torch.is_autocast_enabled(device):
            lower = torch.get_autocast_dtype(device)
            x_BCTHW, maps = x_BCTHW.to(lower), Maps(*(part.to(lower) for part in maps))
        with torch.autocast(device, enabled=False):
            return attend_over_time(x_BCTHW, maps, num_heads=self.num_heads, order=order)

    def maps(self, num_steps: int) -> Maps:
        """Return the linear maps and the relative embeddings for a number of time steps."""
        return Maps(
            self.query.weight,
            self.key.weight,
            self.value.weight,
            self.out.weight,
            self.offsets(num_steps),
        )

    def attention_over_time(self, x_BCTHW: Tensor) -> Tensor:
        """Return the attention weights of :meth:`forward`, as :class:`AttendsOverTime` says."""
        x_BCTHW = pool(x_BCTHW, self.stride)
        batch, channels, steps, high, wide = x_BCTHW.shape
        maps = self.maps(steps)
        x_TMC = x_BCTHW.permute(2, 0, 3, 4, 1).reshape(steps, -1, channels).contiguous()
        query_TSE, key_TSE, _ = read(x_TMC, maps, self.num_heads)
        weights_STT = time_weights(query_TSE, key_TSE, maps.relative)
        shape = (batch, high, wide, self.num_heads, steps, steps)
        return weights_STT.reshape(shape).permute(0, 3, 4, 5, 1, 2)


def build_tsa(config: TsaConfig, num_classes: int, num_channels: int = 3) -> ResNet3D:
    """Build the network; its weights are drawn from torch's global generator.

    Args:
        config: Settings for which :func:`tsa_faults` returns nothing.
        num_classes: Classes K, at least 2.
        num_channels: Of a snippet: 3 colours, or 2 components of flow.
    """
    steps = time_steps(config.max_frames, config)
    mixers: list[Mixer] = [conv3x3x3] * 4
    for index in range(4 - config.attention_depth, 4):
        mixers[index] = partial(
            TemporalSelfAttention,
            num_heads=config.num_heads,
            key_dim=config.key_dim,
            max_time_steps=steps[index + 2],
        )
    return ResNet3D(
        make_layout(config, num_channels),
        num_classes=num_classes,
        shortcut=config.shortcut,
        norm=config.norm,
        dropout=config.dropout,
        mixers=mixers,
    )
