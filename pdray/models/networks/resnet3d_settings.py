"""Settings, sizes, limits and registry entry of the 3D residual network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from pdray.models.entry import ModelEntry, ModelSettings
from pdray.models.layers.limits import FIVE_HALVINGS, frame_faults, side_faults, width_faults
from pdray.models.layers.settings import Norm, Shortcut, Stride

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
    """Refuse a value that is not a text of six digits; YAML reads 121222 as a number."""
    if not isinstance(value, str):
        message = "expected a text of six digits; put it in quotes, '121222'"
        raise PydanticCustomError("temporal_stride", message)
    if len(value) != len(PLACES) or set(value) - {"1", "2"}:
        message = "expected six digits, each 1 or 2: time stride of " + ", ".join(PLACES)
        raise PydanticCustomError("temporal_stride", message)
    return value


class ResNetShape(ModelSettings):
    """Shape of the network; the defaults are ResNet-34, which has public Kinetics-400 weights."""

    name: str = Field("resnet3d", description="name of the model")
    depth: Literal[10, 18, 34, 50, 101, 152] = Field(
        34, description="layers; from 50 on the blocks are bottlenecks"
    )
    width_factor: float = Field(
        1.0, gt=0, le=4, description="channels relative to the published 64, 128, 256, 512"
    )
    shortcut: Shortcut = Field(
        "A", description="shortcut if the shape changes: A subsampling and zeros, B convolution"
    )
    temporal_stride: Annotated[str, BeforeValidator(_six_digits)] = Field(
        "121222", description="six digits, 1 or 2: time strides of stem, pool, layer1..layer4"
    )
    stem_time_kernel: Literal[1, 3, 5, 7] = Field(
        7, description="length of the first convolution in time [frames]"
    )
    norm: Norm = Field(
        "batch", description="batch norm (published) or group norm (no statistics of the batch)"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout probability before the head")


class ResNet3DConfig(ResNetShape):
    """Settings of the plain residual network."""

    name: Literal["resnet3d"] = Field("resnet3d", description="name of the model")


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes of a network, computed from its settings.

    Attributes:
        is_bottleneck: Whether a block is 1x1x1, 3x3x3, 1x1x1 instead of 3x3x3 twice.
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
    """Compute the sizes of a network from its settings, without making a tensor."""
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
    """Compute the size along one axis after each of the six ``PLACES``.

    Args:
        size: Frames or pixels at the input, at least 1.
        strides: Stride of each place along this axis.
        stem_kernel: Odd kernel length of the stem; every other kernel is 3, or 1 at its centre.

    Returns:
        The size after each place.
    """
    sizes = []
    for kernel, stride in zip((stem_kernel, 3, 3, 3, 3, 3), strides, strict=True):
        size = (size + 2 * (kernel // 2) - kernel) // stride + 1
        sizes.append(size)
    return tuple(sizes)


def time_steps(num_frames: int, config: ResNetShape) -> tuple[int, ...]:
    """Return the time steps after the stem, the pool and layer1..layer4."""
    strides = [int(digit) for digit in config.temporal_stride]
    return sizes_after(num_frames, strides, stem_kernel=config.stem_time_kernel)


def resnet3d_faults(config: ResNetShape, *, num_frames: int, height: int, width: int) -> list[str]:
    """List values that the network cannot take (:mod:`pdray.models.layers.limits`)."""
    return [
        *width_faults(config.width_factor, narrowest=64),
        *frame_faults(num_frames),
        *side_faults(height=height, width=width, least=FIVE_HALVINGS),
    ]


SMALL: dict[str, Any] = {"depth": 10, "width_factor": 0.125, "temporal_stride": "221111"}
ENTRY = ModelEntry(
    settings=ResNet3DConfig,
    description="3D ResNet alone, shortcut A or B",
    builder="pdray.models.networks.resnet3d:build_resnet3d",
    faults=resnet3d_faults,
    small=SMALL,
)
