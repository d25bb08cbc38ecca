"""Settings, limits and registry entries of the networks of PyTorchVideo."""

from typing import Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings
from pdray.models.layers.limits import FIVE_HALVINGS, frame_faults, side_faults, width_faults

Depth = Literal[14, 26, 50]
TimeKernels = Literal["c2d", "slow", "i3d"]
STEM_WIDTH = 64


class C2DConfig(ModelSettings):
    """Shape of the network; the defaults are C2D R50, which has public Kinetics-400 weights."""

    name: Literal["c2d"] = Field("c2d", description="name of the model")
    time_kernels: TimeKernels = Field(
        "c2d",
        description="blocks that convolve over 3 frames: c2d: none; slow: those of the last two "
        "stages (Slow-R50); i3d: every block or every other, after a stem of 5 frames (I3D-R50)",
    )
    depth: Depth = Field(50, description="layers; 50 is published")
    width_factor: float = Field(
        1.0, gt=0, le=4, description="channels relative to the published 64, 128, 256, 512"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout probability before the head")


def c2d_faults(config: C2DConfig, *, num_frames: int, height: int, width: int) -> list[str]:
    """List values that the network cannot take (:mod:`pdray.models.layers.limits`)."""
    faults = width_faults(config.width_factor, narrowest=STEM_WIDTH)
    if config.time_kernels == "slow":
        faults += frame_faults(num_frames)
    elif num_frames < 2:
        faults.append(
            f"num_frames: {num_frames} is too few, since pairs of frames are pooled; use at least 2"
        )
    return faults + side_faults(height=height, width=width, least=FIVE_HALVINGS)


C2D = ModelEntry(
    settings=C2DConfig,
    description="C2D R50: 2D ResNet on frames, with one pooling over time; I3D-R50 and Slow-R50",
    builder="pdray.models.networks.c2d:build_c2d",
    faults=c2d_faults,
    small={"depth": 14, "width_factor": 0.25},
)


class SlowFastConfig(ModelSettings):
    """Shape of the network; the defaults are SlowFast 8x8 R50 (public Kinetics-400 weights)."""

    name: Literal["slowfast"] = Field("slowfast", description="name of the model")
    depth: Depth = Field(50, description="layers per path; 50 is published")
    alpha: int = Field(
        4, ge=1, description="frames of the fast path per frame of the slow path [frames]"
    )
    width_ratio: int = Field(
        8, ge=1, description="channels of the slow path per channel of the fast path (1 / beta)"
    )
    width_factor: float = Field(
        1.0, gt=0, le=4, description="channels relative to the published 64, 128, 256, 512"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout probability before the head")


def slowfast_faults(
    config: SlowFastConfig, *, num_frames: int, height: int, width: int
) -> list[str]:
    """List values that the network cannot take (:mod:`pdray.models.layers.limits`).

    The slow path has one frame per ``alpha`` frames of a snippet, rounded up as in the lateral
    convolutions, so any number of frames divides.
    """
    faults = []
    slow_width = int(STEM_WIDTH * config.width_factor)
    if slow_width < config.width_ratio:
        faults.append(
            f"model.width_factor: {config.width_factor} gives the slow path {slow_width} channels, "
            f"so model.width_ratio {config.width_ratio} leaves the fast path none; use a factor of "
            f"at least {config.width_ratio / STEM_WIDTH} or a ratio of at most "
            f"{max(slow_width, 1)}"
        )
    if num_frames < 1:
        faults.append(f"num_frames: {num_frames} is too few; use at least {config.alpha + 1}")
    elif num_frames <= config.alpha:
        smaller = " or a smaller model.alpha" if num_frames > 1 else ""
        faults.append(
            f"num_frames: {num_frames} is too few: at model.alpha {config.alpha} the slow path "
            "gets one frame and needs two for its convolutions over time; use at least "
            f"{config.alpha + 1}{smaller}"
        )
    return faults + side_faults(height=height, width=width, least=FIVE_HALVINGS)


SLOWFAST = ModelEntry(
    settings=SlowFastConfig,
    description="SlowFast 8x8 R50: slow path on few frames, thin fast path on all frames",
    builder="pdray.models.networks.slowfast:build_slowfast",
    faults=slowfast_faults,
    small={"depth": 14, "width_factor": 0.25},
)


class X3DConfig(ModelSettings):
    """Expansion factors; the defaults are X3D-XS, which has public Kinetics-400 weights."""

    name: Literal["x3d"] = Field("x3d", description="name of the model")
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
        4, ge=1, description="length of the head's sliding mean: XS 4, S 13, M 16 [frames]"
    )
    window_side: int = Field(
        5, ge=1, description="side of the head's sliding mean: 5 for 160 px, 7 for 224 px [32 px]"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout probability before the head")


def x3d_faults(config: X3DConfig, *, num_frames: int, height: int, width: int) -> list[str]:
    """List values that the network cannot take (:mod:`pdray.models.layers.limits`).

    Time is never strided, so one frame is enough. Every value within its own range is accepted.
    """
    del config
    return frame_faults(num_frames) + side_faults(height=height, width=width, least=FIVE_HALVINGS)


X3D = ModelEntry(
    settings=X3DConfig,
    description="X3D-XS: tiny 2D network, expanded axis by axis to video",
    builder="pdray.models.networks.x3d:build_x3d",
    faults=x3d_faults,
    small={"depth_factor": 0.5, "num_features": 64},
)
