"""Settings, limits and registry entry of SlowFast."""

from typing import Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings
from pdray.models.layers.limits import FIVE_HALVINGS, side_faults
from pdray.models.networks.c2d_settings import STEM_WIDTH, Depth


class SlowFastConfig(ModelSettings):
    """Shape of the network; defaults are the SlowFast 8x8 R50 with public Kinetics-400 weights."""

    name: Literal["slowfast"] = Field("slowfast", description="architecture")
    depth: Depth = Field(50, description="layers of a path; 50 is published")
    alpha: int = Field(4, ge=1, description="frames of the fast path for one of the slow [frames]")
    width_ratio: int = Field(
        8, ge=1, description="channels of the slow path for one of the fast (1 / beta)"
    )
    width_factor: float = Field(
        1.0, gt=0, le=4, description="channels relative to the published 64, 128, 256, 512"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="probability before the head")


def slowfast_faults(
    config: SlowFastConfig, *, num_frames: int, height: int, width: int
) -> list[str]:
    """List what the network cannot take, as :mod:`pdray.models.layers.limits` says.

    The slow path has one frame for every ``alpha`` of a snippet, rounded up as the lateral
    convolutions round, so that no length is refused for a remainder.
    """
    faults = []
    slow_width = int(STEM_WIDTH * config.width_factor)
    if slow_width < config.width_ratio:
        faults.append(
            f"model.width_factor: {config.width_factor} gives the slow path {slow_width} channels, "
            f"which leaves the fast path none at model.width_ratio {config.width_ratio}; use at "
            f"least {config.width_ratio / STEM_WIDTH} or a ratio of at most {max(slow_width, 1)}"
        )
    if num_frames < 1:
        faults.append(f"num_frames: {num_frames} is no snippet; use at least {config.alpha + 1}")
    elif num_frames <= config.alpha:
        smaller = " or a smaller model.alpha" if num_frames > 1 else ""
        faults.append(
            f"num_frames: {num_frames} leave the slow path one frame at model.alpha "
            f"{config.alpha}, where time is convolved; use at least {config.alpha + 1}{smaller}"
        )
    return faults + side_faults(height=height, width=width, least=FIVE_HALVINGS)


ENTRY = ModelEntry(
    settings=SlowFastConfig,
    description="slow path of few frames beside a thin fast path of all",
    builder="pdray.models.networks.slowfast:build_slowfast",
    faults=slowfast_faults,
    small={"depth": 14, "width_factor": 0.25},
)
