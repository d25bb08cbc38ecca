"""Settings, limits and registry entry of I3D."""

from typing import Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings
from pdray.models.layers.limits import FIVE_HALVINGS, side_faults, width_faults

LEAST_WIDTH = 16


class I3DConfig(ModelSettings):
    """Shape of the network; the defaults fit the public Kinetics-400 weights."""

    name: Literal["i3d"] = Field("i3d", description="name of the model")
    width_factor: float = Field(1.0, gt=0, le=4, description="channels relative to the published")
    temporal_stride: Literal["111", "112", "121", "122", "211", "212", "221", "222"] = Field(
        "222", description="time stride of Conv3d_1a_7x7, MaxPool3d_4a_3x3 and MaxPool3d_5a_2x2"
    )
    norm_momentum: float = Field(
        0.01,
        gt=0,
        le=1,
        description="share of a batch in the norms' running statistics; set 0.1 for a short "
        "training (some hundred steps) from random weights",
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout probability before the head")


def i3d_faults(config: I3DConfig, *, num_frames: int, height: int, width: int) -> list[str]:
    """List values that the network cannot take (:mod:`pdray.models.layers.limits`)."""
    faults = width_faults(config.width_factor, narrowest=LEAST_WIDTH, place="a branch")
    # ceil(num_frames / 2^(n-1)) steps reach the last of n halvings, which needs two or more.
    num_halvings = config.temporal_stride.count("2")
    least = 1 if num_halvings == 0 else 2 ** (num_halvings - 1) + 1
    if num_frames < least:
        faults.append(
            f"num_frames: {num_frames} is too few, since one frame or none would be left for the "
            f"last time stride of model.temporal_stride '{config.temporal_stride}'; use at least "
            f"{least} frames, or fewer digits 2"
        )
    return faults + side_faults(height=height, width=width, least=FIVE_HALVINGS, place="pool")


ENTRY = ModelEntry(
    settings=I3DConfig,
    description="Inception-v1 I3D, for colours, flow and motion boundaries",
    builder="pdray.models.networks.i3d:build_i3d",
    faults=i3d_faults,
    small={"width_factor": 0.25},
)
