"""Settings, limits and registry entries of the 3D networks of torchvision."""

from typing import Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings
from pdray.models.layers.limits import frame_faults, side_faults

R3D_LEAST_PIXELS = 9  # ceil(9 / 2^3) = 2 pixels reach the last of four halvings


class R3DConfig(ModelSettings):
    """Settings of R3D-18; for another depth or width use ``resnet3d``."""

    name: Literal["r3d"] = Field("r3d", description="name of the model")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout probability before the head")


def r3d_faults(config: R3DConfig, *, num_frames: int, height: int, width: int) -> list[str]:
    """List values that the network cannot take (:mod:`pdray.models.layers.limits`)."""
    del config  # none of the settings can be at fault
    return frame_faults(num_frames) + side_faults(
        height=height, width=width, least=R3D_LEAST_PIXELS
    )


R3D = ModelEntry(
    settings=R3DConfig,
    description="R3D-18 of torchvision",
    builder="pdray.models.networks.r3d:build_r3d",
    faults=r3d_faults,
)


# The last pool is not padded, so two steps must reach it: after two halvings of time and four of
# space, each rounded up.
LEAST_FRAMES = 5
LEAST_PIXELS = 17


class S3DConfig(ModelSettings):
    """Settings of S3D; depth and width are torchvision's."""

    name: Literal["s3d"] = Field("s3d", description="name of the model")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout probability before the head")


def s3d_faults(config: S3DConfig, *, num_frames: int, height: int, width: int) -> list[str]:
    """List values that the network cannot take (:mod:`pdray.models.layers.limits`)."""
    del config  # none of the settings can be at fault
    limits = (
        ("num_frames", num_frames, LEAST_FRAMES, ""),
        ("height", height, LEAST_PIXELS, " px"),
        ("width", width, LEAST_PIXELS, " px"),
    )
    return [
        f"{name}: {size}{unit} is too few for the last pool of the network; use at least "
        f"{least}{unit}"
        for name, size, least, unit in limits
        if size < least
    ]


S3D = ModelEntry(
    settings=S3DConfig,
    description="S3D of torchvision, a separable 3D Inception",
    builder="pdray.models.networks.s3d:build_s3d",
    faults=s3d_faults,
)
