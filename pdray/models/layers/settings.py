"""Settings of layers that several models share; imports no torch."""

from typing import Literal

from pydantic import Field

from pdray.config import Settings

Stride = tuple[int, int, int]
Norm = Literal["batch", "group"]
Shortcut = Literal["A", "B"]


class SegmentsConfig(Settings):
    """Settings of how the snippets of a training recording become one prediction."""

    consensus: Literal["none", "mean", "attention"] = Field(
        "none",
        description="none: each snippet is learnt by itself; mean: mean of the snippets' features; "
        "attention: mean with a learned weight per snippet (motion boundary paper, eq. 1)",
    )


NUM_REGIONS = 14


class RegionClassifierShape(Settings):
    """Settings of the region tokens, of their attention and of the heads."""

    token_dim: int = Field(768, ge=1, description="features per region token in the attention")
    attention_kind: Literal["spatial", "temporal", "both", "none"] = Field(
        "both", description="attention over regions (spatial), over frames (temporal), both or none"
    )
    attention_depth: int = Field(1, ge=1, le=12, description="number of attention blocks in a row")
    num_heads: int = Field(
        3, ge=1, description="attention heads per attention block; must divide token_dim"
    )
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="dropout probability on tokens, attention and hidden layers of the heads",
    )
    max_frames: int = Field(
        64, ge=1, description="longest snippet; a position is learned for each of its frames"
    )


def classifier_faults(config: RegionClassifierShape, *, num_frames: int) -> list[str]:
    """List values that the classifier cannot take (:mod:`pdray.models.layers.limits`)."""
    faults = []
    if config.attention_kind != "none" and config.token_dim % config.num_heads:
        valid = [n for n in range(1, 17) if config.token_dim % n == 0]
        faults.append(
            f"model.num_heads: {config.num_heads} does not divide model.token_dim "
            f"{config.token_dim}; use one of {', '.join(map(str, valid))}"
        )
    if config.attention_kind in ("temporal", "both") and num_frames > config.max_frames:
        faults.append(
            f"model.max_frames: {config.max_frames} is shorter than a snippet of {num_frames} "
            f"frames; use at least {num_frames}"
        )
    return faults
