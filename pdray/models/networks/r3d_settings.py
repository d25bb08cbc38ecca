"""Settings, limits and registry entry of R3D-18."""

from typing import Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings
from pdray.models.layers.limits import frame_faults, side_faults

LEAST_PIXELS = 9  # ceil(9 / 2^3) = 2: the last of four halvings has two to choose from


class R3DConfig(ModelSettings):
    """The depth and the width are torchvision's; ``resnet3d`` has others."""

    name: Literal["r3d"] = Field("r3d", description="architecture")
    dropout: float = Field(0.0, ge=0, lt=1, description="probability before the head")


def r3d_faults(config: R3DConfig, *, num_frames: int, height: int, width: int) -> list[str]:
    """List what the network cannot take, as :mod:`pdray.models.layers.limits` says."""
    del config  # none of the settings can be at fault
    return frame_faults(num_frames) + side_faults(height=height, width=width, least=LEAST_PIXELS)


ENTRY = ModelEntry(
    settings=R3DConfig,
    description="R3D-18 of torchvision",
    builder="pdray.models.networks.r3d:build_r3d",
    faults=r3d_faults,
)
