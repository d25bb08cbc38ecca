"""Settings, limits and registry entry of one stream of the two-stream networks."""

from typing import Literal

from pydantic import Field

from pdray.models.entry import ModelEntry
from pdray.models.layers.limits import frame_faults
from pdray.models.networks.frame_resnet_settings import FrameResNetShape, shape_faults


class TwoStreamConfig(FrameResNetShape):
    """Settings of one stream; the defaults are the temporal one of 2014 on a ResNet-50."""

    name: Literal["two_stream"] = Field("two_stream", description="architecture")
    dropout: float = Field(0.7, ge=0, lt=1, description="probability before the head")
    stacked_frames: int = Field(
        10, ge=1, description="frames of a snippet, all of them seen by the first layer [frames]"
    )


def two_stream_faults(
    config: TwoStreamConfig, *, num_frames: int, height: int, width: int
) -> list[str]:
    """List what the network cannot take, as :mod:`pdray.models.layers.limits` says."""
    faults = shape_faults(config, layout="torchvision", height=height, width=width)
    faults += frame_faults(num_frames)
    if num_frames >= 1 and num_frames != config.stacked_frames:
        faults.append(
            f"model.stacked_frames: {config.stacked_frames} is not the {num_frames} frames of a "
            f"snippet, which the first layer sees at once; use {num_frames}"
        )
    return faults


ENTRY = ModelEntry(
    settings=TwoStreamConfig,
    description="2D residual network on frames stacked along the channels",
    builder="pdray.models.networks.two_stream:build_two_stream",
    faults=two_stream_faults,
    small={"depth": 18, "width_factor": 0.25, "stacked_frames": 16},
)
