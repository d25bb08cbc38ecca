"""Settings, limits and registry entry of X3D."""

from typing import Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings
from pdray.models.layers.limits import FIVE_HALVINGS, frame_faults, side_faults


class X3DConfig(ModelSettings):
    """Expansion factors; the defaults are the X3D-XS with public Kinetics-400 weights."""

    name: Literal["x3d"] = Field("x3d", description="architecture")
    width_factor: float = Field(
        2.0, gt=0, le=8, description="channels relative to 12, 24, 48, 96, in steps of 8"
    )
    depth_factor: float = Field(
        2.2, gt=0, le=10, description="blocks relative to 1, 2, 5, 3, rounded up"
    )
    bottleneck_factor: float = Field(
        2.25, ge=1, le=8, description="channels inside a block relative to those around it"
    )
    num_features: int = Field(2048, ge=1, description="features before the head")
    window_frames: int = Field(
        4, ge=1, description="length of the head's sliding mean; 4, XS's, 13, S's, 16, M's [frames]"
    )
    window_side: int = Field(
        5, ge=1, description="side of the head's sliding mean, 5 at 160 px, 7 at 224 px [1/32 px]"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="probability before the head")


def x3d_faults(config: X3DConfig, *, num_frames: int, height: int, width: int) -> list[str]:
    """List what the network cannot take, as :mod:`pdray.models.layers.limits` says.

    Time is never strided, so that one frame is enough; no setting that passed its own range is
    refused.
    """
    del config
    return frame_faults(num_frames) + side_faults(height=height, width=width, least=FIVE_HALVINGS)


ENTRY = ModelEntry(
    settings=X3DConfig,
    description="tiny 2D network expanded along one axis at a time",
    builder="pdray.models.networks.x3d:build_x3d",
    faults=x3d_faults,
    small={"depth_factor": 0.5, "num_features": 64},
)
