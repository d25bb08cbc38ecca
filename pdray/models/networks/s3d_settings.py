"""Settings, limits and registry entry of S3D."""

from typing import Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings

# The last pool is not padded: two steps must reach it, after two halvings of time and four of
# space, each rounded up.
LEAST_FRAMES = 5
LEAST_PIXELS = 17


class S3DConfig(ModelSettings):
    """The width is torchvision's."""

    name: Literal["s3d"] = Field("s3d", description="architecture")
    dropout: float = Field(0.2, ge=0, lt=1, description="probability before the head")


def s3d_faults(config: S3DConfig, *, num_frames: int, height: int, width: int) -> list[str]:
    """List what the network cannot take, as :mod:`pdray.models.layers.limits` says."""
    del config  # none of the settings can be at fault
    limits = (
        ("num_frames", num_frames, LEAST_FRAMES, ""),
        ("height", height, LEAST_PIXELS, " px"),
        ("width", width, LEAST_PIXELS, " px"),
    )
    return [
        f"{name}: {size}{unit} are too few for the last pool, which takes two steps at once; "
        f"use at least {least}{unit}"
        for name, size, least, unit in limits
        if size < least
    ]


ENTRY = ModelEntry(
    settings=S3DConfig,
    description="separable 3D Inception of torchvision",
    builder="pdray.models.networks.s3d:build_s3d",
    faults=s3d_faults,
)
