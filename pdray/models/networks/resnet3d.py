"""3D residual network with a severity head.

Source: Hara et al. 2018 (arXiv:1711.09577), table 1, and their public code, whose parameter names
(conv1, bn1, layer1.0.conv1, ..., fc) are kept so that the published checkpoints map onto it.
Differs: the shortcut of type A passes its gradient on (the public code detaches it); the time
stride of every stage is a setting; group norm as an alternative to batch norm; dropout before the
head; the mean over whatever space and time are left, so that any snippet size is accepted.
Letters: B batch, C channel, T time step, H height, W width, D feature, K class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from pdray.config import Settings
from pdray.models.layers.limits import (
    FIVE_HALVINGS,
    check_snippets,
    frame_faults,
    side_faults,
    width_faults,
)
from pdray.models.layers.residual import (
    BasicBlock,
    Bottleneck,
    Mixer,
    Norm,
    Shortcut,
    Stride,
    conv3x3x3,
    make_norm,
)

NUM_BLOCKS = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
PLACES = ("stem", "pool", "layer1", "layer2", "layer3", "layer4")
SPACE_STRIDES = (2, 2, 1, 2, 2, 2)


def _six_digits(value: object) -> object:
    """Refuse what is not a text of six digits; YAML reads an unquoted 121222 as a number."""
    if not isinstance(value, str):
        message = "expected a text of six digits: put it in quotes, '121222'"
        raise PydanticCustomError("temporal_stride", message)
    if len(value) != len(PLACES) or set(value) - {"1", "2"}:
        message = "expected six digits, each 1 or 2: time stride of " + ", ".join(PLACES)
        raise PydanticCustomError("temporal_stride", message)
    return value


class ResNetShape(Settings):
    """Shape of the network; defaults are the ResNet-34 with public Kinetics-400 weights."""

    name: str = Field("resnet3d", description="architecture")
    depth: Literal[10, 18, 34, 50, 101, 152] = Field(
        34, description="layers; from 50 on the blocks are bottlenecks"
    )
    width_factor: float = Field(
        1.0, gt=0, le=4, description="channels relative to the published 64, 128, 256, 512"
    )
    shortcut: Shortcut = Field(
        "A", description="where shapes change: A subsampling and zero channels, B convolution"
    )
    temporal_stride: Annotated[str, BeforeValidator(_six_digits)] = Field(
        "121222", description="six digits, 1 or 2: time stride of stem, pool, layer1..layer4"
    )
    stem_time_kernel: Literal[1, 3, 5, 7] = Field(
        7, description="length of the first convolution in time [frames]"
    )
    norm: Norm = Field(
        "batch", description="batch (published) or group: no statistics across the batch"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="probability before the head")


class ResNet3DConfig(ResNetShape):
    """Settings of the plain residual network."""

    name: Literal["resnet3d"] = Field("resnet3d", description="architecture")


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes of a network, resolved from its settings.

    Attributes:
        is_bottleneck: Whether a block is 1x1x1, 3x3x3, 1x1x1 instead of two 3x3x3.
        num_blocks: Blocks of layer1..layer4.
        widths: Channels of the 3x3x3 convolutions of layer1..layer4; the stem has ``widths[0]``.
        strides: (time, height, width) strides of the six ``PLACES``.
        stem_time_kernel: Odd length of the stem's kernel in time [frames].
        num_channels: Of a snippet: 3 colours, or 2 components of flow.
    """

    is_bottleneck: bool
    num_blocks: tuple[int, ...]
    widths: tuple[int, ...]
    strides: tuple[Stride, ...]
    stem_time_kernel: int
    num_channels: int


def make_layout(config: ResNetShape, num_channels: int = 3) -> Layout:
    """Resolve the sizes that a configuration asks for; cheap arithmetic, no tensor is made."""
    digits = (int(digit) for digit in config.temporal_stride)
    return Layout(
        is_bottleneck=config.depth >= 50,
        num_blocks=NUM_BLOCKS[config.depth],
        widths=tuple(int(width * config.width_factor) for width in (64, 128, 256, 512)),
        strides=tuple((time, s, s) for time, s in zip(digits, SPACE_STRIDES, strict=True)),
        stem_time_kernel=config.stem_time_kernel,
        num_channels=num_channels,
    )


def sizes_after(size: int, strides: Sequence[int], *, stem_kernel: int) -> tuple[int, ...]:
    """Follow one axis through the six ``PLACES``.

    Args:
        size: Frames or pixels that enter, at least 1.
        strides: Stride of each place along this axis.
        stem_kernel: Odd kernel length of the stem; every other kernel is 3, or 1 at its centre.

    Returns:
        The size that leaves each place.
    """
    sizes = []
    for kernel, stride in zip((stem_kernel, 3, 3, 3, 3, 3), strides, strict=True):
        size = (size + 2 * (kernel // 2) - kernel) // stride + 1
        sizes.append(size)
    return tuple(sizes)


def time_steps(num_frames: int, config: ResNetShape) -> tuple[int, ...]:
    """Return the time steps that leave the stem, the pool and layer1..layer4."""
    strides = [int(digit) for digit in config.temporal_stride]
    return sizes_after(num_frames, strides, stem_kernel=config.stem_time_kernel)


def resnet3d_faults(config: ResNetShape, *, num_frames: int, height: int, width: int) -> list[str]:
    """List what the network cannot take, as :mod:`pdray.models.layers.limits` says."""
    return [
        *width_faults(config.width_factor, narrowest=64),
        *frame_faults(num_frames),
        *side_faults(height=height, width=width, least=FIVE_HALVINGS),
    ]


class ResNet3D(nn.Module):
    """Stem, four stages of residual blocks, mean over space and time, linear head."""

    MAP_LAYERS: ClassVar[tuple[str, ...]] = ("layer1", "layer2", "layer3", "layer4")

    def __init__(
        self,
        layout: Layout,
        *,
        num_classes: int,
        shortcut: Shortcut,
        norm: Norm,
        dropout: float,
        mixers: Sequence[Mixer] = (conv3x3x3,) * 4,
    ) -> None:
        super().__init__()
        kernel = (layout.stem_time_kernel, 7, 7)
        padding = (layout.stem_time_kernel // 2, 3, 3)
        self.num_channels = layout.num_channels
        self.conv1 = nn.Conv3d(
            layout.num_channels,
            layout.widths[0],
            kernel,
            stride=layout.strides[0],
            padding=padding,
            bias=False,
        )
        self.bn1 = make_norm(norm, layout.widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(3, stride=layout.strides[1], padding=1)
        block = Bottleneck if layout.is_bottleneck else BasicBlock
        channels = layout.widths[0]
        stages = []
        for index, width in enumerate(layout.widths):
            blocks = []
            for number in range(layout.num_blocks[index]):
                stride = layout.strides[index + 2] if number == 0 else (1, 1, 1)
                blocks.append(
                    block(
                        channels,
                        width,
                        stride=stride,
                        mixer=mixers[index],
                        norm=norm,
                        shortcut=shortcut,
                    )
                )
                channels = width * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.dropout = nn.Dropout(dropout)
        self.num_features = channels
        self.fc = nn.Linear(channels, num_classes)
        self.initialise()

    def initialise(self) -> None:
        """Draw the convolutions as Hara's code does: normal, He et al. 2015, fan out.

        Norms start as the identity and the head at torch's default, as there. The numbers come
        from the ambient torch generator.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, D) the mean over space and time of the last stage of normalised snippets."""
        check_snippets(x_BCTHW, num_channels=self.num_channels)
        x_BDTHW = self.maxpool(self.relu(self.bn1(self.conv1(x_BCTHW))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x_BDTHW = stage(x_BDTHW)
        f_BD: Tensor = x_BDTHW.mean(dim=(2, 3, 4))
        return f_BD

    def classify(self, f_BD: Tensor) -> Tensor:
        """Return logits (B, K) of features (B, D)."""
        logits_BK: Tensor = self.fc(self.dropout(f_BD))
        return logits_BK

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return logits (B, K) of normalised floating point snippets (B, C, T, H, W)."""
        return self.classify(self.features(x_BCTHW))


def build_resnet3d(config: ResNet3DConfig, num_classes: int, num_channels: int = 3) -> ResNet3D:
    """Build the network; its weights come from the ambient torch generator.

    Args:
        config: Settings without a fault in :func:`resnet3d_faults`.
        num_classes: Classes K, at least 2.
        num_channels: Of a snippet: 3 colours, or 2 components of flow.
    """
    return ResNet3D(
        make_layout(config, num_channels),
        num_classes=num_classes,
        shortcut=config.shortcut,
        norm=config.norm,
        dropout=config.dropout,
    )
