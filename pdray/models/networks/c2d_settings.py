"""Settings, limits and registry entry of C2D."""

from typing import Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings
from pdray.models.layers.limits import FIVE_HALVINGS, side_faults, width_faults

Depth = Literal[14, 26, 50]
STEM_WIDTH = 64


class C2DConfig(ModelSettings):
    """Shape of the network; the defaults are the C2D R50 with public Kinetics-400 weights."""

    name: Literal["c2d"] = Field("c2d", description="architecture")
    depth: Depth = Field(50, description="layers; 50 is published")
    width_factor: float = Field(
        1.0, gt=0, le=4, description="channels relative to the published 64, 128, 256, 512"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="probability before the head")


def c2d_faults(config: C2DConfig, *, num_frames: int, height: int, width: int) -> list[str]:
    """List what the network cannot take, as :mod:`pdray.models.layers.limits` says."""
    faults = width_faults(config.width_factor, narrowest=STEM_WIDTH)
    if num_frames < 2:
        faults.append(
            f"num_frames: {num_frames} leaves nothing where pairs of frames are pooled; "
            "use at least 2"
        )
    return faults + side_faults(height=height, width=width, least=FIVE_HALVINGS)


ENTRY = ModelEntry(
    settings=C2DConfig,
    description="2D residual network over frames whose time is pooled once",
    builder="pdray.models.networks.c2d:build_c2d",
    faults=c2d_faults,
    small={"depth": 14, "width_factor": 0.25},
)
