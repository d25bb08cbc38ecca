"""Settings, limits and registry entry of the network with temporal self-attention."""

from typing import Literal

from pydantic import Field

from pdray.models.entry import ModelEntry
from pdray.models.networks.resnet3d_settings import (
    SMALL,
    ResNetShape,
    make_layout,
    resnet3d_faults,
    time_steps,
)


class TsaConfig(ResNetShape):
    """Settings of the residual network and of the attention in its last stages."""

    name: Literal["tsa"] = Field("tsa", description="name of the model")
    attention_depth: int = Field(
        2, ge=0, le=4, description="number of last stages with attention over time [stages]"
    )
    num_heads: int = Field(
        8, ge=1, description="attention heads per block; must divide its channels"
    )
    key_dim: int | None = Field(
        None, ge=1, description="key size per attention head; null: channels in / heads"
    )
    max_frames: int = Field(
        64, ge=1, description="longest snippet; sets the number of relative embeddings [frames]"
    )


def tsa_faults(config: TsaConfig, *, num_frames: int, height: int, width: int) -> list[str]:
    """List values that the network cannot take (:mod:`pdray.models.layers.limits`)."""
    faults = resnet3d_faults(config, num_frames=num_frames, height=height, width=width)
    if config.attention_depth > 0:
        faults += _head_faults(config)
    if config.attention_depth > 0 and num_frames >= 1:
        faults += _time_faults(config, num_frames)
    return faults


def _head_faults(config: TsaConfig) -> list[str]:
    """List the widths of attention stages that the number of heads does not divide."""
    layout = make_layout(config)
    first = 4 - config.attention_depth
    widths = set(layout.widths[first:])
    if config.key_dim is None and not layout.is_bottleneck:
        widths.add(layout.widths[max(first - 1, 0)])
    odd = sorted(width for width in widths if width % config.num_heads)
    if not odd or 0 in widths:
        return []
    valid = [n for n in range(1, min(widths) + 1) if not any(width % n for width in widths)]
    return [
        f"model.num_heads: {config.num_heads} does not divide the {', '.join(map(str, odd))} "
        f"channels of an attention stage (model.width_factor {config.width_factor}); use one of "
        f"{', '.join(map(str, valid))}"
    ]


def _time_faults(config: TsaConfig, num_frames: int) -> list[str]:
    """List attention stages with one time step, and a ``max_frames`` below the snippet."""
    faults = []
    steps = time_steps(num_frames, config)
    single = [stage for stage in range(5 - config.attention_depth, 5) if steps[stage + 1] < 2]
    if single:
        enough = num_frames
        while time_steps(enough, config)[-1] < 2:
            enough += 1
        faults.append(
            f"model.temporal_stride: '{config.temporal_stride}' shrinks {num_frames} frames to 1 "
            f"time step in {', '.join(f'layer{stage}' for stage in single)}, but attention "
            f"(model.attention_depth {config.attention_depth}) needs 2; use at least {enough} "
            "frames or a stride with fewer 2s"
        )
    if num_frames > config.max_frames:
        faults.append(
            f"model.max_frames: {config.max_frames} is shorter than a snippet of {num_frames} "
            f"frames; use at least {num_frames}"
        )
    return faults


ENTRY = ModelEntry(
    settings=TsaConfig,
    description="3D ResNet with attention over time at its end; attention_depth=0: I3D of TSA",
    builder="pdray.models.networks.tsa:build_tsa",
    faults=tsa_faults,
    small={**SMALL, "num_heads": 4},
)
