"""Generator and discriminator of translators of pictures: ResNet generator and PatchGAN.

Source: Zhu et al. 2017 (CycleGAN, arXiv:1703.10593), section 4 and appendix 7.2: generator
c7s1-64, d128, d256, nine R256, u128, u64, c7s1-3 with reflection padding, instance normalisation
and tanh, after Johnson et al. 2016 (arXiv:1603.08155); discriminator C64-C128-C256-C512 with
leaky ReLU 0.2 and one output per patch of 70x70 px, after Isola et al. 2017 (arXiv:1611.07004).
Park et al. 2020 (CUT, arXiv:2007.15651), appendix C.1: the features of PatchNCE are the colours,
the first and second halving convolution, and the first and fifth residual block, with receptive
fields of 1, 9, 15, 35 and 99 px. These fields follow from a blur of three taps behind the
convolution, which takes over its stride (Zhang 2019, arXiv:1904.11486); doubling is then bilinear,
before its convolution. So ``is_antialiased`` is true for CUT, and false for CycleGAN.
Differs: the width and the number of blocks are settings; the middle block stands for the fifth of
nine. ``is_residual`` adds the output to the source, with a last layer of zeros, so that training
starts at the source; it is not published. Weights are drawn from a normal distribution with SD 0.02
(CycleGAN, appendix 7.1) for both methods; biases are 0. Instance normalisation has no weights.
Letters: B batch, C channel, H height, W width, D feature.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdray.models.networks.translator_settings import MAX_WIDENING, WIDTH, TranslatorShape

INIT_SD = 0.02
SLOPE = 0.2  # of the leaky ReLU


def draw_weights(network: nn.Module) -> None:
    """Draw the weights of convolutions and linear layers: normal, SD 0.02; biases are 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, std=INIT_SD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def normalised(x_BDHW: Tensor) -> Tensor:
    """Return instance normalisation and ReLU of maps, (B, D, H, W) too."""
    return functional.relu(functional.instance_norm(x_BDHW))


def finish(y_BCHW: Tensor, source_BCHW: Tensor | None) -> Tensor:
    """Return pictures in -1..1 from the last layer's output, (B, 3, H, W) too.

    Args:
        y_BCHW: Output of the last layer.
        source_BCHW: Pictures to which the change is added; None: the output is the whole picture.
    """
    if source_BCHW is None:
        return torch.tanh(y_BCHW)
    return (source_BCHW + torch.tanh(y_BCHW)).clamp(-1, 1)


def reflect(x_BDHW: Tensor, border: int) -> Tensor:
    """Return maps with their border reflected, (B, D, H + 2 border, W + 2 border).

    Autocast would pad in float32, which costs two copies.
    """
    with torch.autocast(x_BDHW.device.type, enabled=False):
        return functional.pad(x_BDHW, (border,) * 4, mode="reflect")


class ReflectedConv(nn.Conv2d):
    """Convolution behind a reflected border, so that it keeps the size."""

    def __init__(self, channels: int, out_channels: int, kernel: int) -> None:
        super().__init__(channels, out_channels, kernel)

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """Return (B, out_channels, H, W)."""
        return super().forward(reflect(x_BDHW, self.kernel_size[0] // 2))


class Blur(nn.Module):
    """Binomial blur of three taps, then every second pixel; the border is reflected.

    Sums of strided views are faster on a CPU than a convolution of each channel by itself.
    """

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """Return (B, D, ceil(H / 2), ceil(W / 2))."""
        x_BDHW = reflect(x_BDHW, 1)
        x_BDHW = x_BDHW[..., :-2:2] + x_BDHW[..., 2::2] + 2 * x_BDHW[..., 1:-1:2]
        x_BDHW = x_BDHW[:, :, :-2:2] + x_BDHW[:, :, 2::2] + 2 * x_BDHW[:, :, 1:-1:2]
        return x_BDHW / 16


class Block(nn.Module):
    """Two 3x3 convolutions with reflection padding, plus the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = ReflectedConv(width, width, 3)
        self.conv2 = ReflectedConv(width, width, 3)

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """Return the same shape."""
        y_BDHW = normalised(self.conv1(x_BDHW))
        return x_BDHW + functional.instance_norm(self.conv2(y_BDHW))


def make_upsampling(width: int, out_width: int, *, is_antialiased: bool) -> nn.Module:
    """Return a convolution to ``out_width`` channels that doubles height and width."""
    if is_antialiased:
        return nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.Conv2d(width, out_width, 3, padding=1),
        )
    return nn.ConvTranspose2d(width, out_width, 3, stride=2, padding=1, output_padding=1)


class ResnetGenerator(nn.Module):
    """Translates a picture: two halvings, residual blocks, two doublings.

    Attributes:
        map_widths: Channels of the maps of :meth:`maps`.
    """

    def __init__(
        self, *, width: int, num_blocks: int, is_antialiased: bool, is_residual: bool = False
    ) -> None:
        """Build the layers.

        Args:
            width: Channels of the first layer; published: 64.
            num_blocks: Residual blocks; published: 9.
            is_antialiased: Whether pictures are halved and doubled without aliasing, as in CUT.
            is_residual: Whether the output is added to the picture; published: not.
        """
        super().__init__()
        stride = 1 if is_antialiased else 2
        self.stem = ReflectedConv(3, width, 7)
        self.down1 = nn.Conv2d(width, 2 * width, 3, stride=stride, padding=1)
        self.down2 = nn.Conv2d(2 * width, 4 * width, 3, stride=stride, padding=1)
        self.shrink = Blur() if is_antialiased else nn.Identity()
        self.blocks = nn.ModuleList(Block(4 * width) for _ in range(num_blocks))
        self.up1 = make_upsampling(4 * width, 2 * width, is_antialiased=is_antialiased)
        self.up2 = make_upsampling(2 * width, width, is_antialiased=is_antialiased)
        self.head = ReflectedConv(width, 3, 7)
        self.middle = num_blocks // 2  # the fifth of nine
        num_maps = 5 if self.middle else 4
        self.map_widths = (3, 2 * width, 4 * width, 4 * width, 4 * width)[:num_maps]
        draw_weights(self)
        self.is_residual = is_residual
        if is_residual:
            nn.init.zeros_(self.head.weight)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (B, 3, H, W) pictures in -1..1.

        Args:
            x_BCHW: Pictures in -1..1; H and W are multiples of 4, at least 8.
        """
        return self.with_maps(x_BCHW)[0]

    def with_maps(self, x_BCHW: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return what ``forward`` and :meth:`maps` return, of one pass."""
        maps = self.maps(x_BCHW)
        y_BDHW = maps[-1]
        for block in self.blocks[self.middle + 1 :]:
            y_BDHW = block(y_BDHW)
        for up in (self.up1, self.up2):
            y_BDHW = normalised(up(y_BDHW))
        return finish(self.head(y_BDHW), x_BCHW if self.is_residual else None), maps

    def maps(self, x_BCHW: Tensor) -> list[Tensor]:
        """Return the maps that PatchNCE compares; layers behind them are not computed.

        They are the picture, the outputs of both halving convolutions, and those of the first and
        the middle residual block (of a single block, once).
        """
        y_BDHW = normalised(self.stem(x_BCHW))
        maps = [x_BCHW]
        for down in (self.down1, self.down2):
            maps.append(down(y_BDHW))
            y_BDHW = self.shrink(normalised(maps[-1]))
        for number, block in enumerate(self.blocks[: self.middle + 1]):
            y_BDHW = block(y_BDHW)
            if number in (0, self.middle):
                maps.append(y_BDHW)
        return maps


class PatchDiscriminator(nn.Module):
    """Tells translated from real pictures, patch by patch (PatchGAN)."""

    def __init__(self, *, width: int, num_layers: int, num_scores: int = 1) -> None:
        """Build the layers.

        Args:
            width: Channels of the first layer; published: 64.
            num_layers: Layers that halve the picture; published: 3, patches of 70 px.
            num_scores: Scores S of each patch; published: 1.
        """
        super().__init__()
        widths = [width * min(2**number, MAX_WIDENING) for number in range(num_layers + 1)]
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2 if number < num_layers else 1, padding=1)
            for number, (before, after) in enumerate(zip([3, *widths], widths, strict=False))
        )
        self.head = nn.Conv2d(widths[-1], num_scores, 4, padding=1)
        draw_weights(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (B, S, H', W'), high for real patches; of L halvings, H' = H / 2^L - 2.

        Args:
            x_BCHW: Pictures in -1..1.
        """
        y_BDHW = x_BCHW
        for number, conv in enumerate(self.convs):
            y_BDHW = conv(y_BDHW)
            if number > 0:
                y_BDHW = functional.instance_norm(y_BDHW)
            y_BDHW = functional.leaky_relu(y_BDHW, SLOPE)
        out_BCHW: Tensor = self.head(y_BDHW)
        return out_BCHW


def build_generator(config: TranslatorShape, *, is_antialiased: bool) -> ResnetGenerator:
    """Build the generator of a method; its weights are drawn from torch's global generator."""
    return ResnetGenerator(
        width=int(WIDTH * config.width_factor),
        num_blocks=config.num_blocks,
        is_antialiased=is_antialiased,
        is_residual=config.residual,
    )


def build_discriminator(
    width_factor: float, num_layers: int, num_scores: int = 1
) -> PatchDiscriminator:
    """Build a discriminator; its weights are drawn from torch's global generator.

    Args:
        width_factor: Channels relative to the published ones.
        num_layers: Layers that halve the picture.
        num_scores: Scores of each patch.
    """
    width = int(WIDTH * width_factor)
    return PatchDiscriminator(width=width, num_layers=num_layers, num_scores=num_scores)
