"""Settings, limits and registry entries of the 2D residual networks."""

from typing import Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings
from pdray.models.layers.limits import frame_faults, side_faults, width_faults

Layout = Literal["torchvision", "vggface2"]
WIDTHS = (64, 128, 256, 512)
LEAST_BOTTLENECK = 50


class FrameResNetShape(ModelSettings):
    """Shape of a 2D network; the defaults are ResNet-50."""

    name: str = Field("frame_resnet", description="name of the model")
    depth: Literal[18, 34, 50, 101] = Field(
        50, description="layers; from 50 on the blocks are bottlenecks"
    )
    width_factor: float = Field(
        1.0, gt=0, le=4, description="channels relative to the published 64, 128, 256, 512"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout probability before the head")


class FrameResNetConfig(FrameResNetShape):
    """Settings of the network on single frames."""

    name: Literal["frame_resnet"] = Field("frame_resnet", description="name of the model")
    layout: Layout = Field(
        "torchvision",
        description="position of the strides: as in torchvision or as in vggface2 (depth 50, 101)",
    )


def sizes_before_last(size: int, layout: Layout) -> int:
    """Return the size at the input of layer4, along one axis, of a picture of ``size`` pixels."""
    size = (size - 1) // 2 + 1
    size = (size - 1) // 2 + 1 if layout == "torchvision" else -(-(size - 3) // 2) + 1
    for _ in ("layer2", "layer3"):
        size = (size - 1) // 2 + 1
    return size


def shape_faults(config: FrameResNetShape, *, layout: Layout, height: int, width: int) -> list[str]:
    """List faults in the width of a 2D network and in the size of its frames.

    Args:
        config: Settings, the section ``model``.
        layout: Position of the strides.
        height: Rows of a frame [px].
        width: Columns of a frame [px].
    """
    least = next(size for size in range(1, 64) if sizes_before_last(size, layout) > 1)
    return [
        *width_faults(config.width_factor, narrowest=WIDTHS[0]),
        *side_faults(height=height, width=width, least=least),
    ]


def frame_resnet_faults(
    config: FrameResNetConfig, *, num_frames: int, height: int, width: int
) -> list[str]:
    """List values that the network cannot take (:mod:`pdray.models.layers.limits`)."""
    faults = shape_faults(config, layout=config.layout, height=height, width=width)
    if config.layout == "vggface2" and config.depth < LEAST_BOTTLENECK:
        faults.append(
            "model.layout: vggface2 moves a stride within bottlenecks, which model.depth "
            f"{config.depth} does not have; set model.depth to 50 or 101, or "
            "model.layout=torchvision"
        )
    return faults + frame_faults(num_frames)


ENTRY = ModelEntry(
    settings=FrameResNetConfig,
    description="2D ResNet 18 to 101, averaged over frames: it cannot use movement",
    builder="pdray.models.networks.frame_resnet:build_frame_resnet",
    faults=frame_resnet_faults,
    small={"depth": 18, "width_factor": 0.25},
)


class TwoStreamConfig(FrameResNetShape):
    """Settings of one stream; the defaults are the temporal stream of 2014 on a ResNet-50."""

    name: Literal["two_stream"] = Field("two_stream", description="name of the model")
    dropout: float = Field(0.7, ge=0, lt=1, description="dropout probability before the head")
    stacked_frames: int = Field(
        10, ge=1, description="frames per snippet; the first layer takes all of them [frames]"
    )


def two_stream_faults(
    config: TwoStreamConfig, *, num_frames: int, height: int, width: int
) -> list[str]:
    """List values that the network cannot take (:mod:`pdray.models.layers.limits`)."""
    faults = shape_faults(config, layout="torchvision", height=height, width=width)
    faults += frame_faults(num_frames)
    if num_frames >= 1 and num_frames != config.stacked_frames:
        faults.append(
            f"model.stacked_frames: {config.stacked_frames} is wrong, since the first layer takes "
            f"all {num_frames} frames of a snippet; set model.stacked_frames={num_frames}"
        )
    return faults


TWO_STREAM = ModelEntry(
    settings=TwoStreamConfig,
    description="2D ResNet over stacked frames: Two-Stream; TSN under segments.consensus=mean",
    builder="pdray.models.networks.frame_resnet:build_two_stream",
    faults=two_stream_faults,
    small={"depth": 18, "width_factor": 0.25, "stacked_frames": 16},
)
